package api_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/digitalocean/godo"
)

func TestGodoStorage(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c, droplet := a.godo(), int(a.droplet("web"))
		volume := ok(c.Storage.CreateVolume(ctx, &godo.VolumeCreateRequest{Region: "nyc3", Name: "data", SizeGigaBytes: 10}))(t)
		if volume.Region.Slug != "nyc3" || volume.CreatedAt.IsZero() {
			t.Errorf("got %+v", volume)
		}
		attach := ok(c.StorageActions.Attach(ctx, volume.ID, droplet))(t)
		a.wait(int64(attach.ID))
		if got := ok(c.Storage.GetVolume(ctx, volume.ID))(t); len(got.DropletIDs) != 1 || got.DropletIDs[0] != droplet {
			t.Errorf("got %+v", got)
		}
		a.wait(int64(ok(c.StorageActions.Resize(ctx, volume.ID, 20, "nyc3"))(t).ID))
		a.wait(int64(ok(c.StorageActions.DetachByDropletID(ctx, volume.ID, droplet))(t).ID))
		_, _, err := c.StorageActions.DetachByDropletID(ctx, volume.ID, droplet)
		fails(t, http.StatusUnprocessableEntity, err)
		if got := ok(c.StorageActions.Get(ctx, volume.ID, attach.ID))(t); got.Status != godo.ActionCompleted || got.Type != "attach_volume" {
			t.Errorf("got %+v", got)
		}
		if list := ok(c.StorageActions.List(ctx, volume.ID, nil))(t); len(list) != 3 {
			t.Errorf("got %v", list)
		}
		snapshot := ok(c.Storage.CreateSnapshot(ctx, &godo.SnapshotCreateRequest{VolumeID: volume.ID, Name: "copy"}))(t)
		if got := ok(c.Storage.GetSnapshot(ctx, snapshot.ID))(t); got.Name != "copy" || got.ResourceID != volume.ID {
			t.Errorf("got %+v", got)
		}
		if list := ok(c.Storage.ListSnapshots(ctx, volume.ID, nil))(t); len(list) != 1 {
			t.Errorf("got %v", list)
		}
		copied := ok(c.Storage.CreateVolume(ctx, &godo.VolumeCreateRequest{Name: "again", SnapshotID: snapshot.ID, Region: "nyc3"}))(t)
		if copied.SizeGigaBytes != 20 {
			t.Errorf("got %+v", copied)
		}
		list := ok(c.Storage.ListVolumes(ctx, &godo.ListVolumeParams{Region: "nyc3", Name: "again", ListOptions: &godo.ListOptions{PerPage: 1}}))(t)
		if len(list) != 1 || list[0].ID != copied.ID {
			t.Errorf("got %v", list)
		}
		for _, id := range []string{volume.ID, copied.ID} {
			res, err := c.Storage.DeleteVolume(ctx, id)
			done(t, res, err)
		}
		res, err := c.Storage.DeleteSnapshot(ctx, snapshot.ID)
		done(t, res, err)
	})
}

func TestGodoSnapshots(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c := a.godo()
		a.snapshot(a.droplet("web"), "of-web")
		a.volumeSnapshot(a.volume("data"), "of-data")
		if all := ok(c.Snapshots.List(ctx, nil))(t); len(all) != 2 {
			t.Errorf("got %v", all)
		}
		ofDroplets, ofVolumes := ok(c.Snapshots.ListDroplet(ctx, nil))(t), ok(c.Snapshots.ListVolume(ctx, nil))(t)
		if len(ofDroplets) != 1 || ofDroplets[0].Name != "of-web" || len(ofVolumes) != 1 || ofVolumes[0].Name != "of-data" {
			t.Errorf("got %v and %v", ofDroplets, ofVolumes)
		}
		if there := ok(c.Snapshots.ListVolumeSnapshotByRegion(ctx, "nyc3", nil))(t); len(there) != 1 {
			t.Errorf("got %v", there)
		}
		for _, snapshot := range append(ofDroplets, ofVolumes...) {
			if got := ok(c.Snapshots.Get(ctx, snapshot.ID))(t); got.Name != snapshot.Name {
				t.Errorf("got %+v", got)
			}
			res, err := c.Snapshots.Delete(ctx, snapshot.ID)
			done(t, res, err)
			_, err = c.Snapshots.Delete(ctx, snapshot.ID)
			fails(t, http.StatusNotFound, err)
		}
	})
}

func TestGodoReservedIPs(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c, droplet := a.godo(), int(a.droplet("web"))
		ip := ok(c.ReservedIPs.Create(ctx, &godo.ReservedIPCreateRequest{Region: "nyc3"}))(t).IP
		assign := ok(c.ReservedIPActions.Assign(ctx, ip, droplet))(t)
		a.wait(int64(assign.ID))
		if got := ok(c.ReservedIPs.Get(ctx, ip))(t); got.Droplet == nil || got.Droplet.ID != droplet || got.Region.Slug != "nyc3" {
			t.Errorf("got %+v", got)
		}
		if got := ok(c.ReservedIPActions.Get(ctx, ip, assign.ID))(t); got.Status != godo.ActionCompleted {
			t.Errorf("got %+v", got)
		}
		a.wait(int64(ok(c.ReservedIPActions.Unassign(ctx, ip))(t).ID))
		_, _, err := c.ReservedIPActions.Unassign(ctx, ip)
		fails(t, http.StatusUnprocessableEntity, err)
		if list := ok(c.ReservedIPActions.List(ctx, ip, nil))(t); len(list) != 2 {
			t.Errorf("got %v", list)
		}
		if list := ok(c.ReservedIPs.List(ctx, nil))(t); len(list) != 1 {
			t.Errorf("got %v", list)
		}
		res, err := c.ReservedIPs.Delete(ctx, ip)
		done(t, res, err)
		_, _, err = c.ReservedIPs.Get(ctx, ip)
		fails(t, http.StatusNotFound, err)

		forDroplet, res, err := c.ReservedIPs.Create(ctx, &godo.ReservedIPCreateRequest{DropletID: droplet})
		if err != nil || !forDroplet.Locked {
			t.Fatal(forDroplet, err)
		}
		_ = res
	})
}

func TestGodoFloatingIPs(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c, droplet := a.godo(), int(a.droplet("web"))
		ip := ok(c.FloatingIPs.Create(ctx, &godo.FloatingIPCreateRequest{Region: "nyc3"}))(t).IP
		assign := ok(c.FloatingIPActions.Assign(ctx, ip, droplet))(t)
		a.wait(int64(assign.ID))
		if got := ok(c.FloatingIPs.Get(ctx, ip))(t); got.Droplet == nil || got.Droplet.ID != droplet {
			t.Errorf("got %+v", got)
		}
		if got := ok(c.FloatingIPActions.Get(ctx, ip, assign.ID))(t); got.ResourceType != "floating_ip" {
			t.Errorf("got %+v", got)
		}
		a.wait(int64(ok(c.FloatingIPActions.Unassign(ctx, ip))(t).ID))
		if list := ok(c.FloatingIPActions.List(ctx, ip, nil))(t); len(list) != 2 {
			t.Errorf("got %v", list)
		}
		if list := ok(c.FloatingIPs.List(ctx, nil))(t); len(list) != 1 {
			t.Errorf("got %v", list)
		}
		res, err := c.FloatingIPs.Delete(ctx, ip)
		done(t, res, err)
	})
}

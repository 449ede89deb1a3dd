package control

import (
	"context"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/store"
)

const alreadyDestroying = "This Droplet is already being destroyed."

// A destroy takes what is the account's own and the Droplet's own, all of it or
// none.
func TestDestroyRefusals(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		f, stranger := c.addFamily(), c.addAccount("stranger")
		other := c.addVolume("other")
		before := c.resources()
		notFound := cloud.NotFound().Message
		tests := []struct {
			name    string
			destroy func(ctx context.Context) error
			code    cloud.Code
			message string
		}{
			{"another account's", func(ctx context.Context) error {
				return c.plane.DestroyEverything(ctx, stranger, f.droplet.ID)
			}, cloud.CodeNotFound, notFound},
			{"another account's, selected", func(ctx context.Context) error {
				return c.plane.DestroySelected(ctx, stranger, f.droplet.ID, nil)
			}, cloud.CodeNotFound, notFound},
			{"another account's, alone", func(ctx context.Context) error {
				return c.plane.DeleteDroplet(ctx, stranger, f.droplet.ID)
			}, cloud.CodeNotFound, notFound},
			{"another account's status", func(ctx context.Context) error {
				_, err := c.plane.DestroyStatus(ctx, stranger, f.droplet.ID)
				return err
			}, cloud.CodeNotFound, notFound},
			{"another account's retry", func(ctx context.Context) error {
				return c.plane.RetryDestroy(ctx, stranger, f.droplet.ID)
			}, cloud.CodeNotFound, notFound},
			{"another account's resources", func(ctx context.Context) error {
				_, err := c.plane.Associated(ctx, stranger, f.droplet.ID)
				return err
			}, cloud.CodeNotFound, notFound},
			{"the retry of none", func(ctx context.Context) error {
				return c.plane.RetryDestroy(ctx, c.who, f.droplet.ID)
			}, cloud.CodeNotFound, notFound},
			{"what does not belong to it", func(ctx context.Context) error {
				return c.plane.DestroySelected(ctx, c.who, f.droplet.ID, Selection{
					cloud.AssociatedVolume: {f.goes.ID, other.ID}, cloud.AssociatedSnapshot: {"17"},
				})
			}, cloud.CodeInvalid, "not associated with this Droplet: " + other.ID + ", 17. Nothing was destroyed."},
		}
		for _, test := range tests {
			c.Run(test.name, func(t *testing.T) { wantError(t, test.destroy(t.Context()), test.code, test.message) })
		}
		c.settle()
		c.wantUnchanged(before)
	})
}

// Two destroys of one Droplet at once are one too many, whichever they are, and
// nothing else may begin.
func TestNothingBeginsWhileADropletIsDestroyed(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		f := c.addFamily()
		spare, free := c.addVolume("spare"), c.addReservedIP(0)
		ctx, id := c.Context(), f.droplet.ID
		if err := c.plane.DestroySelected(ctx, c.who, id, f.selection()); err != nil {
			c.Fatal(err)
		}
		begin := func() {
			c.Helper()
			wantError(c, c.plane.DestroyEverything(ctx, c.who, id), cloud.CodeConflict, alreadyDestroying)
			wantError(c, c.plane.DestroySelected(ctx, c.who, id, nil), cloud.CodeConflict, alreadyDestroying)
			wantError(c, c.plane.RetryDestroy(ctx, c.who, id), cloud.CodeConflict, alreadyDestroying)
			wantPending(c, c.plane.DeleteDroplet(ctx, c.who, id))
			for action := range dropletVerbs {
				_, err := c.plane.StartDropletAction(ctx, c.who, id, DropletAction{Type: action, Name: "name", Image: testImage, Backups: &dailyBackups})
				wantPending(c, err)
			}
			_, err := c.plane.AttachVolume(ctx, c.who, spare.ID, id, nil)
			wantPending(c, err)
			_, err = c.plane.DetachVolume(ctx, c.who, f.kept.ID, id)
			wantPending(c, err)
			_, err = c.plane.ResizeVolume(ctx, c.who, f.kept.ID, 20)
			wantPending(c, err)
			_, err = c.plane.AssignReservedIP(ctx, c.who, f.ip.IP, id, cloud.KindReservedIP)
			wantPending(c, err)
			_, err = c.plane.UnassignReservedIP(ctx, c.who, f.ip.IP, cloud.KindReservedIP)
			wantPending(c, err)
			wantPending(c, c.plane.DeleteReservedIP(ctx, c.who, f.ip.IP))
			_, err = c.plane.AssignReservedIP(ctx, c.who, free.IP, id, cloud.KindReservedIP)
			wantPending(c, err)
			_, _, err = c.plane.ReserveIP(ctx, c.who, NewReservedIP{Droplet: id})
			wantPending(c, err)
		}
		begin()
		if _, err := c.plane.Runner().RunDue(ctx); err != nil { // it has begun, and holds what it destroys
			c.Fatal(err)
		}
		begin()
		wantPending(c, c.plane.DeleteVolumeSnapshot(ctx, c.who, f.copied.ID))
		wantPending(c, c.plane.DeleteImage(ctx, c.who, f.image.ID))
		c.settle()
		c.must1(c.plane.DeleteVolume, spare.ID)
		c.must1(c.plane.DeleteReservedIP, free.IP)
		c.wantDestroyed(f)
	})
}

// A plain delete waits for its turn, other than during the create.
func TestDeleteIsRefusedWhileAnActionRuns(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addDroplet("web")
		if _, err := c.plane.StartDropletAction(c.Context(), c.who, d.ID, DropletAction{Type: cloud.ActionReboot}); err != nil {
			c.Fatal(err)
		}
		wantPending(c, c.plane.DeleteDroplet(c.Context(), c.who, d.ID))
		c.settle()
		if err := c.plane.DeleteDroplet(c.Context(), c.who, d.ID); err != nil {
			c.Fatal(err)
		}
		c.settle()
		c.checkWorld()
	})
}

// What belongs to another Droplet by the time of a retry is not destroyed, and
// that is said; what its owner deleted meanwhile counts as destroyed.
func TestRetryLooksAtWhatHasChanged(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		f, other := c.addFamily(), c.addDroplet("other")
		c.addFault(engine.Fault{Operation: "volume.delete", Error: "broken"})
		c.addFault(engine.Fault{Operation: "image.delete", Error: "broken"})
		c.destroyFamily(f)
		if status := c.destroyStatus(f.droplet.ID); status.Failures() != 2 || !c.gone(f.droplet.ID) {
			c.Fatalf("got %+v", status)
		}
		c.removeFaults()
		c.attach(f.goes.ID, other.ID)
		c.must1(c.plane.DeleteSnapshot, cloud.FormatID(f.image.ID))
		c.retry(f.droplet.ID)
		status := c.destroyStatus(f.droplet.ID)
		r, _ := target{destroy: status}.listed(cloud.AssociatedVolume, f.goes.ID)
		if status.Failures() != 1 || r.Error != "it belongs to Droplet "+cloud.FormatID(other.ID)+" now" || !r.DestroyedAt.IsZero() {
			c.Errorf("got %+v", status)
		}
		if c.volume(f.goes.ID).Droplet != other.ID {
			c.Error("the other Droplet has lost its volume")
		}
		c.checkWorld()
		if err := c.plane.DestroyEverything(c.Context(), c.who, other.ID); err != nil {
			c.Fatal(err)
		}
		c.settle()
		c.retry(f.droplet.ID)
		c.wantDestroyed(f)
	})
}

// An address that was given back and reserved anew is not the one that the
// destroy is about, whoever has it now.
func TestRetryLeavesAnAddressReservedAnewAlone(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		f := c.addFamily()
		c.addFault(engine.Fault{Operation: "network.apply", Error: "broken"})
		c.destroyFamily(f)
		c.removeFaults()
		c.must1(c.plane.DeleteReservedIP, f.ip.IP)
		stranger := c.addAccount("stranger")
		c.inStore(func(tx *store.Tx) error {
			_, err := tx.AddReservedIP(cloud.ReservedIP{
				ID: f.ip.ID + 1000, IP: f.ip.IP, Account: stranger.Account, Region: testRegion, CreatedAt: tx.Now,
			}, 0)
			return err
		})
		c.retry(f.droplet.ID)
		if _, _, err := c.plane.ReservedIP(c.Context(), stranger, f.ip.IP); err != nil {
			c.Errorf("the stranger's address: %v", err)
		}
		if status := c.destroyStatus(f.droplet.ID); status.Failures() != 0 {
			c.Errorf("got %+v", status)
		}
	})
}

package sim_test

import (
	"reflect"
	"testing"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
)

func (l *lab) world() sim.World {
	l.Helper()
	w, err := l.World(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	return w
}

func TestWorldShowsAllThatExists(t *testing.T) {
	each(t, "0", func(l *lab) {
		ctx := l.Context()
		empty := l.world()
		l.must(l.create(l.work(), "16"))
		l.must(l.start(l.work(), "16"))
		l.must(l.ApplyNetwork(ctx, l.work(), ref("16"), engine.Network{VPC: "vpc-1", PrivateIPv4: "10.0.0.2"}))
		wall := engine.Firewall{Version: 2, On: true, Inbound: []engine.FirewallRule{{Protocol: "tcp", Ports: "22", Addresses: []string{"::/0"}}}}
		l.must(l.ApplyFirewall(ctx, l.work(), ref("16"), wall))
		l.must(l.ApplyFirewall(ctx, l.work(), ref("16"), engine.Firewall{Version: 1})) // late
		l.must(l.CreatePeering(ctx, l.work(), engine.Peering{Ref: ref("p"), VPCs: [2]string{"vpc-1", "vpc-2"}}))
		l.must(l.volume(l.work(), "v", ""))
		l.must(l.AttachVolume(ctx, l.work(), ref("v"), ref("16")))
		l.must(l.CopyImage(ctx, l.work(), ref("16"), ref("i")))
		l.must(l.SnapshotVolume(ctx, l.work(), ref("v"), ref("s")))
		want := sim.World{
			Machines: []sim.Machine{{
				ID: "16", Account: 1, Name: "name-16", Region: "nyc3", Host: "nyc3-2", Running: true,
				VCPUs: 1, Memory: 1024, Disk: 25, Image: "debian-12-x64", UsedGigabytes: 2.36,
				Network: engine.Network{VPC: "vpc-1", PrivateIPv4: "10.0.0.2"}, Firewall: wall,
			}},
			Peerings:        []sim.Peering{{ID: "p", Account: 1, Name: "name-p", VPCs: [2]string{"vpc-1", "vpc-2"}}},
			Volumes:         []sim.Volume{{ID: "v", Account: 1, Name: "name-v", Region: "nyc3", SizeGigabytes: 10, Machine: "16"}},
			Images:          []sim.Image{{ID: "i", Account: 1, Name: "name-i", Disk: 25, SizeGigabytes: 2.36, Regions: []string{"nyc3"}}},
			VolumeSnapshots: []sim.VolumeSnapshot{{ID: "s", Account: 1, Name: "name-s", VolumeGigabytes: 10}},
		}
		if got := l.world(); !reflect.DeepEqual(got, want) {
			l.Errorf("got\n%+v\nwant\n%+v", got, want)
		}

		l.must(l.DestroyMachine(ctx, l.work(), ref("16")))
		l.must(l.DeleteVolume(ctx, l.work(), ref("v")))
		l.must(l.DeleteImage(ctx, l.work(), ref("i")))
		l.must(l.DeleteVolumeSnapshot(ctx, l.work(), ref("s")))
		l.must(l.DeletePeering(ctx, l.work(), ref("p")))
		if got := l.world(); !reflect.DeepEqual(got, empty) {
			l.Errorf("left behind: %+v", got)
		}
	})
}

func TestHostsAreSharedByEightNeighbours(t *testing.T) {
	each(t, "0", func(l *lab) {
		for id, want := range map[string]string{"7": "nyc3-0", "8": "nyc3-1", "15": "nyc3-1", "16": "nyc3-2"} {
			if p := l.must(l.create(l.work(), id)); p.Host != want {
				l.Errorf("machine %s is on %s, want %s", id, p.Host, want)
			}
		}
	})
}

func TestCopiesAreAsLargeAsTheirSource(t *testing.T) {
	each(t, "0", func(l *lab) {
		ctx := l.Context()
		l.must(l.create(l.work(), "1"))
		if p := l.must(l.CopyImage(ctx, l.work(), ref("1"), ref("i"))); p.SizeGigabytes != 2.36 {
			l.Errorf("an image of %g GB", p.SizeGigabytes)
		}
		copied := machine("2")
		copied.Image = engine.Image{Ref: ref("i")}
		l.must(l.CreateMachine(ctx, l.work(), copied))
		if p := l.must(l.CopyImage(ctx, l.work(), ref("2"), ref("i2"))); p.SizeGigabytes != 2.36 {
			l.Errorf("an image of %g GB", p.SizeGigabytes)
		}
		l.must(l.volume(l.work(), "v", ""))
		if p := l.must(l.SnapshotVolume(ctx, l.work(), ref("v"), ref("s"))); p.SizeGigabytes != 0 {
			l.Errorf("a snapshot of an empty volume of %g GB", p.SizeGigabytes)
		}
	})
}

func TestAttachNeedsOneRegion(t *testing.T) {
	each(t, "0", func(l *lab) {
		l.must(l.create(l.work(), "1"))
		v := engine.Volume{Ref: ref("v"), Region: "ams3", SizeGigabytes: 1}
		l.must(l.CreateVolume(l.Context(), l.work(), v))
		_, err := l.AttachVolume(l.Context(), l.work(), ref("v"), ref("1"))
		if !engine.IsFinal(err) {
			l.Errorf("got %v, want a final error", err)
		}
	})
}

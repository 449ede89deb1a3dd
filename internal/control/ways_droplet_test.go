package control

import (
	"context"
	"reflect"
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// one finds the account's only Droplet of a name.
func (c *testCloud) one(name string) (cloud.Droplet, bool) {
	c.Helper()
	found, total, err := c.plane.Droplets(c.Context(), c.who, cloud.DropletFilter{Name: name}, cloud.Page{})
	if err != nil {
		c.Fatal(err)
	}
	if total != 1 {
		return cloud.Droplet{}, false
	}
	return found[0], true
}

// creating is a scenario of a create.
func creating(c *testCloud, n NewDroplets) scenario {
	return scenario{
		ask: func(ctx context.Context) error {
			_, _, err := c.plane.CreateDroplets(ctx, c.who, n)
			return err
		},
		done: func() bool {
			d, ok := c.one(n.Names[0])
			return ok && d.Status == cloud.DropletActive && len(d.VolumeIDs) == len(n.Volumes)
		},
	}
}

func createPlain(c *testCloud) scenario {
	n := newDroplet("web")
	n.IPv6, n.Tags = true, []string{"a", "b"}
	return creating(c, n)
}

func createWithVolumes(c *testCloud) scenario {
	n := newDroplet("web")
	n.Volumes = []string{c.addVolume("data").ID, c.addVolume("logs").ID}
	return creating(c, n)
}

func createFromSnapshot(c *testCloud) scenario {
	n := newDroplet("web")
	n.Image = cloud.FormatID(c.addSnapshot(c.addDroplet("first").ID, "golden").ID)
	return creating(c, n)
}

// acting is a scenario of an action on a Droplet that runs.
func acting(c *testCloud, d cloud.Droplet, a DropletAction, done func(d cloud.Droplet) bool) scenario {
	return scenario{
		ask: func(ctx context.Context) error {
			_, err := c.plane.StartDropletAction(ctx, c.who, d.ID, a)
			return err
		},
		done: func() bool { return done(c.droplet(d.ID)) },
	}
}

func isOn(d cloud.Droplet) bool  { return d.Status == cloud.DropletActive }
func isOff(d cloud.Droplet) bool { return d.Status == cloud.DropletOff }

func powerOn(c *testCloud) scenario {
	d := c.addDroplet("web")
	c.act(d.ID, DropletAction{Type: cloud.ActionPowerOff})
	return acting(c, d, DropletAction{Type: cloud.ActionPowerOn}, isOn)
}

func powerOff(c *testCloud) scenario {
	return acting(c, c.addDroplet("web"), DropletAction{Type: cloud.ActionPowerOff}, isOff)
}

func shutDown(c *testCloud) scenario {
	return acting(c, c.addDroplet("web"), DropletAction{Type: cloud.ActionShutdown}, isOff)
}

func reboot(c *testCloud) scenario {
	return acting(c, c.addDroplet("web"), DropletAction{Type: cloud.ActionReboot}, isOn)
}

func powerCycle(c *testCloud) scenario {
	return acting(c, c.addDroplet("web"), DropletAction{Type: cloud.ActionPowerCycle}, isOn)
}

func rename(c *testCloud) scenario {
	a := DropletAction{Type: cloud.ActionRename, Name: "renamed"}
	return acting(c, c.addDroplet("web"), a, func(d cloud.Droplet) bool { return d.Name == "renamed" })
}

func snapshotDroplet(c *testCloud) scenario {
	a := DropletAction{Type: cloud.ActionSnapshot, Name: "nightly"}
	return acting(c, c.addDroplet("web"), a, func(d cloud.Droplet) bool { return len(d.SnapshotIDs) == 1 })
}

// actingOff is acting on a Droplet that is off.
func actingOff(c *testCloud, a DropletAction, done func(d cloud.Droplet) bool) scenario {
	d := c.addDroplet("web")
	c.act(d.ID, DropletAction{Type: cloud.ActionPowerOff})
	return acting(c, d, a, done)
}

func resizeWithDisk(c *testCloud) scenario {
	a := DropletAction{Type: cloud.ActionResize, Size: "s-2vcpu-2gb", Disk: true}
	return actingOff(c, a, func(d cloud.Droplet) bool {
		return isOff(d) && d.Size == a.Size && d.VCPUs == 2 && d.Memory == 2048 && d.Disk == 60
	})
}

func resizeWithoutDisk(c *testCloud) scenario {
	a := DropletAction{Type: cloud.ActionResize, Size: "s-2vcpu-2gb"}
	return actingOff(c, a, func(d cloud.Droplet) bool {
		return isOff(d) && d.Size == a.Size && d.VCPUs == 2 && d.Memory == 2048 && d.Disk == 25
	})
}

func rebuildOn(c *testCloud) scenario {
	d := c.addDroplet("web")
	image := c.addSnapshot(c.addDroplet("other").ID, "golden")
	a := DropletAction{Type: cloud.ActionRebuild, Image: cloud.FormatID(image.ID)}
	return acting(c, d, a, func(d cloud.Droplet) bool { return isOn(d) && d.Image.ID == image.ID })
}

func rebuildOff(c *testCloud) scenario {
	a := DropletAction{Type: cloud.ActionRebuild, Image: "freebsd-x64"}
	return actingOff(c, a, func(d cloud.Droplet) bool { return isOn(d) && d.Image.Slug == a.Image && !d.Agent })
}

func restoreOn(c *testCloud) scenario {
	d := c.addBackedUp("web")
	backup := c.addBackup(d.ID)
	a := DropletAction{Type: cloud.ActionRestore, Image: cloud.FormatID(backup.ID)}
	return acting(c, d, a, func(d cloud.Droplet) bool { return isOn(d) && d.Image.ID == backup.ID })
}

func resetPasswordOn(c *testCloud) scenario {
	return resettingPassword(c, acting(c, c.addDroplet("web"), DropletAction{Type: cloud.ActionPasswordReset}, isOn))
}

func resetPasswordOff(c *testCloud) scenario {
	return resettingPassword(c, actingOff(c, DropletAction{Type: cloud.ActionPasswordReset}, isOn))
}

// resettingPassword adds that the guest was given a new password. After a
// failure it may have one that counts from its next start, and nothing else is
// different.
func resettingPassword(c *testCloud, s scenario) scenario {
	done, before, world := s.done, c.resources(), c.world()
	s.done = func() bool { return done() && c.world().Machines[0].Passwords > 0 }
	s.failed = func() {
		after := c.world()
		after.Machines[0].Passwords = world.Machines[0].Passwords
		if !reflect.DeepEqual(c.resources(), before) || !reflect.DeepEqual(after, world) {
			c.Errorf("left behind: the hypervisor has\n%+v\nand had\n%+v", after, world)
		}
	}
	return s
}

func enableIPv6(c *testCloud) scenario {
	d := c.addDroplet("web")
	c.addReservedIP(d.ID)
	return acting(c, d, DropletAction{Type: cloud.ActionEnableIPv6}, func(d cloud.Droplet) bool {
		return d.IPv6 && d.PublicIPv6 != "" && d.IPv6Gateway != "" && d.ReservedIP != ""
	})
}

func enablePrivateNetworking(c *testCloud) scenario {
	return acting(c, c.addDroplet("web"), DropletAction{Type: cloud.ActionEnablePrivateNetworking}, isOn)
}

// family is a Droplet with one of everything that can belong to it.
type family struct {
	droplet    cloud.Droplet
	kept, goes cloud.Volume
	copied     cloud.VolumeSnapshot // of the volume that goes
	image      cloud.Image
	ip         cloud.ReservedIP
}

func (c *testCloud) addFamily() (f family) {
	c.Helper()
	c.quickly(func() {
		d := c.addDroplet("web")
		f = family{kept: c.addAttached("kept", d.ID), goes: c.addAttached("goes", d.ID)}
		f.copied = c.addVolumeSnapshot(f.goes.ID, "copied")
		f.image = c.addSnapshot(d.ID, "nightly")
		f.ip = c.addReservedIP(d.ID)
		f.droplet = c.droplet(d.ID)
	})
	return f
}

// selection is all of the family but the volume that is kept.
func (f family) selection() Selection {
	return Selection{
		cloud.AssociatedVolume: {f.goes.ID}, cloud.AssociatedVolumeSnapshot: {f.copied.ID},
		cloud.AssociatedSnapshot: {cloud.FormatID(f.image.ID)}, cloud.AssociatedReservedIP: {f.ip.IP},
	}
}

func deletePlain(c *testCloud) scenario {
	f := c.addFamily()
	return scenario{
		ask: func(ctx context.Context) error { return c.plane.DeleteDroplet(ctx, c.who, f.droplet.ID) },
		done: func() bool {
			free := c.volume(f.kept.ID).Droplet == 0 && c.volume(f.goes.ID).Droplet == 0
			all := c.resources()
			return c.gone(f.droplet.ID) && free && c.reservedIP(f.ip.IP).Droplet == 0 &&
				len(all.Images) == 1 && len(all.VolumeSnapshots) == 1
		},
		failed: func() { c.usable(f.droplet.ID) },
	}
}

func destroySelected(c *testCloud) scenario {
	f := c.addFamily()
	return destroying(c, f, func(ctx context.Context) error {
		return c.plane.DestroySelected(ctx, c.who, f.droplet.ID, f.selection())
	}, func() bool {
		all := c.resources()
		return len(all.Volumes) == 1 && all.Volumes[0].ID == f.kept.ID && all.Volumes[0].Droplet == 0
	})
}

func destroyEverything(c *testCloud) scenario {
	f := c.addFamily()
	return destroying(c, f, func(ctx context.Context) error {
		return c.plane.DestroyEverything(ctx, c.who, f.droplet.ID)
	}, func() bool { return len(c.resources().Volumes) == 0 })
}

// destroying is a scenario of a destroy with resources. After a failure it is
// not asked for again but retried, which has to do what is left.
func destroying(c *testCloud, f family, ask func(ctx context.Context) error, volumes func() bool) scenario {
	return scenario{
		ask: func(ctx context.Context) error {
			if _, err := c.plane.DestroyStatus(ctx, c.who, f.droplet.ID); err == nil {
				return c.plane.RetryDestroy(ctx, c.who, f.droplet.ID)
			}
			return ask(ctx)
		},
		done: func() bool {
			all := c.resources()
			status := c.destroyStatus(f.droplet.ID)
			left := slices.ContainsFunc(status.Resources, func(r cloud.DestroyResource) bool { return r.DestroyedAt.IsZero() })
			return c.gone(f.droplet.ID) && volumes() && !left && status.Failures() == 0 && !status.DestroyedAt.IsZero() &&
				len(all.Images)+len(all.VolumeSnapshots)+len(all.ReservedIPs) == 0
		},
		failed: func() {
			status := c.destroyStatus(f.droplet.ID)
			if status.Error == "" || status.Failures() == 0 || status.Running() {
				c.Errorf("the destroy failed and its status is %+v", status)
			}
			c.usable(f.droplet.ID)
		},
	}
}

func (c *testCloud) destroyStatus(droplet int64) cloud.Destroy {
	c.Helper()
	status, err := c.plane.DestroyStatus(c.Context(), c.who, droplet)
	if err != nil {
		c.Fatal(err)
	}
	return status
}

// usable checks that a Droplet that was not destroyed is its owner's again: it
// can be switched off and on.
func (c *testCloud) usable(id int64) {
	c.Helper()
	if c.fault != nil {
		c.fault.Lift()
	}
	if isOn(c.droplet(id)) {
		c.act(id, DropletAction{Type: cloud.ActionPowerOff})
	}
	c.act(id, DropletAction{Type: cloud.ActionPowerOn})
	if d := c.droplet(id); !isOn(d) {
		c.Errorf("Droplet %d does not start: %s", id, d.Status)
	}
	c.checkWorld()
}

package control

import (
	"context"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// What does not fit is refused with the figures, whoever has the rest.
func TestDropletsThatDoNotFit(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		c.useRealEngine(engine.Capacity{VCPUs: 1, Memory: 4096, Disk: 200})
		two := newDroplet("a")
		two.Size = "s-2vcpu-2gb"
		c.refusesDroplets(two, "This server has 1 vCPUs for one Droplet at most; 2 do not fit.")
		c.refusesDroplets(newDroplet("a", "b", "c", "d", "e"),
			"This server has 4096 MiB of memory for Droplets, of which those that run take 0 MiB; 5120 MiB more do not fit. Power off or destroy a Droplet, or choose a smaller size.")
		if n := c.query(`SELECT COUNT(*) FROM droplets`); n != 0 {
			c.Fatalf("%d Droplets are there", n)
		}
		other := c.by(c.addAccount("other"))
		other.create(newDroplet("a")) // is new, which counts
		c.create(newDroplet("b"))
		c.refusesDroplets(newDroplet("c", "d", "e"),
			"This server has 4096 MiB of memory for Droplets, of which those that run take 2048 MiB; 3072 MiB more do not fit. Power off or destroy a Droplet, or choose a smaller size.")
		c.settle()
		c.create(newDroplet("c"))
		c.create(newDroplet("d"))
		c.refusesDroplets(newDroplet("e"),
			"This server has 4096 MiB of memory for Droplets, of which those that run take 4096 MiB; 1024 MiB more do not fit. Power off or destroy a Droplet, or choose a smaller size.")
		c.settle()
		c.checkWorld()
	})
}

// A Droplet that is off leaves its memory to others, and does not start while
// they have it. One that runs is never refused what it has.
func TestDropletsThatDoNotFitWhenTheyStart(t *testing.T) {
	const taken = "This server has 2048 MiB of memory for Droplets, of which those that run take 2048 MiB; 1024 MiB more do not fit. Power off or destroy a Droplet, or choose a smaller size."
	eachCloud(t, func(c *testCloud) {
		e := c.useRealEngine(engine.Capacity{VCPUs: 1, Memory: 2048, Disk: 200})
		var off, on, last cloud.Droplet
		c.quickly(func() {
			off, on = c.addDroplet("off"), c.addDroplet("on")
			c.act(off.ID, DropletAction{Type: cloud.ActionPowerOff})
			last = c.addDroplet("last")
		})
		for _, a := range []DropletAction{
			{Type: cloud.ActionPowerOn},
			{Type: cloud.ActionRebuild, Image: testImage},
			{Type: cloud.ActionPasswordReset},
		} {
			_, err := c.plane.StartDropletAction(c.Context(), c.who, off.ID, a)
			wantError(c, err, cloud.CodeInvalid, taken)
		}
		c.quickly(func() {
			c.act(on.ID, DropletAction{Type: cloud.ActionPowerOn}) // which it is
			c.act(on.ID, DropletAction{Type: cloud.ActionRebuild, Image: testImage})
			c.act(last.ID, DropletAction{Type: cloud.ActionPowerOff})
		})
		if _, err := c.plane.StartDropletAction(c.Context(), c.who, off.ID, DropletAction{Type: cloud.ActionPowerOn}); err != nil {
			c.Fatal(err)
		}
		_, err := c.plane.StartDropletAction(c.Context(), c.who, last.ID, DropletAction{Type: cloud.ActionPowerOn})
		wantError(c, err, cloud.CodeInvalid, taken) // though the other is not on yet
		c.settle()
		e.capacity.Memory = 512 // of another machine, whose disks these are
		_, err = c.plane.StartDropletAction(c.Context(), c.who, last.ID, DropletAction{Type: cloud.ActionPowerOn})
		wantError(c, err, cloud.CodeInvalid, "This server has 512 MiB of memory for Droplets; 1024 MiB do not fit.")
		c.checkWorld()
	})
}

// All Droplets with a tag start, or none does.
func TestTaggedDropletsThatDoNotFit(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		e := c.useRealEngine(engine.Capacity{VCPUs: 1, Memory: 2048, Disk: 200})
		n := newDroplet("a", "b")
		n.Tags = []string{"web"}
		c.quickly(func() {
			c.create(n)
			c.settle()
			_, err := c.plane.StartTaggedActions(c.Context(), c.who, "web", DropletAction{Type: cloud.ActionPowerOff})
			if err != nil {
				c.Fatal(err)
			}
			c.settle()
		})
		e.capacity.Memory = 1536
		_, err := c.plane.StartTaggedActions(c.Context(), c.who, "web", DropletAction{Type: cloud.ActionPowerOn})
		wantError(c, err, cloud.CodeInvalid,
			"This server has 1536 MiB of memory for Droplets, of which those that run take 1024 MiB; 1024 MiB more do not fit. Power off or destroy a Droplet, or choose a smaller size.")
		c.checkNothingPending()
	})
}

// Disks are promised whole, those that are still growing included.
func TestDisksThatDoNotFit(t *testing.T) {
	const more = "This server has 120 GiB of disk for Droplets and volumes, of which they may take %d GiB already; %d GiB more do not fit. Destroy a Droplet or a volume, or choose a smaller size."
	refuses := func(c *testCloud, err error, taken, asked int64) {
		c.Helper()
		wantError(c, err, cloud.CodeInvalid, cloud.Invalid(more, taken, asked).Error())
	}
	eachCloud(t, func(c *testCloud) {
		c.useRealEngine(engine.Capacity{VCPUs: 2, Memory: 65536, Disk: 120})
		var d cloud.Droplet
		var v cloud.Volume
		c.quickly(func() {
			d, v = c.addDroplet("web"), c.addVolume("data")
			c.act(d.ID, DropletAction{Type: cloud.ActionPowerOff})
		})
		large := newVolume("large")
		large.SizeGigabytes = 86
		_, err := c.plane.CreateVolume(c.Context(), c.who, large)
		refuses(c, err, 35, 86)
		_, err = c.plane.ResizeVolume(c.Context(), c.who, v.ID, 96)
		refuses(c, err, 35, 86)
		_, _, err = c.plane.CreateDroplets(c.Context(), c.who, newDroplet("a", "b", "c", "d"))
		refuses(c, err, 35, 100)

		if _, err := c.plane.ResizeVolume(c.Context(), c.who, v.ID, 60); err != nil {
			c.Fatal(err)
		}
		resize := DropletAction{Type: cloud.ActionResize, Size: "s-2vcpu-2gb", Disk: true}
		_, err = c.plane.StartDropletAction(c.Context(), c.who, d.ID, DropletAction{Type: cloud.ActionResize, Size: "s-2vcpu-2gb"})
		if err != nil {
			c.Fatal(err) // the disk stays as it is
		}
		c.settle()
		if _, err := c.plane.StartDropletAction(c.Context(), c.who, d.ID, resize); err != nil {
			c.Fatal(err)
		}
		_, err = c.plane.CreateVolume(c.Context(), c.who, newVolume("none"))
		refuses(c, err, 120, 10)
		c.settle()
		_, err = c.plane.CreateVolume(c.Context(), c.who, newVolume("none"))
		refuses(c, err, 120, 10)
		c.must(func(ctx context.Context) error { return c.plane.DeleteVolume(ctx, c.who, v.ID) })
		c.addVolume("again")
		c.checkWorld()
	})
}

// A Droplet is not given a size that it could never start with.
func TestResizesThatDoNotFit(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		e := c.useRealEngine(engine.Capacity{VCPUs: 1, Memory: 2048, Disk: 120})
		var d cloud.Droplet
		c.quickly(func() {
			d = c.addDroplet("web")
			c.act(d.ID, DropletAction{Type: cloud.ActionPowerOff})
		})
		resize := DropletAction{Type: cloud.ActionResize, Size: "s-2vcpu-2gb"}
		_, err := c.plane.StartDropletAction(c.Context(), c.who, d.ID, resize)
		wantError(c, err, cloud.CodeInvalid, "This server has 1 vCPUs for one Droplet at most; 2 do not fit.")
		e.capacity = engine.Capacity{VCPUs: 2, Memory: 1024, Disk: 120}
		_, err = c.plane.StartDropletAction(c.Context(), c.who, d.ID, resize)
		wantError(c, err, cloud.CodeInvalid, "This server has 1024 MiB of memory for Droplets; 2048 MiB do not fit.")
	})
}

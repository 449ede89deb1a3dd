package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// newDroplet is a request for a plain Droplet.
func newDroplet(names ...string) NewDroplets {
	return NewDroplets{Names: names, Region: testRegion, Size: testSize, Image: testImage}
}

// create asks for one Droplet and does not wait.
func (c *testCloud) create(n NewDroplets) cloud.Droplet {
	c.Helper()
	droplets, _, err := c.plane.CreateDroplets(c.Context(), c.who, n)
	if err != nil {
		c.Fatal(err)
	}
	return droplets[0]
}

// addDroplet makes a Droplet that runs.
func (c *testCloud) addDroplet(name string) cloud.Droplet {
	c.Helper()
	d := c.create(newDroplet(name))
	c.settle()
	return c.droplet(d.ID)
}

// createWith makes a Droplet that runs, with more than its name.
func (c *testCloud) createWith(name string, more func(n *NewDroplets)) cloud.Droplet {
	c.Helper()
	n := newDroplet(name)
	more(&n)
	d := c.create(n)
	c.settle()
	return c.droplet(d.ID)
}

// droplet reads a Droplet that is there.
func (c *testCloud) droplet(id int64) cloud.Droplet {
	c.Helper()
	d, err := c.plane.Droplet(c.Context(), c.who, id)
	if err != nil {
		c.Fatal(err)
	}
	return d
}

// gone reports whether there is no such Droplet.
func (c *testCloud) gone(id int64) bool {
	c.Helper()
	_, err := c.plane.Droplet(c.Context(), c.who, id)
	return cloud.IsNotFound(err)
}

func newVolume(name string) NewVolume {
	return NewVolume{Volume: cloud.Volume{Name: name, Region: testRegion, SizeGigabytes: 10}}
}

// addVolume makes a volume that is attached nowhere.
func (c *testCloud) addVolume(name string) (v cloud.Volume) {
	c.Helper()
	c.must(func(ctx context.Context) (err error) {
		v, err = c.plane.CreateVolume(ctx, c.who, newVolume(name))
		return err
	})
	return v
}

// addAttached makes a volume that is attached to a Droplet.
func (c *testCloud) addAttached(name string, droplet int64) cloud.Volume {
	c.Helper()
	v := c.addVolume(name)
	c.attach(v.ID, droplet)
	return c.volume(v.ID)
}

func (c *testCloud) attach(volume string, droplet int64) {
	c.Helper()
	c.must(func(ctx context.Context) error {
		_, err := c.plane.AttachVolume(ctx, c.who, volume, droplet, nil)
		return err
	})
}

func (c *testCloud) volume(id string) cloud.Volume {
	c.Helper()
	v, err := c.plane.Volume(c.Context(), c.who, id)
	if err != nil {
		c.Fatal(err)
	}
	return v
}

// volumeGone reports whether there is no such volume.
func (c *testCloud) volumeGone(id string) bool {
	c.Helper()
	_, err := c.plane.Volume(c.Context(), c.who, id)
	return cloud.IsNotFound(err)
}

func (c *testCloud) addVolumeSnapshot(volume, name string) (s cloud.VolumeSnapshot) {
	c.Helper()
	c.must(func(ctx context.Context) (err error) {
		s, err = c.plane.SnapshotVolume(ctx, c.who, volume, name, nil)
		return err
	})
	return s
}

// addSnapshot makes a snapshot of a Droplet and returns its image.
func (c *testCloud) addSnapshot(droplet int64, name string) cloud.Image {
	c.Helper()
	c.act(droplet, DropletAction{Type: cloud.ActionSnapshot, Name: name})
	images, _, err := c.plane.DropletImages(c.Context(), c.who, droplet, cloud.ImageSnapshot, cloud.Page{})
	if err != nil || len(images) == 0 {
		c.Fatalf("no snapshot: %v", err)
	}
	return images[len(images)-1]
}

// addCustomImage makes an image that looks like one of its owner's own.
func (c *testCloud) addCustomImage() cloud.Image {
	c.Helper()
	image := c.addSnapshot(c.addDroplet("source").ID, "custom")
	c.exec(`UPDATE images SET type = $1 WHERE id = $2`, string(cloud.ImageCustom), image.ID)
	return image
}

// act carries out an action on a Droplet, which completes.
func (c *testCloud) act(droplet int64, a DropletAction) {
	c.Helper()
	c.must(func(ctx context.Context) error {
		_, err := c.plane.StartDropletAction(ctx, c.who, droplet, a)
		return err
	})
}

// addReservedIP reserves an address, assigned to a Droplet unless that is 0.
func (c *testCloud) addReservedIP(droplet int64) cloud.ReservedIP {
	c.Helper()
	n := NewReservedIP{Droplet: droplet, As: cloud.KindReservedIP}
	if droplet == 0 {
		n.Region = testRegion
	}
	r, _, err := c.plane.ReserveIP(c.Context(), c.who, n)
	if err != nil {
		c.Fatal(err)
	}
	c.settle()
	return c.reservedIP(r.IP)
}

func (c *testCloud) reservedIP(ip string) cloud.ReservedIP {
	c.Helper()
	r, _, err := c.plane.ReservedIP(c.Context(), c.who, ip)
	if err != nil {
		c.Fatal(err)
	}
	return r
}

// must1 makes a call about one thing that succeeds.
func (c *testCloud) must1(call func(context.Context, cloud.Actor, string) error, id string) {
	c.Helper()
	c.must(func(ctx context.Context) error { return call(ctx, c.who, id) })
}

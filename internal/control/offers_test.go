package control

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// useLocal starts the cloud anew with what a server with real machines offers.
// The function that it returns makes a pass that looks for changes of l.
func (c *testCloud) useLocal(l *cloud.Local) (pass func() error) {
	c.Helper()
	offers := func(context.Context) (cloud.Catalog, error) { return l.Catalog() }
	catalog, err := l.Catalog()
	if err != nil {
		c.Fatal(err)
	}
	c.catalog = catalog
	c.configure = func(config *Config) { config.Offers = offers }
	c.restart()
	return func() error {
		i := slices.IndexFunc(c.plane.reconcilers, func(r *Reconciler) bool { return r.name == "catalogue" })
		wait, err := c.plane.reconcilers[i].step(c.Context())
		if err == nil && wait != offersEvery {
			c.Errorf("the next look is in %s", wait)
		}
		return err
	}
}

func testLocal() *cloud.Local {
	image := func(slug string, aliases ...string) cloud.LocalImage {
		return cloud.LocalImage{BaseImage: baseImage(0, slug, "Debian", 2, nil), Aliases: aliases}
	}
	return &cloud.Local{
		Features: []string{"storage", "metadata", "backups"}, Aliases: []string{"nyc3"},
		VCPUs: 1, Memory: 1024, Disk: 25,
		Images: []cloud.LocalImage{image("tiny"), image("debian-12-x64", "ubuntu-22-04-x64")},
	}
}

// Images that come and go beside a server that runs are offered soon, and then
// no more. Nothing is written while nothing changes.
func TestOffersChange(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		l := testLocal()
		all := l.Images
		l.Images = nil
		pass := c.useLocal(l)
		n := NewDroplets{Names: []string{"web"}, Size: "s-1vcpu-1gb", Image: "tiny"}
		c.refusesDroplets(n, "You specified an invalid image for Droplet creation.")

		l.Images = all
		before := c.plane.Catalog()
		if err := pass(); err != nil {
			c.Fatal(err)
		}
		now := c.plane.Catalog()
		if now == before {
			c.Error("the catalogue is the same")
		}
		for range 3 {
			if err := pass(); err != nil || c.plane.Catalog() != now {
				c.Errorf("with nothing new: %v, another catalogue: %v", err, c.plane.Catalog() != now)
			}
		}
		d := c.create(n)
		c.settle()
		if d.Region != "local1" {
			c.Errorf("the Droplet is in %s", d.Region)
		}
		l.Images = all[1:]
		if err := pass(); err != nil {
			c.Fatal(err)
		}
		c.refusesDroplets(n, "You specified an invalid image for Droplet creation.")
		if image := c.droplet(d.ID).Image; image.Status != cloud.ImageRetired {
			c.Errorf("its image is %+v", image)
		}
		c.checkNothingPending()
	})
}

// While it cannot be told what there is, what there was is offered.
func TestOffersFail(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		l := testLocal()
		pass := c.useLocal(l)
		now := c.plane.Catalog()
		l.Memory = 1
		if err := pass(); err == nil || errors.Is(err, context.Canceled) || c.plane.Catalog() != now {
			c.Errorf("got %v", err)
		}
	})
}

// An alias is a region and an image like others. The engine knows the image by
// its own slug.
func TestAliases(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		c.useLocal(testLocal())
		e := c.useRealEngine(engine.Capacity{VCPUs: 1, Memory: 4096, Disk: 200})
		d := c.create(NewDroplets{Names: []string{"web"}, Region: "nyc3", Size: "s-1vcpu-1gb", Image: "ubuntu-22-04-x64"})
		c.settle()
		c.act(d.ID, DropletAction{Type: cloud.ActionRebuild, Image: "ubuntu-22-04-x64"})
		d = c.droplet(d.ID)
		if d.Region != "nyc3" || d.Image.Slug != "ubuntu-22-04-x64" || !reflect.DeepEqual(slices.Compact(e.images), []string{"debian-12-x64"}) {
			c.Errorf("the Droplet is in %s, from %s, and the engine has used %q", d.Region, d.Image.Slug, e.images)
		}
		if d.Agent {
			c.Error("it has an agent, which there is none of")
		}
		v := newVolume("data")
		v.Region = "nyc3"
		c.must(func(ctx context.Context) (err error) {
			v.Volume, err = c.plane.CreateVolume(ctx, c.who, v)
			return err
		})
		c.attach(v.ID, d.ID)
		if vpc, err := c.plane.VPC(c.Context(), c.who, d.VPC); err != nil || vpc.Region != "nyc3" || !vpc.Default {
			c.Errorf("its VPC is %+v, %v", vpc, err)
		}
		c.checkNothingPending()

		agent := true
		c.refusesDroplets(NewDroplets{Names: []string{"web"}, Region: "nyc3", Size: "s-1vcpu-1gb", Image: "debian-12-x64", Agent: &agent},
			"The Droplet agent is not available in nyc3.")
	})
}

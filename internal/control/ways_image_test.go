package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func newImage(name string) NewImage {
	return NewImage{
		Name: name, URL: "https://images.example.com/debian-12.qcow2", Region: testRegion, Distribution: "Debian",
		Tags: []string{"a"},
	}
}

// importedImage makes a custom image that is available.
func (c *testCloud) importedImage(name string) (image cloud.Image) {
	c.Helper()
	c.must(func(ctx context.Context) (err error) {
		image, err = c.plane.ImportImage(ctx, c.who, newImage(name))
		return err
	})
	return c.image(image.ID)
}

// image reads an image that is there.
func (c *testCloud) image(id int64) cloud.Image {
	c.Helper()
	image, err := c.plane.Image(c.Context(), c.who, cloud.FormatID(id))
	if err != nil {
		c.Fatal(err)
	}
	return image
}

func importImage(c *testCloud) scenario {
	var image cloud.Image
	return scenario{
		ask: func(ctx context.Context) (err error) {
			image, err = c.plane.ImportImage(ctx, c.who, newImage("own"))
			return err
		},
		done: func() bool {
			i := c.image(image.ID)
			return i.Status == cloud.ImageAvailable && len(i.Regions) == 1 && i.MinDiskSize > 0 && i.SizeGigabytes > 0
		},
		failed: func() {
			if i := c.image(image.ID); i.Status != cloud.ImageDeleted || i.Error == "" || len(c.resources().Images) != 0 {
				c.Errorf("a failed import left %+v", i)
			}
		},
	}
}

func transferImage(c *testCloud) scenario {
	image := c.addSnapshot(c.addDroplet("web").ID, "nightly")
	return scenario{
		ask: func(ctx context.Context) error { return second(c.plane.TransferImage(ctx, c.who, image.ID, "nyc1")) },
		done: func() bool {
			regions := c.image(image.ID).Regions
			return len(regions) == 2 && regions[1] == "nyc1"
		},
	}
}

func convertBackup(c *testCloud) scenario {
	d := c.addBackedUp("web")
	image := c.addBackup(d.ID)
	return scenario{
		ask: func(ctx context.Context) error { return second(c.plane.ConvertImage(ctx, c.who, image.ID)) },
		done: func() bool {
			d := c.droplet(d.ID)
			return len(d.SnapshotIDs) == 1 && len(d.BackupIDs) == 0
		},
	}
}

func deleteCustomImage(c *testCloud) scenario {
	image := c.importedImage("own")
	return scenario{
		ask:  func(ctx context.Context) error { return c.plane.DeleteImage(ctx, c.who, image.ID) },
		done: func() bool { return c.image(image.ID).Status == cloud.ImageDeleted },
	}
}

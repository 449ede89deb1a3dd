package control

import (
	"context"
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func deleteImage(c *testCloud) scenario {
	image := c.addSnapshot(c.addDroplet("web").ID, "nightly")
	return scenario{
		ask:  func(ctx context.Context) error { return c.plane.DeleteImage(ctx, c.who, image.ID) },
		done: func() bool { return len(c.resources().Images) == 0 },
	}
}

func createVolume(c *testCloud) scenario { return creatingVolume(c, newVolume("data")) }

func createVolumeFromSnapshot(c *testCloud) scenario {
	n := newVolume("data")
	n.Snapshot = c.addVolumeSnapshot(c.addVolume("source").ID, "copied").ID
	n.Tags = []string{"a"}
	return creatingVolume(c, n)
}

func creatingVolume(c *testCloud, n NewVolume) scenario {
	return scenario{
		ask: func(ctx context.Context) error {
			_, err := c.plane.CreateVolume(ctx, c.who, n)
			return err
		},
		done: func() bool {
			_, total, err := c.plane.Volumes(c.Context(), c.who, cloud.VolumeFilter{Name: n.Name}, cloud.Page{})
			return err == nil && total == 1
		},
	}
}

func deleteVolume(c *testCloud) scenario {
	v := c.addVolume("data")
	return scenario{
		ask:  func(ctx context.Context) error { return c.plane.DeleteVolume(ctx, c.who, v.ID) },
		done: func() bool { return c.volumeGone(v.ID) },
	}
}

func attachVolume(c *testCloud) scenario {
	d, v := c.addDroplet("web"), c.addVolume("data")
	return scenario{
		ask: func(ctx context.Context) error {
			_, err := c.plane.AttachVolume(ctx, c.who, v.ID, d.ID, []string{"data"})
			return err
		},
		done: func() bool {
			return c.volume(v.ID).Droplet == d.ID && slices.Equal(c.volume(v.ID).Tags, []string{"data"})
		},
	}
}

func detachVolume(c *testCloud) scenario {
	d := c.addDroplet("web")
	v := c.addAttached("data", d.ID)
	return scenario{
		ask: func(ctx context.Context) error {
			_, err := c.plane.DetachVolume(ctx, c.who, v.ID, d.ID)
			return err
		},
		done: func() bool { return c.volume(v.ID).Droplet == 0 },
	}
}

func resizeAttached(c *testCloud) scenario {
	v := c.addAttached("data", c.addDroplet("web").ID)
	return scenario{
		ask: func(ctx context.Context) error {
			_, err := c.plane.ResizeVolume(ctx, c.who, v.ID, 20)
			return err
		},
		done: func() bool { return c.volume(v.ID).SizeGigabytes == 20 },
	}
}

func snapshotVolume(c *testCloud) scenario {
	v := c.addAttached("data", c.addDroplet("web").ID)
	return scenario{
		ask: func(ctx context.Context) error {
			_, err := c.plane.SnapshotVolume(ctx, c.who, v.ID, "copied", []string{"a"})
			return err
		},
		done: func() bool { return len(c.resources().VolumeSnapshots) == 1 },
	}
}

func deleteVolumeSnapshot(c *testCloud) scenario {
	s := c.addVolumeSnapshot(c.addVolume("data").ID, "copied")
	return scenario{
		ask:  func(ctx context.Context) error { return c.plane.DeleteSnapshot(ctx, c.who, s.ID) },
		done: func() bool { return len(c.resources().VolumeSnapshots) == 0 },
	}
}

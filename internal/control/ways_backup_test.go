package control

import (
	"context"
	"errors"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

var dailyBackups = cloud.BackupPolicy{Plan: cloud.BackupDaily, Hour: 4}

// addBackedUp makes a Droplet that is backed up daily.
func (c *testCloud) addBackedUp(name string) cloud.Droplet {
	c.Helper()
	n := newDroplet(name)
	n.Backups = dailyBackups
	d := c.create(n)
	c.settle()
	return c.droplet(d.ID)
}

// toNextBackup moves the clock to when there is something to do for backups.
func (c *testCloud) toNextBackup() {
	c.Helper()
	at, err := c.plane.nextBackup(c.Context())
	if err != nil || at.IsZero() {
		c.Fatalf("no backup is due: %v, %v", at, err)
	}
	c.clock.advanceTo(at)
}

// reconcileBackups makes one pass and carries out what it began.
func (c *testCloud) reconcileBackups() {
	c.Helper()
	if err := c.plane.reconcileBackups(c.Context()); err != nil {
		c.Fatal(err)
	}
	c.settle()
}

// addBackup makes the next backup of the cloud's only Droplet that has any.
func (c *testCloud) addBackup(droplet int64) cloud.Image {
	c.Helper()
	before := c.backups(droplet)
	c.toNextBackup()
	c.reconcileBackups()
	after := c.backups(droplet)
	if len(after) != len(before)+1 {
		c.Fatalf("there are %d backups, and there were %d", len(after), len(before))
	}
	return after[len(after)-1]
}

func (c *testCloud) backups(droplet int64) []cloud.Image {
	c.Helper()
	images, err := c.plane.backupsOf(c.Context(), c.who.Account, droplet)
	if err != nil {
		c.Fatal(err)
	}
	return images
}

func backUpDroplet(c *testCloud) scenario {
	d := c.addBackedUp("web")
	return scenario{
		ask: func(ctx context.Context) error {
			const begun = `SELECT COUNT(*) FROM actions WHERE operation = 'droplet.backup'`
			before := c.query(begun)
			for range 3 { // the clock of an earlier fault may be past the window
				c.toNextBackup()
				if err := c.plane.reconcileBackups(ctx); err != nil {
					return err
				}
				if c.query(begun) > before {
					return nil
				}
			}
			return errors.New("no backup begins")
		},
		done: func() bool { return len(c.droplet(d.ID).BackupIDs) == 1 },
		failed: func() {
			now := c.droplet(d.ID)
			if len(now.BackupIDs) > 0 || now.BackupWindow.After(c.clock.Now()) {
				c.Errorf("after a backup that failed, the Droplet has %v, and its window is %s", now.BackupIDs, now.BackupWindow)
			}
		},
	}
}

func enableBackups(c *testCloud) scenario {
	a := DropletAction{Type: cloud.ActionEnableBackups}
	return acting(c, c.addDroplet("web"), a, func(d cloud.Droplet) bool {
		return d.Backups == cloud.BackupPolicy{Plan: cloud.BackupDaily} && d.BackupWindow.After(c.clock.Now())
	})
}

func disableBackups(c *testCloud) scenario {
	a := DropletAction{Type: cloud.ActionDisableBackups}
	return acting(c, c.addBackedUp("web"), a, func(d cloud.Droplet) bool {
		return !d.Backups.Enabled() && d.BackupWindow.IsZero()
	})
}

func destroyWithBackups(c *testCloud) scenario {
	d := c.addBackedUp("web")
	c.addBackup(d.ID)
	c.addBackup(d.ID)
	kept := c.addSnapshot(d.ID, "kept")
	return scenario{
		ask: func(ctx context.Context) error { return c.plane.DeleteDroplet(ctx, c.who, d.ID) },
		done: func() bool {
			images := c.resources().Images
			return c.gone(d.ID) && len(images) == 1 && images[0].ID == kept.ID
		},
		failed: func() { c.usable(d.ID) },
	}
}

package control

import (
	"context"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// wantWindow checks a Droplet's next window.
func (c *testCloud) wantWindow(droplet int64, want string) {
	c.Helper()
	if got := c.droplet(droplet).BackupWindow.Format(time.RFC3339); got != want {
		c.Errorf("the next window is %s, want %s", got, want)
	}
}

// A backup is taken when the window opens, once.
func TestBackupIsTaken(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addBackedUp("web") // at 2030-01-02 03:04
		c.wantWindow(d.ID, "2030-01-02T04:00:00Z")
		c.reconcileBackups()
		if got := c.backups(d.ID); len(got) > 0 {
			t.Fatalf("before the window there is %+v", got)
		}
		b := c.addBackup(d.ID)
		want := cloud.Image{
			ID: b.ID, Account: c.who.Account, Name: "web- 2030-01-02", Type: cloud.ImageBackup, Distribution: d.Image.Distribution,
			Regions: []string{d.Region}, MinDiskSize: d.Disk, SizeGigabytes: b.SizeGigabytes, Status: cloud.ImageAvailable,
			SourceDroplet: d.ID, CreatedAt: time.Date(2030, 1, 2, 4, 0, 0, 0, time.UTC),
		}
		if b.Name != want.Name || b.Type != want.Type || !b.CreatedAt.Equal(want.CreatedAt) || b.SizeGigabytes == 0 {
			t.Errorf("got %+v, want %+v", b, want)
		}
		c.wantWindow(d.ID, "2030-01-03T04:00:00Z")
		c.reconcileBackups()
		if got := c.backups(d.ID); len(got) != 1 {
			t.Errorf("in the same window there are %d", len(got))
		}
		if now := c.droplet(d.ID); now.Locked() || len(now.BackupIDs) != 1 || len(now.SnapshotIDs) > 0 {
			t.Errorf("the Droplet is %+v", now)
		}
		c.checkWorld()
	})
}

// While another action holds the Droplet, the backup waits for a later moment
// of the window; when that is over it is given up for the next one.
func TestBackupOfBusyDroplet(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addBackedUp("web")
		c.clock.advanceTo(d.BackupWindow)
		c.addFault(engine.Fault{Operation: "machine.reset", Delay: time.Hour, Times: 1})
		if _, err := c.plane.StartDropletAction(c.Context(), c.who, d.ID, DropletAction{Type: cloud.ActionReboot}); err != nil {
			t.Fatal(err)
		}
		if err := c.plane.reconcileBackups(c.Context()); err != nil {
			t.Fatal(err)
		}
		c.wantWindow(d.ID, "2030-01-02T04:00:00Z")
		c.settle() // the reboot
		if b := c.addBackup(d.ID); b.CreatedAt.Format(time.TimeOnly) < "05:00:00" {
			t.Errorf("taken at %s", b.CreatedAt)
		}

		c.clock.advanceTo(c.droplet(d.ID).BackupWindow)
		c.addFault(engine.Fault{Operation: "machine.reset", Delay: 5 * time.Hour, Times: 1})
		if _, err := c.plane.StartDropletAction(c.Context(), c.who, d.ID, DropletAction{Type: cloud.ActionReboot}); err != nil {
			t.Fatal(err)
		}
		for range 60 { // five hours, five minutes each
			c.toNextBackup()
			if err := c.plane.reconcileBackups(c.Context()); err != nil {
				t.Fatal(err)
			}
		}
		c.settle()
		if got := c.backups(d.ID); len(got) != 1 {
			t.Errorf("there are %d backups", len(got))
		}
		c.checkWorld()
	})
}

// After a time in which nothing ran, the windows that were missed stay missed,
// and one that is open is used.
func TestMissedWindows(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addBackedUp("web")
		c.clock.advanceTo(time.Date(2030, 1, 5, 9, 0, 0, 0, time.UTC))
		c.restart()
		c.reconcileBackups()
		if got := c.backups(d.ID); len(got) > 0 {
			t.Errorf("outside of a window there is %+v", got)
		}
		c.wantWindow(d.ID, "2030-01-06T04:00:00Z")
		c.clock.advanceTo(time.Date(2030, 1, 8, 7, 59, 0, 0, time.UTC))
		c.restart()
		c.reconcileBackups()
		if got := c.backups(d.ID); len(got) != 1 || got[0].Name != "web- 2030-01-08" {
			t.Errorf("in the window there is %+v", got)
		}
		c.wantWindow(d.ID, "2030-01-09T04:00:00Z")
	})
}

// A backup that fails is tried again in its window.
func TestBackupThatFails(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addBackedUp("web")
		c.addFault(engine.Fault{Operation: "image.copy", Error: "no space", Times: 1})
		c.toNextBackup()
		c.reconcileBackups()
		c.wantWindow(d.ID, "2030-01-02T04:00:00Z")
		if got := c.backups(d.ID); len(got) > 0 {
			t.Fatalf("there is %+v", got)
		}
		if b := c.addBackup(d.ID); b.CreatedAt.Sub(d.BackupWindow) < retryBackup {
			t.Errorf("taken at %s", b.CreatedAt)
		}

		c.addFault(engine.Fault{Operation: "image.copy", Error: "no space"})
		for range 15 { // one try each quarter of an hour
			c.toNextBackup()
			c.reconcileBackups()
		}
		c.toNextBackup()
		c.reconcileBackups()
		c.wantWindow(d.ID, "2030-01-04T04:00:00Z")
		c.checkWorld()
	})
}

// Backups go after their time, that of the policy under which they were taken.
func TestBackupsExpire(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addBackedUp("web")
		first := c.addBackup(d.ID)
		weekly := cloud.BackupPolicy{Plan: cloud.BackupWeekly, Weekday: "THU", Hour: 8}
		c.act(d.ID, DropletAction{Type: cloud.ActionChangeBackupPolicy, Backups: &weekly})
		c.wantWindow(d.ID, "2030-01-03T08:00:00Z")
		second := c.addBackup(d.ID)
		c.act(d.ID, DropletAction{Type: cloud.ActionDisableBackups})
		if now := c.droplet(d.ID); len(now.BackupIDs) != 2 || !now.BackupWindow.IsZero() {
			t.Errorf("after they were disabled: %+v", now)
		}

		c.addFault(engine.Fault{Operation: "image.delete", Error: "busy", Times: 1})
		c.toNextBackup()
		if want := first.CreatedAt.Add(7 * 24 * time.Hour); !c.clock.Now().Equal(want) {
			t.Errorf("the first is due at %s, want %s", c.clock.Now(), want)
		}
		c.reconcileBackups()
		if got := c.backups(d.ID); len(got) != 2 {
			t.Errorf("one that cannot be deleted is gone: %+v", got)
		}
		c.toNextBackup() // an hour later
		c.reconcileBackups()
		if got := c.backups(d.ID); len(got) != 1 || got[0].ID != second.ID {
			t.Errorf("left are %+v", got)
		}
		c.toNextBackup()
		if want := second.CreatedAt.Add(28 * 24 * time.Hour); !c.clock.Now().Equal(want) {
			t.Errorf("the second is due at %s, want %s", c.clock.Now(), want)
		}
		c.reconcileBackups()
		if at, err := c.plane.nextBackup(c.Context()); err != nil || !at.IsZero() {
			t.Errorf("still due: %v, %v", at, err)
		}
		c.checkWorld()
	})
}

// A backup that something is done with is not deleted under its hands.
func TestHeldBackupDoesNotExpire(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addBackedUp("web")
		b := c.addBackup(d.ID)
		c.act(d.ID, DropletAction{Type: cloud.ActionDisableBackups})
		c.exec(`INSERT INTO action_holds (kind, id, action_id) VALUES ('image', $1, (SELECT MIN(id) FROM actions))`, cloud.FormatID(b.ID))
		c.toNextBackup()
		c.reconcileBackups()
		if got := c.backups(d.ID); len(got) != 1 {
			t.Error("it was deleted")
		}
		c.exec(`DELETE FROM action_holds`)
		c.toNextBackup()
		c.reconcileBackups()
		if got := c.backups(d.ID); len(got) != 0 {
			t.Error("it was not deleted")
		}
	})
}

// A backup that its Droplet is just restored from stays until that is done.
func TestRestoredBackupDoesNotExpire(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addBackedUp("web")
		b := c.addBackup(d.ID)
		c.act(d.ID, DropletAction{Type: cloud.ActionDisableBackups})
		c.toNextBackup()
		c.addFault(engine.Fault{Operation: "image.replace", Delay: time.Minute})
		if _, err := c.plane.StartDropletAction(t.Context(), c.who, d.ID, DropletAction{
			Type: cloud.ActionRestore, Image: cloud.FormatID(b.ID),
		}); err != nil {
			t.Fatal(err)
		}
		c.reconcileBackups() // and carries the restore out
		if got := c.backups(d.ID); len(got) != 1 || c.lastOperation("droplet.restore") != cloud.Completed {
			t.Errorf("the restore is %s, and there are %d backups", c.lastOperation("droplet.restore"), len(got))
		}
		c.toNextBackup()
		c.reconcileBackups()
		if got := c.backups(d.ID); len(got) != 0 {
			t.Error("it was not deleted")
		}
		c.checkWorld()
	})
}

// A pass that finds nothing to do writes nothing.
func TestIdleBackupsDoNothing(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addBackedUp("web")
		c.addBackup(d.ID)
		c.addDroplet("plain")
		writes := 0
		c.db.ObserveCommits(func(n int) { writes += n })
		for range 3 {
			if err := c.plane.reconcileBackups(c.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if writes > 0 {
			t.Errorf("it wrote %d times", writes)
		}
	})
}

// The reconciler says when it wants to be called again: when the next window
// opens, and sooner after a pass that failed.
func TestReconcilerTellsWhen(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		r := c.plane.backups
		if wait, err := r.step(c.Context()); err != nil || wait != backupsEvery {
			t.Errorf("with nothing to do: %s, %v", wait, err)
		}
		d := c.addBackedUp("web")
		c.clock.advanceTo(d.BackupWindow.Add(-3 * time.Minute))
		if wait, err := r.step(c.Context()); err != nil || wait != 3*time.Minute {
			t.Errorf("before a window: %s, %v", wait, err)
		}
		ended, end := context.WithCancel(c.Context())
		end()
		if wait, err := r.step(ended); err == nil || wait != retryPass {
			t.Errorf("after a failure: %s, %v", wait, err)
		}
	})
}

// Backups go with their Droplet, whichever way that is destroyed; snapshots
// stay. They are no associated resources.
func TestBackupsGoWithTheDroplet(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		for name, destroy := range map[string]func(ctx context.Context, id int64) error{
			"delete":   func(ctx context.Context, id int64) error { return c.plane.DeleteDroplet(ctx, c.who, id) },
			"selected": func(ctx context.Context, id int64) error { return c.plane.DestroySelected(ctx, c.who, id, nil) },
			"all":      func(ctx context.Context, id int64) error { return c.plane.DestroyEverything(ctx, c.who, id) },
		} {
			d := c.addBackedUp(name)
			c.addBackup(d.ID)
			resources, err := c.plane.Associated(c.Context(), c.who, d.ID)
			if err != nil || len(resources) > 0 {
				t.Errorf("associated are %v, %v", resources, err)
			}
			c.addSnapshot(d.ID, "of "+name)
			c.must(func(ctx context.Context) error { return destroy(ctx, d.ID) })
			left := c.resources().Images
			if len(c.backups(d.ID)) > 0 || name != "all" && len(left) != 1 || name == "all" && len(left) > 0 {
				t.Errorf("%s: left are %+v", name, left)
			}
			for _, image := range left {
				c.must(func(ctx context.Context) error { return c.plane.DeleteImage(ctx, c.who, image.ID) })
			}
		}
		c.checkWorld()
	})
}

// A backup that cannot be deleted does not keep its Droplet alive; it is tried
// again by itself.
func TestBackupLeftByDestroy(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addBackedUp("web")
		b := c.addBackup(d.ID)
		other := c.addBackup(d.ID)
		c.addFault(engine.Fault{Operation: "image.delete", Resource: cloud.FormatID(b.ID), Error: "busy", Times: 1})
		c.must(func(ctx context.Context) error { return c.plane.DeleteDroplet(ctx, c.who, d.ID) })
		if got := c.backups(d.ID); !c.gone(d.ID) || len(got) != 1 || got[0].ID == other.ID {
			t.Errorf("left are %+v", got)
		}
		c.checkWorld()
		c.toNextBackup()
		c.reconcileBackups()
		if got := c.backups(d.ID); len(got) > 0 {
			t.Errorf("left are %+v", got)
		}
		c.checkWorld()
	})
}

// A destroy does not wait for a backup that runs, and leaves nothing of it.
func TestDestroyStopsBackup(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addBackedUp("web")
		c.addFault(engine.Fault{Operation: "image.copy", Delay: 10 * time.Hour})
		c.toNextBackup()
		if err := c.plane.reconcileBackups(c.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.plane.Runner().RunDue(c.Context()); err != nil {
			t.Fatal(err)
		}
		wantPending(t, c.plane.DeleteDroplet(c.Context(), c.who, d.ID))
		before := c.clock.Now()
		if err := c.plane.DestroyEverything(c.Context(), c.who, d.ID); err != nil {
			t.Fatal(err)
		}
		c.settle()
		if took := c.clock.Now().Sub(before); !c.gone(d.ID) || took > time.Hour {
			t.Errorf("gone: %t, after %s", c.gone(d.ID), took)
		}
		c.checkWorld()
	})
}

package control

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
	"github.com/cistern-cloud/cistern/internal/store"
)

const day = 24 * time.Hour

// pruneCloud is a cloud that keeps a day of history, on a clock that stands.
type pruneCloud struct {
	*testing.T
	*Plane
	config database.Config
	db     *database.DB
	who    cloud.Actor

	mu  sync.Mutex
	now time.Time
}

func (c *pruneCloud) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *pruneCloud) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newPruneCloud(t *testing.T, config database.Config, keep time.Duration) *pruneCloud {
	t.Helper()
	c := &pruneCloud{T: t, config: config, now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	config.Now = c.Now
	c.db = databasetest.Open(t, config)
	if _, err := c.db.Migrate(t.Context(), store.Migrations()); err != nil {
		t.Fatal(err)
	}
	hypervisor, err := sim.Open(t.Context(), c.db, sim.Options{Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	rows := store.New(c.db)
	c.Plane, err = New(t.Context(), Config{
		Store: rows, Engine: hypervisor, Catalog: cloud.DefaultCatalog(), Owner: "test", KeepActions: keep,
	})
	if err != nil {
		t.Fatal(err)
	}
	account, err := Accounts{Store: rows}.Add(t.Context(), "Ann", "ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	c.who = cloud.Actor{Account: account.ID, Scopes: cloud.Scopes{cloud.FullAccess}}
	return c
}

func (c *pruneCloud) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// settle runs what is due until nothing waits, or what waits is asked for once
// a second for longer than a failing step is tried.
func (c *pruneCloud) settle() {
	c.Helper()
	for range 60 {
		_, err := c.Runner().RunDue(c.Context())
		c.must(err)
		at, ok, err := c.Runner().NextDue(c.Context())
		c.must(err)
		if !ok {
			return
		}
		c.advance(at.Sub(c.Now()))
	}
}

func (c *pruneCloud) create(name, image string) cloud.Droplet {
	c.Helper()
	droplets, _, err := c.CreateDroplets(c.Context(), c.who, NewDroplets{
		Names: []string{name}, Region: "nyc3", Size: "s-1vcpu-1gb", Image: image,
	})
	c.must(err)
	c.settle()
	return droplets[0]
}

func (c *pruneCloud) snapshot(droplet int64) string {
	c.Helper()
	_, err := c.StartDropletAction(c.Context(), c.who, droplet, DropletAction{Type: cloud.ActionSnapshot})
	c.must(err)
	c.settle()
	d, err := c.Droplet(c.Context(), c.who, droplet)
	c.must(err)
	return cloud.FormatID(d.SnapshotIDs[len(d.SnapshotIDs)-1])
}

// awaited calls what waits for an operation, and carries the operation out.
func (c *pruneCloud) awaited(call func() error) {
	c.Helper()
	ended := make(chan error, 1)
	go func() { ended <- call() }()
	for {
		select {
		case err := <-ended:
			c.must(err)
			return
		case <-c.Runner().Woken():
			_, err := c.Runner().RunDue(c.Context())
			c.must(err)
		case <-time.After(time.Minute):
			c.Fatal("a call has not returned after a minute")
		}
	}
}

func (c *pruneCloud) deleteImage(id string) {
	c.Helper()
	number, _ := cloud.ParseID(id)
	c.awaited(func() error { return c.DeleteImage(c.Context(), c.who, number) })
}

// kept counts the rows of a table that prune may delete from.
func (c *pruneCloud) kept(table string) (n int64) {
	c.Helper()
	c.must(c.db.Read(c.Context(), func(t *database.Tx) (err error) {
		n, err = database.One(t, database.Value[int64], "SELECT COUNT(*) FROM "+table)
		return err
	}))
	return n
}

// pruneNow makes a pass and checks what is left.
func (c *pruneCloud) pruneNow(when string, actions, destroys, images int64) {
	c.Helper()
	c.must(c.prune(c.Context()))
	got := [3]int64{c.kept("actions"), c.kept("destroys"), c.kept("images WHERE account_id <> 0")}
	if want := [3]int64{actions, destroys, images}; got != want {
		c.Errorf("%s: %d actions, destroys and images; want %d", when, got, want)
	}
}

func TestPruneForgetsWhatEndedLongAgo(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, config database.Config) {
		c := newPruneCloud(t, config, day)
		gone := c.create("gone", "debian-12-x64")
		snapshot, unused := c.snapshot(gone.ID), c.snapshot(gone.ID)
		copied := c.create("copied", snapshot)
		c.deleteImage(snapshot)
		c.deleteImage(unused)
		c.must(c.DestroyEverything(t.Context(), c.who, gone.ID))
		c.settle()
		c.pruneNow("while all is new", 7, 1, 2)

		c.advance(day + time.Minute)
		c.pruneNow("after a day", 1, 1, 1) // the destroy with its action, and the image that a Droplet shows
		if status, err := c.DestroyStatus(t.Context(), c.who, gone.ID); err != nil || status.DestroyedAt.IsZero() {
			t.Errorf("the destroy's status: %+v, %v", status, err)
		}
		if d, err := c.Droplet(t.Context(), c.who, copied.ID); err != nil || cloud.FormatID(d.Image.ID) != snapshot {
			t.Errorf("the Droplet of the deleted image: %+v, %v", d.Image, err)
		}
		c.advance(6 * day)
		c.pruneNow("after a week", 0, 0, 1)
		c.must(c.DeleteDroplet(t.Context(), c.who, copied.ID))
		c.settle()
		c.pruneNow("when no Droplet has the image", 1, 0, 0)
	})
}

// What is not at its end is never old, and neither is a destroy that left
// something behind, for as long as that is there.
func TestPruneKeepsWhatIsNotOver(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, config database.Config) {
		c := newPruneCloud(t, config, day)
		stuck := c.create("stuck", "debian-12-x64")
		fault := func(operation, message string, delay time.Duration) engine.Fault {
			f, err := c.AddFault(t.Context(), c.who, engine.Fault{
				Operation: operation, Resource: "*", Error: message, Delay: delay,
			})
			c.must(err)
			return f
		}
		broken := fault("machine.destroy", "it does not go", 0)
		c.must(c.DestroyEverything(t.Context(), c.who, stuck.ID))
		c.settle()
		fault("machine.create", "", 30*day)
		_, _, err := c.CreateDroplets(t.Context(), c.who, NewDroplets{
			Names: []string{"slow"}, Region: "nyc3", Size: "s-1vcpu-1gb", Image: "debian-12-x64",
		})
		c.must(err)
		_, err = c.Runner().RunDue(t.Context()) // which begins to wait
		c.must(err)

		c.advance(19 * time.Hour)
		for range 14 { // the slow create goes on all the time; the engine forgets nothing that waits
			c.advance(day)
			c.pruneNow("while they last", 2, 1, 0)
		}
		c.must(c.RemoveFaults(t.Context(), c.who, broken.ID))
		c.must(c.DeleteDroplet(t.Context(), c.who, stuck.ID))
		c.settle()
		c.pruneNow("when what was left behind is gone", 1, 0, 0) // the create just ended, long after the delete
	})
}

func TestPruneKeepsAllForEver(t *testing.T) {
	c := newPruneCloud(t, databasetest.Config(t, "sqlite"), 0)
	c.create("old", "debian-12-x64")
	c.advance(100 * 365 * day)
	c.pruneNow("for ever", 1, 0, 0)
}

// More than fits in one transaction goes too, and what lies between stays.
func TestPruneGoesThroughManyWindows(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, config database.Config) {
		config.Twice = false
		c := newPruneCloud(t, config, day)
		add := func(first, n int64, operation string) {
			c.must(c.store.Write(t.Context(), func(tx *store.Tx) error {
				for id := first; id < first+n; id++ {
					o := store.Operation{Action: cloud.Action{ID: id, Account: c.who.Account, StartedAt: tx.Now}, Name: operation, Args: "{}"}
					if err := tx.AddOperation(o); err != nil {
						return err
					}
					if operation == "left alone" {
						continue
					}
					if _, err := tx.FinishOperation(o, cloud.Completed); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		add(1, pruneWindow+1, "ended")
		add(5000, pruneWindow+1, "left alone")
		add(9000, 10, "ended")
		c.advance(2 * day)
		add(20000, 3, "ended")
		c.pruneNow("after two days", pruneWindow+4, 0, 0)
	})
}

// A pass that has nothing to do writes nothing: it ends while nobody may write.
func TestIdlePruneDoesNothing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, config database.Config) {
		c := newPruneCloud(t, config, day)
		d := c.create("kept", "debian-12-x64")
		c.must(c.DestroyEverything(t.Context(), c.who, d.ID))
		c.settle()
		c.pruneNow("before", 2, 1, 0)
		release := c.holdAllWrites()
		c.pruneNow("while nobody may write", 2, 1, 0)
		release()
		c.advance(8 * day)
		c.pruneNow("once it may", 0, 0, 0)
	})
}

// holdAllWrites makes every write wait until it is released.
func (c *pruneCloud) holdAllWrites() (release func()) {
	c.Helper()
	driver, dsn, hold := "sqlite", c.config.Path, "BEGIN IMMEDIATE"
	if c.config.URL != "" {
		driver, dsn = "pgx", c.config.URL
		hold = "BEGIN; LOCK TABLE actions, destroys, images, sim_work IN EXCLUSIVE MODE"
	}
	db, err := sql.Open(driver, dsn)
	c.must(err)
	conn, err := db.Conn(c.Context())
	c.must(err)
	_, err = conn.ExecContext(c.Context(), hold)
	c.must(err)
	return func() {
		_, err := conn.ExecContext(c.Context(), "ROLLBACK")
		c.must(err)
		c.must(conn.Close())
		c.must(db.Close())
	}
}

// A reconciler makes its first pass at once, then sleeps until it is woken, and
// tries again after a failure.
func TestReconcilerRunsWhenWoken(t *testing.T) {
	passes := make(chan int)
	n := 0
	r := newReconciler(newPruneCloud(t, databasetest.Config(t, "sqlite"), 0).log, "test", time.Hour, func(context.Context) error {
		n++
		passes <- n
		return fmt.Errorf("pass %d failed", n)
	})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	for want := 1; want <= 3; want++ {
		if got := <-passes; got != want {
			t.Errorf("pass %d, want %d", got, want)
		}
		if want < 3 {
			r.Wake()
		}
	}
	stop()
	running.Wait()
	if n != 3 {
		t.Errorf("%d passes, want 3: an idle reconciler sleeps", n)
	}
}

package control

import (
	"context"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
)

// A destroy meets what runs already: the Droplet's create, or another operation
// that holds it.

// A Droplet may be deleted while it is created, whatever point the create has
// reached. It is never shown as new again, its create stops, its volumes stay,
// and nothing of it is left.
func TestDestroyDuringCreate(t *testing.T) {
	destroys := map[string]func(c *testCloud, id int64) error{
		"alone":    func(c *testCloud, id int64) error { return c.plane.DeleteDroplet(c.Context(), c.who, id) },
		"selected": func(c *testCloud, id int64) error { return c.plane.DestroySelected(c.Context(), c.who, id, nil) },
	}
	for name, destroy := range destroys {
		t.Run(name, func(t *testing.T) {
			eachCloud(t, func(c *testCloud) {
				for turns := range 8 { // how far the create comes
					c.destroyDuringCreate(turns, destroy)
				}
			})
		})
	}
}

func (c *testCloud) destroyDuringCreate(turns int, destroy func(c *testCloud, id int64) error) {
	c.Helper()
	v := c.addVolume("data")
	n := newDroplet("web")
	n.Volumes, n.Tags = []string{v.ID}, []string{"a"}
	d := c.create(n)
	for range turns {
		c.turn()
	}
	if err := destroy(c, d.ID); err != nil {
		c.Fatalf("after %d turns: %v", turns, err)
	}
	for again := true; again; again = c.turn() {
		if !c.gone(d.ID) && c.droplet(d.ID).Status == cloud.DropletNew {
			c.Fatalf("after %d turns: it is new again", turns)
		}
	}
	if !c.gone(d.ID) {
		c.Errorf("after %d turns: it is still there", turns)
	}
	if status, err := c.plane.DestroyStatus(c.Context(), c.who, d.ID); err == nil &&
		(status.Running() || status.DestroyedAt.IsZero() || status.Failures() != 0) {
		c.Errorf("after %d turns: %+v", turns, status)
	}
	if now := c.volume(v.ID); now.Droplet != 0 || now.HeldBy != 0 {
		c.Errorf("after %d turns: the volume is not free: %+v", turns, now)
	}
	c.checkWorld()
	c.must1(c.plane.DeleteVolume, v.ID)
}

// turn carries out what is due now and moves the clock to what is due next. It
// reports whether there is something.
func (c *testCloud) turn() bool {
	c.Helper()
	if _, err := c.plane.Runner().RunDue(c.Context()); err != nil {
		c.Fatal(err)
	}
	at, any, err := c.plane.Runner().NextDue(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	c.clock.advanceTo(at)
	return any
}

// Someone who deletes an address of a Droplet and waits for that gets it done,
// though the Droplet is destroyed with it meanwhile.
func TestDestroyLeavesADeleteToItsEnd(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		f := c.addFamily()
		err := c.meanwhile(func(ctx context.Context) error { return c.plane.DeleteReservedIP(ctx, c.who, f.ip.IP) }, func() {
			if err := c.plane.DestroySelected(c.Context(), c.who, f.droplet.ID, f.selection()); err != nil {
				c.Fatal(err)
			}
		})
		if err != nil {
			c.Errorf("the delete of the address: %v", err)
		}
		c.wantDestroyed(f)
	})
}

// meanwhile makes a call that waits, does something else once its operation has
// begun and waits itself, and returns what the call says when all is settled.
func (c *testCloud) meanwhile(call func(ctx context.Context) error, other func()) error {
	c.Helper()
	answer := make(chan error, 1)
	woken := c.plane.Runner().Woken()
	select {
	case <-woken: // of something earlier
	default:
	}
	ctx := c.ctx
	go func() { answer <- call(ctx) }()
	<-woken
	c.turn()
	other()
	c.settle()
	return <-answer
}

// beside is what is there beside the family that is destroyed.
type beside struct {
	droplet cloud.Droplet
	volume  cloud.Volume
}

func (c *testCloud) addBeside() (b beside) {
	c.Helper()
	c.quickly(func() { b = beside{c.addDroplet("other"), c.addVolume("spare")} })
	return b
}

// beginnings are operations that hold a Droplet which is then destroyed while
// they run.
var beginnings = map[string]func(c *testCloud, f family, other beside) error{
	"snapshot": func(c *testCloud, f family, _ beside) error {
		_, err := c.plane.StartDropletAction(c.Context(), c.who, f.droplet.ID, DropletAction{Type: cloud.ActionSnapshot})
		return err
	},
	"shutdown": func(c *testCloud, f family, _ beside) error {
		_, err := c.plane.StartDropletAction(c.Context(), c.who, f.droplet.ID, DropletAction{Type: cloud.ActionShutdown})
		return err
	},
	"attach": func(c *testCloud, f family, other beside) error {
		_, err := c.plane.AttachVolume(c.Context(), c.who, other.volume.ID, f.droplet.ID, nil)
		return err
	},
	"detach": func(c *testCloud, f family, _ beside) error {
		_, err := c.plane.DetachVolume(c.Context(), c.who, f.kept.ID, f.droplet.ID)
		return err
	},
	"resize a volume that is kept": func(c *testCloud, f family, _ beside) error {
		_, err := c.plane.ResizeVolume(c.Context(), c.who, f.kept.ID, 20)
		return err
	},
	"assign its address to another": func(c *testCloud, f family, other beside) error {
		_, err := c.plane.AssignReservedIP(c.Context(), c.who, f.ip.IP, other.droplet.ID, cloud.KindReservedIP)
		return err
	},
	"unassign": func(c *testCloud, f family, _ beside) error {
		_, err := c.plane.UnassignReservedIP(c.Context(), c.who, f.ip.IP, cloud.KindReservedIP)
		return err
	},
}

// A destroy with resources is accepted while something else runs: it asks that
// to stop, waits for its end, and loses nothing of what is kept.
func TestDestroyWhileSomethingRuns(t *testing.T) {
	for name, begin := range beginnings {
		t.Run(name, func(t *testing.T) {
			eachCloud(t, func(c *testCloud) {
				f, other := c.addFamily(), c.addBeside()
				c.keepRows()
				for turns := range 4 {
					c.putRowsBack()
					c.restart()
					if err := begin(c, f, other); err != nil {
						c.Fatal(err)
					}
					for range turns {
						c.turn()
					}
					c.destroyBeside(f, other)
				}
			})
		})
	}
}

// destroyBeside destroys a family's Droplet alone.
func (c *testCloud) destroyBeside(f family, other beside) {
	c.Helper()
	if err := c.plane.DestroySelected(c.Context(), c.who, f.droplet.ID, nil); err != nil {
		c.Fatal(err)
	}
	c.turn()
	c.restart() // whatever a dead process had leased is free now
	c.settle()
	c.checkWorld()
	if !c.gone(f.droplet.ID) || c.droplet(other.droplet.ID).Status != cloud.DropletActive {
		c.Errorf("it is gone: %t; the other: %+v", c.gone(f.droplet.ID), c.droplet(other.droplet.ID))
	}
}

// The same when the process that went on with the other operation is dead and
// its lease is not over: the destroy, in another process, asks the operation to
// stop before anybody takes it over. What it did in the world, recorded or not,
// has to be taken back or finished.
func TestDestroyAfterACrashOfSomethingElse(t *testing.T) {
	for name, begin := range beginnings {
		for _, latency := range []string{"0", testLatency} {
			t.Run(name+"/"+latency, func(t *testing.T) {
				eachCloud(t, func(c *testCloud) {
					c.setLatency(latency)
					f, other := c.addFamily(), c.addBeside()
					c.keepRows()
					for calls := 1; calls <= 4; calls++ {
						c.putRowsBack()
						c.runUntilCrash(calls, func() {
							if err := begin(c, f, other); err != nil {
								c.Fatal(err)
							}
						})
						c.destroyBeside(f, other)
					}
				})
			})
		}
	}
}

// runUntilCrash begins something in a process that dies after the given number
// of calls of steps. Each of those is carried out. The lease of what ran then
// stays for the next process.
func (c *testCloud) runUntilCrash(calls int, begin func()) {
	c.Helper()
	dead := false
	c.intercept = func(_, _ string, _ op.Phase, call func() error) error {
		if dead {
			return op.ErrCrash
		}
		err := call()
		if calls--; calls > 0 {
			return err
		}
		dead = true
		return op.ErrCrash
	}
	c.restart()
	begin()
	for !dead && c.turn() {
	}
	c.intercept, c.replica = nil, true
	c.restart()
	c.replica = false
}

// If a Droplet is deleted while it is created and its machine cannot be
// destroyed, its owner sees a Droplet that is off, is told why when it is started
// though it never came to be, and deletes it again.
func TestDestroyDuringCreateThatFails(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		for turns := range 8 {
			c.destroyDuringCreateFails(turns)
		}
	})
}

func (c *testCloud) destroyDuringCreateFails(turns int) {
	c.Helper()
	v := c.addVolume("data")
	n := newDroplet("web")
	n.Volumes = []string{v.ID}
	d := c.create(n)
	for range turns {
		c.turn()
	}
	c.addFault(engine.Fault{Operation: "machine.destroy", Error: "the host is on fire"})
	if err := c.plane.DestroySelected(c.Context(), c.who, d.ID, nil); err != nil {
		c.Fatalf("after %d turns: %v", turns, err)
	}
	c.settle()
	c.removeFaults()
	d = c.droplet(d.ID)
	if !isOff(d) || d.DestroyedBy != 0 || d.HeldBy != 0 {
		c.Errorf("after %d turns: got %+v, want it off and free", turns, d)
	}
	if status := c.destroyStatus(d.ID); status.Error != "the host is on fire" || status.Running() {
		c.Errorf("after %d turns: %+v", turns, status)
	}
	if now := c.volume(v.ID); now.Droplet != 0 || now.HeldBy != 0 {
		c.Errorf("after %d turns: the volume is not free: %+v", turns, now)
	}
	if turns > 0 {
		c.usable(d.ID)
	} else {
		c.wantNoMachine(d.ID)
	}
	c.retry(d.ID)
	if !c.gone(d.ID) {
		c.Errorf("after %d turns: it is still there", turns)
	}
	c.checkWorld()
	c.must1(c.plane.DeleteVolume, v.ID)
}

// wantNoMachine starts a Droplet whose machine was never made.
func (c *testCloud) wantNoMachine(droplet int64) {
	c.Helper()
	var action cloud.Action
	c.must(func(ctx context.Context) (err error) {
		action, err = c.plane.StartDropletAction(ctx, c.who, droplet, DropletAction{Type: cloud.ActionPowerOn})
		return err
	})
	if action, err := c.plane.Action(c.Context(), c.who, action.ID); err != nil || action.Status != cloud.Errored || action.Error != errNoMachine.Error() {
		c.Errorf("got %+v, %v", action, err)
	}
}

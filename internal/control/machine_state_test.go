package control

import (
	"context"
	"fmt"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// watched starts the cloud anew with machines that stop by themselves, and
// returns a function that tells of a change and makes the pass that follows.
func (c *testCloud) watched() (e *realEngine, pass func()) {
	c.Helper()
	e = c.useRealEngine(engine.Capacity{VCPUs: 8, Memory: 1 << 20, Disk: 1 << 20})
	return e, func() {
		c.Helper()
		if err := c.plane.machines.passOnce(c.Context()); err != nil {
			c.Fatal(err)
		}
	}
}

// power changes a machine's state behind the cloud's back.
func (c *testCloud) power(droplet int64, running bool) {
	c.Helper()
	c.exec(`UPDATE sim_machines SET running = $1 WHERE id = $2`, running, cloud.FormatID(droplet))
}

func (c *testCloud) wantStatus(droplet int64, want cloud.DropletStatus) {
	c.Helper()
	if got := c.droplet(droplet).Status; got != want {
		c.Errorf("Droplet %d is %s, want %s", droplet, got, want)
	}
}

// Machines that changed while no server ran are found at its start.
func TestMachinesAreComparedAtTheStart(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		_, pass := c.watched()
		var on, off, same cloud.Droplet
		c.quickly(func() {
			on, off, same = c.addDroplet("on"), c.addDroplet("off"), c.addDroplet("same")
			c.act(off.ID, DropletAction{Type: cloud.ActionPowerOff})
		})
		c.restart()
		c.power(on.ID, false)
		c.power(off.ID, true)
		pass()
		c.wantStatus(on.ID, cloud.DropletOff)
		c.wantStatus(off.ID, cloud.DropletActive)
		c.wantStatus(same.ID, cloud.DropletActive)
		c.checkWorld()
	})
}

// What the engine tells of is followed, and nothing else is looked at.
func TestMachinesThatStopByThemselves(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		e, pass := c.watched()
		var d, other cloud.Droplet
		c.quickly(func() { d, other = c.addDroplet("web"), c.addDroplet("other") })
		pass()
		ctx, stop := context.WithCancel(c.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); c.plane.watch(ctx) }()
		tell := func(id string) {
			e.changed <- id
			e.changed <- "no machine of ours" // is taken when the one before was heard
		}
		c.power(d.ID, false)
		c.power(other.ID, false)
		tell(cloud.FormatID(d.ID))
		pass()
		c.wantStatus(d.ID, cloud.DropletOff)
		c.wantStatus(other.ID, cloud.DropletActive)
		c.power(d.ID, true)
		tell(cloud.FormatID(d.ID))
		pass()
		c.wantStatus(d.ID, cloud.DropletActive)
		stop()
		<-ended
	})
}

// An operation that holds a Droplet says what it is at its end. What happened
// meanwhile is found then.
func TestMachinesWithOperationsAreLeftAlone(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		_, pass := c.watched()
		var d cloud.Droplet
		c.quickly(func() { d = c.addDroplet("web") })
		c.restart()
		if _, err := c.plane.StartDropletAction(c.Context(), c.who, d.ID, DropletAction{Type: cloud.ActionSnapshot}); err != nil {
			c.Fatal(err)
		}
		fresh := c.create(newDroplet("new"))
		c.power(d.ID, false)
		for range 2 {
			pass()
			c.wantStatus(d.ID, cloud.DropletActive)
			c.wantStatus(fresh.ID, cloud.DropletNew)
		}
		if wait, err := c.plane.machines.step(c.Context()); err != nil || wait != betweenPasses {
			c.Errorf("the next look is in %s, %v", wait, err)
		}
		c.settle()
		c.wantStatus(d.ID, cloud.DropletActive)
		pass()
		c.wantStatus(d.ID, cloud.DropletOff)
		c.wantStatus(fresh.ID, cloud.DropletActive)

		c.power(d.ID, true)
		if err := c.plane.DeleteDroplet(c.Context(), c.who, d.ID); err != nil {
			c.Fatal(err)
		}
		c.restart() // looks at all
		pass()
		c.wantStatus(d.ID, cloud.DropletOff)
		c.settle()
		pass()
		c.checkWorld()
	})
}

// What was read of a Droplet counts only as long as nothing has happened to it.
func TestMachineStatesDoNotOvertakeActions(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		e, pass := c.watched()
		var d cloud.Droplet
		c.quickly(func() { d = c.addDroplet("web") })
		c.restart()
		c.power(d.ID, false)
		e.looked = func() {
			e.looked = nil
			c.act(d.ID, DropletAction{Type: cloud.ActionPowerOn}) // which ends before the pass goes on
		}
		pass()
		c.wantStatus(d.ID, cloud.DropletActive)
		pass()
		c.wantStatus(d.ID, cloud.DropletActive)
		c.checkWorld()
	})
}

// With nothing to do, nothing is asked of the engine, and the next look is far.
func TestIdleMachinesDoNothing(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		e, pass := c.watched()
		c.quickly(func() { c.addDroplet("web") })
		pass()
		pass()
		e.looked = func() { c.Error("a machine was looked at") }
		for range 3 {
			if wait, err := c.plane.machines.step(c.Context()); err != nil || wait != machinesEvery {
				c.Errorf("with nothing to do: %s, %v", wait, err)
			}
		}
	})
}

// A machine's tags are known by its ID alone, as the engine asks for them.
func TestMachineTags(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.createWith("web", func(n *NewDroplets) { n.Tags = []string{"web", "prod"} })
		for id, want := range map[string]string{cloud.FormatID(d.ID): "[prod web]", "7": "[]"} {
			if tags, err := c.store.MachineTags(c.Context(), id); err != nil || fmt.Sprint(tags) != want {
				c.Errorf("the tags of %s are %v, %v", id, tags, err)
			}
		}
	})
}

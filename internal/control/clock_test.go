package control

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
)

// running carries operations out beside the test until it ends. Its clock
// stands all the time unless it is advanced.
func (c *testCloud) running() {
	c.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(c.Context()))
	var all sync.WaitGroup
	all.Go(func() { c.plane.Runner().Run(ctx) })
	c.Cleanup(func() { stop(); all.Wait() })
}

func (c *testCloud) advance(by time.Duration) error {
	return c.plane.AdvanceClock(c.Context(), c.who, by)
}

func (c *testCloud) mustAdvance(by time.Duration) {
	c.Helper()
	before := c.clock.Now()
	if err := c.advance(by); err != nil {
		c.Fatal(err)
	}
	if got := c.clock.Now().Sub(before); got != by {
		c.Errorf("the clock moved by %s, want %s", got, by)
	}
}

// A week passes at once: each backup is taken when its window opens and goes
// when its time is over.
func TestAdvanceThroughAWeekOfBackups(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addBackedUp("web")
		c.running()
		c.mustAdvance(7 * 24 * time.Hour)
		names := func() (all []string) {
			for _, b := range c.backups(d.ID) {
				all = append(all, strings.TrimPrefix(b.Name, "web- 2030-01-"))
				if got := b.CreatedAt.Format("15:04:05"); got != "04:00:00" {
					t.Errorf("%s was taken at %s", b.Name, got)
				}
			}
			return all
		}
		if got := strings.Join(names(), " "); got != "02 03 04 05 06 07 08" {
			t.Errorf("after a week there are %s", got)
		}
		c.wantWindow(d.ID, "2030-01-09T04:00:00Z")
		c.mustAdvance(24 * time.Hour)
		if got := strings.Join(names(), " "); got != "03 04 05 06 07 08 09" {
			t.Errorf("after eight days there are %s", got)
		}
		c.checkWorld()
	})
}

// Operations go on on the way as they would in time: those that are slow, and
// those that are tried again.
func TestAdvanceCarriesOperationsOut(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		slow, failing := c.addDroplet("slow"), c.addDroplet("failing")
		c.addFault(engine.Fault{Operation: "machine.reset", Resource: "slow", Delay: 10 * time.Hour})
		c.addFault(engine.Fault{Operation: "machine.reset", Resource: "failing", Error: "not now", Transient: true, Times: 5})
		c.running()
		began := c.clock.Now()
		ended := func(droplet int64) time.Duration {
			t.Helper()
			action, err := c.plane.StartDropletAction(t.Context(), c.who, droplet, DropletAction{Type: cloud.ActionReboot})
			if err != nil {
				t.Fatal(err)
			}
			c.mustAdvance(11 * time.Hour)
			if action, err = c.plane.Runner().Wait(t.Context(), action.ID); err != nil || action.Status != cloud.Completed {
				t.Fatalf("%+v, %v", action, err)
			}
			return action.CompletedAt.Sub(began)
		}
		if got := ended(slow.ID).Truncate(time.Minute); got != 10*time.Hour {
			t.Errorf("the slow one took %s", got)
		}
		began = c.clock.Now()
		if got := ended(failing.ID); got < 3*time.Second || got > time.Minute {
			t.Errorf("the failing one took %s", got)
		}
		c.checkFaultsStruck()
	})
}

func TestAdvanceRefused(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		other := c.addAccount("other")
		const theirs = "The clock is everybody's; only the first account may see and move it."
		wantError(t, c.plane.AdvanceClock(t.Context(), other, time.Hour), cloud.CodeForbidden, theirs)
		_, _, err := c.plane.Clock(t.Context(), other)
		wantError(t, err, cloud.CodeForbidden, theirs)
		wantError(t, c.advance(-time.Second), cloud.CodeInvalid, "the clock cannot go back; advance it by a duration such as 8d, 36h or 90m")
		wantError(t, c.advance(maxAdvance+1), cloud.CodeInvalid, "the clock is advanced by 366d at most at a time")
		c.clock.advanceTo(clockEnds.Add(-time.Hour))
		wantError(t, c.advance(2*time.Hour), cloud.CodeInvalid, "the clock does not go beyond 2200-01-01T00:00:00Z")
		if now, ahead, err := c.plane.Clock(t.Context(), c.who); err != nil || !now.Equal(c.clock.Now()) || ahead != c.clock.Ahead() {
			t.Errorf("got %s, %s, %v", now, ahead, err)
		}
		c.plane.clock = nil // as with an engine whose time is real
		if err := c.advance(time.Hour); !cloud.IsNotFound(err) {
			t.Errorf("got %v", err)
		}
	})
}

// gate lets a test stop an operation in the middle of a step: the second time
// that a reboot asks for its reset, an hour after the first.
type gate struct {
	mu            sync.Mutex
	calls         int
	reached, open chan struct{}
}

func (g *gate) intercept(operation, _ string, phase op.Phase, call func() error) error {
	if operation != "droplet.reboot" || phase != op.Do {
		return call()
	}
	g.mu.Lock()
	g.calls++
	second := g.calls == 2
	g.mu.Unlock()
	if second {
		close(g.reached)
		<-g.open
	}
	return call()
}

// stuck begins a reboot that meets the gate after an hour.
func (c *testCloud) stuck() *gate {
	c.Helper()
	d := c.addDroplet("web")
	c.addFault(engine.Fault{Operation: "machine.reset", Delay: time.Hour})
	g := &gate{reached: make(chan struct{}), open: make(chan struct{})}
	c.intercept = g.intercept
	c.restart()
	c.running()
	if _, err := c.plane.StartDropletAction(c.Context(), c.who, d.ID, DropletAction{Type: cloud.ActionReboot}); err != nil {
		c.Fatal(err)
	}
	return g
}

// While the clock is being advanced, nobody else advances it.
func TestAdvanceOneAtATime(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		g := c.stuck()
		ended := make(chan error)
		go func() { ended <- c.advance(24 * time.Hour) }()
		<-g.reached
		wantError(t, c.advance(time.Hour), cloud.CodeConflict, "The clock is being advanced already. Ask again when that has ended.")
		close(g.open)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		c.mustAdvance(time.Hour)
	})
}

// An operation that does not come to its end in real time stops the clock, and
// when it has ended the clock goes on from there.
func TestAdvanceStopsAtWhatIsStuck(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		g := c.stuck()
		ctx, giveUp := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.plane.AdvanceClock(ctx, c.who, 24*time.Hour) }()
		<-g.reached
		giveUp()
		stands := "The clock stands at " + cloud.FormatTime(c.clock.Now()) + ": "
		wantError(t, <-ended, cloud.CodeUnavailable, stands+"nobody waits any more for what it was advanced for.")
		if got := c.clock.Ahead().Truncate(time.Minute); got != time.Hour {
			t.Errorf("the clock is %s ahead", got)
		}

		c.plane.walk.settle = time.Millisecond
		err := c.advance(24 * time.Hour)
		if cloud.CodeOf(err) != cloud.CodeUnavailable || !strings.HasPrefix(err.Error(), stands+"what was due then has not ended within 1ms of real time (actions at work: [") {
			t.Errorf("got %v", err)
		}
		c.plane.walk.settle = settleLimit
		close(g.open)
		c.mustAdvance(24 * time.Hour)
		if n := c.query(`SELECT COUNT(*) FROM actions WHERE status = 'in-progress'`); n > 0 {
			t.Errorf("%d operations are left", n)
		}
	})
}

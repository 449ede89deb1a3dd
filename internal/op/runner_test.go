package op

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/store"
)

// A process that comes back after its lease ended and another went on must not
// write anything: every commit is fenced.
func TestLostLeaseFencesEveryCommit(t *testing.T) {
	tests := map[string]func(l *lab, run *Run[args]) error{
		"done":   func(*lab, *Run[args]) error { return nil },
		"again":  func(*lab, *Run[args]) error { return Again(time.Hour) },
		"failed": func(*lab, *Run[args]) error { return errBroken },
		"final":  func(*lab, *Run[args]) error { return Final(errBroken) },
		"commit": func(l *lab, run *Run[args]) error {
			err := run.Commit(l.Context(), func(*store.Tx) error { return nil })
			if !errors.Is(err, errLost) {
				l.Errorf("the commit of a step: %v", err)
			}
			return err
		},
	}
	for name, after := range tests {
		t.Run(name, func(t *testing.T) {
			eachLab(t, func(l *lab) { l.loseLease(after) })
		})
	}
}

// loseLease lets a second process overtake the first within a step, and the
// first end its step as it says.
func (l *lab) loseLease(after func(l *lab, run *Run[args]) error) {
	l.Helper()
	began, goOn := make(chan bool), make(chan bool)
	first := true
	plan := Define("plan", saved(step("a", func(l *lab, run *Run[args]) error {
		if !first {
			return nil
		}
		first = false
		began <- true
		<-goOn
		return after(l, run)
	})))
	slow, quick := l.runner("slow", plan), l.runner("quick", plan)
	l.begin(slow, plan, 1)
	ended := make(chan error)
	go func() {
		_, err := slow.RunDue(context.WithoutCancel(l.Context()))
		ended <- err
	}()
	<-began
	if n, err := quick.RunDue(l.Context()); n != 0 || err != nil {
		l.Fatalf("it was taken from the first process while its lease holds: %d, %v", n, err)
	}
	l.write(func(tx *store.Tx) error { return tx.ClearLeases() })
	o := l.run(quick, 1)
	l.wantEnd(o, cloud.Completed, "")
	close(goOn)
	if err := <-ended; err != nil {
		l.Fatal(err)
	}
	if now := l.operation(1); now != o {
		l.Errorf("the first process has changed\n%+v\nto\n%+v", o, now)
	}
	l.wantNotes("[a a]")
	if !strings.Contains(l.log.String(), "taken over by another process") {
		l.Errorf("nothing is said of it:\n%s", l.log.String())
	}
}

// Operations of a newer version are left alone and reported.
func TestUnknownPlansAreLeftAlone(t *testing.T) {
	newer := Define("newer", step("a", nil))
	known := Define("known", step("b", nil))
	eachLab(t, func(l *lab) {
		l.begin(l.runner("new", newer), newer, 1)
		r := l.runner("old", known)
		if o := l.run(r, 1); o.Lease != 0 || o.Status != cloud.InProgress {
			l.Errorf("got %+v", o)
		}
		if at, any, err := r.NextDue(l.Context()); any || err != nil {
			l.Errorf("it is due at %s: %v", at, err)
		}
		r.reportUnknown(l.Context())
		if log := l.log.String(); !strings.Contains(log, "does not know the operation") || !strings.Contains(log, "operation=newer") {
			l.Errorf("nothing is said of it:\n%s", log)
		}
		l.wantNotes("[]")
	})
}

// What an operation holds is refused to others until it ends, and a refused one
// leaves nothing.
func TestHoldsAreExclusive(t *testing.T) {
	plan := Define("plan", step("a", nil))
	eachLab(t, func(l *lab) {
		r := l.runner("one", plan)
		l.holds = []cloud.Ref{{Kind: cloud.KindDroplet, ID: "1"}, {Kind: cloud.KindVolume, ID: "v"}}
		l.begin(r, plan, 1)
		err := l.store.Write(l.Context(), func(tx *store.Tx) error {
			_, err := plan.Begin(tx, r.Notify, New{ID: 2, Account: account, Holds: l.holds[1:]}, args{})
			return err
		})
		if err == nil || err.Error() != "Droplet already has a pending event." {
			l.Errorf("got %v", err)
		}
		l.wantEnd(l.run(r, 1), cloud.Completed, "")
		l.begin(r, plan, 2)
		l.wantEnd(l.run(r, 2), cloud.Completed, "")
	})
}

// Whoever waits is told when the operation has ended, and one who gives up
// leaves nothing in the runner.
func TestWait(t *testing.T) {
	plan := Define("plan", step("a", nil))
	eachLab(t, func(l *lab) {
		r := l.runner("one", plan)
		if _, err := r.Wait(l.Context(), 5); !cloud.IsNotFound(err) {
			l.Errorf("waiting for nothing: %v", err)
		}
		l.begin(r, plan, 1)
		ctx, giveUp := context.WithCancel(l.Context())
		giveUp()
		if _, err := r.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
			l.Errorf("got %v", err)
		}
		answer := make(chan cloud.Action)
		go func() {
			action, err := r.Wait(context.WithoutCancel(l.Context()), 1)
			if err != nil {
				l.Error(err)
			}
			answer <- action
		}()
		l.run(r, 1)
		if action := <-answer; action.Status != cloud.Completed {
			l.Errorf("got %+v", action)
		}
		if len(r.waiters) != 0 {
			l.Errorf("left behind: %v", r.waiters)
		}
	})
}

// inBubble runs a test on SQLite in which time passes only while all goroutines
// wait, and is no real time at all.
func inBubble(t *testing.T, test func(l *lab)) {
	synctest.Test(t, func(t *testing.T) {
		c := databasetest.Config(t, "sqlite")
		test(newLab(t, c))
	})
}

// Run carries operations out as they come, together, and ends when told.
func TestRunCarriesOut(t *testing.T) {
	inBubble(t, func(l *lab) {
		meet := make(chan bool) // both are at work at once, or neither goes on
		plan := Define("plan", step("a", func(_ *lab, run *Run[args]) error {
			if run.Args.N == 1 {
				meet <- true
			} else {
				<-meet
			}
			return nil
		}))
		r, stop := l.start(plan)
		l.begin(r, plan, 1)
		l.begin(r, plan, 2)
		for id := range int64(2) {
			if action, err := r.Wait(l.Context(), id+1); err != nil || action.Status != cloud.Completed {
				l.Errorf("got %+v, %v", action, err)
			}
		}
		stop()
	})
}

// start runs a runner; stop ends it and waits for its end.
func (l *lab) start(plans ...Runnable[*lab]) (r *Runner[*lab], stop func()) {
	ctx, cancel := context.WithCancel(l.Context())
	ended := make(chan bool)
	r = l.runner("one", plans...)
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	return r, func() {
		cancel()
		<-ended
	}
}

// A process that stops lets the step that runs come to its end and leaves the
// rest to the next.
func TestRunPutsDownBetweenSteps(t *testing.T) {
	inBubble(t, func(l *lab) {
		began, goOn := make(chan bool), make(chan bool)
		plan := Define("plan", step("a", func(*lab, *Run[args]) error {
			began <- true
			<-goOn
			return nil
		}), step("b", nil))
		r, stop := l.start(plan)
		l.begin(r, plan, 1)
		<-began
		stopped := make(chan bool)
		go func() {
			stop()
			close(stopped)
		}()
		synctest.Wait() // until Run waits for the step, and nothing else moves
		select {
		case <-stopped:
			l.Error("it did not wait for the step that runs")
		default:
		}
		close(goOn)
		<-stopped
		if o := l.operation(1); o.Step != "b" || o.Status != cloud.InProgress {
			l.Errorf("got %+v, want it put down before b", o)
		}
		l.wantNotes("[a]")
		l.wantEnd(l.run(l.runner("next", plan), 1), cloud.Completed, "")
		l.wantNotes("[a b]")
	})
}

// A step that takes long keeps its lease as long as its process lives.
func TestRunRenewsLeases(t *testing.T) {
	inBubble(t, func(l *lab) {
		plan := Define("plan", step("a", func(*lab, *Run[args]) error {
			time.Sleep(time.Minute) // no real time
			return nil
		}))
		r, stop := l.start(plan)
		other := l.runner("other", plan)
		l.begin(r, plan, 1)
		for range 59 {
			time.Sleep(time.Second) // no real time
			if n, err := other.RunDue(l.Context()); n != 0 || err != nil {
				l.Fatalf("taken over: %d, %v", n, err)
			}
		}
		if action, err := r.Wait(l.Context(), 1); err != nil || action.Status != cloud.Completed {
			l.Errorf("got %+v, %v", action, err)
		}
		l.wantNotes("[a]")
		stop()
	})
}

// A runner with nothing to do writes nothing, however long.
func TestIdleRunnerWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := databasetest.Config(t, "sqlite")
		l := newLab(t, c)
		plan := Define("plan", step("a", func(*lab, *Run[args]) error { return Again(24 * time.Hour) }))
		r, stop := l.start(plan)
		l.begin(r, plan, 1) // it waits, so there is something to look at
		synctest.Wait()
		before := l.written(c.Path)
		time.Sleep(5 * time.Minute) // no real time
		if after := l.written(c.Path); after != before {
			t.Errorf("five idle minutes have changed the database: %s to %s", before, after)
		}
		stop()
	})
}

// written is the state of a SQLite database's files, which any write changes.
func (l *lab) written(path string) string {
	l.Helper()
	var state strings.Builder
	for _, file := range []string{path, path + "-wal"} {
		info, err := os.Stat(file)
		if err != nil {
			l.Fatal(err)
		}
		state.WriteString(info.ModTime().String() + " ")
	}
	return state.String()
}

// A database that cannot be written is asked again in a while, not at once and
// without end.
func TestRunWaitsWhenItCannotClaim(t *testing.T) {
	inBubble(t, func(l *lab) {
		plan := Define("plan", step("a", nil))
		l.begin(l.runner("one", plan), plan, 1)
		l.exec(`CREATE TRIGGER full BEFORE UPDATE ON actions BEGIN SELECT RAISE(FAIL, 'no space left'); END`)
		r, stop := l.start(plan)
		time.Sleep(time.Minute) // no real time
		if n := strings.Count(l.log.String(), "operations cannot be claimed"); n != 1 {
			l.Errorf("said %d times in a minute", n)
		}
		l.exec(`DROP TRIGGER full`)
		if action, err := r.Wait(l.Context(), 1); err != nil || action.Status != cloud.Completed {
			l.Errorf("got %+v, %v", action, err)
		}
		stop()
	})
}

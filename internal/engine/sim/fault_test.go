package sim_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine"
)

func TestAddFaultRefusals(t *testing.T) {
	valid := engine.Fault{Account: 1, Operation: "machine.start", Resource: "*", Error: "boom"}
	tests := map[string]struct {
		change func(*engine.Fault)
		says   string
	}{
		"no operation":      {func(f *engine.Fault) { f.Operation = "" }, "volume_snapshot.delete"},
		"unknown operation": {func(f *engine.Fault) { f.Operation = "machine.explode" }, "machine.create, machine.start"},
		"no resource":       {func(f *engine.Fault) { f.Resource = "" }, "resource"},
		"negative times":    {func(f *engine.Fault) { f.Times = -1 }, "-1"},
		"negative delay":    {func(f *engine.Fault) { f.Delay = -time.Second }, "-1s"},
		"no effect":         {func(f *engine.Fault) { f.Error = "" }, "delay"},
	}
	each(t, "0", func(l *lab) {
		for name, test := range tests {
			f := valid
			test.change(&f)
			got, err := l.AddFault(l.Context(), f)
			if !engine.IsFinal(err) || !strings.Contains(err.Error(), test.says) {
				l.Errorf("%s: %+v, %v; want an error that says %q", name, got, err, test.says)
			}
		}
		if got := l.faults(); len(got) != 0 {
			l.Errorf("refused faults are there: %+v", got)
		}
		l.addFault(valid)
	})
}

func (l *lab) addFault(f engine.Fault) engine.Fault {
	l.Helper()
	f.Account = 1
	added, err := l.AddFault(l.Context(), f)
	if err != nil {
		l.Fatal(err)
	}
	return added
}

func (l *lab) faults() []engine.Fault {
	l.Helper()
	faults, err := l.Faults(l.Context(), 1)
	if err != nil {
		l.Fatal(err)
	}
	return faults
}

// hits checks how often the only fault has struck.
func (l *lab) hits(want int64) {
	l.Helper()
	if got := l.faults(); len(got) != 1 || got[0].Hits != want {
		l.Errorf("%+v; want %d hits", got, want)
	}
}

// fails checks that a call fails with a fault's message.
func (l *lab) fails(message string, p engine.Progress, err error) {
	l.Helper()
	if err == nil || err.Error() != message || p.Done {
		l.Errorf("%+v, %v; want %q", p, err, message)
	}
}

func TestFaultsAreNumberedForEver(t *testing.T) {
	each(t, "0", func(l *lab) {
		boom := engine.Fault{Operation: "machine.start", Resource: "*", Error: "boom", Hits: 7, ID: 70}
		for want := int64(1); want <= 2; want++ {
			if f := l.addFault(boom); f.ID != want || f.Hits != 0 {
				l.Errorf("%+v, want ID %d and no hits", f, want)
			}
		}
		other, err := l.AddFault(l.Context(), engine.Fault{Account: 2, Operation: "machine.stop", Resource: "*", Error: "boom"})
		if err != nil || other.ID != 3 {
			l.Errorf("%+v, %v; want ID 3", other, err)
		}
		l.removes(nil, 2)
		l.removes(engine.ErrNotFound, 2)
		l.removes(engine.ErrNotFound, other.ID) // another account's
		if f := l.addFault(boom); f.ID != 4 {
			l.Errorf("%+v, want ID 4", f)
		}
		l.removes(nil, 0)
		l.removes(nil, 0) // none left
		if left, err := l.Faults(l.Context(), 2); err != nil || len(left) != 1 || left[0] != other {
			l.Errorf("%+v, %v; want %+v", left, err, other)
		}
	})
}

func (l *lab) removes(want error, id int64) {
	l.Helper()
	if err := l.RemoveFault(l.Context(), 1, id); !errors.Is(err, want) {
		l.Errorf("remove %d: got %v, want %v", id, err, want)
	}
}

func TestFaultStrikesUntilItIsUsedUp(t *testing.T) {
	each(t, "0", func(l *lab) {
		l.must(l.create(l.work(), "1"))
		f := l.addFault(engine.Fault{Operation: "machine.start", Resource: "1", Error: "boom", Times: 2})
		w := l.work()
		for range 2 {
			p, err := l.start(w, "1")
			l.fails("boom", p, err)
			if !engine.IsFinal(err) {
				l.Errorf("%v is not final", err)
			}
		}
		if m, err := l.Machine(l.Context(), "1"); err != nil || m.Running {
			l.Errorf("%+v, %v; want a machine that is off", m, err)
		}
		l.must(l.start(w, "1"))
		f.Hits = 2
		if got := l.faults(); len(got) != 1 || got[0] != f {
			l.Errorf("%+v, want it used up: %+v", got, f)
		}
	})
}

func TestFaultStrikesAlwaysAndTransiently(t *testing.T) {
	each(t, "0", func(l *lab) {
		l.must(l.create(l.work(), "1"))
		f := l.addFault(engine.Fault{Operation: "machine.start", Resource: "*", Error: "busy", Transient: true})
		w := l.work()
		for range 5 {
			p, err := l.start(w, "1")
			l.fails("busy", p, err)
			if engine.IsFinal(err) {
				l.Errorf("%v is final", err)
			}
		}
		l.hits(5)
		l.removes(nil, f.ID)
		l.must(l.start(w, "1"))
	})
}

func TestFaultOfAnotherAccount(t *testing.T) {
	each(t, "0", func(l *lab) {
		f := engine.Fault{Account: 2, Operation: "machine.create", Resource: "*", Error: "boom"}
		if _, err := l.AddFault(l.Context(), f); err != nil {
			l.Fatal(err)
		}
		l.must(l.create(l.work(), "1"))
	})
}

func TestFaultDelaysEachPieceOfWorkOnce(t *testing.T) {
	each(t, "0", func(l *lab) {
		l.addFault(engine.Fault{Operation: "machine.create", Resource: "*", Delay: 30 * time.Second})
		w := l.work()
		l.pending(w, 0, 30*time.Second)
		l.clock.advance(15 * time.Second)
		l.pending(w, 50, 15*time.Second)
		l.hits(1)
		l.reopen()
		l.clock.advance(15 * time.Second)
		l.must(l.create(w, "1"))
		if p, err := l.create(l.work(), "2"); err != nil || p.Done {
			l.Errorf("%+v, %v; want pending", p, err)
		}
		l.hits(2)
	})
}

func TestFaultDelayIsAddedToTheLatency(t *testing.T) {
	each(t, "50ms", func(l *lab) {
		w := l.work()
		l.pending(w, 0, 50*time.Millisecond)
		l.addFault(engine.Fault{Operation: "machine.create", Resource: "1", Delay: 50 * time.Millisecond, Times: 1})
		l.pending(w, 0, 100*time.Millisecond)
		l.clock.advance(100 * time.Millisecond)
		l.must(l.create(w, "1"))
	})
}

// A fault that delays and fails pays for both with one hit.
func TestFaultDelaysThenFails(t *testing.T) {
	each(t, "0", func(l *lab) {
		l.addFault(engine.Fault{Operation: "machine.create", Resource: "*", Error: "boom", Delay: time.Minute, Times: 1})
		w := l.work()
		l.pending(w, 0, time.Minute)
		l.hits(1)
		l.must(l.create(l.work(), "2")) // used up for all others
		l.clock.advance(time.Minute)
		p, err := l.create(w, "1")
		l.fails("boom", p, err)
		l.hits(1)
		l.must(l.create(w, "1"))
	})
}

func TestFaultStrikesAnUndoByItsVerb(t *testing.T) {
	each(t, "0", func(l *lab) {
		l.addFault(engine.Fault{Operation: "machine.destroy", Resource: "1", Error: "stuck", Times: 1})
		w := l.work()
		l.must(l.create(w, "1"))
		undo := engine.Work{Key: w.Key, Undo: true}
		p, err := l.DestroyMachine(l.Context(), undo, ref("1"))
		l.fails("stuck", p, err)
		if _, err := l.create(w, "1"); !errors.Is(err, engine.ErrUndone) {
			l.Errorf("got %v, want %v", err, engine.ErrUndone)
		}
		l.must(l.DestroyMachine(l.Context(), undo, ref("1")))
	})
}

// Work that is done or undone meets no fault any more.
func TestFaultComesTooLate(t *testing.T) {
	each(t, "0", func(l *lab) {
		w := l.work()
		l.must(l.create(w, "1"))
		l.addFault(engine.Fault{Operation: "machine.create", Resource: "*", Error: "boom"})
		l.must(l.create(w, "1"))
		l.hits(0)
	})
}

func TestFaultStrikesOnceHoweverManyMeetIt(t *testing.T) {
	each(t, "0", func(l *lab) {
		l.addFault(engine.Fault{Operation: "machine.create", Resource: "*", Error: "boom", Times: 3})
		var failed atomic.Int64
		var calls sync.WaitGroup
		for _, id := range strings.Split("abcdefgh", "") {
			calls.Go(func() {
				if _, err := l.create(engine.Work{Key: id}, id); err != nil {
					failed.Add(1)
				}
			})
		}
		calls.Wait()
		if failed.Load() != 3 || len(l.world().Machines) != 5 {
			l.Errorf("%d failed, %d are there; want 3 and 5", failed.Load(), len(l.world().Machines))
		}
		l.hits(3)
	})
}

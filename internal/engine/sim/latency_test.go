package sim_test

import (
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
)

func TestParseLatency(t *testing.T) {
	for _, text := range []string{"", "fast", "-1s", "50", "Real"} {
		if l, err := sim.ParseLatency(text); err == nil {
			t.Errorf("%q: %s, want an error", text, l)
		}
	}
	for text, want := range map[string]string{"0": "0s", "50ms": "50ms", "1.5s": "1.5s", "real": "real"} {
		if l, err := sim.ParseLatency(text); err != nil || l.String() != want {
			t.Errorf("%q: %s, %v; want %s", text, l, err, want)
		}
	}
}

func TestLatencyOfZeroIsNoTime(t *testing.T) {
	each(t, "0", func(l *lab) {
		l.must(l.create(l.work(), "1"))
		l.must(l.start(l.work(), "1"))
	})
}

func TestLatencyPasses(t *testing.T) {
	each(t, "50ms", func(l *lab) {
		w := l.work()
		l.pending(w, 0, 50*time.Millisecond)
		l.clock.advance(25 * time.Millisecond)
		l.pending(w, 50, 25*time.Millisecond)
		l.clock.advance(20 * time.Millisecond)
		l.pending(w, 90, 10*time.Millisecond) // never asks for less
		l.clock.advance(5 * time.Millisecond)
		l.must(l.create(w, "1"))
	})
}

// pending checks what a create that waits answers, and that it has no effect.
func (l *lab) pending(w engine.Work, percent int, after time.Duration) {
	l.Helper()
	p, err := l.create(w, "1")
	if want := (engine.Progress{Percent: percent, After: after}); err != nil || p != want {
		l.Errorf("%+v, %v; want %+v", p, err, want)
	}
	if _, err := l.Machine(l.Context(), "1"); err == nil {
		l.Error("the machine is there too early")
	}
}

func TestLatencyIsRealPerOperation(t *testing.T) {
	each(t, "real", func(l *lab) {
		w := l.work()
		l.pending(w, 0, 20*time.Second)
		l.clock.advance(10 * time.Second)
		l.pending(w, 50, 10*time.Second)
		l.clock.advance(10 * time.Second)
		l.must(l.create(w, "1"))

		pulled := l.work()
		stop := func() (engine.Progress, error) {
			return l.StopMachine(l.Context(), pulled, ref("1"), engine.Stop{Force: true})
		}
		if p, err := stop(); err != nil || p.Done {
			l.Errorf("%+v, %v; want pending", p, err)
		}
		l.clock.advance(time.Second) // without grace the plug is pulled
		l.must(stop())
	})
}

// A clock that is advanced by a day finishes what was pending, and no work is
// forgotten for it.
func TestLatencyFollowsTheCloudsClock(t *testing.T) {
	each(t, "real", func(l *lab) {
		w := l.work()
		l.pending(w, 0, 20*time.Second)
		l.clock.advance(48 * time.Hour)
		l.must(l.create(w, "1"))
		l.reopen()
		l.must(l.create(w, "1"))
	})
}

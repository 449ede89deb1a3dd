// Package enginetest is the conformance suite that every engine passes. It
// sees an engine only through its interface, and knows no latencies: it
// repeats each call until it is done, as the cloud does.
package enginetest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// Harness is an empty engine to test.
type Harness struct {
	Engine engine.Engine
	// Reopen ends the engine as a crash would and opens it again on what it
	// left. Nil skips the tests that need it.
	Reopen func() engine.Engine
	// Wait lets pass what a pending answer asks for; nil sleeps.
	Wait func(engine.Progress)
	// Patience is how long one piece of work may take; zero is two minutes.
	Patience time.Duration
	// Machine is what machines are like, without ID and name. Zero is a small
	// Debian in nyc3.
	Machine engine.Machine
	// ImageURL leads to a disk image of at most Machine's disk that can be
	// imported. Empty is one that nobody fetches.
	ImageURL string
}

// Run runs the suite, each test on an engine of its own.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, group := range []map[string]func(*bench){machineTests, imageTests, volumeTests, peeringTests, keyTests, resumeTests} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(newBench(t, open(t)))
			})
		}
	}
}

// bench is one engine on the test bench.
type bench struct {
	*testing.T
	Harness
	keys atomic.Int64
}

func newBench(t *testing.T, h Harness) *bench {
	if h.Wait == nil {
		h.Wait = func(p engine.Progress) { time.Sleep(p.After) }
	}
	if h.Patience == 0 {
		h.Patience = 2 * time.Minute
	}
	if h.ImageURL == "" {
		h.ImageURL = "https://images.example.com/debian.qcow2"
	}
	if h.Machine.Region == "" {
		h.Machine = engine.Machine{
			Region: "nyc3",
			Shape:  engine.Shape{VCPUs: 1, Memory: 1024, Disk: 25},
			Image:  engine.Image{Base: true, Slug: "debian-12-x64"},
		}
	}
	return &bench{T: t, Harness: h}
}

// doer is one call of the engine with the work filled in.
type doer func(w engine.Work) (engine.Progress, error)

// work is a new piece of work.
func (b *bench) work() engine.Work {
	return engine.Work{Key: fmt.Sprintf("%s-%d", rand.Text(), b.keys.Add(1))}
}

// undo is the work that takes w back.
func undo(w engine.Work) engine.Work { return engine.Work{Key: w.Key, Undo: true} }

// finish repeats a call until it is done or fails.
func (b *bench) finish(w engine.Work, call doer) (engine.Progress, error) {
	b.Helper()
	for begin := time.Now(); ; {
		p, err := b.ask(w, call)
		if err != nil || p.Done {
			return p, err
		}
		if time.Since(begin) > b.Patience {
			b.Fatalf("still pending after %s: %+v", b.Patience, p)
		}
		b.Wait(p)
	}
}

// ask calls once and checks what holds for every answer.
func (b *bench) ask(w engine.Work, call doer) (engine.Progress, error) {
	b.Helper()
	p, err := call(w)
	switch {
	case err != nil && p.Done:
		b.Errorf("done and failed at once: %+v, %v", p, err)
	case err == nil && !p.Done && (p.After <= 0 || p.After > time.Minute):
		b.Errorf("a pending answer asks to wait %s", p.After)
	case p.Percent < 0 || p.Percent > 100:
		b.Errorf("%d percent", p.Percent)
	}
	return p, err
}

// must finishes new work and returns it, so that it can be repeated.
func (b *bench) must(call doer) engine.Work {
	b.Helper()
	w := b.work()
	b.mustAgain(w, call)
	return w
}

func (b *bench) mustAgain(w engine.Work, call doer) engine.Progress {
	b.Helper()
	p, err := b.finish(w, call)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// refuses checks that work ends with one of the engine's own errors.
func (b *bench) refuses(want error, w engine.Work, call doer) {
	b.Helper()
	if _, err := b.finish(w, call); !errors.Is(err, want) {
		b.Errorf("got %v, want %v", err, want)
	}
}

// refusesFinally checks that new work ends with an error that explains itself.
func (b *bench) refusesFinally(call doer) {
	b.Helper()
	if _, err := b.finish(b.work(), call); !engine.IsFinal(err) || err.Error() == "" {
		b.Errorf("got %v, want a final error", err)
	}
}

// state checks whether a machine is there and runs.
func (b *bench) state(id string, running bool) {
	b.Helper()
	got, err := b.Engine.Machine(b.Context(), id)
	if err != nil || got.Running != running {
		b.Errorf("machine %s: %+v, %v; want running %t", id, got, err, running)
	}
}

// absent checks that a machine is not there.
func (b *bench) absent(id string) {
	b.Helper()
	if got, err := b.Engine.Machine(b.Context(), id); !errors.Is(err, engine.ErrNotFound) {
		b.Errorf("machine %s: %+v, %v; want none", id, got, err)
	}
}

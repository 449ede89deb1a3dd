package op

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// running carries operations out beside the test until it ends.
func (l *lab) running(r *Runner[*lab]) {
	l.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(l.Context()))
	var all sync.WaitGroup
	all.Go(func() { r.Run(ctx) })
	l.Cleanup(func() { stop(); all.Wait() })
}

func (l *lab) settle(r *Runner[*lab]) {
	l.Helper()
	if err := r.Settle(l.Context()); err != nil {
		l.Fatal(err)
	}
}

// Settle returns when what is due is done, with all that its end makes due, and
// not before.
func TestSettle(t *testing.T) {
	eachLab(t, func(l *lab) {
		first := Define("first", step("a", nil), step("b", func(l *lab, _ *Run[args]) error {
			if l.Now().Before(labStart.Add(10 * time.Hour)) {
				return Again(10 * time.Hour)
			}
			return nil
		}))
		second := Define("second", step("c", func(l *lab, _ *Run[args]) error {
			if o := l.operation(1); o.CompletedAt.IsZero() {
				return WaitFor(1)
			}
			return nil
		}))
		r := l.runner("one", first, second)
		l.begin(r, first, 1)
		l.begin(r, second, 2)
		l.running(r)
		l.settle(r)
		if got := len(r.Running()); got > 0 {
			t.Errorf("%d operations run", got)
		}
		// What waits for the first is looked after sooner; it is not told so.
		for name, next := range map[string]func() (time.Time, error){
			"10h0m0s": func() (time.Time, error) { return r.NextTimed(t.Context()) },
			"5s": func() (time.Time, error) {
				at, _, err := r.NextDue(t.Context())
				return at, err
			},
		} {
			if at, err := next(); err != nil || at.Sub(labStart).String() != name {
				t.Errorf("got %s, %v; want %s", at.Sub(labStart), err, name)
			}
		}
		l.advance(10 * time.Hour)
		l.settle(r)
		l.wantEnd(l.operation(1), "completed", "")
		l.wantEnd(l.operation(2), "completed", "")
		if at, err := r.NextTimed(t.Context()); err != nil || !at.IsZero() {
			t.Errorf("still due: %v, %v", at, err)
		}
	})
}

// Who waits for an operation that does not end can give up, and what it works
// on is told.
func TestSettleGivesUp(t *testing.T) {
	eachLab(t, func(l *lab) {
		begun, end := make(chan struct{}), make(chan struct{})
		stuck := Define("stuck", step("a", func(*lab, *Run[args]) error {
			close(begun)
			<-end
			return nil
		}))
		r := l.runner("one", stuck)
		l.begin(r, stuck, 7)
		l.running(r)
		<-begun
		ctx, giveUp := context.WithCancel(t.Context())
		giveUp()
		if err := r.Settle(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if got := r.Running(); len(got) != 1 || got[0] != 7 {
			t.Errorf("running are %v", got)
		}
		close(end)
		l.settle(r)
		l.wantEnd(l.operation(7), "completed", "")
	})
}

package control

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cistern-cloud/cistern/internal/store"
)

// A Reconciler keeps something true that no request asks for. It has no input:
// each pass looks at how things stand, now and then or when it is woken, and a
// pass that finds all in order does nothing.
type Reconciler struct {
	name  string
	every time.Duration // real time
	pass  func(context.Context) error
	log   *slog.Logger
	wake  chan struct{}

	// due, which may be nil, is when there is something to do that can be told
	// beforehand, on the clock that now reads; zero for never.
	due func(context.Context) (time.Time, error)
	now func() time.Time

	mu sync.Mutex // one pass at a time
}

const (
	// retryPass is how long after a pass that failed the next one is.
	retryPass = time.Minute
	// betweenPasses is the least time from one pass to the next that was told
	// beforehand.
	betweenPasses = time.Second
)

func newReconciler(log *slog.Logger, name string, every time.Duration, pass func(context.Context) error) *Reconciler {
	return &Reconciler{name: name, every: every, pass: pass, log: log, wake: make(chan struct{}, 1)}
}

// when tells when there will be something to do, by the cloud's clock.
func (r *Reconciler) when(now func() time.Time, due func(context.Context) (time.Time, error)) *Reconciler {
	r.now, r.due = now, due
	return r
}

// Wake asks for a pass soon. Several calls before it are one.
func (r *Reconciler) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run makes passes until ctx ends, the first at once.
func (r *Reconciler) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.wake:
		}
		next, err := r.step(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("will try again", "reconciler", r.name, "after", next, "error", err)
		}
		timer.Reset(next)
	}
}

// step makes one pass, and returns how long to wait for the next.
func (r *Reconciler) step(ctx context.Context) (time.Duration, error) {
	if err := r.passOnce(ctx); err != nil {
		return min(r.every, retryPass), err
	}
	at, err := r.nextDue(ctx)
	switch {
	case err != nil:
		return min(r.every, retryPass), err
	case at.IsZero():
		return r.every, nil
	}
	return min(r.every, max(at.Sub(r.now()), betweenPasses)), nil
}

// nextDue is when there is something to do, as far as that can be told; zero
// for never.
func (r *Reconciler) nextDue(ctx context.Context) (time.Time, error) {
	if r.due == nil {
		return time.Time{}, nil
	}
	return r.due(ctx)
}

func (r *Reconciler) passOnce(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pass(ctx)
}

// Reconcile runs every reconciler of the plane until ctx ends.
func (p *Plane) Reconcile(ctx context.Context) {
	ctx = store.Background(ctx)
	var all sync.WaitGroup
	if p.watch != nil {
		all.Go(func() { p.watch(ctx) })
	}
	for _, r := range p.reconcilers {
		all.Go(func() { r.Run(ctx) })
	}
	all.Wait()
}

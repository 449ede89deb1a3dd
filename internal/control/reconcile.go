package control

import (
	"context"
	"log/slog"
	"sync"
	"time"
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
}

// retryPass is how long after a pass that failed the next one is.
const retryPass = time.Minute

func newReconciler(log *slog.Logger, name string, every time.Duration, pass func(context.Context) error) *Reconciler {
	return &Reconciler{name: name, every: every, pass: pass, log: log, wake: make(chan struct{}, 1)}
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
		next := r.every
		if err := r.pass(ctx); err != nil && ctx.Err() == nil {
			next = min(next, retryPass)
			r.log.Warn("will try again", "reconciler", r.name, "after", next, "error", err)
		}
		timer.Reset(next)
	}
}

// Reconcile runs every reconciler of the plane until ctx ends.
func (p *Plane) Reconcile(ctx context.Context) {
	var all sync.WaitGroup
	for _, r := range p.reconcilers {
		all.Go(func() { r.Run(ctx) })
	}
	all.Wait()
}

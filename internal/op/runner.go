package op

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

const (
	workers    = 32               // how many operations run at once
	leaseTime  = 10 * time.Second // real time, renewed while a step runs
	renewEvery = 3 * time.Second
	// idlePoll is how often to look for work that nobody announced: another
	// process's, or after the clock was advanced.
	idlePoll = time.Second
)

// Options are what a Runner may be told.
type Options struct {
	Log *slog.Logger
	// Owner names this process in leases; no two that run have the same.
	Owner string
	// Intercept is for tests.
	Intercept Intercept
}

// Runner carries operations out.
type Runner[P any] struct {
	db    *store.DB
	plane P
	opts  Options
	plans map[string]Runnable[P]
	names []string

	wake chan struct{}

	mu       sync.Mutex
	running  map[int64]bool
	waiters  map[int64][]chan struct{}
	settlers []chan struct{} // see Settle
	stopping bool
}

// NewRunner makes a runner that knows the given plans.
func NewRunner[P any](db *store.DB, plane P, opts Options, plans ...Runnable[P]) *Runner[P] {
	r := &Runner[P]{
		db: db, plane: plane, opts: opts, plans: map[string]Runnable[P]{},
		wake: make(chan struct{}, 1), running: map[int64]bool{}, waiters: map[int64][]chan struct{}{},
	}
	if r.opts.Log == nil {
		r.opts.Log = slog.New(slog.DiscardHandler)
	}
	for _, p := range plans {
		r.plans[p.name()] = p
		r.names = append(r.names, p.name())
	}
	return r
}

// Plans lists the plans that this runner knows, by name.
func (r *Runner[P]) Plans() []string { return r.names }

// Notify says that there may be work to do.
func (r *Runner[P]) Notify() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run carries operations out until ctx ends, then lets the steps that run come
// to their end and puts their operations down.
func (r *Runner[P]) Run(ctx context.Context) {
	ctx = store.Background(ctx)
	r.reportUnknown(ctx)
	var all sync.WaitGroup
	all.Go(func() { r.renew(ctx) })
	var last error
	for ctx.Err() == nil {
		waited, free := r.settling(), r.free()
		claimed, err := r.claim(ctx, free)
		if ctx.Err() == nil {
			r.reportClaim(last, err)
		}
		last = err
		if err != nil {
			_ = waitAny(ctx, nil, outageWait) // whoever has news could not write it down either
			continue
		}
		for _, row := range claimed {
			all.Go(func() {
				r.execute(context.WithoutCancel(ctx), row)
				r.Notify() // a worker is free
			})
		}
		if free == workers && len(claimed) == 0 {
			r.settle(waited)
		}
		r.sleep(ctx)
	}
	r.mu.Lock()
	r.stopping = true
	r.mu.Unlock()
	all.Wait()
}

// reportClaim logs when claiming begins to fail and when it works again, and
// not each try between.
func (r *Runner[P]) reportClaim(last, err error) {
	switch {
	case err != nil && last == nil:
		r.opts.Log.Error("operations cannot be claimed; they wait until they can", "error", err)
	case err == nil && last != nil:
		r.opts.Log.Info("operations go on")
	}
}

// sleep waits for news, or until the next operation is due.
func (r *Runner[P]) sleep(ctx context.Context) {
	wait := idlePoll
	if at, ok, err := r.NextDue(ctx); err == nil && ok {
		wait = min(wait, max(at.Sub(r.db.Now()), 0))
		if r.free() == 0 {
			wait = idlePoll // a worker that comes free tells
		}
	}
	_ = waitAny(ctx, r.wake, wait) // Run looks at ctx itself
}

func (r *Runner[P]) free() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return workers - len(r.running)
}

// claim leases up to most operations that are due.
func (r *Runner[P]) claim(ctx context.Context, most int) ([]store.Operation, error) {
	if most <= 0 {
		return nil, nil
	}
	var claimed []store.Operation
	err := r.db.Write(ctx, func(tx *store.Tx) (err error) {
		now := time.Now()
		claimed, err = tx.ClaimOperations(store.Claim{
			Owner: r.opts.Owner, Now: now, Until: now.Add(leaseTime), Names: r.names, Most: most,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range claimed {
		r.running[row.ID] = true
	}
	return claimed, nil
}

// execute carries one claimed operation as far as it goes for now.
func (r *Runner[P]) execute(ctx context.Context, row store.Operation) {
	log := r.opts.Log.With("operation", row.Name, "action", row.ID, "account", row.Account)
	x := &execution[P]{db: r.db, plane: r.plane, row: row, intercept: r.opts.Intercept, stopping: r.isStopping}
	err := r.plans[row.Name].execute(ctx, x)
	switch {
	case errors.Is(err, errLost):
		log.Warn("taken over by another process")
	case err != nil:
		log.Error("could not record progress; it goes on when its lease ends", "error", err)
	case x.undoError != "":
		log.Warn("failed, and could not be taken back yet", "step", x.row.Step, "attempt", x.row.Attempt,
			"error", x.row.Error, "undo_error", x.undoError)
	case x.row.Undoing:
		log.Warn("failed", "step", x.row.Step, "error", x.row.Error)
	case x.row.Attempt > 0:
		log.Warn("will try again", "step", x.row.Step, "attempt", x.row.Attempt, "error", x.row.Error)
	default:
		log.Debug("ran", "step", x.row.Step)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, row.ID)
	for _, waiter := range r.waiters[row.ID] {
		close(waiter)
	}
	delete(r.waiters, row.ID)
}

func (r *Runner[P]) isStopping() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopping
}

// renew keeps the leases of operations whose step takes long.
func (r *Runner[P]) renew(ctx context.Context) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		r.mu.Lock()
		ids := make([]int64, 0, len(r.running))
		for id := range r.running {
			ids = append(ids, id)
		}
		r.mu.Unlock()
		if len(ids) == 0 {
			continue
		}
		err := r.db.Write(ctx, func(tx *store.Tx) error {
			return tx.RenewLeases(r.opts.Owner, ids, time.Now().Add(leaseTime))
		})
		if err != nil && ctx.Err() == nil {
			r.opts.Log.Error("renew leases", "error", err)
		}
	}
}

// Wait returns the action once it has ended, or ctx's error.
func (r *Runner[P]) Wait(ctx context.Context, id int64) (cloud.Action, error) {
	for {
		moved, forget := r.whenMoved(id)
		var o store.Operation
		err := r.db.Read(ctx, func(tx *store.Tx) (err error) {
			o, err = tx.Operation(id)
			return err
		})
		if err == nil && o.Status == cloud.InProgress {
			err = waitAny(ctx, moved, idlePoll) // it may run in another process
		}
		forget()
		if err != nil || o.Status != cloud.InProgress {
			return o.Action, err
		}
	}
}

// waitAny returns when c is closed or d is over, or ctx's error.
func waitAny(ctx context.Context, c <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c:
	case <-timer.C:
	}
	return nil
}

// whenMoved is closed when this process has next worked on an operation, if it
// is not forgotten before.
func (r *Runner[P]) whenMoved(id int64) (moved <-chan struct{}, forget func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := make(chan struct{})
	r.waiters[id] = append(r.waiters[id], c)
	return c, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.waiters[id] = slices.DeleteFunc(r.waiters[id], func(other chan struct{}) bool { return other == c })
		if len(r.waiters[id]) == 0 {
			delete(r.waiters, id)
		}
	}
}

// Woken receives when there may be work to do. It is for tests that settle
// with RunDue.
func (r *Runner[P]) Woken() <-chan struct{} { return r.wake }

// RunDue carries out all that is due now, one after the other in this
// goroutine, and returns how much that was. It is for tests, which settle step
// by step, and does not go with Run.
func (r *Runner[P]) RunDue(ctx context.Context) (int, error) {
	for n := 0; ; n++ {
		claimed, err := r.claim(ctx, 1)
		if err != nil || len(claimed) == 0 {
			return n, err
		}
		r.execute(ctx, claimed[0])
	}
}

// NextDue returns when the next waiting operation is due, in the cloud's time,
// and whether there is one.
func (r *Runner[P]) NextDue(ctx context.Context) (at time.Time, ok bool, err error) {
	err = r.db.Peek(ctx, func(tx *store.Tx) (err error) {
		at, ok, err = tx.NextDue(time.Now(), r.names)
		return err
	})
	return at, ok, err
}

// reportUnknown says which unfinished operations nobody here knows how to go
// on with. They are left alone: a newer version began them.
func (r *Runner[P]) reportUnknown(ctx context.Context) {
	var unknown []store.Operation
	err := r.db.Read(ctx, func(tx *store.Tx) (err error) {
		unknown, err = tx.UnknownOperations(r.names)
		return err
	})
	if err != nil && ctx.Err() == nil {
		r.opts.Log.Error("look for unknown operations", "error", err)
	}
	for _, o := range unknown {
		r.opts.Log.Error("left alone: this version does not know the operation", "operation", o.Name, "action", o.ID)
	}
}

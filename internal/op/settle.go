package op

import (
	"context"
	"slices"
	"time"

	"github.com/cistern-cloud/cistern/internal/store"
)

// Settle waits until nothing runs and nothing is due, which is for when the
// clock is about to be moved on. It goes with Run: what is due, Run carries out.
func (r *Runner[P]) Settle(ctx context.Context) error {
	settled := make(chan struct{})
	r.mu.Lock()
	r.settlers = append(r.settlers, settled)
	r.mu.Unlock()
	r.Notify()
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		r.mu.Lock()
		defer r.mu.Unlock()
		r.settlers = slices.DeleteFunc(r.settlers, func(c chan struct{}) bool { return c == settled })
		return ctx.Err()
	}
}

// settling takes those who wait for Settle, before it is looked whether
// anything is due: what begins after that is not what they wait for.
func (r *Runner[P]) settling() []chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.settlers)
}

// settle tells those who waited before it was looked that nothing was due, and
// before that that nothing ran.
func (r *Runner[P]) settle(waited []chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settlers = slices.DeleteFunc(r.settlers, func(c chan struct{}) bool {
		told := slices.Contains(waited, c)
		if told {
			close(c)
		}
		return told
	})
}

// Running lists the actions that this process works on just now, by ID.
func (r *Runner[P]) Running() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make([]int64, 0, len(r.running))
	for id := range r.running {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// NextTimed returns when the next operation is due that waits for a time, and
// not for the end of another; zero when there is none.
func (r *Runner[P]) NextTimed(ctx context.Context) (at time.Time, err error) {
	err = r.db.Read(ctx, func(tx *store.Tx) (err error) {
		at, err = tx.NextTimed(time.Now(), r.names)
		return err
	})
	return at, err
}

package op

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// When a failing step is given up for good, and its operation undone.
const (
	maxAttempts = 10
	maxFailing  = 15 * time.Minute
	// waitCheck is how often a step that waits for another action looks for
	// itself, should the wake be lost.
	waitCheck = 5 * time.Second
	// outageWait is how long to leave a store alone that cannot be worked with.
	outageWait = time.Second
)

// backoff is how long to wait after the n-th failure in a row: from 100 ms,
// doubled each time, to a minute.
func backoff(n int64) time.Duration {
	return min(100*time.Millisecond<<min(n-1, 10), time.Minute)
}

// Runnable is a plan whose argument type is settled.
type Runnable[P any] interface {
	Outline() Outline
	name() string
	execute(ctx context.Context, x *execution[P]) error
}

func (p *Plan[P, A]) name() string { return p.Name }

// Outline tells what the plan consists of.
func (p *Plan[P, A]) Outline() Outline {
	o := Outline{Name: p.Name}
	for _, s := range p.Steps {
		o.Steps = append(o.Steps, StepOutline{Name: s.Name, Do: s.Do != nil, Save: s.Save != nil, Undo: s.Undo != nil})
	}
	return o
}

// execution is one claimed operation at work in one process.
type execution[P any] struct {
	db        *store.DB
	plane     P
	row       store.Operation
	intercept Intercept
	// stopping reports that the process is about to end: the operation is put
	// down after the step that runs.
	stopping func() bool
	// undoError is why taking it back failed just now.
	undoError string
}

// errLost says that somebody else has taken the operation over.
var errLost = errors.New("the lease is lost")

// execute runs the operation until it ends, waits, fails for now, or is put
// down. What it returns is for the log: the row says how the operation stands.
func (p *Plan[P, A]) execute(ctx context.Context, x *execution[P]) error {
	run := &Run[A]{ID: x.row.ID, Account: x.row.Account, StartedAt: x.row.StartedAt, Err: x.row.Error, commit: x.commit}
	if err := json.Unmarshal([]byte(x.row.Args), &run.Args); err != nil {
		return p.end(ctx, x, run, fmt.Errorf("its stored arguments: %w", err))
	}
	i, err := p.position(x.row.Step)
	if err != nil {
		return p.end(ctx, x, run, err)
	}
	if x.row.Cancelled && !x.row.Undoing && !p.unstoppable {
		x.row.Undoing, x.row.Error, run.Err = true, Cancelled, Cancelled
		i = p.reached(i)
	}
	if x.row.Undoing {
		return p.undo(ctx, x, run, i)
	}
	return p.do(ctx, x, run, i)
}

// ending is stored as the step of an operation that is undone and whose end is
// left to record. No plan may have a step of that name.
const ending = "(end)"

// position finds the step that the stored name means.
func (p *Plan[P, A]) position(step string) (int, error) {
	switch step {
	case "":
		return 0, nil
	case ending:
		return -1, nil
	}
	for i := range p.Steps {
		if p.Steps[i].Name == step {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%s has no step %q", p.Name, step)
}

// reached is the last step that may have begun when the i-th is the last one
// written down: the end of a step without a Save is not.
func (p *Plan[P, A]) reached(i int) int {
	for i < len(p.Steps)-1 && p.Steps[i].Save == nil {
		i++
	}
	return i
}

// do runs the steps from the i-th on.
func (p *Plan[P, A]) do(ctx context.Context, x *execution[P], run *Run[A], i int) error {
	for ; i < len(p.Steps); i++ {
		step := p.Steps[i]
		run.step, x.row.Step, run.result = step.Name, step.Name, nil
		run.LastTry = x.lastTry()
		var err error
		if step.Do != nil {
			err = x.call(step.Name, Do, func() error { return step.Do(x.plane, ctx, run) })
		}
		if err == nil {
			err = p.save(ctx, x, run, i)
		}
		switch {
		case errors.Is(err, errLost) || errors.Is(err, ErrCrash):
			return err
		case p.givenUp(x, err):
			return p.fail(ctx, x, run, i, err)
		case err != nil:
			x.waited(err)
			return x.later(ctx, err)
		}
		x.row.Attempt, x.row.FailingSince, x.row.Error = 0, time.Time{}, ""
		if x.stopping() && i+1 < len(p.Steps) {
			x.row.Step = p.Steps[i+1].Name
			return x.putDown(ctx)
		}
	}
	return nil
}

// save records the end of the i-th step. Where a step has nothing to save and
// is not the last, its end is not written down: should the process die, doing
// the step once more does no harm and is rarer than the write would be.
func (p *Plan[P, A]) save(ctx context.Context, x *execution[P], run *Run[A], i int) error {
	step, last := p.Steps[i], i == len(p.Steps)-1
	if step.Save == nil && !last {
		return nil
	}
	row := x.row
	row.Attempt, row.FailingSince, row.Error, row.RunAt, row.WaitsFor = 0, time.Time{}, "", run.StartedAt, 0
	if !last {
		row.Step = p.Steps[i+1].Name
	}
	return x.call(step.Name, Save, func() error {
		return x.db.Write(ctx, func(tx *store.Tx) error {
			if last {
				if err := fenced(tx.FinishOperation(row, cloud.Completed)); err != nil {
					return err
				}
			} else if err := fenced(tx.SaveOperation(row, true)); err != nil {
				return err
			}
			if step.Save == nil {
				return nil
			}
			return step.Save(x.plane, tx, run)
		})
	})
}

func fenced(held bool, err error) error {
	if err == nil && !held {
		return errLost
	}
	return err
}

// waited notes that a step waits after it had failed. The failures are no longer
// in a row, so their time is forgotten: a copy of an hour bears a hiccup at its
// begin and one at its end. Their number is not, else a step whose work begins
// well and fails later, each time, would go on for ever.
func (x *execution[P]) waited(err error) {
	if IsWaiting(err) {
		x.row.FailingSince = time.Time{}
	}
}

// givenUp decides whether a failed step is worth another try, counting this
// one.
func (p *Plan[P, A]) givenUp(x *execution[P], err error) bool {
	if err == nil || waits(err) {
		return false
	}
	return x.count(err) || IsFinal(err)
}

// waits reports whether what a step returned is no failure of its own. A full
// disk, or a database that is away, is not: however long it takes, operations
// wait for its end and go on.
func waits(err error) bool { return IsWaiting(err) || store.IsOutage(err) }

// lastTry reports whether another failure would be one too many.
func (x *execution[P]) lastTry() bool {
	return x.row.Attempt+1 >= maxAttempts ||
		!x.row.FailingSince.IsZero() && x.now().Sub(x.row.FailingSince) >= maxFailing
}

// count notes one more failure in a row and reports whether there were too
// many, or for too long.
func (x *execution[P]) count(err error) bool {
	last := x.lastTry()
	x.row.Attempt++
	x.row.Error = err.Error()
	if x.row.FailingSince.IsZero() {
		x.row.FailingSince = x.now()
	}
	return last
}

// fail turns the operation round: from here on it is undone.
func (p *Plan[P, A]) fail(ctx context.Context, x *execution[P], run *Run[A], i int, err error) error {
	x.row.Undoing, x.row.Error, run.Err = true, err.Error(), err.Error()
	x.row.Attempt, x.row.FailingSince, x.row.RunAt, x.row.WaitsFor = 0, time.Time{}, x.now(), 0
	if e := x.write(ctx, func(tx *store.Tx) error { return fenced(tx.SaveOperation(x.row, true)) }); e != nil {
		return e
	}
	return p.undo(ctx, x, run, i)
}

// undo takes back the steps from the i-th down and ends the operation as
// errored. What cannot be taken back for good, or after many tries, is left,
// and said.
func (p *Plan[P, A]) undo(ctx context.Context, x *execution[P], run *Run[A], i int) error {
	for ; i >= 0; i-- {
		step := p.Steps[i]
		if step.Undo == nil {
			continue
		}
		run.step, x.row.Step = step.Name, step.Name
		reason := x.row.Error
		err := x.call(step.Name, Undo, func() error { return step.Undo(x.plane, ctx, run) })
		if errors.Is(err, ErrCrash) {
			return err
		}
		// Even a final failure is tried again: what is not taken back is left to nobody, and whoever looks at the
		// hypervisor meanwhile may mend it.
		if err != nil && (waits(err) || !x.count(err)) {
			x.row.Error = reason
			if !IsWaiting(err) {
				x.undoError = err.Error()
			}
			x.waited(err)
			return x.later(ctx, err)
		}
		x.row.Attempt, x.row.FailingSince, x.row.Error = 0, time.Time{}, reason
		if err != nil {
			x.row.Error = fmt.Sprintf("%s (and what was begun could not be taken back: %s)", reason, err)
		}
	}
	return p.end(ctx, x, run, errors.New(x.row.Error))
}

// end records the operation as errored. If what the plan records with that
// fails however often it is tried, the operation ends without: what it holds
// must not stay locked.
func (p *Plan[P, A]) end(ctx context.Context, x *execution[P], run *Run[A], reason error) error {
	x.row.Undoing, x.row.Error, run.Err = true, reason.Error(), reason.Error()
	if p.failed == nil {
		return x.finishErrored(ctx, nil)
	}
	err := x.finishErrored(ctx, func(tx *store.Tx) error {
		return guarded(func() error { return p.failed(x.plane, tx, run) })
	})
	if failure, is := errors.AsType[*endError](err); !is || waits(failure.error) {
		return err
	}
	givenUp := p.givenUp(x, err)
	x.row.Error = reason.Error()
	if givenUp {
		x.row.Error = fmt.Sprintf("%s (and its end could not be recorded: %s)", reason, err)
		return x.finishErrored(ctx, nil)
	}
	x.row.Step, x.undoError = ending, err.Error()
	return x.later(ctx, err)
}

// endError is a failure of what a plan records at its end, and not of the
// operation's own row.
type endError struct{ error }

func (e *endError) Unwrap() error { return e.error }

// finishErrored ends the operation, and records in the same transaction what
// belongs to that.
func (x *execution[P]) finishErrored(ctx context.Context, record func(*store.Tx) error) error {
	return x.write(ctx, func(tx *store.Tx) error {
		if err := fenced(tx.FinishOperation(x.row, cloud.Errored)); err != nil || record == nil {
			return err
		}
		if err := record(tx); err != nil {
			return &endError{err}
		}
		return nil
	})
}

// later puts the operation down until it is due again.
func (x *execution[P]) later(ctx context.Context, err error) error {
	o := outcomeOf(err)
	return x.write(ctx, func(tx *store.Tx) error {
		row := x.row
		row.WaitsFor = 0
		switch {
		case o.waitFor != 0:
			if err := waitFor(tx, &row, o.waitFor); err != nil {
				return err
			}
		case o.after != 0:
			row.RunAt = tx.Now.Add(o.after)
		case store.IsOutage(err):
			row.RunAt = tx.Now.Add(outageWait)
		default:
			row.RunAt = tx.Now.Add(backoff(row.Attempt))
		}
		if x.undoError != "" {
			if err := tx.SetUndoError(row.ID, row.Lease, x.undoError); err != nil {
				return err
			}
		}
		return fenced(tx.SaveOperation(row, false))
	})
}

// waitFor makes an operation due when another ends, or at once if it has.
func waitFor(tx *store.Tx, row *store.Operation, action int64) error {
	other, err := tx.WaitedFor(action)
	if err != nil && !cloud.IsNotFound(err) {
		return err
	}
	row.RunAt = tx.Now
	if other.Status == cloud.InProgress {
		row.WaitsFor, row.RunAt = action, tx.Now.Add(waitCheck)
	}
	return nil
}

// putDown leaves the operation for the next process.
func (x *execution[P]) putDown(ctx context.Context) error {
	return x.write(ctx, func(tx *store.Tx) error {
		row := x.row
		row.RunAt, row.WaitsFor = tx.Now, 0
		return fenced(tx.SaveOperation(row, false))
	})
}

// commit records progress within a step, if the lease still holds.
func (x *execution[P]) commit(ctx context.Context, fn func(*store.Tx) error) error {
	return x.write(ctx, func(tx *store.Tx) error {
		if err := fenced(tx.SaveOperation(x.row, true)); err != nil {
			return err
		}
		return fn(tx)
	})
}

func (x *execution[P]) write(ctx context.Context, fn func(*store.Tx) error) error {
	return x.db.Write(context.WithoutCancel(ctx), fn)
}

func (x *execution[P]) now() time.Time { return x.db.Now() }

// call runs one phase of a step.
func (x *execution[P]) call(step string, phase Phase, f func() error) error {
	return guarded(func() error {
		if x.intercept == nil {
			return f()
		}
		return x.intercept(x.row.Name, step, phase, f)
	})
}

// guarded makes a panic a failure like another.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

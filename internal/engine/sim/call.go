package sim

import (
	"context"
	"errors"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// call is one call of the engine, ready to be carried out.
type call struct {
	work      engine.Work
	operation string
	account   int64
	takes     time.Duration
	// names is what a fault may name to strike this call.
	names []string
	// more finds names that only the world knows; nil when there are none.
	more func(*database.Tx) ([]string, error)
	// makes is what the call brings into being, if it does.
	makes thing
	// apply changes the world. It checks before it writes: what it refuses with
	// an engine.Error is committed along with the attempt.
	apply func(*database.Tx) (engine.Progress, error)
}

// thing is a row of the world.
type thing struct{ table, id string }

// call makes a call about refs. The first of them is what is acted upon, and
// its account the one whose faults strike.
func (e *Engine) call(w engine.Work, operation string, refs ...engine.Ref) call {
	c := call{work: w, operation: operation, account: refs[0].Account, takes: e.latency.of(operation)}
	for _, ref := range refs {
		c.names = append(c.names, ref.ID, ref.Name)
	}
	return c
}

// key is the key of the work itself, which differs from that of the work that
// it may take back.
func (c call) key() string {
	if c.work.Undo {
		return c.work.Key + "/undo"
	}
	return c.work.Key
}

// do carries out a call. Work that takes time is mostly asked for while it
// waits, and to answer that nothing needs to be written.
func (e *Engine) do(ctx context.Context, c call) (engine.Progress, error) {
	if c.work.Key == "" {
		return engine.Progress{}, refuse("%s: the work has no key", c.operation)
	}
	now := e.now()
	if c.takes > 0 {
		if p, err := e.peek(ctx, c, now); err != nil || p.After > 0 {
			return p, err
		}
	}
	return e.write(ctx, c, now)
}

// peek answers for work that is known, waits, and has no fault to meet. For
// any other it answers nothing.
func (e *Engine) peek(ctx context.Context, c call, now time.Time) (p engine.Progress, err error) {
	err = e.db.Peek(ctx, func(t *database.Tx) error {
		w, err := known(t, c)
		if errors.Is(err, database.ErrNoRows) {
			return nil
		}
		if err == nil && !w.done && !w.undone && w.faults == 0 && now.Before(w.due) {
			p = w.pending(now)
		}
		return err
	})
	return p, err
}

// write takes the work further in one transaction. A refusal is part of what
// it records, so it is committed and returned beside it; any other error takes
// everything back.
func (e *Engine) write(ctx context.Context, c call, now time.Time) (p engine.Progress, err error) {
	var refusal error
	err = e.db.Write(ctx, func(t *database.Tx) (err error) {
		p, err = attempt(t, c, now)
		refusal = nil
		if _, ok := errors.AsType[*engine.Error](err); ok {
			refusal, err = err, nil
		}
		return err
	})
	if err != nil {
		return engine.Progress{}, err
	}
	return p, refusal
}

// attempt takes one piece of work as far as it goes at this time.
func attempt(t *database.Tx, c call, now time.Time) (engine.Progress, error) {
	w, err := take(t, c, now)
	if err != nil {
		return engine.Progress{}, err
	}
	if w.undone {
		return engine.Progress{}, engine.ErrUndone
	}
	if w.done {
		return w.progress(), nil
	}
	failure, err := w.wait(t, c, now)
	if err != nil {
		return engine.Progress{}, err
	}
	if now.Before(w.due) {
		return w.pending(now), w.saveDelay(t)
	}
	if failure != nil {
		return engine.Progress{}, w.fail(t, failure)
	}
	return w.finish(t, c)
}

// wait meets the faults that match and returns the error of the one that makes
// the work fail, if it is due. Most calls neither wait nor meet a fault.
func (w *work) wait(t *database.Tx, c call, now time.Time) (failure, err error) {
	if w.faults == 0 && !now.Before(w.due) {
		return nil, nil
	}
	// What was destroyed is refused at once: nobody waits to hear it.
	if err := c.refuseGone(t); err != nil {
		return nil, w.fail(t, err)
	}
	if w.faults == 0 {
		return nil, nil
	}
	return w.meetFaults(t, c, now)
}

// finish applies the work's effect and records that it is done, or why not.
func (w *work) finish(t *database.Tx, c call) (engine.Progress, error) {
	p, err := c.apply(t)
	if err != nil {
		return engine.Progress{}, w.fail(t, err)
	}
	w.done, w.failure = true, ""
	w.size, w.host = p.SizeGigabytes, p.Host
	w.settle()
	return w.progress(), w.save(t)
}

// fail returns the failure, having recorded it if it is the hypervisor's own.
// Another attempt may still come and succeed.
func (w *work) fail(t *database.Tx, failure error) error {
	if _, ok := errors.AsType[*engine.Error](failure); !ok {
		return failure
	}
	w.failure = failure.Error()
	w.settle()
	if err := w.save(t); err != nil {
		return err
	}
	return failure
}

func (c call) refuseGone(t *database.Tx) error {
	if c.makes.id == "" {
		return nil
	}
	_, err := c.makes.exists(t)
	return err
}

// exists reports whether a thing is there, or fails with ErrGone when it was.
func (x thing) exists(t *database.Tx) (bool, error) {
	destroyed, err := database.One(t, database.Value[bool],
		"SELECT destroyed FROM "+x.table+" WHERE id = $1", x.id)
	if errors.Is(err, database.ErrNoRows) {
		return false, nil
	}
	if err == nil && destroyed {
		err = engine.ErrGone
	}
	return err == nil, err
}

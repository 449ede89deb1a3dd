package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// Every call of the engine runs as a job: an ordinary function that blocks as
// long as it must. Whoever asks waits for it a moment and is else told to ask
// again, so that calls answer within a second however long the job takes. What
// a job changes is committed together with the fact that it is done. A job that
// is cut off, by a crash or because its work is taken back, has changed nothing
// in the records; it can be run again over whatever it left of files.

const (
	// answerWithin is how long a call waits for its job.
	answerWithin = 600 * time.Millisecond
	// askAgain is how long after a pending answer the next call may come.
	askAgain = 50 * time.Millisecond
	// remembered is how long finished work keeps its answer.
	remembered = 24 * time.Hour
)

// call is one call of the engine, ready to be carried out.
type call struct {
	work engine.Work
	// locks are held for as long as the job runs.
	locks []string
	// makes is what the call brings into being, if it does: once that was
	// destroyed the call fails with ErrGone.
	makes kind
	id    string
	run   func(ctx context.Context, j *job) (effect, error)
}

// effect is what a job has come to: what to record, and what to answer.
type effect struct {
	record   func(*database.Tx) error
	progress engine.Progress
}

// job is a call that runs.
type job struct {
	cancel  context.CancelFunc
	ended   chan struct{}
	percent atomic.Int32
	atEnd   []func() // run when its effect was recorded, or it has failed

	// Valid once ended is closed.
	progress engine.Progress
	err      error
}

func key(w engine.Work) string {
	if w.Undo {
		return w.Key + "/undo"
	}
	return w.Key
}

// do begins or resumes a call's job, and answers how far it is.
func (e *Engine) do(ctx context.Context, c call) (engine.Progress, error) {
	if c.work.Key == "" {
		return engine.Progress{}, refuse("the work has no key")
	}
	if c.work.Undo {
		if err := e.takeBack(ctx, c.work.Key); err != nil {
			return engine.Progress{}, err
		}
	}
	if p, err := e.settled(ctx, key(c.work)); err != nil || p.Done {
		return p, err
	}
	j, err := e.begin(c)
	if err != nil {
		return engine.Progress{}, err
	}
	patience := time.NewTimer(answerWithin)
	defer patience.Stop()
	select {
	case <-j.ended:
		e.collect(key(c.work), j)
		return j.progress, j.err
	case <-patience.C:
		return engine.Progress{Percent: int(j.percent.Load()), After: askAgain}, nil
	case <-ctx.Done():
		return engine.Progress{}, ctx.Err()
	}
}

// begin finds the job of a call, or starts it.
func (e *Engine) begin(c call) (*job, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if j := e.jobs[key(c.work)]; j != nil {
		return j, nil
	}
	if e.closed {
		return nil, errClosed
	}
	ctx, cancel := context.WithCancel(e.life)
	j := &job{cancel: cancel, ended: make(chan struct{})}
	var before *job // what is taken back, if this takes something back
	if c.work.Undo {
		before = e.jobs[c.work.Key]
	}
	e.jobs[key(c.work)] = j
	e.running.Go(func() {
		defer cancel()
		if before != nil {
			before.cancel()
			<-before.ended
			e.collect(c.work.Key, before)
		}
		j.progress, j.err = e.carryOut(ctx, c, j)
		close(j.ended)
		if j.err == nil {
			e.collect(key(c.work), j) // the record has the answer
		}
	})
	return j, nil
}

// collect forgets a job that has ended. A failure is kept until somebody has
// heard it.
func (e *Engine) collect(key string, j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.jobs[key] == j {
		delete(e.jobs, key)
	}
}

// carryOut runs a job and records what it came to.
func (e *Engine) carryOut(ctx context.Context, c call, j *job) (engine.Progress, error) {
	unlock, err := e.locks.take(ctx, c.locks)
	if err != nil {
		return engine.Progress{}, err
	}
	defer unlock()
	defer func() {
		for _, f := range j.atEnd {
			f()
		}
	}()
	// Others may have done it, or taken it back, while this waited.
	if p, err := e.settled(ctx, key(c.work)); err != nil || p.Done {
		return p, err
	}
	if c.makes != "" {
		if _, err := e.isThere(ctx, c.makes, c.id); err != nil {
			return engine.Progress{}, err
		}
	}
	done, err := c.run(ctx, j)
	if err != nil {
		return engine.Progress{}, err
	}
	done.progress.Done, done.progress.Percent = true, 100
	return done.progress, e.settle(ctx, c, done)
}

// settle records a job's effect and that it is done, unless it was taken back.
func (e *Engine) settle(ctx context.Context, c call, done effect) error {
	text, err := json.Marshal(done.progress)
	if err != nil {
		return err
	}
	return e.db.Write(context.WithoutCancel(ctx), func(t *database.Tx) error {
		if done.record != nil {
			if err := done.record(t); err != nil {
				return err
			}
		}
		n, err := t.Exec(`INSERT INTO work (key, undone, done, progress, settled_at) VALUES ($1, FALSE, TRUE, $2, $3)
			ON CONFLICT (key) DO UPDATE SET done = TRUE, progress = $2, settled_at = $3 WHERE NOT work.undone`,
			key(c.work), string(text), time.Now().UnixMicro())
		if err == nil && n == 0 {
			err = engine.ErrUndone
		}
		return err
	})
}

// settled is what is known of a key: done, taken back, or nothing.
func (e *Engine) settled(ctx context.Context, key string) (p engine.Progress, err error) {
	var text string
	var undone bool
	err = e.db.Peek(ctx, func(t *database.Tx) error {
		_, err := database.One(t, func(row database.Scanner) (struct{}, error) {
			return struct{}{}, row.Scan(&undone, &text)
		}, "SELECT undone, progress FROM work WHERE key = $1", key)
		if errors.Is(err, database.ErrNoRows) {
			return nil
		}
		return err
	})
	switch {
	case err != nil || text == "" && !undone:
		return engine.Progress{}, err
	case undone:
		return engine.Progress{}, engine.ErrUndone
	}
	return p, json.Unmarshal([]byte(text), &p)
}

// takeBack marks a key as undone, whether it was ever asked for or not.
func (e *Engine) takeBack(ctx context.Context, key string) error {
	return e.db.Write(ctx, func(t *database.Tx) error {
		_, err := t.Exec(`INSERT INTO work (key, undone, done, progress, settled_at) VALUES ($1, TRUE, FALSE, '', $2)
			ON CONFLICT (key) DO UPDATE SET undone = TRUE WHERE NOT work.undone`, key, time.Now().UnixMicro())
		return err
	})
}

// Prune forgets work that was settled more than a day ago.
func (e *Engine) Prune(ctx context.Context) error {
	before := time.Now().Add(-remembered).UnixMicro()
	var old bool
	err := e.db.Read(ctx, func(t *database.Tx) (err error) {
		old, err = database.One(t, database.Value[bool], "SELECT EXISTS (SELECT 1 FROM work WHERE settled_at < $1)", before)
		return err
	})
	if err != nil || !old {
		return err
	}
	return e.db.Write(ctx, func(t *database.Tx) error {
		_, err := t.Exec("DELETE FROM work WHERE settled_at < $1", before)
		return err
	})
}

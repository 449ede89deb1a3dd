// Package op runs durable operations: what a request starts and a person waits
// for, kept in the store so that it goes on after a crash from where it was.
//
// An operation is declared as a plan of steps, with what undoes each beside
// what does it. Steps act on the world outside the database, so each may run
// more than once and must bear it. What a step changes in the database is in
// its Save, which commits together with the step's end.
package op

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Step is one part of a plan. P is what steps work on, A what the operation
// was started with.
type Step[P, A any] struct {
	// Name is stored as progress: it stays the same when the code changes.
	Name string
	// Do, which may be nil, does the step's work and says by what it returns what happens next:
	// nil is done; Again and WaitFor call it later; Final fails the operation;
	// any other error is tried again, until that is given up.
	Do func(P, context.Context, *Run[A]) error
	// Save records what Do did, in the transaction that ends the step. It may
	// be nil, and may return what Do may.
	Save func(P, *store.Tx, *Run[A]) error
	// Undo takes back what Do did or began, after it or a later step failed.
	// It returns what Do may; failures are tried again.
	Undo func(P, context.Context, *Run[A]) error
}

// Plan is a kind of operation.
type Plan[P, A any] struct {
	Name        string
	Steps       []Step[P, A]
	failed      func(P, *store.Tx, *Run[A]) error
	unstoppable bool
}

// Define declares a plan. Its name is stored with each operation and must stay
// the same.
func Define[P, A any](name string, steps ...Step[P, A]) *Plan[P, A] {
	return &Plan[P, A]{Name: name, Steps: steps}
}

// Failed sets what is recorded in the transaction in which the operation ends
// as errored. It may run for an operation that never began a step.
func (p *Plan[P, A]) Failed(f func(P, *store.Tx, *Run[A]) error) *Plan[P, A] {
	p.failed = f
	return p
}

// Unstoppable lets the plan go on to its end when it is asked to stop: what it
// has begun cannot be taken back, or somebody waits for it.
func (p *Plan[P, A]) Unstoppable() *Plan[P, A] {
	p.unstoppable = true
	return p
}

// Cancelled is the error of an operation that was asked to stop.
const Cancelled = "cancelled"

// Run is one operation at work.
type Run[A any] struct {
	ID        int64
	Account   int64
	Args      A
	StartedAt time.Time
	// Err is why it failed, while it is undone.
	Err string
	// LastTry says that one more failure of this step ends the operation.
	LastTry bool

	step   string
	result any
	commit func(context.Context, func(*store.Tx) error) error
}

// Key names a piece of the present step's work for the engine: the same each
// time the step runs. The parts tell several pieces of one step apart.
func (r *Run[A]) Key(parts ...string) string {
	key := fmt.Sprintf("%d/%s", r.ID, r.step)
	for _, part := range parts {
		key += "/" + part
	}
	return key
}

// Commit records progress in the middle of a step, which may come this far
// more than once. It fails when somebody else has taken the operation over.
func (r *Run[A]) Commit(ctx context.Context, fn func(*store.Tx) error) error {
	return r.commit(ctx, fn)
}

// Keep hands a value from a step's Do to its Save.
func (r *Run[A]) Keep(v any) { r.result = v }

// Kept returns what Do handed over.
func (r *Run[A]) Kept() any { return r.result }

// New describes an operation to begin.
type New struct {
	ID      int64 // from store.ActionIDs
	Account int64
	Type    cloud.ActionType // ActionNone shows it nowhere in the API
	About   cloud.Ref
	Region  string
	// Holds is what it has for itself until it ends.
	Holds []cloud.Ref
}

// Begin queues an operation in a transaction and takes what it holds. It fails
// with cloud.Pending while something else holds any of that. Whoever runs the
// plans is told after the commit.
func (p *Plan[P, A]) Begin(tx *store.Tx, notify func(), n New, args A) (cloud.Action, error) {
	text, err := json.Marshal(args)
	if err != nil {
		return cloud.Action{}, err
	}
	action := cloud.Action{
		ID: n.ID, Account: n.Account, Type: n.Type, Status: cloud.InProgress,
		ResourceType: n.About.Kind, ResourceID: n.About.ID, Region: n.Region, StartedAt: tx.Now,
	}
	if err := tx.AddOperation(store.Operation{Action: action, Name: p.Name, Args: string(text)}); err != nil {
		return cloud.Action{}, err
	}
	for _, hold := range n.Holds {
		free, err := tx.Hold(hold, n.ID)
		if err != nil {
			return cloud.Action{}, err
		}
		if !free {
			return cloud.Action{}, cloud.Pending()
		}
	}
	tx.OnCommit(notify)
	return action, nil
}

// outcome is what a step may return beside success and plain errors.
type outcome struct {
	after   time.Duration // call again after that
	waitFor int64         // call again when that action ends
	final   error         // give up
}

func (o *outcome) Error() string {
	switch {
	case o.final != nil:
		return o.final.Error()
	case o.waitFor != 0:
		return fmt.Sprintf("waits for action %d", o.waitFor)
	default:
		return fmt.Sprintf("goes on in %s", o.after)
	}
}

func (o *outcome) Unwrap() error { return o.final }

// Again says that the step is not done and is to be called again after d.
func Again(d time.Duration) error { return &outcome{after: max(d, time.Millisecond)} }

// WaitFor says that the step is to be called again when another action ends.
func WaitFor(action int64) error { return &outcome{waitFor: action} }

// Final says that the operation has failed and trying again is pointless.
func Final(err error) error { return &outcome{final: err} }

func outcomeOf(err error) *outcome {
	if o, ok := errors.AsType[*outcome](err); ok {
		return o
	}
	return &outcome{}
}

// IsFinal reports whether err was made by Final.
func IsFinal(err error) bool { return outcomeOf(err).final != nil }

// IsWaiting reports whether err says that a step goes on later.
func IsWaiting(err error) bool {
	o := outcomeOf(err)
	return o.after != 0 || o.waitFor != 0
}

package control

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

const (
	// maxAdvance is how far the clock is moved at most by one request.
	maxAdvance = 366 * 24 * time.Hour
	// settleLimit is how long, in real time, what is due at one moment may take.
	settleLimit = time.Minute
)

// clockEnds is how far the clock is moved at all.
var clockEnds = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// walk moves a clock on in steps, so that everything happens in its turn as it
// would if the time really passed. Only the waiting is left out.
type walk struct {
	one    sync.Mutex // at a time
	settle time.Duration
}

// Clock is the cloud's time and how far it is ahead of the real one.
func (p *Plane) Clock(ctx context.Context, who cloud.Actor) (now time.Time, ahead time.Duration, err error) {
	if err := p.mayMoveClock(ctx, who); err != nil {
		return now, 0, err
	}
	return p.store.Now(), p.clock.Ahead(), nil
}

// mayMoveClock refuses where time is real, and accounts other than the first:
// everybody's time is the same.
func (p *Plane) mayMoveClock(ctx context.Context, who cloud.Actor) error {
	if p.clock == nil {
		return cloud.NotFound()
	}
	first, _, err := Accounts{Store: p.store}.First(ctx)
	if err == nil && who.Account != first.ID {
		err = cloud.Forbidden("The clock is everybody's; only the first account may see and move it.")
	}
	return err
}

// AdvanceClock moves the cloud's clock on, and returns when all that fell due
// on the way has been done. If something does not come to its end, or ctx ends,
// the clock stays at that moment.
func (p *Plane) AdvanceClock(ctx context.Context, who cloud.Actor, by time.Duration) error {
	if err := p.mayMoveClock(ctx, who); err != nil {
		return err
	}
	to := p.store.Now().Add(by)
	switch {
	case by < 0:
		return cloud.Invalid("the clock cannot go back; advance it by a duration such as 8d, 36h or 90m")
	case by > maxAdvance:
		return cloud.Invalid("the clock is advanced by 366d at most at a time")
	case to.After(clockEnds):
		return cloud.Invalid("the clock does not go beyond %s", cloud.FormatTime(clockEnds))
	}
	if !p.walk.one.TryLock() {
		return cloud.Conflict("The clock is being advanced already. Ask again when that has ended.")
	}
	defer p.walk.one.Unlock()
	defer func() { // their timers were set by the time that was
		for _, r := range p.reconcilers {
			r.Wake()
		}
	}()
	// Into the audit trail before anything moves. What is done on the way is not
	// the request's own doing.
	if err := p.store.Write(ctx, func(*store.Tx) error { return nil }); err != nil {
		return err
	}
	apart, end := context.WithCancel(context.Background())
	defer context.AfterFunc(ctx, end)()
	defer end()
	return p.walkTo(apart, to)
}

// walkTo goes from one moment at which something is due to the next.
func (p *Plane) walkTo(ctx context.Context, to time.Time) error {
	for {
		if err := p.settle(ctx); err != nil {
			return p.stopped(err)
		}
		now := p.store.Now()
		if !now.Before(to) {
			return nil
		}
		next, err := p.nextDue(ctx)
		if err != nil {
			return p.stopped(err)
		}
		if next.IsZero() || next.After(to) {
			next = to
		}
		if err := p.clock.MoveTo(ctx, next); err != nil {
			return p.stopped(err)
		}
	}
}

// settle waits until all that is due now is done.
func (p *Plane) settle(ctx context.Context) error {
	ctx, done := context.WithTimeout(ctx, p.walk.settle)
	defer done()
	for {
		if err := p.runner.Settle(ctx); err != nil {
			return err
		}
		passed, err := p.passDue(ctx)
		if err != nil || !passed {
			return err
		}
	}
}

// passDue makes the passes of the reconcilers that have something to do now,
// and reports whether there were any.
func (p *Plane) passDue(ctx context.Context) (passed bool, err error) {
	for _, r := range p.reconcilers {
		at, err := r.nextDue(ctx)
		if err != nil {
			return passed, err
		}
		if at.IsZero() || at.After(p.store.Now()) {
			continue
		}
		if err := r.passOnce(ctx); err != nil {
			return passed, fmt.Errorf("%s: %w", r.name, err)
		}
		passed = true
	}
	return passed, nil
}

// nextDue is when something is due next, of operations and reconcilers; zero
// when nothing is.
func (p *Plane) nextDue(ctx context.Context) (time.Time, error) {
	next, err := p.runner.NextTimed(ctx)
	for _, r := range p.reconcilers {
		at, e := r.nextDue(ctx)
		err = errors.Join(err, e)
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next, err
}

// stopped says why the clock has not come to where it was sent.
func (p *Plane) stopped(err error) error {
	now := cloud.FormatTime(p.store.Now())
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return cloud.Errorf(cloud.CodeUnavailable,
			"The clock stands at %s: what was due then has not ended within %s of real time (%s). Advance it again to go on from there.",
			now, p.walk.settle, running(p.runner))
	case errors.Is(err, context.Canceled):
		return cloud.Errorf(cloud.CodeUnavailable, "The clock stands at %s: nobody waits any more for what it was advanced for.", now)
	}
	return err
}

// running names the actions that are at work.
func running(r *op.Runner[*Plane]) string {
	if ids := r.Running(); len(ids) > 0 {
		return fmt.Sprintf("actions at work: %v", ids)
	}
	return "no action is at work"
}

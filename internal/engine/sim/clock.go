package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// MovableClock is a clock that runs with another and can be moved ahead of it.
// How far is kept in the database, so that time does not go back at a restart.
type MovableClock struct {
	real func() time.Time

	mu    sync.RWMutex
	ahead time.Duration
	db    *database.DB
}

var _ engine.Timekeeper = (*MovableClock)(nil)

// NewMovableClock makes a clock that is not ahead yet. A database can be opened
// with it, and then has to tell it with Restore how far it was ahead.
func NewMovableClock(real func() time.Time) *MovableClock { return &MovableClock{real: real} }

// Now is the clock's time.
func (c *MovableClock) Now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.real().Add(c.ahead).UTC()
}

// Ahead is how far the clock is ahead of the one that it runs with.
func (c *MovableClock) Ahead() time.Duration {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.ahead
}

// Restore moves the clock to where the database has it, and keeps it there from
// now on. The world's schema has to be up to date.
func (c *MovableClock) Restore(ctx context.Context, db *database.DB) error {
	var micros int64
	err := db.Read(ctx, func(t *database.Tx) (err error) {
		micros, err = database.One(t, database.Value[int64], "SELECT ahead FROM sim_clock WHERE id = 1")
		if errors.Is(err, database.ErrNoRows) {
			micros, err = 0, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead, c.db = time.Duration(micros)*time.Microsecond, db
	return nil
}

// MoveTo moves the clock on to a time. It is written down first: nothing may
// carry a time that would come again after a crash.
func (c *MovableClock) MoveTo(ctx context.Context, at time.Time) error {
	by := at.Sub(c.Now())
	if by <= 0 {
		return nil
	}
	// Durations wrap around, and time would go back.
	if c.Ahead() > math.MaxInt64-time.Microsecond-by {
		return fmt.Errorf("the clock cannot be moved as far as %s", at)
	}
	// Whole microseconds are kept, and it must not stop short.
	ahead := (c.Ahead() + by + time.Microsecond - 1).Truncate(time.Microsecond)
	err := c.db.Write(ctx, func(t *database.Tx) error {
		_, err := t.Exec(`INSERT INTO sim_clock (id, ahead) VALUES (1, $1)
			ON CONFLICT (id) DO UPDATE SET ahead = excluded.ahead`, ahead.Microseconds())
		return err
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = ahead
	return nil
}

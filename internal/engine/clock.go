package engine

import (
	"context"
	"time"
)

// Timekeeper is a cloud's clock that can be moved on. Only simulations have
// one: real machines keep real time.
type Timekeeper interface {
	// Now is the time, and Ahead how far it is ahead of the real one.
	Now() time.Time
	Ahead() time.Duration
	// MoveTo moves the clock on, and keeps that. A time that has passed changes
	// nothing.
	MoveTo(ctx context.Context, at time.Time) error
}

package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
)

// realEngine is the simulated engine with what only real machines have: bounds,
// and machines that stop by themselves.
type realEngine struct {
	*sim.Engine
	capacity engine.Capacity
	changed  chan string
}

func (e *realEngine) Capacity(context.Context) (engine.Capacity, error) { return e.capacity, nil }

func (e *realEngine) Watch(ctx context.Context, changed func(string)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case id := <-e.changed:
			changed(id)
		}
	}
}

// useRealEngine starts the cloud anew with an engine that holds only so much.
func (c *testCloud) useRealEngine(capacity engine.Capacity) *realEngine {
	c.Helper()
	e := &realEngine{capacity: capacity, changed: make(chan string)}
	c.configure = func(config *Config) {
		e.Engine = c.engine
		config.Engine = e
	}
	c.restart()
	return e
}

// by acts as another account.
func (c *testCloud) by(who cloud.Actor) *testCloud {
	other := *c
	other.who = who
	return &other
}

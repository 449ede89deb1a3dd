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
	// images are the slugs that machines were made from.
	images []string
	// looked is called when a machine's state was read; nil calls nothing.
	looked func()
}

func (e *realEngine) Machine(ctx context.Context, id string) (engine.MachineState, error) {
	state, err := e.Engine.Machine(ctx, id)
	if looked := e.looked; looked != nil {
		looked()
	}
	return state, err
}

func (e *realEngine) CreateMachine(ctx context.Context, w engine.Work, m engine.Machine) (engine.Progress, error) {
	e.images = append(e.images, m.Image.Slug)
	return e.Engine.CreateMachine(ctx, w, m)
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
	before := c.configure
	c.configure = func(config *Config) {
		if before != nil {
			before(config)
		}
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

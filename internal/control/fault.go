package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// injector is the engine's side that can be made to fail. Real hypervisors have
// none.
func (p *Plane) injector() (engine.FaultInjector, error) {
	injector, ok := p.engine.(engine.FaultInjector)
	if !ok {
		return nil, cloud.Errorf(cloud.CodeNotImplemented, "Faults can be injected with the sim engine only; this server runs %s.", p.engine.Name())
	}
	return injector, nil
}

// AddFault makes engine calls on the account's own resources fail or wait.
func (p *Plane) AddFault(ctx context.Context, who cloud.Actor, f engine.Fault) (engine.Fault, error) {
	injector, err := p.injector()
	if err != nil {
		return f, err
	}
	f.Account = who.Account
	f, err = injector.AddFault(ctx, f)
	if engine.IsFinal(err) {
		return f, cloud.Invalid("%s", err.Error())
	}
	return f, err
}

// Faults lists the account's faults.
func (p *Plane) Faults(ctx context.Context, who cloud.Actor) ([]engine.Fault, error) {
	injector, err := p.injector()
	if err != nil {
		return nil, err
	}
	return injector.Faults(ctx, who.Account)
}

// RemoveFaults removes one fault, or all when id is 0.
func (p *Plane) RemoveFaults(ctx context.Context, who cloud.Actor, id int64) error {
	injector, err := p.injector()
	if err != nil {
		return err
	}
	err = injector.RemoveFault(ctx, who.Account, id)
	if engine.IsFinal(err) {
		return cloud.NotFound()
	}
	return err
}

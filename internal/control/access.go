package control

import (
	"context"
	"errors"
	"io"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// secretScope is what a token needs for what lets its owner into a Droplet: the
// root password, and the console, where a new password is shown. It is the
// scope that resetting the password needs.
const secretScope cloud.Scope = "droplet:admin"

// DropletAccess is how people reach a Droplet.
type DropletAccess struct {
	// Address and Port are where its ssh is; empty while it is nowhere.
	Address string
	Port    int
	User    string
	// Password is told once, to those who may know it.
	Password string
	// On says that there is a console and a screen.
	On bool
}

// reachable finds an account's Droplet and the engine's side that reaches its
// machine. Simulated machines have none.
func (p *Plane) reachable(ctx context.Context, who cloud.Actor, droplet int64) (engine.Accessor, cloud.Droplet, error) {
	d, err := p.Droplet(ctx, who, droplet)
	if err != nil {
		return nil, d, err
	}
	accessor, ok := p.engine.(engine.Accessor)
	if !ok {
		err = cloud.Errorf(cloud.CodeNotImplemented, "This server runs the engine %s, whose machines cannot be reached.", p.engine.Name())
	}
	return accessor, d, err
}

// Access tells how a Droplet is reached. Only with secret is its password told,
// if there is one that was not told before.
func (p *Plane) Access(ctx context.Context, who cloud.Actor, droplet int64, secret bool) (a DropletAccess, err error) {
	accessor, d, err := p.reachable(ctx, who, droplet)
	if err != nil {
		return a, err
	}
	a.User = "root"
	id := cloud.FormatID(d.ID)
	state, err := p.engine.Machine(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return a, nil // not made yet
	}
	if err != nil {
		return a, err
	}
	a.On = state.Running
	at, err := accessor.Access(ctx, id)
	if err != nil {
		return a, explainEngine(err)
	}
	a.Address, a.Port = at.Address, at.Port
	if secret && who.Scopes.Has(secretScope) {
		a.Password, err = accessor.TellPassword(ctx, id)
	}
	return a, explainEngine(err)
}

// Console joins a Droplet's serial console, until it is closed.
func (p *Plane) Console(ctx context.Context, who cloud.Actor, droplet int64) (console io.ReadWriteCloser, err error) {
	accessor, d, err := p.onScreen(ctx, who, droplet)
	if err != nil {
		return nil, err
	}
	console, err = accessor.Console(ctx, cloud.FormatID(d.ID))
	return console, explainEngine(err)
}

// Screenshot is what a Droplet's screen shows, as a PNG.
func (p *Plane) Screenshot(ctx context.Context, who cloud.Actor, droplet int64) (png []byte, err error) {
	accessor, d, err := p.onScreen(ctx, who, droplet)
	if err != nil {
		return nil, err
	}
	png, err = accessor.Screenshot(ctx, cloud.FormatID(d.ID))
	return png, explainEngine(err)
}

// onScreen finds a Droplet that is on: only then are there a console and a
// screen.
func (p *Plane) onScreen(ctx context.Context, who cloud.Actor, droplet int64) (engine.Accessor, cloud.Droplet, error) {
	accessor, d, err := p.reachable(ctx, who, droplet)
	if err != nil {
		return nil, d, err
	}
	state, err := p.engine.Machine(ctx, cloud.FormatID(d.ID))
	switch {
	case err != nil && !errors.Is(err, engine.ErrNotFound):
		return nil, d, err
	case state.Running:
		return accessor, d, nil
	case d.Status == cloud.DropletNew:
		return nil, d, cloud.Invalid("The Droplet is still being created.")
	}
	return nil, d, cloud.Invalid("Droplet is currently off. Please power it on to run this event.")
}

// explainEngine shows what the engine explains. What it does not is not the
// caller's to read.
func explainEngine(err error) error {
	e, is := errors.AsType[*engine.Error](err)
	switch {
	case !is:
		return err
	case e.Transient:
		return cloud.Errorf(cloud.CodeUnavailable, "%s", e.Message)
	}
	return cloud.Invalid("%s", e.Message)
}

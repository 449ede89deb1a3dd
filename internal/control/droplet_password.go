package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// The new password counts from the start that follows it, so a Droplet that is
// on restarts, and one that is off is started.
var dropletPasswordReset = op.Define("droplet.password_reset",
	op.Step[*Plane, passwordArgs]{Name: "password", Do: (*Plane).resetPassword},
	op.Step[*Plane, passwordArgs]{Name: "restart", Do: (*Plane).restartWithPassword, Save: (*Plane).saveRestarted},
)

type passwordArgs struct {
	Droplet int64 `json:"droplet"`
	On      bool  `json:"on"` // whether the Droplet was
}

func beginPasswordReset(b dropletBeginning) (cloud.Action, error) {
	return begin(b.tx, b.Plane, dropletPasswordReset, b.new, passwordArgs{
		Droplet: b.droplet.ID, On: b.droplet.Status == cloud.DropletActive,
	})
}

func (p *Plane) resetPassword(ctx context.Context, run *op.Run[passwordArgs]) error {
	d, err := p.readDroplet(ctx, run.Account, run.Args.Droplet)
	if err != nil {
		return err
	}
	return work(p.engine.ResetPassword(ctx, do(run), machineRef(d)))
}

func (p *Plane) restartWithPassword(ctx context.Context, run *op.Run[passwordArgs]) error {
	d, err := p.readDroplet(ctx, run.Account, run.Args.Droplet)
	if err != nil {
		return err
	}
	return work(p.restart(ctx, do(run), machineRef(d), run.Args.On))
}

// restart starts a machine, anew if it was on.
func (p *Plane) restart(ctx context.Context, w engine.Work, m engine.Ref, on bool) (engine.Progress, error) {
	if on {
		return p.engine.ResetMachine(ctx, w, m, false)
	}
	return p.engine.StartMachine(ctx, w, m)
}

func (p *Plane) saveRestarted(tx *store.Tx, run *op.Run[passwordArgs]) error {
	return tx.SetDropletStatus(run.Args.Droplet, cloud.DropletActive)
}

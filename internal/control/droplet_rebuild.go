package control

import (
	"context"
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// A rebuild and a restore replace the disk and nothing else: the Droplet keeps
// its ID, name and addresses, and runs at the end. A failure puts the former
// disk back and leaves the Droplet on or off as it was.
var (
	dropletRebuild = op.Define("droplet.rebuild", replaceSteps...)
	dropletRestore = op.Define("droplet.restore", replaceSteps...)
)

var replaceSteps = []op.Step[*Plane, replaceArgs]{
	{Name: "stop", Do: (*Plane).stopForReplace, Undo: (*Plane).startAgain},
	{Name: "replace", Do: (*Plane).replaceDisk, Undo: (*Plane).putDiskBack},
	{Name: "start", Do: (*Plane).startReplaced, Undo: (*Plane).stopReplaced, Save: (*Plane).saveReplaced},
}

type replaceArgs struct {
	Droplet int64 `json:"droplet"`
	Image   int64 `json:"image"`
	On      bool  `json:"on"` // whether the Droplet was
}

func checkDiskImage(a DropletAction) error {
	if a.Image == "" {
		return cloud.Invalid("Image can't be blank")
	}
	return nil
}

func beginRebuild(b dropletBeginning) (cloud.Action, error) {
	image, err := findImage(b.tx, b.droplet.Account, b.request.Image)
	if cloud.IsNotFound(err) || err == nil && image.Status != cloud.ImageAvailable {
		err = cloud.Invalid("You specified an invalid image for the Droplet.")
	}
	if err != nil {
		return cloud.Action{}, err
	}
	return b.replaceWith(dropletRebuild, image)
}

// beginRestore takes a backup of the same Droplet only.
func beginRestore(b dropletBeginning) (cloud.Action, error) {
	image, err := findImage(b.tx, b.droplet.Account, b.request.Image)
	foreign := image.Type != cloud.ImageBackup || image.SourceDroplet != b.droplet.ID || image.Status != cloud.ImageAvailable
	if cloud.IsNotFound(err) || err == nil && foreign {
		err = cloud.Invalid("The image is not a backup of this Droplet.")
	}
	if err != nil {
		return cloud.Action{}, err
	}
	return b.replaceWith(dropletRestore, image)
}

func (b dropletBeginning) replaceWith(plan *op.Plan[*Plane, replaceArgs], image cloud.Image) (cloud.Action, error) {
	d := b.droplet
	switch {
	case !slices.Contains(image.Regions, d.Region):
		return cloud.Action{}, cloud.Invalid("The image you specified is not available in the selected region.")
	case image.MinDiskSize > d.Disk:
		return cloud.Action{}, cloud.Invalid("The image you specified requires a larger disk than the Droplet has.")
	case d.IPv6 && !image.TakesIPv6():
		return cloud.Action{}, errNoIPv6()
	}
	return begin(b.tx, b.Plane, plan, b.new, replaceArgs{
		Droplet: d.ID, Image: image.ID, On: d.Status == cloud.DropletActive,
	})
}

func errNoIPv6() error { return cloud.Invalid("image is not compatible with ipv6") }

func (p *Plane) stopForReplace(ctx context.Context, run *op.Run[replaceArgs]) error {
	if !run.Args.On {
		return nil
	}
	return p.onReplaced(ctx, run, func(m engine.Ref) (engine.Progress, error) {
		return p.engine.StopMachine(ctx, do(run), m, engine.Stop{Force: true})
	})
}

// startAgain is the last of what is taken back. Should even that fail, the
// Droplet shows the power state that its machine is left in.
func (p *Plane) startAgain(ctx context.Context, run *op.Run[replaceArgs]) error {
	var err error
	if run.Args.On {
		err = p.onReplaced(ctx, run, func(m engine.Ref) (engine.Progress, error) {
			return p.engine.StartMachine(ctx, undo(run), m)
		})
	}
	if op.IsWaiting(err) {
		return err
	}
	state, unknown := p.engine.Machine(ctx, cloud.FormatID(run.Args.Droplet))
	if unknown != nil {
		return unknown
	}
	if saved := run.Commit(ctx, func(tx *store.Tx) error {
		return tx.SetDropletStatus(run.Args.Droplet, powerStatus(state.Running))
	}); saved != nil {
		return saved
	}
	return err
}

func (p *Plane) replaceDisk(ctx context.Context, run *op.Run[replaceArgs]) error {
	return p.withImage(ctx, run, func(m engine.Ref, i engine.Image) (engine.Progress, error) {
		return p.engine.ReplaceImage(ctx, do(run), m, i)
	})
}

func (p *Plane) putDiskBack(ctx context.Context, run *op.Run[replaceArgs]) error {
	return p.withImage(ctx, run, func(m engine.Ref, i engine.Image) (engine.Progress, error) {
		return p.engine.ReplaceImage(ctx, undo(run), m, i)
	})
}

func (p *Plane) startReplaced(ctx context.Context, run *op.Run[replaceArgs]) error {
	return p.onReplaced(ctx, run, func(m engine.Ref) (engine.Progress, error) {
		return p.engine.StartMachine(ctx, do(run), m)
	})
}

func (p *Plane) stopReplaced(ctx context.Context, run *op.Run[replaceArgs]) error {
	return p.onReplaced(ctx, run, func(m engine.Ref) (engine.Progress, error) {
		return p.engine.StopMachine(ctx, undo(run), m, engine.Stop{Force: true})
	})
}

// onReplaced runs one call of the engine on the Droplet's machine.
func (p *Plane) onReplaced(ctx context.Context, run *op.Run[replaceArgs], call func(engine.Ref) (engine.Progress, error)) error {
	d, err := p.readDroplet(ctx, run.Account, run.Args.Droplet)
	if err != nil {
		return err
	}
	return work(call(machineRef(d)))
}

// withImage runs one call of the engine on the Droplet's machine and the image,
// which may have been deleted meanwhile.
func (p *Plane) withImage(ctx context.Context, run *op.Run[replaceArgs], call func(engine.Ref, engine.Image) (engine.Progress, error)) error {
	var image cloud.Image
	err := p.store.Read(ctx, func(tx *store.Tx) (err error) {
		image, err = tx.AnyImage(run.Args.Image)
		return err
	})
	if err != nil {
		return err
	}
	return p.onReplaced(ctx, run, func(m engine.Ref) (engine.Progress, error) { return call(m, p.engineImage(image)) })
}

// saveReplaced records the new image and what follows from it: the agent goes
// where it does not run.
func (p *Plane) saveReplaced(tx *store.Tx, run *op.Run[replaceArgs]) error {
	image, err := tx.AnyImage(run.Args.Image)
	if err != nil {
		return err
	}
	if err := tx.SetDropletImage(run.Args.Droplet, image.ID, runsAgent(image)); err != nil {
		return err
	}
	return tx.SetDropletStatus(run.Args.Droplet, cloud.DropletActive)
}

// powerStatus is the status of a Droplet whose machine runs or does not.
func powerStatus(running bool) cloud.DropletStatus {
	if running {
		return cloud.DropletActive
	}
	return cloud.DropletOff
}

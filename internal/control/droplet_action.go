package control

import (
	"context"
	"errors"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// shutdownGrace is how long a guest has to obey a shutdown before the action
// ends with the Droplet still on.
const shutdownGrace = 60 * time.Second

var (
	dropletPowerOn = op.Define("droplet.power_on",
		op.Step[*Plane, dropletArgs]{Name: "start", Do: (*Plane).startMachine, Save: (*Plane).savePower})
	dropletPowerOff = op.Define("droplet.power_off",
		op.Step[*Plane, dropletArgs]{Name: "stop", Do: (*Plane).stopMachine, Save: (*Plane).savePower})
	dropletShutdown = op.Define("droplet.shutdown",
		op.Step[*Plane, dropletArgs]{Name: "stop", Do: (*Plane).shutDownMachine, Save: (*Plane).savePower})
	dropletReboot = op.Define("droplet.reboot",
		op.Step[*Plane, dropletArgs]{Name: "reset", Do: (*Plane).rebootMachine, Save: (*Plane).savePower})
	dropletPowerCycle = op.Define("droplet.power_cycle",
		op.Step[*Plane, dropletArgs]{Name: "reset", Do: (*Plane).powerCycleMachine, Save: (*Plane).savePower})
	dropletRename = op.Define("droplet.rename",
		op.Step[*Plane, dropletArgs]{Name: "rename", Save: (*Plane).saveName})
	// The image appears when the copy is complete, or never.
	dropletSnapshot = op.Define("droplet.snapshot",
		op.Step[*Plane, dropletArgs]{Name: "copy", Do: (*Plane).copyDisk, Undo: (*Plane).dropCopy, Save: (*Plane).publishCopy},
	).Failed((*Plane).dropImage)
)

type dropletArgs struct {
	Droplet int64  `json:"droplet"`
	Name    string `json:"name,omitempty"`
	Image   int64  `json:"image,omitempty"`
	// Backups is the policy to set, and Window the one that a backup is for.
	Backups cloud.BackupPolicy `json:"backups,omitzero"`
	Window  time.Time          `json:"window,omitzero"`
}

// dropletPlans are the actions that users may ask for by type.
var dropletPlans = map[cloud.ActionType]*op.Plan[*Plane, dropletArgs]{
	cloud.ActionPowerOn:    dropletPowerOn,
	cloud.ActionPowerOff:   dropletPowerOff,
	cloud.ActionShutdown:   dropletShutdown,
	cloud.ActionReboot:     dropletReboot,
	cloud.ActionPowerCycle: dropletPowerCycle,
	cloud.ActionRename:     dropletRename,
	cloud.ActionSnapshot:   dropletSnapshot,

	cloud.ActionEnableBackups:      dropletBackupPolicy,
	cloud.ActionDisableBackups:     dropletBackupPolicy,
	cloud.ActionChangeBackupPolicy: dropletBackupPolicy,
}

// unbuiltActions are types that the API has and this server does not yet.
var unbuiltActions = map[cloud.ActionType]bool{
	"resize": true, "rebuild": true, "restore": true, "password_reset": true, "change_kernel": true,
	"enable_ipv6": true, "enable_private_networking": true,
}

// DropletAction is a request for an action on a Droplet.
type DropletAction struct {
	Type cloud.ActionType
	Name string // of a rename or a snapshot
	// Backups is the policy to enable or change to; nil is none given.
	Backups *cloud.BackupPolicy
}

func (a DropletAction) check(who cloud.Actor) error {
	_, known := dropletPlans[a.Type]
	switch {
	case unbuiltActions[a.Type]:
		return cloud.Errorf(cloud.CodeNotImplemented, "This server does not do the action %q yet.", a.Type)
	case !known:
		return cloud.Invalid("You specified an invalid action type.")
	case a.Type == cloud.ActionRename:
		return cloud.CheckDropletName(a.Name)
	case a.Type == cloud.ActionSnapshot && a.Name != "":
		if err := cloud.CheckImageName(a.Name); err != nil {
			return err
		}
	}
	if a.Type == cloud.ActionSnapshot {
		return who.Require("image:create")
	}
	_, err := a.backupPolicy()
	return err
}

// StartDropletAction starts an action and returns it without waiting. It fails
// with Pending while another holds the Droplet.
func (p *Plane) StartDropletAction(ctx context.Context, who cloud.Actor, droplet int64, a DropletAction) (action cloud.Action, err error) {
	if _, err := p.Droplet(ctx, who, droplet); err != nil { // before its request is judged
		return action, err
	}
	if err := a.check(who); err != nil {
		return action, err
	}
	id, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return action, err
	}
	var image int64
	if a.Type == cloud.ActionSnapshot {
		if image, err = p.store.ID(ctx, store.ImageIDs); err != nil {
			return action, err
		}
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		d, err := tx.LockDroplet(who.Account, droplet)
		if err != nil {
			return err
		}
		if err := d.Allow(a.Type); err != nil {
			return err
		}
		args := dropletArgs{Droplet: d.ID, Name: a.Name, Image: image}
		if args.Backups, err = a.backupPolicy(); err != nil {
			return err
		}
		if image != 0 {
			snapshot := newSnapshot(d, image, a.Name, tx.Now)
			args.Name = snapshot.Name
			if err := tx.AddImage(snapshot); err != nil {
				return err
			}
		}
		action, err = begin(tx, p, dropletPlans[a.Type], op.New{
			ID: id, Account: who.Account, Type: a.Type, About: d.Ref(), Region: d.Region, Holds: []cloud.Ref{d.Ref()},
		}, args)
		return err
	})
	return action, err
}

// newSnapshot is the image that a snapshot will be. Its creation is the
// action's start, by which Terraform finds it.
func newSnapshot(d cloud.Droplet, id int64, name string, now time.Time) cloud.Image {
	if name == "" {
		name = cloud.DefaultSnapshotName(d.Name, now)
	}
	return cloud.Image{
		ID: id, Account: d.Account, Name: name, Type: cloud.ImageSnapshot, Distribution: d.Image.Distribution,
		Regions: []string{d.Region}, MinDiskSize: d.Disk, Status: cloud.ImageCreating, SourceDroplet: d.ID, CreatedAt: now,
	}
}

// errNoMachine is of a Droplet that was deleted before its create had made the
// machine, when that delete failed.
var errNoMachine = errors.New("this Droplet has no machine, as it was deleted while it was created; delete it again")

// withMachine runs one call of the engine on an operation's machine, and keeps
// whether the machine runs afterwards.
func (p *Plane) withMachine(ctx context.Context, run *op.Run[dropletArgs], call func(engine.Ref) (engine.Progress, error)) error {
	d, err := p.readDroplet(ctx, run.Account, run.Args.Droplet)
	if err != nil {
		return err
	}
	progress, err := call(machineRef(d))
	if errors.Is(err, engine.ErrNotFound) {
		return op.Final(errNoMachine)
	}
	if err := work(progress, err); err != nil {
		return err
	}
	state, err := p.engine.Machine(ctx, cloud.FormatID(d.ID))
	run.Keep(state.Running)
	return err
}

func (p *Plane) startMachine(ctx context.Context, run *op.Run[dropletArgs]) error {
	return p.withMachine(ctx, run, func(m engine.Ref) (engine.Progress, error) {
		return p.engine.StartMachine(ctx, do(run), m)
	})
}

func (p *Plane) stopMachine(ctx context.Context, run *op.Run[dropletArgs]) error {
	return p.withMachine(ctx, run, func(m engine.Ref) (engine.Progress, error) {
		return p.engine.StopMachine(ctx, do(run), m, engine.Stop{Force: true})
	})
}

func (p *Plane) shutDownMachine(ctx context.Context, run *op.Run[dropletArgs]) error {
	return p.withMachine(ctx, run, func(m engine.Ref) (engine.Progress, error) {
		return p.engine.StopMachine(ctx, do(run), m, engine.Stop{Grace: shutdownGrace})
	})
}

func (p *Plane) rebootMachine(ctx context.Context, run *op.Run[dropletArgs]) error {
	return p.withMachine(ctx, run, func(m engine.Ref) (engine.Progress, error) {
		return p.engine.ResetMachine(ctx, do(run), m, false)
	})
}

func (p *Plane) powerCycleMachine(ctx context.Context, run *op.Run[dropletArgs]) error {
	return p.withMachine(ctx, run, func(m engine.Ref) (engine.Progress, error) {
		return p.engine.ResetMachine(ctx, do(run), m, true)
	})
}

// savePower records what the engine said, not what was asked for: a guest may
// ignore a shutdown.
func (p *Plane) savePower(tx *store.Tx, run *op.Run[dropletArgs]) error {
	status := cloud.DropletOff
	if running, _ := run.Kept().(bool); running {
		status = cloud.DropletActive
	}
	return tx.SetDropletStatus(run.Args.Droplet, status)
}

func (p *Plane) saveName(tx *store.Tx, run *op.Run[dropletArgs]) error {
	return tx.RenameDroplet(run.Args.Droplet, run.Args.Name)
}

func (p *Plane) copyDisk(ctx context.Context, run *op.Run[dropletArgs]) error {
	d, err := p.readDroplet(ctx, run.Account, run.Args.Droplet)
	if err != nil {
		return err
	}
	progress, err := p.engine.CopyImage(ctx, do(run), machineRef(d), imageRef(d.Account, run.Args.Image, run.Args.Name))
	run.Keep(progress.SizeGigabytes)
	return work(progress, err)
}

func (p *Plane) dropCopy(ctx context.Context, run *op.Run[dropletArgs]) error {
	return work(p.engine.DeleteImage(ctx, undo(run), imageRef(run.Account, run.Args.Image, run.Args.Name)))
}

func (p *Plane) publishCopy(tx *store.Tx, run *op.Run[dropletArgs]) error {
	size, _ := run.Kept().(float64)
	return tx.PublishImage(run.Args.Image, size)
}

func (p *Plane) dropImage(tx *store.Tx, run *op.Run[dropletArgs]) error {
	return tx.ForgetImage(run.Args.Image)
}

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

// DropletAction is a request for an action on a Droplet. What its type does not
// take is ignored.
type DropletAction struct {
	Type  cloud.ActionType
	Name  string // of a rename or a snapshot
	Size  string // of a resize
	Disk  bool   // whether a resize makes the disk larger too
	Image string // of a rebuild or a restore: an ID or a slug
	// Backups is the policy to enable or change to; nil is none given.
	Backups *cloud.BackupPolicy
}

// dropletVerb is how one type of action is asked for and begun.
type dropletVerb struct {
	// check refuses what can be told without the store; nil refuses nothing.
	check func(DropletAction) error
	// scope is what the token needs beside droplet:update, if anything.
	scope cloud.Scope
	// byTag says that all Droplets with a tag may be asked for it at once.
	byTag bool
	// makesImage says that it is begun with the ID of a new image.
	makesImage bool
	// starts says that it starts a Droplet that is off.
	starts bool
	begin  func(dropletBeginning) (cloud.Action, error)
}

// dropletBeginning is an action on a Droplet in the transaction that begins it:
// the Droplet is free, and its power state allows the action.
type dropletBeginning struct {
	*Plane
	tx      *store.Tx
	droplet cloud.Droplet
	request DropletAction
	bounds  bounds
	image   int64 // a new image's ID, for a verb that makes one
	new     op.New
}

// dropletVerbs are the actions that users may ask for by type.
var dropletVerbs = map[cloud.ActionType]dropletVerb{
	cloud.ActionPowerOn:    {byTag: true, starts: true, begin: simply(dropletPowerOn)},
	cloud.ActionPowerOff:   {byTag: true, begin: simply(dropletPowerOff)},
	cloud.ActionShutdown:   {byTag: true, begin: simply(dropletShutdown)},
	cloud.ActionReboot:     {begin: simply(dropletReboot)},
	cloud.ActionPowerCycle: {byTag: true, begin: simply(dropletPowerCycle)},
	cloud.ActionRename:     {check: checkRename, begin: simply(dropletRename)},
	cloud.ActionSnapshot: {
		check: checkSnapshot, scope: "image:create", byTag: true, makesImage: true, begin: beginSnapshot,
	},
	cloud.ActionResize:                  {scope: "droplet:create", begin: beginResize},
	cloud.ActionRebuild:                 {check: checkDiskImage, scope: "droplet:admin", starts: true, begin: beginRebuild},
	cloud.ActionRestore:                 {check: checkDiskImage, scope: "droplet:admin", starts: true, begin: beginRestore},
	cloud.ActionPasswordReset:           {scope: "droplet:admin", starts: true, begin: beginPasswordReset},
	cloud.ActionEnableIPv6:              {byTag: true, begin: beginEnableIPv6},
	cloud.ActionEnablePrivateNetworking: {byTag: true, begin: simply(dropletEnablePrivateNetworking)},
	cloud.ActionEnableBackups:           {check: checkBackupPolicy, byTag: true, begin: beginBackupPolicy},
	cloud.ActionDisableBackups:          {byTag: true, begin: beginBackupPolicy},
	cloud.ActionChangeBackupPolicy:      {check: checkBackupPolicy, begin: beginBackupPolicy},
}

// refusedActions are types that the API knows, and why no Droplet takes them.
var refusedActions = map[cloud.ActionType]string{
	"change_kernel": "Droplets run the kernel of their own system; change it from within the Droplet.",
	"upgrade":       "There is nothing to upgrade this Droplet to.",
}

// verb finds how an action is carried out, or refuses what can be told without
// the store.
func (a DropletAction) verb(who cloud.Actor) (dropletVerb, error) {
	verb, known := dropletVerbs[a.Type]
	refusal, refused := refusedActions[a.Type]
	switch {
	case refused:
		return verb, cloud.Invalid("%s", refusal)
	case !known:
		return verb, cloud.Invalid("You specified an invalid action type.")
	}
	if verb.check != nil {
		if err := verb.check(a); err != nil {
			return verb, err
		}
	}
	if verb.scope != "" {
		return verb, who.Require(verb.scope)
	}
	return verb, nil
}

func checkRename(a DropletAction) error { return cloud.CheckDropletName(a.Name) }

// checkSnapshot accepts a snapshot without a name: it is given one.
func checkSnapshot(a DropletAction) error {
	if a.Name == "" {
		return nil
	}
	return cloud.CheckImageName(a.Name)
}

// StartDropletAction starts an action and returns it without waiting. It fails
// with Pending while another holds the Droplet.
func (p *Plane) StartDropletAction(ctx context.Context, who cloud.Actor, droplet int64, a DropletAction) (action cloud.Action, err error) {
	if _, err := p.Droplet(ctx, who, droplet); err != nil { // before its request is judged
		return action, err
	}
	verb, err := a.verb(who)
	if err != nil {
		return action, err
	}
	ids, images, err := p.actionIDs(ctx, verb, 1)
	if err != nil {
		return action, err
	}
	bounds, err := p.readBounds(ctx)
	if err != nil {
		return action, err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		d, err := tx.LockDroplet(who.Account, droplet)
		if err != nil {
			return err
		}
		action, err = p.beginDropletAction(tx, verb, d, a, bounds, ids[0], images[0])
		return err
	})
	return action, err
}

// actionIDs takes the IDs of n actions, and of what they make: 0 for those that
// make nothing.
func (p *Plane) actionIDs(ctx context.Context, verb dropletVerb, n int) (ids, images []int64, err error) {
	if ids, err = p.store.IDs(ctx, store.ActionIDs, n); err != nil {
		return nil, nil, err
	}
	images = make([]int64, n)
	if verb.makesImage {
		images, err = p.store.IDs(ctx, store.ImageIDs, n)
	}
	return ids, images, err
}

// beginDropletAction begins an action on a Droplet whose state allows it.
func (p *Plane) beginDropletAction(tx *store.Tx, verb dropletVerb, d cloud.Droplet, a DropletAction, bounds bounds, id, image int64) (cloud.Action, error) {
	if err := d.Allow(a.Type); err != nil {
		return cloud.Action{}, err
	}
	b := dropletBeginning{
		Plane: p, tx: tx, droplet: d, request: a, bounds: bounds, image: image, new: op.New{
			ID: id, Account: d.Account, Type: a.Type, About: d.Ref(), Region: d.Region, Holds: []cloud.Ref{d.Ref()},
		},
	}
	if verb.starts {
		if err := b.mayStart(); err != nil {
			return cloud.Action{}, err
		}
	}
	return verb.begin(b)
}

// simply begins a plan that needs to know nothing but the Droplet and a name.
func simply(plan *op.Plan[*Plane, dropletArgs]) func(dropletBeginning) (cloud.Action, error) {
	return func(b dropletBeginning) (cloud.Action, error) {
		return begin(b.tx, b.Plane, plan, b.new, dropletArgs{Droplet: b.droplet.ID, Name: b.request.Name})
	}
}

func beginSnapshot(b dropletBeginning) (cloud.Action, error) {
	image := newSnapshot(b.droplet, b.image, b.request.Name, b.tx.Now)
	if err := b.tx.AddImage(image); err != nil {
		return cloud.Action{}, err
	}
	return begin(b.tx, b.Plane, dropletSnapshot, b.new, dropletArgs{Droplet: b.droplet.ID, Name: image.Name, Image: image.ID})
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
	running, _ := run.Kept().(bool)
	return tx.SetDropletStatus(run.Args.Droplet, powerStatus(running))
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

package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// An attach holds the Droplet and the volume. What cannot be attached is
// detached again, so that both sides agree.
var (
	volumeAttach = op.Define("volume.attach",
		op.Step[*Plane, attachArgs]{Name: "attach", Do: (*Plane).attach, Undo: (*Plane).detachAgain, Save: (*Plane).saveAttached})
	volumeDetach = op.Define("volume.detach",
		op.Step[*Plane, attachArgs]{Name: "detach", Do: (*Plane).detach, Save: (*Plane).saveDetached})
	// A volume only grows, so there is no way back: one that outlives a Droplet
	// which is destroyed meanwhile must not have another size than it shows.
	volumeResize = op.Define("volume.resize",
		op.Step[*Plane, resizeArgs]{Name: "resize", Do: (*Plane).resizeVolume, Save: (*Plane).saveVolumeSize}).Unstoppable()
)

type attachArgs struct {
	Volume  string `json:"volume"`
	Droplet int64  `json:"droplet"`
	// Tags are put on the volume once it is attached.
	Tags []string `json:"tags,omitempty"`
}

type resizeArgs struct {
	Volume        string `json:"volume"`
	SizeGigabytes int64  `json:"size_gigabytes"`
}

// attachable says whether a volume may be attached to a Droplet of a region.
func attachable(v cloud.Volume, region string) error {
	switch {
	case v.Droplet != 0:
		return cloud.Invalid("This volume is already attached")
	case v.HeldBy != 0:
		return cloud.Pending()
	case v.Region != region:
		return cloud.Invalid("The volume is in %s and the Droplet is in %s.", v.Region, region)
	}
	return nil
}

// AttachVolume starts to attach a volume to a Droplet of the same region, and
// to put tags on it.
func (p *Plane) AttachVolume(ctx context.Context, who cloud.Actor, volume string, droplet int64, tags []string) (cloud.Action, error) {
	return p.startVolumeAction(ctx, who, volume, func(tx *store.Tx, id int64, v cloud.Volume) (cloud.Action, error) {
		if err := cloud.CheckTags(tags); err != nil {
			return cloud.Action{}, err
		}
		d, err := tx.LockDroplet(who.Account, droplet)
		if err != nil {
			return cloud.Action{}, err
		}
		if err := attachable(v, d.Region); err != nil {
			return cloud.Action{}, err
		}
		if err := d.Free(); err != nil {
			return cloud.Action{}, err
		}
		if len(d.VolumeIDs) >= cloud.MaxVolumesPerDroplet {
			return cloud.Action{}, cloud.Invalid("cannot attach more volumes to the Droplet")
		}
		return begin(tx, p, volumeAttach, op.New{
			ID: id, Account: who.Account, Type: cloud.ActionAttachVolume, About: v.Ref(), Region: v.Region,
			Holds: []cloud.Ref{d.Ref(), v.Ref()},
		}, attachArgs{Volume: v.ID, Droplet: d.ID, Tags: tags})
	})
}

// DetachVolume starts to detach a volume from the Droplet that it is attached
// to.
func (p *Plane) DetachVolume(ctx context.Context, who cloud.Actor, volume string, droplet int64) (cloud.Action, error) {
	return p.startVolumeAction(ctx, who, volume, func(tx *store.Tx, id int64, v cloud.Volume) (cloud.Action, error) {
		if v.Droplet == 0 || v.Droplet != droplet {
			return cloud.Action{}, cloud.Invalid("Attachment not found")
		}
		d, err := tx.LockDroplet(who.Account, droplet)
		if err != nil {
			return cloud.Action{}, err
		}
		if err := d.Free(); err != nil {
			return cloud.Action{}, err
		}
		return begin(tx, p, volumeDetach, op.New{
			ID: id, Account: who.Account, Type: cloud.ActionDetachVolume, About: v.Ref(), Region: v.Region,
			Holds: []cloud.Ref{d.Ref(), v.Ref()},
		}, attachArgs{Volume: v.ID, Droplet: d.ID})
	})
}

// ResizeVolume starts to grow a volume, attached or not.
func (p *Plane) ResizeVolume(ctx context.Context, who cloud.Actor, volume string, gigabytes int64) (cloud.Action, error) {
	bounds, err := p.readBounds(ctx)
	if err != nil {
		return cloud.Action{}, err
	}
	return p.startVolumeAction(ctx, who, volume, func(tx *store.Tx, id int64, v cloud.Volume) (cloud.Action, error) {
		if err := cloud.CheckVolumeSize(gigabytes); err != nil {
			return cloud.Action{}, err
		}
		if gigabytes <= v.SizeGigabytes {
			return cloud.Action{}, cloud.Invalid("size_gigabytes must be above the present size, %d", v.SizeGigabytes)
		}
		holds := []cloud.Ref{v.Ref()}
		if v.Droplet != 0 {
			d, err := tx.LockDroplet(who.Account, v.Droplet)
			if err != nil {
				return cloud.Action{}, err
			}
			if err := d.Free(); err != nil {
				return cloud.Action{}, err
			}
			holds = append(holds, d.Ref())
		}
		if err := bounds.more(tx, 0, gigabytes-v.SizeGigabytes); err != nil {
			return cloud.Action{}, err
		}
		return begin(tx, p, volumeResize, op.New{
			ID: id, Account: who.Account, Type: cloud.ActionResizeVolume, About: v.Ref(), Region: v.Region, Holds: holds,
		}, resizeArgs{Volume: v.ID, SizeGigabytes: gigabytes})
	})
}

// startVolumeAction runs start in a transaction with the volume locked.
func (p *Plane) startVolumeAction(ctx context.Context, who cloud.Actor, volume string,
	start func(*store.Tx, int64, cloud.Volume) (cloud.Action, error),
) (action cloud.Action, err error) {
	id, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return action, err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		v, err := tx.LockVolume(who.Account, volume)
		if err != nil {
			return err
		}
		action, err = start(tx, id, v)
		return err
	})
	return action, err
}

// withAttachment runs one call of the engine on a volume and its machine.
func (p *Plane) withAttachment(ctx context.Context, run *op.Run[attachArgs], call func(volume, machine engine.Ref) (engine.Progress, error)) error {
	var v cloud.Volume
	var d cloud.Droplet
	err := p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if v, err = tx.NewVolume(run.Args.Volume); err != nil {
			return err
		}
		d, err = tx.Droplet(run.Account, run.Args.Droplet)
		return err
	})
	if err != nil {
		return err
	}
	return work(call(volumeRef(v), machineRef(d)))
}

func (p *Plane) attach(ctx context.Context, run *op.Run[attachArgs]) error {
	return p.withAttachment(ctx, run, func(volume, machine engine.Ref) (engine.Progress, error) {
		return p.engine.AttachVolume(ctx, do(run), volume, machine)
	})
}

func (p *Plane) detachAgain(ctx context.Context, run *op.Run[attachArgs]) error {
	return p.withAttachment(ctx, run, func(volume, machine engine.Ref) (engine.Progress, error) {
		return p.engine.DetachVolume(ctx, undo(run), volume, machine)
	})
}

func (p *Plane) saveAttached(tx *store.Tx, run *op.Run[attachArgs]) error {
	volume := cloud.Ref{Kind: cloud.KindVolume, ID: run.Args.Volume}
	if err := tx.LockAccount(run.Account); err != nil {
		return err
	}
	if _, err := tx.Tag(run.Account, volume, run.Args.Tags); err != nil {
		return err
	}
	return tx.SetVolumeDroplet(run.Args.Volume, run.Args.Droplet)
}

func (p *Plane) detach(ctx context.Context, run *op.Run[attachArgs]) error {
	return p.withAttachment(ctx, run, func(volume, machine engine.Ref) (engine.Progress, error) {
		return p.engine.DetachVolume(ctx, do(run), volume, machine)
	})
}

func (p *Plane) saveDetached(tx *store.Tx, run *op.Run[attachArgs]) error {
	return tx.SetVolumeDroplet(run.Args.Volume, 0)
}

func (p *Plane) resizeVolume(ctx context.Context, run *op.Run[resizeArgs]) error {
	v, err := p.readVolume(ctx, run.Args.Volume)
	if err != nil {
		return err
	}
	return work(p.engine.ResizeVolume(ctx, do(run), volumeRef(v), run.Args.SizeGigabytes))
}

func (p *Plane) saveVolumeSize(tx *store.Tx, run *op.Run[resizeArgs]) error {
	return tx.SetVolumeSize(run.Args.Volume, run.Args.SizeGigabytes)
}

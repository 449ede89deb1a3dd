package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

func (p *Plane) createMachine(ctx context.Context, run *op.Run[createArgs]) error {
	var d cloud.Droplet
	var firewall engine.Firewall
	err := p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if d, err = tx.DropletToMake(run.Account, run.Args.Droplet); err != nil {
			return err
		}
		firewall, err = firewallOf(tx, d.Account, d.ID)
		return err
	})
	if err != nil {
		return err
	}
	return work(p.engine.CreateMachine(ctx, do(run), engine.Machine{
		Ref:     machineRef(d),
		Shape:   shape(d),
		Region:  d.Region,
		Image:   p.engineImage(d.Image),
		Network: network(d, ""), Firewall: firewall, PublicKeys: d.PublicKeys, UserData: d.UserData,
	}))
}

func (p *Plane) destroyNewMachine(ctx context.Context, run *op.Run[createArgs]) error {
	return work(p.engine.DestroyMachine(ctx, undo(run), run.Args.machine(run.Account)))
}

func (p *Plane) attachNewVolumes(ctx context.Context, run *op.Run[createArgs]) error {
	return p.eachNewVolume(ctx, run, func(volume, machine engine.Ref) error {
		return work(p.engine.AttachVolume(ctx, do(run, volume.ID), volume, machine))
	})
}

func (p *Plane) detachNewVolumes(ctx context.Context, run *op.Run[createArgs]) error {
	return p.eachNewVolume(ctx, run, func(volume, machine engine.Ref) error {
		return work(p.engine.DetachVolume(ctx, undo(run, volume.ID), volume, machine))
	})
}

// eachNewVolume calls f for each volume that the Droplet is created with, and
// returns the first that is not done.
func (p *Plane) eachNewVolume(ctx context.Context, run *op.Run[createArgs], f func(volume, machine engine.Ref) error) error {
	for _, id := range run.Args.Volumes {
		volume, err := p.readVolume(ctx, id)
		if err != nil {
			return err
		}
		if err := f(volumeRef(volume), run.Args.machine(run.Account)); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plane) startNewMachine(ctx context.Context, run *op.Run[createArgs]) error {
	progress, err := p.engine.StartMachine(ctx, do(run), run.Args.machine(run.Account))
	run.Keep(progress.Host)
	return work(progress, err)
}

func (p *Plane) saveNewDroplet(tx *store.Tx, run *op.Run[createArgs]) error {
	for _, volume := range run.Args.Volumes {
		if err := tx.SetVolumeDroplet(volume, run.Args.Droplet); err != nil {
			return err
		}
	}
	host, _ := run.Kept().(string)
	return tx.PlaceDroplet(run.Args.Droplet, host, cloud.DropletActive)
}

// dropNewDroplet removes a Droplet whose create failed. One that is about to be
// destroyed is left to its destroy.
func (p *Plane) dropNewDroplet(tx *store.Tx, run *op.Run[createArgs]) error {
	if err := tx.LockAccount(run.Account); err != nil {
		return err
	}
	d, err := tx.LockDroplet(run.Account, run.Args.Droplet)
	switch {
	case cloud.IsNotFound(err) || err == nil && d.DestroyedBy != 0:
		return nil
	case err != nil:
		return err
	}
	return tx.DeleteDroplet(d.Account, d.ID)
}

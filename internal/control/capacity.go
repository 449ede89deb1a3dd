package control

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/store"
)

// bounds is what an engine holds in all; its zero value is without bounds.
// Whatever is accepted is checked against it in the transaction that accepts
// it, so that two requests never take the same memory.
type bounds struct {
	engine.Capacity
	bounded bool
}

// readBounds asks the engine how much it holds, before a transaction.
func (p *Plane) readBounds(ctx context.Context) (bounds, error) {
	b, is := p.engine.(engine.Bounded)
	if !is {
		return bounds{}, nil
	}
	capacity, err := b.Capacity(ctx)
	if err != nil {
		return bounds{}, fmt.Errorf("what this server holds: %w", err)
	}
	return bounds{capacity, true}, nil
}

// machine refuses a shape that the engine cannot have, whatever else runs.
func (b bounds) machine(s engine.Shape) error {
	switch {
	case !b.bounded:
		return nil
	case s.VCPUs > b.VCPUs:
		return cloud.Invalid("This server has %d vCPUs for one Droplet at most; %d do not fit.", b.VCPUs, s.VCPUs)
	case s.Memory > b.Memory:
		return cloud.Invalid("This server has %d MiB of memory for Droplets; %d MiB do not fit.", b.Memory, s.Memory)
	}
	return nil
}

// more refuses memory and disk that do not fit beside what is taken.
func (b bounds) more(tx *store.Tx, memory, disk int64) error {
	if !b.bounded || memory <= 0 && disk <= 0 {
		return nil
	}
	if err := tx.LockUse(); err != nil {
		return err
	}
	use, err := tx.Use([]string{dropletResize.Name, volumeResize.Name})
	if err != nil {
		return err
	}
	for _, resize := range use.Growing {
		more, err := growth(resize)
		if err != nil {
			return err
		}
		use.Disk += more
	}
	switch {
	case memory > 0 && use.Memory+memory > b.Memory:
		return cloud.Invalid("This server has %d MiB of memory for Droplets, of which those that run take %d MiB; %d MiB more do not fit. Power off or destroy a Droplet, or choose a smaller size.",
			b.Memory, use.Memory, memory)
	case disk > 0 && use.Disk+disk > b.Disk:
		return cloud.Invalid("This server has %d GiB of disk for Droplets and volumes, of which they may take %d GiB already; %d GiB more do not fit. Destroy a Droplet or a volume, or choose a smaller size.",
			b.Disk, use.Disk, disk)
	}
	return nil
}

// growth is what a resize that has begun will add: rows show it when it has
// ended.
func growth(of store.Growing) (int64, error) {
	if of.Plan == dropletResize.Name {
		var args reshapeArgs
		err := json.Unmarshal([]byte(of.Args), &args)
		return args.To.Disk - args.From.Disk, err
	}
	var args resizeArgs
	err := json.Unmarshal([]byte(of.Args), &args)
	return args.SizeGigabytes - of.Size, err
}

// mayStart refuses to start a Droplet that does not fit. One that runs does.
func (b dropletBeginning) mayStart() error {
	if b.droplet.Status == cloud.DropletActive {
		return nil
	}
	if err := b.bounds.machine(shape(b.droplet)); err != nil {
		return err
	}
	return b.bounds.more(b.tx, b.droplet.Memory, 0)
}

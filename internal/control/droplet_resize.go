package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// A resize that fails leaves the shape that was: the machine is off, so nothing
// has written to a disk that grew.
var dropletResize = op.Define("droplet.resize",
	op.Step[*Plane, reshapeArgs]{Name: "resize", Do: (*Plane).reshape, Undo: (*Plane).reshapeBack, Save: (*Plane).saveShape})

type reshapeArgs struct {
	Droplet int64        `json:"droplet"`
	Size    string       `json:"size"`
	From    engine.Shape `json:"from"`
	To      engine.Shape `json:"to"`
}

// beginResize begins a resize to a size that the Droplet can have.
func beginResize(b dropletBeginning) (cloud.Action, error) {
	size, err := b.resizeTo()
	if err != nil {
		return cloud.Action{}, err
	}
	d := b.droplet
	args := reshapeArgs{Droplet: d.ID, Size: size.Slug, From: shape(d)}
	args.To = engine.Shape{VCPUs: size.VCPUs, Memory: size.Memory, Disk: d.Disk}
	if b.request.Disk {
		args.To.Disk = size.Disk
	}
	if err := b.bounds.machine(args.To); err != nil {
		return cloud.Action{}, err
	}
	if err := b.bounds.more(b.tx, 0, args.To.Disk-args.From.Disk); err != nil { // its memory counts when it is on
		return cloud.Action{}, err
	}
	return begin(b.tx, b.Plane, dropletResize, b.new, args)
}

// resizeTo finds the size that is asked for, or says why the Droplet cannot
// have it. A disk never becomes smaller, and a size with a smaller one is
// refused even if the disk is to stay as it is.
func (b dropletBeginning) resizeTo() (cloud.Size, error) {
	d, disk := b.droplet, b.request.Disk
	size, ok := b.Catalog().Size(b.request.Size)
	if !ok || size.Retired || !size.Available {
		return size, cloud.Invalid("You specified an invalid size for the Droplet.")
	}
	from, _ := b.Catalog().Size(d.Size)
	switch {
	case size.Slug == d.Size && (!disk || size.Disk <= d.Disk):
		return size, cloud.Invalid("The droplet is already set to this size.")
	case !size.In(d.Region):
		return size, cloud.Invalid("Size is not available in this region.")
	case (size.GPUInfo != nil) != (from.GPUInfo != nil):
		return size, cloud.Invalid("A Droplet cannot be resized between sizes with and without GPUs.")
	case size.Disk < d.Disk:
		return size, cloud.Invalid("Size can not decrease size of Droplet's disk image")
	}
	return size, nil
}

func shape(d cloud.Droplet) engine.Shape {
	return engine.Shape{VCPUs: d.VCPUs, Memory: d.Memory, Disk: d.Disk}
}

func (p *Plane) reshape(ctx context.Context, run *op.Run[reshapeArgs]) error {
	return p.resizeMachine(ctx, do(run), run, run.Args.To)
}

func (p *Plane) reshapeBack(ctx context.Context, run *op.Run[reshapeArgs]) error {
	return p.resizeMachine(ctx, undo(run), run, run.Args.From)
}

func (p *Plane) resizeMachine(ctx context.Context, w engine.Work, run *op.Run[reshapeArgs], to engine.Shape) error {
	d, err := p.readDroplet(ctx, run.Account, run.Args.Droplet)
	if err != nil {
		return err
	}
	return work(p.engine.ResizeMachine(ctx, w, machineRef(d), to))
}

func (p *Plane) saveShape(tx *store.Tx, run *op.Run[reshapeArgs]) error {
	to := run.Args.To
	return tx.ResizeDroplet(run.Args.Droplet, run.Args.Size, to.VCPUs, to.Memory, to.Disk)
}

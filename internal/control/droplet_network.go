package control

import (
	"context"
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// The address, the feature and the action's end are seen together.
var dropletEnableIPv6 = op.Define("droplet.enable_ipv6",
	op.Step[*Plane, ipv6Args]{Name: "apply", Do: (*Plane).applyIPv6, Undo: (*Plane).removeIPv6, Save: (*Plane).saveIPv6})

// Every Droplet is in a VPC from the start, so there is nothing to do for older
// clients that ask for private networking.
var dropletEnablePrivateNetworking = op.Define("droplet.enable_private_networking",
	op.Step[*Plane, dropletArgs]{Name: "enable"})

type ipv6Args struct {
	Droplet int64  `json:"droplet"`
	IP      string `json:"ip"`
	Gateway string `json:"gateway"`
}

func beginEnableIPv6(b dropletBeginning) (cloud.Action, error) {
	d := b.droplet
	switch {
	case d.IPv6:
		return cloud.Action{}, cloud.Invalid("IPv6 has already been enabled on this Droplet.")
	case !d.PublicNetworking:
		return cloud.Action{}, cloud.Invalid("The droplet has no public networking.")
	case !b.addresses.IPv6.Any():
		return cloud.Action{}, errIPv6Unavailable(d.Region)
	case !d.Image.TakesIPv6():
		return cloud.Action{}, errNoIPv6()
	}
	args := ipv6Args{Droplet: d.ID}
	args.IP, args.Gateway = b.publicIPv6(d)
	return begin(b.tx, b.Plane, dropletEnableIPv6, b.new, args)
}

// errIPv6Unavailable is of a cloud without IPv6 addresses.
func errIPv6Unavailable(region string) error {
	return cloud.Invalid("IPv6 is not available in %s.", region)
}

// publicIPv6 returns the IPv6 address that is a Droplet's own, and its gateway.
func (p *Plane) publicIPv6(d cloud.Droplet) (ip, gateway string) {
	index := slices.IndexFunc(p.Catalog().Regions, func(r cloud.Region) bool { return r.Slug == d.Region })
	return p.addresses.IPv6.Droplet(index, d.ID)
}

func (p *Plane) applyIPv6(ctx context.Context, run *op.Run[ipv6Args]) error {
	d, err := p.readDroplet(ctx, run.Account, run.Args.Droplet)
	if err != nil {
		return err
	}
	d.PublicIPv6, d.IPv6Gateway = run.Args.IP, run.Args.Gateway
	return work(p.engine.ApplyNetwork(ctx, do(run), machineRef(d), network(d, d.ReservedIP)))
}

func (p *Plane) removeIPv6(ctx context.Context, run *op.Run[ipv6Args]) error {
	d, err := p.readDroplet(ctx, run.Account, run.Args.Droplet)
	if err != nil {
		return err
	}
	return work(p.engine.ApplyNetwork(ctx, undo(run), machineRef(d), network(d, d.ReservedIP)))
}

func (p *Plane) saveIPv6(tx *store.Tx, run *op.Run[ipv6Args]) error {
	if err := tx.LockAccount(run.Account); err != nil {
		return err
	}
	return tx.SetDropletIPv6(run.Args.Droplet, run.Args.IP, run.Args.Gateway)
}

package control

import (
	"context"
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// The steps are those of reserved IPv4 addresses: which kind an address is of
// can be told from it.
var reservedIPv6Assign = op.Define("reserved_ipv6.assign",
	op.Step[*Plane, reservedIPArgs]{Name: "release", Do: (*Plane).unroute, Undo: (*Plane).routeBack},
	op.Step[*Plane, reservedIPArgs]{Name: "apply", Do: (*Plane).route, Undo: (*Plane).unrouteAgain, Save: (*Plane).saveAssigned},
)

var reservedIPv6Unassign = op.Define("reserved_ipv6.unassign",
	op.Step[*Plane, reservedIPArgs]{
		Name: "release", Do: (*Plane).unroute, Undo: (*Plane).routeBack, Save: (*Plane).saveAssigned,
	})

// ReserveIPv6 reserves an IPv6 address in a region.
func (p *Plane) ReserveIPv6(ctx context.Context, who cloud.Actor, region string) (r cloud.ReservedIPv6, err error) {
	number, err := p.store.ID(ctx, store.ReservedIPIDs)
	if err != nil {
		return r, err
	}
	if region == "" {
		return r, cloud.Invalid("region_slug is required")
	}
	slug, err := p.reservedIPRegion(region)
	if err != nil {
		return r, err
	}
	if !p.addresses.IPv6.Any() {
		return r, errIPv6Unavailable(slug)
	}
	place := slices.IndexFunc(p.Catalog().Regions, func(r cloud.Region) bool { return r.Slug == slug })
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		within, err := tx.CountReservedIPv6(who.Account)
		if err == nil && !within {
			err = cloud.Invalid("reserving this IP will exceed your reserved IP limit")
		}
		if err != nil {
			return err
		}
		r = cloud.ReservedIPv6{
			IP: p.addresses.IPv6.Reserved(place, number), Account: who.Account, Region: slug, CreatedAt: tx.Now,
		}
		return tx.AddReservedIPv6(r, number)
	})
	return r, err
}

// ReservedIPv6 reads an address and the Droplet that it is assigned to, which
// is zero when there is none.
func (p *Plane) ReservedIPv6(ctx context.Context, who cloud.Actor, ip string) (r cloud.ReservedIPv6, d cloud.Droplet, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if r, err = tx.ReservedIPv6(who.Account, ip); err != nil || r.Droplet == 0 {
			return err
		}
		d, err = tx.Droplet(who.Account, r.Droplet)
		return err
	})
	return r, d, err
}

// ReservedIPv6s lists addresses, with the Droplets that they are assigned to by
// ID.
func (p *Plane) ReservedIPv6s(ctx context.Context, who cloud.Actor, page cloud.Page) (ips []cloud.ReservedIPv6, of map[int64]cloud.Droplet, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if ips, total, err = tx.ReservedIPv6s(who.Account, page); err != nil {
			return err
		}
		var ids []int64
		for _, r := range ips {
			if r.Droplet != 0 {
				ids = append(ids, r.Droplet)
			}
		}
		of, err = tx.DropletsByID(who.Account, ids)
		return err
	})
	return ips, of, total, err
}

// AssignReservedIPv6 starts to route an address to a Droplet, away from any
// that has it.
func (p *Plane) AssignReservedIPv6(ctx context.Context, who cloud.Actor, ip string, droplet int64) (action cloud.Action, err error) {
	id, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return action, err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		r, err := tx.LockReservedIPv6(who.Account, ip)
		if err != nil {
			return err
		}
		d, err := tx.LockDroplet(who.Account, droplet)
		if err != nil {
			return err
		}
		if err := assignableIPv6(r, d); err != nil {
			return err
		}
		holds := []cloud.Ref{r.Ref(), d.Ref()}
		if r.Droplet != 0 {
			from, err := tx.LockDroplet(who.Account, r.Droplet)
			if err != nil {
				return err
			}
			if err := from.Free(); err != nil {
				return err
			}
			holds = append(holds, from.Ref())
		}
		action, err = begin(tx, p, reservedIPv6Assign, op.New{
			ID: id, Account: r.Account, Type: cloud.ActionAssignIP, About: r.Ref(), Region: r.Region, Holds: holds,
		}, reservedIPArgs{IP: r.IP, From: r.Droplet, To: d.ID})
		return err
	})
	return action, err
}

func assignableIPv6(r cloud.ReservedIPv6, d cloud.Droplet) error {
	if err := d.Free(); err != nil {
		return err
	}
	switch {
	case d.ReservedIPv6 != "":
		return cloud.Invalid("The droplet already has a reserved IPv6.")
	case !d.PublicNetworking:
		return cloud.Invalid("The droplet has no public networking.")
	case d.Region != r.Region:
		return cloud.Invalid("The reserved IPv6 is in %s and the droplet is in %s.", r.Region, d.Region)
	}
	return nil
}

// UnassignReservedIPv6 starts to take an address away from its Droplet.
func (p *Plane) UnassignReservedIPv6(ctx context.Context, who cloud.Actor, ip string) (action cloud.Action, err error) {
	id, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return action, err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		r, err := tx.LockReservedIPv6(who.Account, ip)
		switch {
		case err != nil:
			return err
		case r.HeldBy != 0:
			return cloud.Pending()
		case r.Droplet == 0:
			return cloud.Invalid("The reserved IPv6 is not assigned to a droplet.")
		}
		d, err := tx.LockDroplet(who.Account, r.Droplet)
		if err != nil {
			return err
		}
		if err := d.Free(); err != nil {
			return err
		}
		action, err = begin(tx, p, reservedIPv6Unassign, op.New{
			ID: id, Account: r.Account, Type: cloud.ActionUnassignIP, About: r.Ref(), Region: r.Region,
			Holds: []cloud.Ref{r.Ref(), d.Ref()},
		}, reservedIPArgs{IP: r.IP, From: r.Droplet})
		return err
	})
	return action, err
}

// DeleteReservedIPv6 gives an address back that no Droplet has.
func (p *Plane) DeleteReservedIPv6(ctx context.Context, who cloud.Actor, ip string) error {
	return p.store.Write(ctx, func(tx *store.Tx) error {
		r, err := tx.LockReservedIPv6(who.Account, ip)
		switch {
		case err != nil:
			return err
		case r.HeldBy != 0:
			return cloud.Pending()
		case r.Droplet != 0:
			return cloud.Invalid("The reserved IPv6 is assigned to a droplet; unassign it first.")
		}
		return tx.DeleteReservedIPv6(ip)
	})
}

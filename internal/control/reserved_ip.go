package control

import (
	"context"
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Assigning an address takes it from the Droplet that has it, if any, and holds
// both. A failure puts the networks back as they were.
var reservedIPAssign = op.Define("reserved_ip.assign",
	op.Step[*Plane, reservedIPArgs]{Name: "release", Do: (*Plane).unroute, Undo: (*Plane).routeBack},
	op.Step[*Plane, reservedIPArgs]{Name: "apply", Do: (*Plane).route, Undo: (*Plane).unrouteAgain, Save: (*Plane).saveAssigned},
)

var reservedIPUnassign = op.Define("reserved_ip.unassign",
	op.Step[*Plane, reservedIPArgs]{
		Name: "release", Do: (*Plane).unroute, Undo: (*Plane).routeBack, Save: (*Plane).saveAssigned,
	})

// Whoever deletes an address waits for that, and is not to hear that a destroy
// of its Droplet has stopped it.
var reservedIPDelete = op.Define("reserved_ip.delete",
	op.Step[*Plane, reservedIPArgs]{
		Name: "release", Do: (*Plane).unroute, Undo: (*Plane).routeBack, Save: (*Plane).saveReservedIPGone,
	}).Unstoppable()

type reservedIPArgs struct {
	IP   string `json:"ip"`
	From int64  `json:"from,omitempty"`
	To   int64  `json:"to,omitempty"`
}

// NewReservedIP is a request for an address, in a region or for a Droplet.
type NewReservedIP struct {
	Region  string
	Droplet int64
	// As is the family that it is asked for by.
	As cloud.Kind
}

// ReserveIP reserves an address. For a Droplet it also starts to assign it, and
// returns that action; else the action has no ID.
func (p *Plane) ReserveIP(ctx context.Context, who cloud.Actor, n NewReservedIP) (r cloud.ReservedIP, action cloud.Action, err error) {
	id, err := p.store.ID(ctx, store.ReservedIPIDs)
	if err != nil {
		return r, action, err
	}
	actionID, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return r, action, err
	}
	place, err := p.store.ID(ctx, store.ReservedAddresses)
	if err != nil {
		return r, action, err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) (err error) {
		r = cloud.ReservedIP{ID: id, Account: who.Account, CreatedAt: tx.Now}
		action, err = p.reserve(tx, who, n, &r, actionID, place)
		return err
	})
	return r, action, err
}

// reserve adds an address and begins its assignment, if there is one to make.
func (p *Plane) reserve(tx *store.Tx, who cloud.Actor, n NewReservedIP, r *cloud.ReservedIP, actionID, place int64) (action cloud.Action, err error) {
	within, err := tx.CountReservedIP(who.Account)
	if err == nil && !within {
		err = cloud.Invalid("reserving this IP will exceed your reserved IP limit")
	}
	if err != nil {
		return action, err
	}
	var d cloud.Droplet
	if n.Droplet != 0 {
		if d, err = tx.LockDroplet(who.Account, n.Droplet); err != nil {
			return action, err
		}
		r.Region = d.Region
	} else if r.Region, err = p.reservedIPRegion(n.Region); err != nil {
		return action, err
	}
	if err := p.addAddress(tx, r, p.addresses.Reserved.Place(place)); err != nil || n.Droplet == 0 {
		return action, err
	}
	action, err = p.beginAssign(tx, actionID, *r, d, n.As)
	r.HeldBy = action.ID
	return action, err
}

// addAddress adds the address whose turn it is, or the next that is free.
func (p *Plane) addAddress(tx *store.Tx, r *cloud.ReservedIP, place int64) error {
	pool := p.addresses.Reserved
	first, end := pool.Places()
	for range maxAddressTries {
		r.IP = pool.Address(place)
		added, err := tx.AddReservedIP(*r, place)
		if err != nil || added {
			return err
		}
		var free bool
		if place, free, err = tx.FreeReservedHost(place, first, end); err != nil {
			return err
		}
		if !free {
			return cloud.Invalid("No free reserved IPs are left.")
		}
	}
	return cloud.Errorf(cloud.CodeUnavailable, "No free address was found in time. Please try again.")
}

func (p *Plane) reservedIPRegion(slug string) (string, error) {
	if slug == "" {
		return "", cloud.Invalid("Either a droplet_id or a region is required")
	}
	region, err := p.openRegion(strings.TrimSpace(slug), slug)
	return region.Slug, err
}

// ReservedIP reads an address and the Droplet that it is assigned to, which is
// zero when there is none.
func (p *Plane) ReservedIP(ctx context.Context, who cloud.Actor, ip string) (r cloud.ReservedIP, d cloud.Droplet, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if r, err = tx.ReservedIP(who.Account, ip); err != nil || r.Droplet == 0 {
			return err
		}
		d, err = tx.Droplet(who.Account, r.Droplet)
		return err
	})
	return r, d, err
}

// ReservedIPs lists addresses, with the Droplets that they are assigned to by
// ID.
func (p *Plane) ReservedIPs(ctx context.Context, who cloud.Actor, page cloud.Page) (ips []cloud.ReservedIP, of map[int64]cloud.Droplet, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if ips, total, err = tx.ReservedIPs(who.Account, page); err != nil {
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

// AssignReservedIP starts to route an address to a Droplet, away from any that
// has it. As is the family that the action is asked for by.
func (p *Plane) AssignReservedIP(ctx context.Context, who cloud.Actor, ip string, droplet int64, as cloud.Kind) (action cloud.Action, err error) {
	id, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return action, err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		r, err := tx.LockReservedIP(who.Account, ip)
		if err != nil {
			return err
		}
		d, err := tx.LockDroplet(who.Account, droplet)
		if err != nil {
			return err
		}
		action, err = p.beginAssign(tx, id, r, d, as)
		return err
	})
	return action, err
}

func (p *Plane) beginAssign(tx *store.Tx, id int64, r cloud.ReservedIP, d cloud.Droplet, as cloud.Kind) (action cloud.Action, err error) {
	if err := d.Free(); err != nil {
		return action, err
	}
	switch {
	case d.ReservedIP != "":
		return action, cloud.Invalid("The droplet already has a reserved IP.")
	case !d.PublicNetworking:
		return action, cloud.Invalid("The droplet has no public networking.")
	case d.Region != r.Region:
		return action, cloud.Invalid("The reserved IP is in %s and the droplet is in %s.", r.Region, d.Region)
	}
	holds := []cloud.Ref{r.Ref(), d.Ref()}
	if r.Droplet != 0 {
		from, err := tx.LockDroplet(r.Account, r.Droplet)
		if err != nil {
			return action, err
		}
		if err := from.Free(); err != nil {
			return action, err
		}
		holds = append(holds, from.Ref())
	}
	return begin(tx, p, reservedIPAssign, op.New{
		ID: id, Account: r.Account, Type: cloud.ActionAssignIP, About: cloud.Ref{Kind: as, ID: r.IP}, Region: r.Region, Holds: holds,
	}, reservedIPArgs{IP: r.IP, From: r.Droplet, To: d.ID})
}

// UnassignReservedIP starts to take an address away from its Droplet.
func (p *Plane) UnassignReservedIP(ctx context.Context, who cloud.Actor, ip string, as cloud.Kind) (action cloud.Action, err error) {
	id, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return action, err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		r, err := tx.LockReservedIP(who.Account, ip)
		if err != nil {
			return err
		}
		if r.Droplet == 0 && r.HeldBy == 0 {
			return cloud.Invalid("The reserved IP is not assigned to a droplet.")
		}
		holds, err := releaseHolds(tx, r)
		if err != nil {
			return err
		}
		action, err = begin(tx, p, reservedIPUnassign, op.New{
			ID: id, Account: r.Account, Type: cloud.ActionUnassignIP, About: cloud.Ref{Kind: as, ID: r.IP}, Region: r.Region, Holds: holds,
		}, reservedIPArgs{IP: r.IP, From: r.Droplet})
		return err
	})
	return action, err
}

// releaseHolds is what taking an address away needs for itself: the address,
// and the Droplet that has it.
func releaseHolds(tx *store.Tx, r cloud.ReservedIP) ([]cloud.Ref, error) {
	holds := []cloud.Ref{r.Ref()}
	if r.HeldBy != 0 {
		return nil, cloud.Pending()
	}
	if r.Droplet == 0 {
		return holds, nil
	}
	d, err := tx.LockDroplet(r.Account, r.Droplet)
	if err != nil {
		return nil, err
	}
	return append(holds, d.Ref()), d.Free()
}

// DeleteReservedIP gives an address back, taking it from its Droplet first, and
// returns when that is done.
func (p *Plane) DeleteReservedIP(ctx context.Context, who cloud.Actor, ip string) error {
	id, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		r, err := tx.LockReservedIP(who.Account, ip)
		if err != nil {
			return err
		}
		holds, err := releaseHolds(tx, r)
		if err != nil {
			return err
		}
		_, err = begin(tx, p, reservedIPDelete, op.New{
			ID: id, Account: r.Account, About: r.Ref(), Holds: holds,
		}, reservedIPArgs{IP: r.IP, From: r.Droplet})
		return err
	})
	if err != nil {
		return err
	}
	return p.await(ctx, id)
}

// applyNetwork makes the network of a Droplet's machine what it is with a
// reserved address routed to it, or without. A Droplet 0, or one that is gone,
// has no network.
func (p *Plane) applyNetwork(ctx context.Context, w engine.Work, account, droplet int64, ip string, routed bool) error {
	if droplet == 0 {
		return nil
	}
	d, err := p.readDroplet(ctx, account, droplet)
	if cloud.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	address := &d.ReservedIP
	if cloud.IsIPv6(ip) {
		address = &d.ReservedIPv6
	}
	if *address = ip; !routed {
		*address = ""
	}
	return work(p.engine.ApplyNetwork(ctx, w, machineRef(d), network(d, d.ReservedIP)))
}

func (p *Plane) unroute(ctx context.Context, run *op.Run[reservedIPArgs]) error {
	return p.applyNetwork(ctx, do(run), run.Account, run.Args.From, run.Args.IP, false)
}

func (p *Plane) routeBack(ctx context.Context, run *op.Run[reservedIPArgs]) error {
	return p.applyNetwork(ctx, undo(run), run.Account, run.Args.From, run.Args.IP, true)
}

func (p *Plane) route(ctx context.Context, run *op.Run[reservedIPArgs]) error {
	return p.applyNetwork(ctx, do(run), run.Account, run.Args.To, run.Args.IP, true)
}

func (p *Plane) unrouteAgain(ctx context.Context, run *op.Run[reservedIPArgs]) error {
	return p.applyNetwork(ctx, undo(run), run.Account, run.Args.To, run.Args.IP, false)
}

func (p *Plane) saveAssigned(tx *store.Tx, run *op.Run[reservedIPArgs]) error {
	if cloud.IsIPv6(run.Args.IP) {
		return tx.AssignReservedIPv6(run.Args.IP, run.Args.To)
	}
	return tx.AssignReservedIP(run.Args.IP, run.Args.To)
}

func (p *Plane) saveReservedIPGone(tx *store.Tx, run *op.Run[reservedIPArgs]) error {
	return tx.DeleteReservedIP(run.Args.IP)
}

package control

import (
	"context"
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Droplet reads a Droplet.
func (p *Plane) Droplet(ctx context.Context, who cloud.Actor, id int64) (droplet cloud.Droplet, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		droplet, err = tx.Droplet(who.Account, id)
		return err
	})
	return droplet, err
}

// Droplets lists Droplets by ID.
func (p *Plane) Droplets(ctx context.Context, who cloud.Actor, f cloud.DropletFilter, page cloud.Page) (droplets []cloud.Droplet, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		droplets, total, err = tx.Droplets(who.Account, f, page)
		return err
	})
	return droplets, total, err
}

// DropletNeighbors lists the account's Droplets on the same physical host.
func (p *Plane) DropletNeighbors(ctx context.Context, who cloud.Actor, id int64) (neighbors []cloud.Droplet, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) error {
		droplet, err := tx.Droplet(who.Account, id)
		if err != nil || droplet.Host == "" {
			neighbors = nil
			return err
		}
		neighbors, _, err = tx.Droplets(who.Account, cloud.DropletFilter{Host: droplet.Host, Not: id}, cloud.Page{})
		return err
	})
	return neighbors, err
}

// NeighborIDs lists the sets of Droplets that share a physical host.
func (p *Plane) NeighborIDs(ctx context.Context, who cloud.Actor) (sets [][]int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		sets, err = tx.NeighborIDs(who.Account)
		return err
	})
	return sets, err
}

// Neighbors lists a page of the sets of Droplets that share a physical host, and
// says how many sets there are.
func (p *Plane) Neighbors(ctx context.Context, who cloud.Actor, page cloud.Page) (neighbors [][]cloud.Droplet, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) error {
		sets, err := tx.NeighborIDs(who.Account)
		if err != nil {
			return err
		}
		total = int64(len(sets))
		first := min(page.Offset, total)
		sets = sets[first:min(first+page.Limit, total)]
		byID, err := tx.DropletsByID(who.Account, slices.Concat(sets...))
		neighbors = make([][]cloud.Droplet, len(sets))
		for i, set := range sets {
			for _, id := range set {
				neighbors[i] = append(neighbors[i], byID[id])
			}
		}
		return err
	})
	return neighbors, total, err
}

// DropletImages lists the snapshots or the backups of a Droplet.
func (p *Plane) DropletImages(ctx context.Context, who cloud.Actor, id int64, kind cloud.ImageType, page cloud.Page) (images []cloud.Image, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if _, err := tx.Droplet(who.Account, id); err != nil {
			return err
		}
		images, total, err = tx.DropletImages(who.Account, id, kind, page)
		return err
	})
	return images, total, err
}

// readDroplet reads an operation's Droplet as it is now.
func (p *Plane) readDroplet(ctx context.Context, account, id int64) (droplet cloud.Droplet, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		droplet, err = tx.Droplet(account, id)
		return err
	})
	return droplet, err
}

// machineRef is how the engine knows a Droplet's machine.
func machineRef(d cloud.Droplet) engine.Ref {
	return engine.Ref{Account: d.Account, ID: cloud.FormatID(d.ID), Name: d.Name}
}

// imageRef is how the engine knows an image of an account.
func imageRef(account, id int64, name string) engine.Ref {
	return engine.Ref{Account: account, ID: cloud.FormatID(id), Name: name}
}

// network is the network that a Droplet's machine has, with the given reserved
// IP routed to it.
func network(d cloud.Droplet, reservedIP string) engine.Network {
	gateway, bits := cloud.Gateway(d.VPCRange)
	n := engine.Network{
		VPC: d.VPC, PrivateIPv4: d.PrivateIPv4, PrivatePrefix: bits, PrivateGateway: gateway, ReservedIPv4: reservedIP,
		ReservedIPv6: d.ReservedIPv6,
	}
	if d.PublicIPv4 != "" {
		n.PublicIPv4 = d.PublicIPv4
		n.PublicGateway, n.PublicPrefix = d.PublicGateway()
	}
	if d.PublicIPv6 != "" {
		n.PublicIPv6, n.IPv6Prefix, n.IPv6Gateway = d.PublicIPv6, cloud.IPv6Prefix, d.IPv6Gateway
	}
	return n
}

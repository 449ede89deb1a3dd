//go:build linux

package routed

import (
	"context"
	"errors"
	"slices"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// table is the routing table of a private network.
func (n *Network) table(vpc string) int { return vpcTables + int(n.tables.get(vpc)) }

// zone is where the connections of a private network are tracked. Networks that
// do not reach each other may have machines with the same addresses; those that
// do, by way of others too, have one zone, as an answer must be found where the
// question was noted.
func (n *Network) zone(vpc string) uint16 {
	joined := []string{vpc}
	for i := 0; i < len(joined); i++ {
		for _, peer := range n.peersOf(joined[i]) {
			if !slices.Contains(joined, peer) {
				joined = append(joined, peer)
			}
		}
	}
	return uint16(n.zones.get(slices.Min(joined)))
}

// peersOf are the networks that one is joined to, in order.
func (n *Network) peersOf(vpc string) []string {
	var list []string
	for _, p := range n.peerings {
		switch vpc {
		case p.VPCs[0]:
			list = append(list, p.VPCs[1])
		case p.VPCs[1]:
			list = append(list, p.VPCs[0])
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Peer lets two private networks reach each other.
func (n *Network) Peer(ctx context.Context, p engine.Peering) error {
	if p.ID == "" || p.VPCs[0] == "" || p.VPCs[1] == "" || p.VPCs[0] == p.VPCs[1] {
		return &engine.Error{Message: "a peering joins two networks"}
	}
	return n.rejoin(ctx, p.VPCs, func() { n.peerings[p.ID] = p })
}

// Unpeer ends that two private networks reach each other, for connections that
// there are as well.
func (n *Network) Unpeer(ctx context.Context, id string) error {
	n.mu.Lock()
	p, there := n.peerings[id]
	n.mu.Unlock()
	if !there {
		return nil
	}
	return n.rejoin(ctx, p.VPCs, func() { delete(n.peerings, id) })
}

// rejoin changes who reaches whom and tells all machines that it concerns,
// those of networks further away too: connections may be tracked elsewhere
// from now on.
func (n *Network) rejoin(ctx context.Context, vpcs [2]string, change func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	before := n.zonesNow()
	change()
	after := n.zonesNow()
	var concerned []*machine
	for _, m := range n.machines {
		if slices.Contains(vpcs[:], m.vpc()) || before[m.vpc()] != after[m.vpc()] {
			concerned = append(concerned, m)
		}
	}
	if len(concerned) == 0 {
		return nil
	}
	return n.place.do(func() error { return n.rejoined(concerned) })
}

func (n *Network) zonesNow() map[string]uint16 {
	zones := map[string]uint16{}
	for _, m := range n.machines {
		zones[m.vpc()] = n.zone(m.vpc())
	}
	return zones
}

func (n *Network) rejoined(machines []*machine) error {
	errs := []error{n.enforce(machines...)}
	for _, m := range machines {
		for _, p := range m.ports {
			if p.private {
				errs = append(errs, n.lead(m, p))
			}
		}
		errs = append(errs, n.serve(m))
	}
	return errors.Join(errs...)
}

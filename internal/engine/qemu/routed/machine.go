//go:build linux

package routed

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// machine is a machine that is plugged.
type machine struct {
	vnet.Machine
	ports []port
	// services are those that run for each of its links.
	services map[string]*service
	// cutOff says that its links are gone, and that this was said.
	cutOff bool
}

func (m *machine) vpc() string { return m.Network.VPC }

// Names of a machine's own chains.
func sentBy(id string) string     { return "from_" + hashed(id) }
func receivedBy(id string) string { return "to_" + hashed(id) }
func zoneOf(id string) string     { return "zone_" + hashed(id) }

// chains are a machine's rules. Its firewall is the same on all its links.
func (n *Network) chains(c *nftables.Conn, m *machine) ([]chain, error) {
	f := m.Firewall
	sent, err := firewall(c, f.On, f.Outbound, destination)
	if err != nil {
		return nil, err
	}
	received, err := firewall(c, f.On, f.Inbound, source)
	if err != nil {
		return nil, err
	}
	var list []chain
	for _, p := range m.ports {
		list = append(list, guard(p))
		if p.private {
			zone := n.zone(m.vpc())
			list = append(list, plain(zoneOf(m.ID), all(setZone(zone))))
			// Routing keeps private networks apart; this does where somebody else's
			// policy rules come before ours.
			received = append([][]expr.Any{all(to(p.link), zoneIsNot(zone), drop)}, received...)
		}
	}
	return append(list, plain(sentBy(m.ID), sent...), plain(receivedBy(m.ID), received...)), nil
}

// element is an element of a map or set, with the set's name.
type element struct {
	set string
	nftables.SetElement
}

// elements lead to a machine's chains, and its reserved IPs to it.
func (m *machine) elements() []element {
	var list []element
	leads := func(set, link, chain string) {
		verdict := &expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}
		list = append(list, element{set, nftables.SetElement{Key: named(link), VerdictData: verdict}})
	}
	for _, p := range m.ports {
		leads("sent", p.link, sentBy(m.ID))
		leads("received", p.link, receivedBy(m.ID))
		if p.private {
			leads("zone", p.link, zoneOf(m.ID))
		}
		reserved := false
		for set, pair := range map[string][2]netip.Addr{"reserved4": {p.reserved4, p.ipv4.Addr()}, "reserved6": {p.reserved6, p.ipv6}} {
			if pair[0].IsValid() && pair[1].IsValid() {
				list = append(list, element{set, nftables.SetElement{Key: pair[0].AsSlice(), Val: pair[1].AsSlice()}})
				reserved = true
			}
		}
		if reserved {
			list = append(list, element{"hairpin", nftables.SetElement{Key: append(named(p.link), named(p.link)...)}})
		}
	}
	return list
}

// trace is what tells a machine's elements from others'.
type trace struct {
	links     []string
	addresses []netip.Addr
}

func (t trace) of(e nftables.SetElement, isAddress bool) bool {
	if isAddress {
		addr, _ := netip.AddrFromSlice(e.Val)
		return slices.Contains(t.addresses, addr)
	}
	return slices.ContainsFunc(t.links, func(link string) bool { return bytes.HasPrefix(e.Key, named(link)) })
}

// traceOf finds what there is of a machine, known or not: its names follow from
// its ID, and its addresses are those that are routed to it.
func traceOf(id string) (trace, error) {
	public, private := linkNames(id)
	t := trace{links: []string{public, private}}
	if !linkExists(public) { // then it has no routes
		return t, nil
	}
	link, err := netlink.LinkByName(public)
	if err != nil {
		return t, err
	}
	routes, err := routesOf(link.Attrs().Index)
	for _, r := range routes {
		if r.Table == unix.RT_TABLE_MAIN && r.Dst != nil {
			addr, _ := netip.AddrFromSlice(r.Dst.IP)
			t.addresses = append(t.addresses, addr.Unmap())
		}
	}
	return t, err
}

// change replaces what the maps have of a machine. It returns the reserved IPs
// that lead elsewhere than before.
func change(c *nftables.Conn, s sets, t trace, want []element) (moved []netip.Addr, err error) {
	for _, set := range s.list() {
		have, err := c.GetSetElements(set)
		if err != nil {
			return nil, fmt.Errorf("nftables: the map %s: %w", set.Name, err)
		}
		isAddress := set == s.reserved4 || set == s.reserved6
		var add, remove []nftables.SetElement
		for _, w := range want {
			if w.set == set.Name && !slices.ContainsFunc(have, func(h nftables.SetElement) bool { return same(h, w.SetElement) }) {
				add = append(add, w.SetElement)
			}
		}
		for _, h := range have {
			wanted := slices.ContainsFunc(want, func(w element) bool { return w.set == set.Name && same(h, w.SetElement) })
			taken := slices.ContainsFunc(add, func(a nftables.SetElement) bool { return bytes.Equal(a.Key, h.Key) })
			if taken || !wanted && t.of(h, isAddress) {
				remove = append(remove, nftables.SetElement{Key: h.Key})
				if addr, ok := netip.AddrFromSlice(h.Key); ok && isAddress {
					moved = append(moved, addr)
				}
			}
		}
		if err := replace(c, set, remove, add); err != nil {
			return nil, err
		}
	}
	return moved, nil
}

func replace(c *nftables.Conn, set *nftables.Set, remove, add []nftables.SetElement) error {
	if len(remove) > 0 {
		if err := c.SetDeleteElements(set, remove); err != nil {
			return err
		}
	}
	if len(add) == 0 {
		return nil
	}
	return c.SetAddElements(set, add)
}

// same reports whether two elements are. The chain that a link leads to follows
// from its name.
func same(a, b nftables.SetElement) bool {
	return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Val, b.Val)
}

// enforce makes the rules of machines what they are to be, in one transaction.
func (n *Network) enforce(machines ...*machine) error {
	c, s, err := begin()
	if err != nil {
		return err
	}
	var moved []netip.Addr
	for _, m := range machines {
		t, err := traceOf(m.ID)
		if err != nil {
			return err
		}
		for _, p := range m.ports {
			t.addresses = append(t.addresses, p.ipv4.Addr(), p.ipv6)
		}
		chains, err := n.chains(c, m)
		if err != nil {
			return err
		}
		write(c, chains)
		also, err := change(c, s, t, m.elements())
		if err != nil {
			return err
		}
		moved = append(moved, also...)
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return forget(moved)
}

// release removes the rules of a machine.
func release(id string, t trace) error {
	c, s, err := begin()
	if err != nil {
		return err
	}
	moved, err := change(c, s, t, nil)
	if err != nil {
		return err
	}
	names := append([]string{sentBy(id), receivedBy(id), zoneOf(id)}, t.links...)
	for _, table := range []*nftables.Table{inet, netdev} {
		chains, err := c.ListChainsOfTableFamily(table.Family)
		if err != nil {
			return err
		}
		for _, chain := range chains {
			if chain.Table.Name == tableName && slices.Contains(names, chain.Name) {
				c.FlushChain(chain)
				c.DelChain(chain)
			}
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return forget(append(moved, t.addresses...))
}

// forget ends the connections to addresses that lead elsewhere now: else the
// kernel would go on sending what is for a moved reserved IP to its former
// machine.
func forget(moved []netip.Addr) error {
	for _, addr := range moved {
		if !addr.IsValid() {
			continue
		}
		family := netlink.InetFamily(unix.AF_INET6)
		if addr.Is4() {
			family = unix.AF_INET
		}
		for _, side := range []netlink.ConntrackFilterType{netlink.ConntrackOrigDstIP, netlink.ConntrackOrigSrcIP} {
			filter := &netlink.ConntrackFilter{}
			if err := filter.AddIP(side, addr.AsSlice()); err != nil {
				return err
			}
			if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, filter); err != nil {
				return fmt.Errorf("ending the connections of %s: %w", addr, err)
			}
		}
	}
	return nil
}

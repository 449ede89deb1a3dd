//go:build linux

package routed

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// upstream is the host's way to the world.
type upstream struct {
	name  string
	index int
	// nets are the networks that the uplink is in.
	nets []netip.Prefix
	// routers are those that the host sends through.
	routers []netip.Addr
}

func findUpstream(name string) (u upstream, err error) {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return u, err
	}
	best := -1
	for _, r := range routes {
		if router, ok := netip.AddrFromSlice(r.Gw); ok {
			u.routers = append(u.routers, router.Unmap())
		}
		isDefault := r.Dst == nil || r.Dst.IP.IsUnspecified() && r.Dst.IP.To4() != nil
		if isDefault && r.LinkIndex > 0 && r.Family == unix.AF_INET && (best < 0 || r.Priority < best) {
			best, u.index = r.Priority, r.LinkIndex
		}
	}
	link, err := findLink(name, u.index)
	if err != nil {
		return u, err
	}
	u.name, u.index = link.Attrs().Name, link.Attrs().Index
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	for _, a := range addrs {
		u.nets = append(u.nets, prefixOf(a).Masked())
	}
	return u, err
}

// Commands that show what there is to choose from, or to stay away from.
const (
	listLinks     = "ip -brief link"
	listAddresses = "ip -brief address"
	listRoutes    = "ip route"
)

func findLink(name string, index int) (netlink.Link, error) {
	if name == "" {
		if index == 0 {
			return nil, &Unready{"there is no default route, so name with --uplink the interface that leads to the world", listLinks}
		}
		return netlink.LinkByIndex(index)
	}
	link, err := netlink.LinkByName(name)
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
		return nil, &Unready{"--uplink " + name + ": there is no such interface", listLinks}
	}
	if err != nil {
		return nil, fmt.Errorf("the uplink %s: %w", name, err)
	}
	if link.Attrs().Flags&net.FlagLoopback != 0 || isOurs(name) {
		return nil, &Unready{"--uplink " + name + ": this interface does not lead to the world", listLinks}
	}
	return link, nil
}

func prefixOf(a netlink.Addr) netip.Prefix {
	addr, _ := netip.AddrFromSlice(a.IP)
	bits, _ := a.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits)
}

// hostAddresses are the addresses of the host, without those that it has for
// guests.
func hostAddresses() (map[netip.Addr]string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	for _, link := range links {
		names[link.Attrs().Index] = link.Attrs().Name
	}
	own := map[netip.Addr]string{}
	for _, a := range all {
		if name := names[a.LinkIndex]; !isOurs(name) {
			own[prefixOf(a).Addr()] = name
		}
	}
	return own, nil
}

// check refuses pools with addresses that are somebody's already.
func (u upstream) check(o Options) error {
	own, err := hostAddresses()
	if err != nil {
		return err
	}
	for _, pool := range o.named() {
		for addr, link := range own {
			if pool.Contains(addr) {
				return &Unready{fmt.Sprintf("%s has this host's own address %s (%s); take a range that has it not", pool, addr, link), listAddresses}
			}
		}
		for _, router := range u.routers {
			if pool.Contains(router) {
				return &Unready{fmt.Sprintf("%s has %s, which this host sends through; take a range that has it not", pool, router), listRoutes}
			}
		}
	}
	return nil
}

// clash refuses addresses for a machine that are the host's own: what is for
// them would never get to the machine.
func (u upstream) clash(list []port) error {
	own, err := hostAddresses()
	if err != nil {
		return err
	}
	for _, router := range u.routers {
		own[router] = "its gateway"
	}
	for _, p := range list {
		for _, addr := range []netip.Addr{p.ipv4.Addr(), p.ipv6, p.reserved4, p.reserved6, p.gateway} {
			if link, is := own[addr]; is && addr.IsValid() {
				return &engine.Error{Message: fmt.Sprintf("%s is an address of the host itself (%s), so that no machine can have it", addr, link)}
			}
		}
	}
	return nil
}

// answerFor makes the uplink answer for a machine's addresses, where they are
// of its own network.
func (u upstream) answerFor(p port) error {
	if p.private {
		return nil
	}
	for _, addr := range []netip.Addr{p.ipv4.Addr(), p.reserved4} {
		if !addr.IsValid() || !u.inNet(addr) {
			continue
		}
		if err := netlink.NeighSet(proxied(u.index, addr)); err != nil {
			return fmt.Errorf("answering for %s on %s: %w", addr, u.name, err)
		}
	}
	return nil
}

func (u upstream) inNet(addr netip.Addr) bool {
	for _, p := range u.nets {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// forgo ends that the uplink answers for addresses.
func (u upstream) forgo(addrs []netip.Addr) error {
	for _, addr := range addrs {
		if !addr.IsValid() || !addr.Is4() || !u.inNet(addr) {
			continue
		}
		if err := ignoring(netlink.NeighDel(proxied(u.index, addr)), unix.ENOENT); err != nil {
			return fmt.Errorf("no longer answering for %s on %s: %w", addr, u.name, err)
		}
	}
	return nil
}

// last is a metric that every other route to the same range comes before.
const last = 1 << 20

// hold keeps what is for addresses of the pools that no machine has from
// leaving by the default route, and makes the pools of former configurations
// ordinary addresses again.
func hold(pools []netip.Prefix) error {
	have, err := routesOf(0)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, pool := range pools {
		wanted[ipNet(pool).String()] = true
		r := netlink.Route{Dst: ipNet(pool), Type: unix.RTN_UNREACHABLE, Protocol: protocol, Priority: last, Table: unix.RT_TABLE_MAIN}
		if err := netlink.RouteReplace(&r); err != nil {
			return fmt.Errorf("the route of the pool %s: %w", pool, err)
		}
	}
	for _, r := range have {
		if r.Type == unix.RTN_UNREACHABLE && r.Dst != nil && !wanted[r.Dst.String()] {
			if err := ignoring(netlink.RouteDel(&r), unix.ESRCH); err != nil {
				return err
			}
		}
	}
	return nil
}

// opens reports whether forwarding on the uplink is on for machines' sake alone:
// it was off, and the host as a whole is no router. This process may know so
// when the record was removed by somebody.
func (n *Network) opens(f forwarding, known bool) (bool, error) {
	off, err := f.off(n.uplink)
	if off || err != nil {
		return off, err
	}
	before, err := recorded(f)
	if err != nil || !known && !slices.Contains(before, n.uplink) {
		return false, err
	}
	router, err := readSetting(f.dir, "all", "forwarding")
	return router == "0", err
}

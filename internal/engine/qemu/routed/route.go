//go:build linux

package routed

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ways are the routes and policy rules of one link.
type ways struct {
	routes []netlink.Route
	rules  []netlink.Rule
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func single(a netip.Addr) *net.IPNet { return ipNet(netip.PrefixFrom(a, a.BitLen())) }

func onLink(index, table int, to *net.IPNet) netlink.Route {
	route := netlink.Route{LinkIndex: index, Table: table, Dst: to, Protocol: protocol, Type: unix.RTN_UNICAST}
	if to.IP.To4() != nil {
		route.Scope = netlink.SCOPE_LINK
	}
	return route
}

// local makes the host answer for an address, for what comes in by one link
// only: on every other link the same address may be somebody else's.
func local(index, table int, addr netip.Addr) netlink.Route {
	return netlink.Route{
		LinkIndex: index, Table: table, Dst: single(addr), Protocol: protocol, Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST,
	}
}

// waysOf says how a link's packets find their way. The addresses of a public
// link are in the main table, as the whole host reaches them. A private one
// only sees the tables of its network and of those joined to it.
func waysOf(p port, index, vpc int, peers []int) ways {
	own := linkTables + index
	w := ways{
		routes: []netlink.Route{local(index, own, metadataAddr), onLink(index, own, ipNet(linkLocal))},
		rules:  []netlink.Rule{inward(p.link, ruleLink, own), outward(p.link, ruleLink, own)},
	}
	if !p.private {
		for _, addr := range []netip.Addr{p.ipv4.Addr(), p.reserved4, p.ipv6, p.reserved6} {
			if addr.IsValid() {
				w.routes = append(w.routes, onLink(index, unix.RT_TABLE_MAIN, single(addr)))
			}
		}
		return w
	}
	if p.gateway.IsValid() {
		w.routes = append(w.routes, local(index, own, p.gateway))
	}
	w.routes = append(w.routes, onLink(index, vpc, single(p.ipv4.Addr())))
	w.rules = append(w.rules, inward(p.link, ruleVPC, vpc), outward(p.link, ruleVPC, vpc))
	for _, peer := range peers {
		w.rules = append(w.rules, inward(p.link, rulePeers, peer))
	}
	nothing := inward(p.link, ruleNothing, 0)
	nothing.Type = unix.RTN_UNREACHABLE
	w.rules = append(w.rules, nothing)
	return w
}

func rule(priority, table int) netlink.Rule {
	r := netlink.NewRule()
	r.Family, r.Priority, r.Table, r.Protocol = unix.AF_INET, priority, table, protocol
	return *r
}

// inward is a rule for what a guest sends.
func inward(link string, priority, table int) netlink.Rule {
	r := rule(priority, table)
	r.IifName = link
	return r
}

// outward is a rule for what the host's own services answer to a guest.
func outward(link string, priority, table int) netlink.Rule {
	r := rule(priority, table)
	r.OifName = link
	return r
}

// lead makes a link's addresses, neighbours, routes and rules what they are to
// be, whatever they were.
func lead(p port, vpc int, peers []int) error {
	link, err := netlink.LinkByName(p.link)
	if err != nil {
		return err
	}
	w := waysOf(p, link.Attrs().Index, vpc, peers)
	for _, step := range []func() error{
		func() error { return address(link, p) },
		func() error { return meet(link, p) },
		func() error { return route(link, w.routes) },
		func() error { return obey(p.link, w.rules) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("the link %s: %w", p.link, err)
		}
	}
	return nil
}

// address gives the host's end of a public link the gateway's address. A
// private gateway is answered for by a route instead, as other networks of the
// host may have machines with its address.
func address(link netlink.Link, p port) error {
	var want []netip.Prefix
	if !p.private && p.gateway.IsValid() {
		want = append(want, netip.PrefixFrom(p.gateway, p.gateway.BitLen()))
	}
	if p.ipv6.IsValid() {
		want = append(want, netip.PrefixFrom(gateway6, 64))
	}
	have, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, prefix := range want {
		addr := &netlink.Addr{IPNet: ipNet(prefix)}
		if prefix.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD // nobody else is asked for it
		}
		if err := netlink.AddrReplace(link, addr); err != nil {
			return err
		}
	}
	for _, addr := range have {
		if !contains(want, addr.IPNet) {
			if err := ignoring(netlink.AddrDel(link, &addr), unix.EADDRNOTAVAIL); err != nil {
				return err
			}
		}
	}
	return nil
}

func contains(list []netip.Prefix, ip *net.IPNet) bool {
	for _, p := range list {
		if ipNet(p).String() == ip.String() {
			return true
		}
	}
	return false
}

// meet tells the kernel which MAC address a guest's addresses have, so that it
// never asks and never believes another.
func meet(link netlink.Link, p port) error {
	want := map[string]bool{}
	for _, addr := range []netip.Addr{p.ipv4.Addr(), p.ipv6} {
		if !addr.IsValid() {
			continue
		}
		want[net.IP(addr.AsSlice()).String()] = true
		n := &netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: p.mac}
		if err := netlink.NeighSet(n); err != nil {
			return err
		}
	}
	have, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, n := range have {
		if n.State&netlink.NUD_PERMANENT == 0 || want[n.IP.String()] {
			continue
		}
		if err := ignoring(netlink.NeighDel(&n), unix.ENOENT); err != nil {
			return err
		}
	}
	return nil
}

func route(link netlink.Link, want []netlink.Route) error {
	have, err := routesOf(link.Attrs().Index)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, r := range want {
		wanted[routeKey(r)] = true
		if err := netlink.RouteReplace(&r); err != nil {
			return fmt.Errorf("the route to %s: %w", r.Dst, err)
		}
	}
	for _, r := range have {
		if !wanted[routeKey(r)] {
			if err := ignoring(netlink.RouteDel(&r), unix.ESRCH); err != nil {
				return fmt.Errorf("the former route to %s: %w", r.Dst, err)
			}
		}
	}
	return nil
}

func routeKey(r netlink.Route) string { return fmt.Sprint(r.Table, r.Dst, r.Type) }

// linkRouteKey tells routes of different links apart, too.
func linkRouteKey(r netlink.Route) string { return fmt.Sprint(r.LinkIndex, " ", routeKey(r)) }

// routesOf are our routes to a link, or all of ours for 0.
func routesOf(index int) ([]netlink.Route, error) {
	filter := &netlink.Route{Protocol: protocol, LinkIndex: index, Table: unix.RT_TABLE_UNSPEC}
	mask := netlink.RT_FILTER_PROTOCOL | netlink.RT_FILTER_TABLE
	if index != 0 {
		mask |= netlink.RT_FILTER_OIF
	}
	var all []netlink.Route
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := netlink.RouteListFiltered(family, filter, mask)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

func obey(link string, want []netlink.Rule) error {
	have, err := rulesOf(link)
	if err != nil {
		return err
	}
	there, wanted := map[string]bool{}, map[string]bool{}
	for _, r := range have {
		there[ruleKey(r)] = true
	}
	for _, r := range want {
		wanted[ruleKey(r)] = true
		if there[ruleKey(r)] {
			continue
		}
		if err := ignoring(netlink.RuleAdd(&r), unix.EEXIST); err != nil {
			return fmt.Errorf("%s: %w", r, err)
		}
	}
	for _, r := range have {
		if !wanted[ruleKey(r)] {
			if err := removeRule(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func ruleKey(r netlink.Rule) string {
	return fmt.Sprint(r.Priority, " ", max(r.Table, 0), " ", r.IifName, " ", r.OifName)
}

func removeRule(r netlink.Rule) error {
	switch r.Priority { // the list does not say its type
	case ruleNothing:
		r.Type = unix.RTN_UNREACHABLE
	case ruleForwarding4, ruleForwarding6:
		r.Type = nl.FR_ACT_NOP
	}
	if err := ignoring(netlink.RuleDel(&r), unix.ENOENT); err != nil {
		return fmt.Errorf("removing %s: %w", r, err)
	}
	return nil
}

// rulesOf are our policy rules for a link, or all of ours for none.
func rulesOf(link string) ([]netlink.Rule, error) {
	all, err := netlink.RuleList(unix.AF_INET)
	if err != nil {
		return nil, err
	}
	var list []netlink.Rule
	for _, r := range all {
		if r.Protocol == protocol && (link == "" || r.IifName == link || r.OifName == link) {
			list = append(list, r)
		}
	}
	return list, nil
}

// proxied makes the host answer on the uplink for a machine's addresses, where
// the pools are a part of the uplink's own network.
func proxied(uplink int, addr netip.Addr) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: uplink, Family: unix.AF_INET, Flags: netlink.NTF_PROXY, IP: addr.AsSlice()}
}

// ignoring drops an error that says that there is nothing left to do.
func ignoring(err error, what unix.Errno) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

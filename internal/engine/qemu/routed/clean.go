//go:build linux

package routed

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Found is what there is of routed networks on a host.
type Found struct {
	place   place
	links   []netlink.Link
	rules   []netlink.Rule
	routes  []netlink.Route
	proxies []netlink.Neigh
	tables  []*nftables.Table
	// opened are the links whose forwarding goes off again.
	opened map[forwarding][]string
}

// Find looks for what routed networks have left on this host, whichever process
// made it; namespace is as in Options.
func Find(namespace int) (Found, error) {
	if os.Geteuid() != 0 {
		return Found{}, errors.New("only root can look after the network; run it with sudo")
	}
	f := Found{place: place(namespace), opened: map[forwarding][]string{}}
	err := f.place.do(func() error {
		for _, look := range []func() error{f.findLinks, f.findRoutes, f.findTables, f.findSettings} {
			if err := look(); err != nil {
				return err
			}
		}
		return nil
	})
	return f, err
}

func (f *Found) findLinks() error {
	links, err := netlink.LinkList()
	for _, link := range links {
		if isOurs(link.Attrs().Name) {
			f.links = append(f.links, link)
		}
	}
	return err
}

func (f *Found) findRoutes() (err error) {
	if f.rules, err = rulesOf(""); err != nil {
		return err
	}
	if f.routes, err = routesOf(0); err != nil {
		return err
	}
	// A proxied neighbour does not say whose it is, but the pools are held by
	// routes that do.
	proxies, err := netlink.NeighProxyList(0, unix.AF_INET)
	for _, p := range proxies {
		if slices.ContainsFunc(f.routes, func(r netlink.Route) bool { return r.Dst != nil && r.Dst.Contains(p.IP) }) {
			f.proxies = append(f.proxies, p)
		}
	}
	return err
}

func (f *Found) findTables() error {
	c, err := dial()
	if err != nil {
		return err
	}
	for _, table := range []*nftables.Table{inet, netdev} {
		tables, err := c.ListTablesOfFamily(table.Family)
		if err != nil {
			return fmt.Errorf("nftables: %w", err)
		}
		if slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == tableName }) {
			f.tables = append(f.tables, table)
		}
	}
	return nil
}

// findSettings finds where forwarding was off before, unless the host has become
// a router meanwhile: then it stays one.
func (f *Found) findSettings() error {
	for _, of := range []forwarding{forwarding4, forwarding6} {
		names, err := recorded(of)
		if err != nil {
			return err
		}
		for _, link := range names {
			all, _ := readSetting(of.dir, "all", "forwarding")
			if off, err := of.off(link); err == nil && !off && all == "0" {
				f.opened[of] = append(f.opened[of], link)
			}
		}
	}
	return nil
}

// Running are the links that the process of a machine holds.
func (f Found) Running() []string {
	var names []string
	for _, link := range f.links {
		if carried(link) {
			names = append(names, link.Attrs().Name)
		}
	}
	return names
}

// Lines say what was found, one thing a line.
func (f Found) Lines() []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, link := range f.links {
		say("link %s", link.Attrs().Name)
	}
	for _, r := range f.rules {
		say("policy rule %d for %s%s", r.Priority, r.IifName, r.OifName)
	}
	for _, r := range f.routes {
		say("route to %s in table %d", r.Dst, r.Table)
	}
	for _, p := range f.proxies {
		say("answers for %s", p.IP)
	}
	for _, t := range f.tables {
		family := "inet"
		if t.Family == nftables.TableFamilyNetdev {
			family = "netdev"
		}
		say("nftables table %s %s", family, t.Name)
	}
	for _, of := range []forwarding{forwarding4, forwarding6} {
		for _, link := range f.opened[of] {
			say("forwarding on %s, which was off before", link)
		}
	}
	return lines
}

// Remove removes all that was found.
func (f Found) Remove() error { return f.place.do(f.remove) }

func (f Found) remove() error {
	// Forwarding goes off before the rules go that bound it.
	for of, names := range f.opened {
		for _, link := range names {
			if err := writeSetting(of.dir, link, of.name, "0"); err != nil {
				return err
			}
		}
	}
	for _, p := range f.proxies {
		p.Flags = netlink.NTF_PROXY
		if err := ignoring(netlink.NeighDel(&p), unix.ENOENT); err != nil {
			return fmt.Errorf("no longer answering for %s: %w", p.IP, err)
		}
	}
	for _, link := range f.links { // their routes go with them
		if err := removeLink(link.Attrs().Name); err != nil {
			return fmt.Errorf("removing the link %s: %w", link.Attrs().Name, err)
		}
	}
	routes, err := routesOf(0)
	if err != nil {
		return err
	}
	found := map[string]bool{}
	for _, r := range f.routes {
		found[linkRouteKey(r)] = true
	}
	for _, r := range routes {
		if !found[linkRouteKey(r)] {
			continue
		}
		if err := ignoring(netlink.RouteDel(&r), unix.ESRCH); err != nil {
			return fmt.Errorf("removing the route to %s: %w", r.Dst, err)
		}
	}
	for _, r := range f.rules {
		if err := removeRule(r); err != nil {
			return err
		}
	}
	return f.removeTables()
}

func (f Found) removeTables() error {
	c, err := dial()
	if err != nil {
		return err
	}
	for _, t := range f.tables {
		c.DelTable(t)
	}
	var gone []netip.Addr
	for _, r := range f.routes {
		if r.Dst == nil || r.Type != unix.RTN_UNICAST {
			continue
		}
		addr, _ := netip.AddrFromSlice(r.Dst.IP)
		gone = append(gone, addr.Unmap())
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("removing the rules: %w", err)
	}
	return forget(gone)
}

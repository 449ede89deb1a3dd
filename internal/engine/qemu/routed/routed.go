//go:build linux

package routed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"github.com/mdlayher/netlink"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// Network is a vnet.Network of routed links.
type Network struct {
	options Options
	log     *slog.Logger
	place   place
	uplink  string
	// upstream is what the network knows of the uplink.
	upstream upstream
	// before is what there was of such a network when this one began.
	before Found
	// opened4 and opened6 say that the uplink forwards for machines' sake alone.
	opened4, opened6 bool
	// open opens a machine's end of a link; tests have another one.
	open func(name, mac string) (*os.File, error)
	// events are those of nftables.
	events *netlink.Conn
	closed atomic.Bool

	mu       sync.Mutex
	machines map[string]*machine
	peerings map[string]engine.Peering
	tables   numbers // of private networks
	zones    numbers // of private networks that are joined
}

var _ vnet.Network = (*Network)(nil)

// New takes over the network of this host, with what a former process has left
// running on it.
func New(ctx context.Context, o Options) (*Network, error) {
	return open(ctx, o, openTap)
}

func open(ctx context.Context, o Options, openLink func(name, mac string) (*os.File, error)) (*Network, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("a routed network needs root: start cistern serve as root, or take the user network")
	}
	n := &Network{
		options: o, log: o.Log, place: place(o.Namespace), open: openLink,
		machines: map[string]*machine{}, peerings: map[string]engine.Peering{},
		tables: newNumbers(1 << 24), zones: newNumbers(1<<16 - 1),
	}
	if n.log == nil {
		n.log = slog.Default()
	}
	if len(o.Resolvers) == 0 {
		n.options.Resolvers = hostResolvers()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var err error
	if n.before, err = Find(o.Namespace); err != nil {
		return nil, err
	}
	err = n.place.do(func() error {
		if err := n.start(); err != nil {
			return err
		}
		return n.watch()
	})
	if err != nil {
		return nil, errors.Join(err, n.TakeBack())
	}
	return n, nil
}

// Ready says whether a network could start here, and the name of its uplink. It
// changes nothing and needs no root.
func Ready(o Options) (uplink string, err error) {
	if err := o.check(); err != nil {
		return "", err
	}
	err = place(o.Namespace).do(func() error {
		u, err := o.ready()
		uplink = u.name
		return err
	})
	return uplink, err
}

// ready finds the uplink, and refuses a host on which the network cannot be.
func (o Options) ready() (u upstream, err error) {
	if u, err = findUpstream(o.Uplink); err != nil {
		return u, err
	}
	if err := u.check(o); err != nil {
		return u, err
	}
	return u, checkHost(u.name, len(o.IPv6) > 0)
}

// start makes the host ready: what it refuses, it refuses before it changes
// anything.
func (n *Network) start() (err error) {
	if n.upstream, err = n.options.ready(); err != nil {
		return err
	}
	n.uplink = n.upstream.name
	v6 := len(n.options.IPv6) > 0
	if n.opened4, err = n.opens(forwarding4, n.opened4); err != nil {
		return err
	}
	if v6 {
		if n.opened6, err = n.opens(forwarding6, n.opened6); err != nil {
			return err
		}
	}
	if err := n.writeBase(); err != nil { // the record first
		return err
	}
	for _, f := range n.opened() {
		if err := errors.Join(f.note(n.uplink), writeSetting(f.dir, n.uplink, f.name, "1")); err != nil {
			return err
		}
	}
	return hold(n.options.pools())
}

// opened are the settings of the uplink that are on for machines' sake alone.
func (n *Network) opened() (list []forwarding) {
	if n.opened4 {
		list = append(list, forwarding4)
	}
	if n.opened6 {
		list = append(list, forwarding6)
	}
	return list
}

// Guest is the network as a machine's guest configures it.
func (n *Network) Guest(m vnet.Machine) vnet.Guest { return guest(m, n.options.Resolvers) }

// Plug makes a machine's links, or takes over those that it has.
func (n *Network) Plug(ctx context.Context, m vnet.Machine) ([]vnet.NIC, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	list, err := n.portsOf(m)
	if err != nil {
		return nil, err
	}
	var nics []vnet.NIC
	err = n.place.do(func() (err error) {
		if err := n.upstream.clash(list); err != nil {
			return err
		}
		if nics, err = n.openLinks(list); err != nil {
			return err
		}
		return n.apply(m, list)
	})
	if err != nil {
		closeAll(nics)
		return nil, err
	}
	return nics, nil
}

func (n *Network) openLinks(list []port) (nics []vnet.NIC, err error) {
	for _, p := range list {
		file, err := n.open(p.link, p.mac.String())
		if err != nil {
			return nics, err
		}
		nic := vnet.NIC{MAC: p.mac.String(), Netdev: "tap,fd=%d", File: file}
		if file == nil { // a process has it
			nic.Netdev = "tap,ifname=" + p.link + ",script=no,downscript=no"
		}
		nics = append(nics, nic)
	}
	return nics, nil
}

func closeAll(nics []vnet.NIC) {
	for _, nic := range nics {
		if nic.File != nil {
			_ = nic.File.Close()
		}
	}
}

// apply makes everything of a machine what is described. Rules come before
// routes, so that nothing passes before it may.
func (n *Network) apply(m vnet.Machine, list []port) error {
	if complete, err := standing(); err != nil {
		return err
	} else if !complete { // the network was cleaned meanwhile
		if err := n.start(); err != nil {
			return err
		}
	}
	now := &machine{Machine: m, ports: list, services: map[string]*service{}}
	if former := n.machines[m.ID]; former != nil {
		now.services = former.services
	}
	n.machines[m.ID] = now
	if err := n.enforce(now); err != nil {
		return err
	}
	for _, p := range list {
		if err := raise(p); err != nil {
			return fmt.Errorf("the link %s: %w", p.link, err)
		}
		if err := n.lead(now, p); err != nil {
			return err
		}
	}
	return n.serve(now)
}

// lead gives one of a machine's links its routes.
func (n *Network) lead(m *machine, p port) error {
	vpc, peers := 0, []int(nil)
	if p.private {
		vpc = n.table(m.vpc())
		for _, peer := range n.peersOf(m.vpc()) {
			peers = append(peers, n.table(peer))
		}
	}
	if err := lead(p, vpc, peers); err != nil {
		return err
	}
	return n.upstream.answerFor(p)
}

// Update makes the addresses and rules of a plugged machine what is described.
// Links are made by Plug alone, as a running machine gets no more of them.
func (n *Network) Update(ctx context.Context, m vnet.Machine) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	list, err := n.portsOf(m)
	if err != nil {
		return err
	}
	return n.place.do(func() error {
		if err := n.upstream.clash(list); err != nil {
			return err
		}
		var there []port
		for _, p := range list {
			if linkExists(p.link) {
				there = append(there, p)
			}
		}
		if len(there) == 0 && len(list) > 0 {
			return fmt.Errorf("the network of machine %s is not plugged", m.ID)
		}
		return n.apply(m, there)
	})
}

// portsOf are a machine's devices, once it is sure that all of it can be kept.
func (n *Network) portsOf(m vnet.Machine) ([]port, error) {
	list, err := ports(m)
	if err != nil {
		return nil, err
	}
	return list, n.Check(m.Firewall)
}

// Unplug removes everything of a machine.
func (n *Network) Unplug(ctx context.Context, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return n.place.do(func() error { return n.unplug(id) })
}

func (n *Network) unplug(id string) error {
	if m := n.machines[id]; m != nil {
		m.stop()
		delete(n.machines, id)
	}
	t, err := traceOf(id)
	if err != nil {
		return err
	}
	if err := n.upstream.forgo(t.addresses); err != nil {
		return err
	}
	for _, link := range t.links {
		rules, err := rulesOf(link)
		if err != nil {
			return err
		}
		for _, r := range rules {
			if err := removeRule(r); err != nil {
				return err
			}
		}
	}
	// The rules go before the links, which their chains hang on.
	if err := release(id, t); err != nil {
		return err
	}
	for _, link := range t.links {
		if err := removeLink(link); err != nil {
			return err
		}
	}
	return nil
}

// Check fails where a firewall is not one at all: all others are kept.
func (n *Network) Check(f engine.Firewall) error {
	for _, rules := range [][]engine.FirewallRule{f.Inbound, f.Outbound} {
		for _, r := range rules {
			if _, err := parseRule(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// SSH is port 22 of a machine's public address.
func (n *Network) SSH(id string) netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.machines[id]; m != nil {
		for _, p := range m.ports {
			if !p.private && p.ipv4.IsValid() {
				return netip.AddrPortFrom(p.ipv4.Addr(), 22)
			}
		}
	}
	return netip.AddrPort{}
}

// Close ends the services for guests. Their packets are forwarded as before.
func (n *Network) Close() error {
	n.closed.Store(true)
	if n.events != nil {
		_ = n.events.Close()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.machines {
		m.stop()
	}
	return nil
}

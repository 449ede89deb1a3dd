// Package routed is the network of virtual machines on a Linux host where
// Cistern is root: a tap for each network device of a machine, no bridge, and
// every packet forwarded by the host's own routing, past nftables rules.
//
// What it changes on the host can be told from everything else, and is all that
// Clean removes: links whose names begin with "ctn", routes and policy rules of
// routing protocol 206, entries of proxied neighbours for the pools, two tables
// of nftables called cistern, and forwarding on the uplink where it was off.
// All of it stays when this process ends, as the machines run on.
package routed

import (
	"fmt"
	"log/slog"
	"net/netip"
)

// Options say which addresses machines have and how they reach the world.
type Options struct {
	// Public and Reserved are the pools, of IPv4, that public addresses and
	// reserved IPs come from; IPv6 are those of both.
	Public, Reserved, IPv6 []netip.Prefix
	// Uplink is the interface that leads to the world; when it is empty, the one
	// of the default route.
	Uplink string
	// Routed says that the world routes the pools to this host, so that machines
	// keep their addresses even where these are private ones. Otherwise private
	// addresses are translated to the uplink's on their way out.
	Routed bool
	// Resolvers are the name servers that guests are told of; when empty, those
	// of the host that can be reached from elsewhere.
	Resolvers []netip.Addr
	Log       *slog.Logger
	// Namespace is a file descriptor of the network namespace to work in, for
	// tests; 0 is this process's own.
	Namespace int
}

// Unready is what keeps a network from starting, with the command that helps
// where there is one.
type Unready struct{ Why, Command string }

func (u *Unready) Error() string {
	if u.Command == "" {
		return u.Why
	}
	return u.Why + "; run: " + u.Command
}

func (o Options) check() error {
	if len(o.Public) == 0 {
		return fmt.Errorf("a routed network needs a pool of public IPv4 addresses")
	}
	for _, pool := range append(append([]netip.Prefix(nil), o.Public...), o.Reserved...) {
		if !pool.IsValid() || !pool.Addr().Is4() {
			return fmt.Errorf("%s is no range of IPv4 addresses", pool)
		}
	}
	for _, pool := range o.IPv6 {
		if !pool.IsValid() || !pool.Addr().Is6() || pool.Addr().Is4In6() {
			return fmt.Errorf("%s is no range of IPv6 addresses", pool)
		}
	}
	return nil
}

// pools are all ranges that machines' public addresses come from.
func (o Options) pools() []netip.Prefix {
	var all []netip.Prefix
	for _, pool := range o.named() {
		all = append(all, pool.Prefix)
	}
	return all
}

// namedPool is a range with the flag that it comes from.
type namedPool struct {
	netip.Prefix
	flag string
}

func (p namedPool) String() string { return p.flag + " " + p.Prefix.String() }

// named are all ranges, each with its flag.
func (o Options) named() (all []namedPool) {
	for _, of := range []struct {
		flag string
		list []netip.Prefix
	}{{"--public-pool", o.Public}, {"--reserved-pool", o.Reserved}, {"--ipv6-pool", o.IPv6}} {
		for _, pool := range of.list {
			all = append(all, namedPool{pool.Masked(), of.flag})
		}
	}
	return all
}

// private are the ranges that nobody on the Internet answers to.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("2001:db8::/32"),
}

// translated are the addresses of machines that do not leave by the uplink as
// they are, of whichever pool they were.
func (o Options) translated() []netip.Prefix {
	if o.Routed {
		return nil
	}
	return private
}

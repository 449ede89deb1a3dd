package usernet

import (
	"net/netip"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// The addresses of every machine's public link. A guest's own has the last 16
// bits of the public address that the cloud shows, whichever of this host's it is:
// the cloud gives no two machines the same ones.
var (
	guestRange  = netip.MustParsePrefix("198.18.0.0/16")
	gatewayIPv4 = netip.MustParseAddr("198.18.0.1")
	dnsAt       = netip.AddrPortFrom(gatewayIPv4, 53)
	metadataAt  = netip.MustParseAddrPort("169.254.169.254:80")
)

// guestAddr is the address that a machine has inside, not valid where the
// public one is no machine's. An address of a former pool stays a machine's.
func (n *Network) guestAddr(public netip.Addr) netip.Addr {
	if mine := n.pool.Contains(public) || public.Is4() && public.IsLoopback(); !mine {
		return netip.Addr{}
	}
	b, base := public.As4(), guestRange.Addr().As4()
	guest := netip.AddrFrom4([4]byte{base[0], base[1], b[2], b[3]})
	if guest == gatewayIPv4 || guest == guestRange.Addr() || guest == broadcastOf(guestRange) {
		return netip.Addr{}
	}
	return guest
}

// alias is the public address of the machine that has, or had last, an address
// inside. Firewalls ask for it while they are locked.
func (n *Network) alias(guest netip.Addr) netip.Addr {
	if public, is := n.aliases.Load(guest); is {
		return public.(netip.Addr)
	}
	return netip.Addr{}
}

// Guest is the network as the guest configures it: its public address is
// 198.18.x.y, with the last two bytes of the one that the cloud shows. IPv6
// leads to other machines, and out as far as this host has IPv6; nothing comes
// in from outside. Reserved addresses are forwards that the guest sees nothing
// of.
func (n *Network) Guest(m vnet.Machine) vnet.Guest {
	var g vnet.Guest
	if public, err := netip.ParseAddr(m.Network.PublicIPv4); err == nil {
		if guest := n.guestAddr(public); guest.IsValid() {
			g.Public.IPv4, g.Public.IPv4Gateway = netip.PrefixFrom(guest, guestRange.Bits()), gatewayIPv4
			g.Nameservers = []netip.Addr{gatewayIPv4}
		}
	}
	if g.Public.IPv4.IsValid() {
		g.Public.IPv6, g.Public.IPv6Gateway = linkOf(m.Network.PublicIPv6, m.Network.IPv6Prefix, m.Network.IPv6Gateway)
	}
	g.Private.IPv4, g.Private.IPv4Gateway = linkOf(m.Network.PrivateIPv4, m.Network.PrivatePrefix, m.Network.PrivateGateway)
	return g
}

// linkOf reads an address with its prefix length and its gateway.
func linkOf(address string, bits int, gateway string) (netip.Prefix, netip.Addr) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}, netip.Addr{}
	}
	prefix := netip.PrefixFrom(a, bits)
	if !prefix.IsValid() {
		return netip.Prefix{}, netip.Addr{}
	}
	g, _ := netip.ParseAddr(gateway)
	return prefix, g
}

//go:build linux

package routed

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// port is one network device of a machine, as the host sees it.
type port struct {
	link    string
	private bool
	mac     net.HardwareAddr
	// ipv4 is the guest's address with the length of its network's prefix, and
	// gateway what the guest sends through.
	ipv4    netip.Prefix
	gateway netip.Addr
	ipv6    netip.Addr
	// reserved are addresses that are translated to the guest's.
	reserved4, reserved6 netip.Addr
}

// ports are a machine's devices, in the order in which the guest sees them.
func ports(m vnet.Machine) ([]port, error) {
	var list []port
	publicLink, privateLink := linkNames(m.ID)
	n := m.Network
	var parse parser
	if n.PublicIPv4 != "" || n.PublicIPv6 != "" {
		list = append(list, port{
			link: publicLink, mac: parse.mac(m.PublicMAC),
			ipv4: parse.prefix(n.PublicIPv4, n.PublicPrefix), gateway: parse.addr(n.PublicGateway), ipv6: parse.addr(n.PublicIPv6),
			reserved4: parse.addr(n.ReservedIPv4), reserved6: parse.addr(n.ReservedIPv6),
		})
	}
	if n.PrivateIPv4 != "" {
		list = append(list, port{
			link: privateLink, private: true, mac: parse.mac(m.PrivateMAC),
			ipv4: parse.prefix(n.PrivateIPv4, n.PrivatePrefix), gateway: parse.addr(n.PrivateGateway),
		})
	}
	return list, parse.err
}

// parser keeps the first of what could not be read.
type parser struct{ err error }

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = &engine.Error{Message: fmt.Sprintf(format, args...)}
	}
}

func (p *parser) mac(text string) net.HardwareAddr {
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 {
		p.fail("%q is no MAC address", text)
	}
	return mac
}

func (p *parser) addr(text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		p.fail("%q is no IP address", text)
	}
	return addr
}

func (p *parser) prefix(text string, bits int) netip.Prefix {
	addr := p.addr(text)
	if !addr.IsValid() {
		return netip.Prefix{}
	}
	prefix := netip.PrefixFrom(addr, bits)
	if !prefix.IsValid() || bits == 0 {
		p.fail("%s cannot have a prefix of %d bits", text, bits)
	}
	return prefix
}

// guest is the network as a machine's guest configures it. Its IPv6 address is
// alone on its link: everything else is behind the gateway.
func guest(m vnet.Machine, resolvers []netip.Addr) vnet.Guest {
	g := vnet.Guest{Nameservers: resolvers}
	list, _ := ports(m) // what cannot be read was refused before
	for _, p := range list {
		link := vnet.Link{IPv4: p.ipv4, IPv4Gateway: p.gateway}
		if p.ipv6.IsValid() {
			link.IPv6, link.IPv6Gateway = netip.PrefixFrom(p.ipv6, 128), gateway6
		}
		if p.private {
			g.Private = link
		} else {
			g.Public = link
		}
	}
	return g
}

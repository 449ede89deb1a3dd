package usernet

import (
	"net/netip"
)

// fromPublic takes a frame from the machine's public device.
func (m *machine) fromPublic(b []byte) {
	s := m.state.Load()
	if etherSrc(b) != s.publicMAC {
		return
	}
	if etherType(b) == etherARP {
		if a, ok := parseARP(b); ok && a.request && !a.probe() && a.senderMAC == s.publicMAC && a.targetAddr != s.guest {
			m.public.send(a.reply())
		}
		return
	}
	p, ok := parse(b)
	if !ok {
		return
	}
	if p.src.Is6() {
		m.publicIPv6(s, b, p)
		return
	}
	if p.proto == protoUDP && !p.fragment && p.srcPort == 68 && p.dstPort == 67 {
		m.answerDHCP(s, p)
		return
	}
	// Before it has its address, a guest may ask for its metadata.
	if p.src != s.guest && (!p.src.IsLinkLocalUnicast() || p.dst != metadataAt.Addr()) {
		return
	}
	if etherDst(b) != gatewayMAC {
		return // there is nobody else on the link
	}
	m.publicIPv4(s, b, p)
}

func (m *machine) publicIPv4(s *state, b []byte, p packet) {
	switch {
	case ourService(p.proto, netip.AddrPortFrom(p.dst, p.dstPort)):
		m.gateway.fromGuest(p)
	case p.dst == gatewayIPv4 || p.dst == metadataAt.Addr():
		if p.echoRequest() && !p.more {
			m.public.send(wrap(s.publicMAC, etherIPv4, echoReply(p)))
		} else {
			m.toGateway(p)
		}
	default:
		m.route(b, p)
	}
}

// ourService says whether an address is one that firewalls do not close, as
// nothing of the world is there.
func ourService(proto uint8, at netip.AddrPort) bool {
	return proto == protoTCP && at == metadataAt || (proto == protoTCP || proto == protoUDP) && at == dnsAt
}

// route takes a packet further: to the machine whose address it is for, or out.
func (m *machine) route(b []byte, p packet) {
	if !m.flows.outbound(p, false) {
		return
	}
	if other := m.net.machineAt(p.dst); other != nil {
		if other != m {
			other.toPublic(b, p)
		}
		return
	}
	m.toGateway(p)
}

// toGateway hands a packet to the network stack, which has no echo of the
// world's to give.
func (m *machine) toGateway(p packet) {
	switch {
	case p.proto != protoICMP && p.proto != protoICMPv6:
		m.gateway.fromGuest(p)
	case p.echoRequest():
		m.gateway.ping(p)
	default:
		if _, ok := errorAbout(p); ok {
			m.gateway.fromGuest(p)
		}
	}
}

// toPublic gives the machine a packet from another one.
func (m *machine) toPublic(b []byte, p packet) {
	if m.public == nil || !m.flows.inbound(p, false) {
		return
	}
	m.public.send(wrap(m.state.Load().publicMAC, etherType(b), p.ip))
}

// admitFromGateway says whether a packet of the gateway's may go to the guest:
// one of a flow that was let through, or one that begins a connection which
// was held against the rules when it came in to this host.
func (m *machine) admitFromGateway(p packet) bool {
	source := netip.AddrPortFrom(p.src, p.srcPort)
	if ourService(p.proto, source) {
		return true
	}
	if p.src == gatewayIPv4 && (p.proto == protoTCP || p.proto == protoUDP) {
		return m.flows.begin(p)
	}
	return m.flows.continues(p)
}

func (m *machine) answerDHCP(s *state, p packet) {
	answer := answerDHCP(p.payload[8:], s.publicMAC, s.lease)
	if answer == nil {
		return
	}
	// One that has its address only renews it, and listens there.
	from, to := netip.AddrPortFrom(gatewayIPv4, 67), netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), 68)
	if p.src == s.guest {
		to = netip.AddrPortFrom(s.guest, 68)
	}
	m.public.send(wrap(s.publicMAC, etherIPv4, udpPacket(from, to, answer)))
}

// publicIPv6 takes an IPv6 packet: to another machine, or out, if this host has
// a way there.
func (m *machine) publicIPv6(s *state, b []byte, p packet) {
	if target := solicited(p); target.IsValid() {
		if target != s.guestIPv6 && (p.src == s.guestIPv6 || p.src.IsLinkLocalUnicast()) {
			m.public.send(advertise(s.publicMAC, p.src, target))
		}
		return
	}
	if p.src != s.guestIPv6 || !s.guestIPv6.IsValid() || etherDst(b) != gatewayMAC || p.dst.IsMulticast() {
		return
	}
	if p.dst != s.ipv6Gateway {
		m.route(b, p)
	} else if p.echoRequest() && !p.more {
		m.public.send(wrap(s.publicMAC, etherIPv6, echoReply(p)))
	}
}

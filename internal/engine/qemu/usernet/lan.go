package usernet

import (
	"encoding/binary"
	"net/netip"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// lan is a VPC's private network: a switch that knows who is where, as it was
// told. What two of them let pass to each other goes through their gateway.
type lan struct {
	byMAC  map[mac]*machine
	byAddr map[netip.Addr]*machine
}

// fromPrivate takes a frame from the machine's private device.
func (m *machine) fromPrivate(b []byte) {
	s := m.state.Load()
	if etherSrc(b) != s.privateMAC {
		return
	}
	switch etherType(b) {
	case etherARP:
		m.privateARP(s, b)
	case etherIPv4:
		m.privateIPv4(s, b)
	case etherIPv6:
		m.privateIPv6(s, b)
	}
}

// privateIPv6 takes an IPv6 packet. Links have link-local addresses without
// anyone's doing; there are no others in a VPC.
func (m *machine) privateIPv6(s *state, b []byte) {
	p, ok := parse(b)
	if !ok || steering(p) {
		return
	}
	asks := neighbourDiscovery(p)
	if !p.src.IsLinkLocalUnicast() && (!asks || !p.src.IsUnspecified()) {
		return
	}
	if asks || m.flows.outbound(p, true) {
		m.net.deliver(m, s.vpc, b, &p)
	}
}

func (m *machine) privateARP(s *state, b []byte) {
	a, ok := parseARP(b)
	if !ok || a.senderMAC != s.privateMAC {
		return
	}
	ours := a.targetAddr == s.privateGateway || m.gateway.metadataOnly && a.targetAddr == metadataAt.Addr()
	if ours && a.request && !a.probe() {
		m.private.send(a.reply())
		return
	}
	if a.senderAddr == s.private || a.senderAddr.IsUnspecified() {
		m.net.deliver(m, s.vpc, b, nil)
	}
}

func (m *machine) privateIPv4(s *state, b []byte) {
	p, ok := parse(b)
	if !ok {
		return
	}
	if m.gateway.metadataOnly && p.dst == metadataAt.Addr() && (p.src == s.private || p.src.IsLinkLocalUnicast()) {
		m.privateMetadata(s, p)
		return
	}
	if p.src != s.private {
		return
	}
	if etherDst(b) != gatewayMAC {
		if m.flows.outbound(p, true) {
			m.net.deliver(m, s.vpc, b, &p)
		}
		return
	}
	if p.dst == s.privateGateway {
		if p.echoRequest() && !p.more {
			m.private.send(wrap(s.privateMAC, etherIPv4, echoReply(p)))
		}
		return
	}
	if other := m.net.peer(s.vpc, p.dst); other != nil && m.flows.outbound(p, true) {
		other.forwardTo(p)
	}
}

// privateMetadata answers a machine that has no public device.
func (m *machine) privateMetadata(s *state, p packet) {
	switch {
	case p.proto == protoTCP:
		m.gateway.fromGuest(p)
	case p.echoRequest() && !p.more:
		m.private.send(wrap(s.privateMAC, etherIPv4, echoReply(p)))
	}
}

// forwardTo gives the machine a packet that came through its VPC's gateway.
func (m *machine) forwardTo(p packet) {
	hops := p.ip[8]
	if hops <= 1 || m.private == nil || !m.flows.inbound(p, true) {
		return
	}
	f := wrap(m.state.Load().privateMAC, etherIPv4, p.ip)
	header := f.data[etherLen : etherLen+len(p.ip)-len(p.payload)]
	header[8], header[10], header[11] = hops-1, 0, 0
	binary.BigEndian.PutUint16(header[10:], fold(sum(0, header)))
	m.private.send(f)
}

// deliver gives a frame to whom it is for in a VPC. Packets pass the firewall
// of each that gets them; what is no packet passes.
func (n *Network) deliver(from *machine, vpc string, b []byte, p *packet) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	segment := n.lans[vpc]
	if segment == nil {
		return
	}
	to := etherDst(b)
	if !to.multicast() {
		if m := segment.byMAC[to]; m != nil && m != from {
			m.toPrivate(b, p)
		}
		return
	}
	for _, m := range segment.byMAC {
		if m != from {
			m.toPrivate(b, p)
		}
	}
}

func (m *machine) toPrivate(b []byte, p *packet) {
	if p == nil || neighbourDiscovery(*p) || m.flows.inbound(*p, true) {
		m.private.send(copyFrame(b))
	}
}

// peering is two VPCs whose machines reach each other.
type peering struct {
	vpcs   [2]string
	ranges [2]netip.Prefix
}

func newPeering(p engine.Peering) (peering, error) {
	one := peering{vpcs: p.VPCs}
	for i, text := range p.Ranges {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return one, refusal("the VPC %s has the range %q; one such as 10.10.0.0/20 would be right", p.VPCs[i], text)
		}
		one.ranges[i] = prefix.Masked()
	}
	return one, nil
}

// peer is the machine with an address in a VPC that a VPC is peered with.
func (n *Network) peer(vpc string, address netip.Addr) *machine {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, p := range n.peerings {
		for i := range p.vpcs {
			if other := 1 - i; p.vpcs[i] == vpc && p.ranges[other].Contains(address) {
				if segment := n.lans[p.vpcs[other]]; segment != nil && segment.byAddr[address] != nil {
					return segment.byAddr[address]
				}
			}
		}
	}
	return nil
}

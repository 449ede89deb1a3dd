//go:build linux

package routed

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/net/ipv4"
)

// leaseTime is how long a guest keeps its address without asking again. It is
// short, so that a guest soon learns of networks that its own was joined to.
const leaseTime = time.Hour

// offer is what the guest behind a link is told by DHCP.
type offer struct {
	mac       net.HardwareAddr
	address   netip.Prefix
	server    netip.Addr
	router    netip.Addr // of the default route
	routes    []*dhcpv4.Route
	resolvers []netip.Addr
}

// offerFor is what DHCP tells on a machine's link. The world is behind the
// public one; behind the private one is what its network is joined to, and, for
// a machine that has no other, the metadata.
func (n *Network) offerFor(m *machine, p port) *offer {
	o := &offer{mac: p.mac, address: p.ipv4, server: p.gateway, resolvers: n.options.Resolvers}
	if !p.gateway.IsValid() {
		o.server = metadataAddr
		return o
	}
	if !p.private {
		o.router = p.gateway
		return o
	}
	via := func(to netip.Prefix) *dhcpv4.Route {
		return &dhcpv4.Route{Dest: ipNet(to), Router: p.gateway.AsSlice()}
	}
	if len(m.ports) == 1 {
		o.routes = append(o.routes, via(netip.PrefixFrom(metadataAddr, 32)))
	}
	for _, to := range n.rangesBeside(m.vpc()) {
		o.routes = append(o.routes, via(to))
	}
	return o
}

// rangesBeside are the ranges of the networks that one is joined to.
func (n *Network) rangesBeside(vpc string) []netip.Prefix {
	var list []netip.Prefix
	for _, p := range n.peerings {
		i := slices.Index(p.VPCs[:], vpc)
		if i < 0 {
			continue
		}
		if other, err := netip.ParsePrefix(p.Ranges[1-i]); err == nil && other.Addr().Is4() {
			list = append(list, other.Masked())
		}
	}
	slices.SortFunc(list, netip.Prefix.Compare)
	return slices.Compact(list)
}

// lease answers DHCP on one link until its socket is closed.
func (s *service) lease(conn *ipv4.PacketConn, log *slog.Logger) {
	buffer := make([]byte, 1500)
	for {
		size, _, _, err := conn.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Warn("DHCP ended", "error", err)
			return
		}
		request, err := dhcpv4.FromBytes(buffer[:size])
		if err != nil {
			continue // a guest may send what it likes
		}
		o := s.offer.Load()
		reply := o.answer(request)
		if reply == nil {
			continue
		}
		from := &ipv4.ControlMessage{Src: o.server.AsSlice()}
		if _, err := conn.WriteTo(reply.ToBytes(), from, &net.UDPAddr{IP: reply.recipient(request), Port: 68}); err != nil {
			log.Debug("DHCP answer", "error", err)
		}
	}
}

// reply is an answer to a guest.
type reply struct{ *dhcpv4.DHCPv4 }

// recipient is where an answer goes: to everyone, of whom there is one, while
// the guest has no address to be answered at.
func (r reply) recipient(request *dhcpv4.DHCPv4) net.IP {
	if request.ClientIPAddr.IsUnspecified() || r.MessageType() == dhcpv4.MessageTypeNak {
		return net.IPv4bcast
	}
	return request.ClientIPAddr
}

// answer is what a request is answered with: nil for nothing. Only the machine's
// own device gets an address, and only its own one.
func (o *offer) answer(request *dhcpv4.DHCPv4) *reply {
	if request.OpCode != dhcpv4.OpcodeBootRequest || !bytes.Equal(request.ClientHWAddr, o.mac) || !o.address.IsValid() {
		return nil
	}
	kind := dhcpv4.MessageTypeAck
	switch request.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		kind = dhcpv4.MessageTypeOffer
	case dhcpv4.MessageTypeRequest:
		if chosen := request.ServerIdentifier(); chosen != nil && !chosen.Equal(o.server.AsSlice()) {
			return nil // another server's
		}
		if !o.asksForOwn(request) {
			kind = dhcpv4.MessageTypeNak
		}
	case dhcpv4.MessageTypeInform:
	default:
		return nil
	}
	message, err := dhcpv4.NewReplyFromRequest(request, o.options(request, kind)...)
	if err != nil {
		return nil
	}
	return &reply{message}
}

func (o *offer) asksForOwn(request *dhcpv4.DHCPv4) bool {
	asked := request.RequestedIPAddress()
	if asked == nil || asked.IsUnspecified() {
		asked = request.ClientIPAddr
	}
	return asked.IsUnspecified() || asked.Equal(o.address.Addr().AsSlice())
}

func (o *offer) options(request *dhcpv4.DHCPv4, kind dhcpv4.MessageType) []dhcpv4.Modifier {
	list := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind),
		dhcpv4.WithServerIP(o.server.AsSlice()),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(o.server.AsSlice())),
	}
	if kind == dhcpv4.MessageTypeNak {
		return list
	}
	if request.MessageType() != dhcpv4.MessageTypeInform {
		list = append(list, dhcpv4.WithYourIP(o.address.Addr().AsSlice()), dhcpv4.WithLeaseTime(uint32(leaseTime/time.Second)))
	}
	list = append(list, dhcpv4.WithNetmask(net.CIDRMask(o.address.Bits(), 32)))
	if o.router.IsValid() {
		list = append(list, dhcpv4.WithRouter(o.router.AsSlice()))
	}
	if len(o.routes) > 0 {
		list = append(list, dhcpv4.WithOption(dhcpv4.OptClasslessStaticRoute(o.routes...)))
	}
	var servers []net.IP
	for _, r := range o.resolvers {
		if r.Is4() {
			servers = append(servers, r.AsSlice())
		}
	}
	if len(servers) > 0 {
		list = append(list, dhcpv4.WithDNS(servers...))
	}
	return list
}

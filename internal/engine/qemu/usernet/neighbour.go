package usernet

import (
	"encoding/binary"
	"net/netip"
)

// arpPacket is an ARP packet over Ethernet for IPv4.
type arpPacket struct {
	request                bool
	senderMAC              mac
	senderAddr, targetAddr netip.Addr
}

func parseARP(b []byte) (a arpPacket, ok bool) {
	if len(b) < etherLen+28 {
		return a, false
	}
	b = b[etherLen:]
	// Ethernet, IPv4 and the lengths of their addresses.
	if binary.BigEndian.Uint64(b)>>16 != 0x000108000604 {
		return a, false
	}
	a.request = binary.BigEndian.Uint16(b[6:]) == 1
	a.senderMAC = mac(b[8:14])
	a.senderAddr, a.targetAddr = netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	return a, true
}

// reply says that the gateway has the address that was asked for.
func (a arpPacket) reply() *frame {
	b := make([]byte, 0, 28)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, 2)
	b = append(b, gatewayMAC[:]...)
	b = append(b, a.targetAddr.AsSlice()...)
	b = append(b, a.senderMAC[:]...)
	b = append(b, a.senderAddr.AsSlice()...)
	return wrap(a.senderMAC, etherARP, b)
}

// probe says whether the sender only asks whether the address is free, which
// an answer would deny.
func (a arpPacket) probe() bool {
	return a.senderAddr.IsUnspecified() || a.senderAddr == a.targetAddr
}

// neighbourDiscovery says whether a packet is what IPv6 has in place of ARP.
func neighbourDiscovery(p packet) bool {
	return p.proto == protoICMPv6 && !p.fragment && p.payload[0] >= 133 && p.payload[0] <= 137
}

// steering says whether a packet tells others which way to go, which is for
// gateways alone: a router's advertisement or a redirect.
func steering(p packet) bool {
	return neighbourDiscovery(p) && (p.payload[0] == 134 || p.payload[0] == 137)
}

// solicited is the address whose owner a packet asks for. It is not valid for
// other packets, and for those that only ask whether the address is free.
func solicited(p packet) netip.Addr {
	if p.proto != protoICMPv6 || p.fragment || p.payload[0] != 135 || len(p.payload) < 24 || p.src.IsUnspecified() {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte(p.payload[8:24]))
}

// advertise says that the gateway has an address that was asked for.
func advertise(to mac, asker, target netip.Addr) *frame {
	b := make([]byte, 24, 32)
	b[0], b[4] = 136, 0x60 // solicited, and it overrides what was known
	copy(b[8:], target.AsSlice())
	b = append(b, 2, 1)
	b = append(b, gatewayMAC[:]...)
	binary.BigEndian.PutUint16(b[2:], transportSum(target, asker, protoICMPv6, b))
	return wrap(to, etherIPv6, ipv6Header(target, asker, protoICMPv6, 255, len(b)), b)
}

package usernet

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
)

// mtu is the largest IP packet on every link.
const mtu = 1500

// maxFrame is the largest Ethernet frame. Longer ones are dropped.
const maxFrame = etherLen + mtu

const (
	etherLen  = 14
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
)

const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// mac is an Ethernet address.
type mac [6]byte

// gatewayMAC is every gateway's: links never meet, so one is enough.
var gatewayMAC = mac{0x02, 0x00, 0xc6, 0x12, 0x00, 0x01}

var broadcastMAC = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func (m mac) multicast() bool { return m[0]&1 != 0 }

// parseMAC is an address from text, zero if it is none.
func parseMAC(text string) (m mac) {
	if hw, err := net.ParseMAC(text); err == nil && len(hw) == len(m) {
		copy(m[:], hw)
	}
	return m
}

// frame is a buffer for one Ethernet frame. Whoever sends it gives it away.
type frame struct {
	n    int
	data [maxFrame]byte
}

var frames = sync.Pool{New: func() any { return new(frame) }}

func newFrame() *frame { return frames.Get().(*frame) }

func (f *frame) free() { frames.Put(f) }

func (f *frame) bytes() []byte { return f.data[:f.n] }

// copyFrame is a frame of its own with the same bytes.
func copyFrame(b []byte) *frame {
	f := newFrame()
	f.n = copy(f.data[:], b)
	return f
}

// wrap is an IP packet in a frame from a gateway.
func wrap(to mac, etherType uint16, packet ...[]byte) *frame {
	f := newFrame()
	copy(f.data[0:6], to[:])
	copy(f.data[6:12], gatewayMAC[:])
	binary.BigEndian.PutUint16(f.data[12:14], etherType)
	f.n = etherLen
	for _, part := range packet {
		f.n += copy(f.data[f.n:], part)
	}
	return f
}

func etherDst(b []byte) mac     { return mac(b[0:6]) }
func etherSrc(b []byte) mac     { return mac(b[6:12]) }
func etherType(b []byte) uint16 { return binary.BigEndian.Uint16(b[12:14]) }

// packet is what an IP packet says of itself. It points into its frame.
type packet struct {
	ip       []byte // from the IP header to the packet's end
	payload  []byte // what follows the IP headers
	src, dst netip.Addr
	proto    uint8
	// Ports are those of TCP and UDP. Of an ICMP echo both are its identifier, so
	// that an answer belongs to its question.
	srcPort, dstPort uint16
	tcpFlags         uint8
	// fragment says that the packet continues another with the same id, and has
	// no ports of its own; more says that others continue this one.
	fragment, more bool
	id             uint32
}

const (
	tcpFIN = 1 << 0
	tcpSYN = 1 << 1
	tcpRST = 1 << 2
	tcpACK = 1 << 4
)

// parse reads the IP packet in a frame. Frames that are no well-formed IP are
// not ok.
func parse(b []byte) (packet, bool) {
	switch etherType(b) {
	case etherIPv4:
		return parseIPv4(b[etherLen:])
	case etherIPv6:
		return parseIPv6(b[etherLen:])
	}
	return packet{}, false
}

func parseIPv4(b []byte) (p packet, ok bool) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return p, false
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:4]))
	if head < 20 || total < head || total > len(b) {
		return p, false
	}
	p.ip, p.payload = b[:total], b[head:total]
	p.src, p.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	p.proto = b[9]
	where := binary.BigEndian.Uint16(b[6:8])
	p.id = uint32(binary.BigEndian.Uint16(b[4:6]))
	p.fragment, p.more = where&0x1fff != 0, where&0x2000 != 0
	return p, p.parseTransport()
}

func parseIPv6(b []byte) (p packet, ok bool) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return p, false
	}
	total := 40 + int(binary.BigEndian.Uint16(b[4:6]))
	if total > len(b) {
		return p, false
	}
	p.ip, p.payload = b[:total], b[40:total]
	p.src, p.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	p.proto = b[6]
	return p, p.skipExtensions() && p.parseTransport()
}

// skipExtensions finds the protocol behind IPv6's extension headers.
func (p *packet) skipExtensions() bool {
	for {
		switch p.proto {
		case 0, 43, 60: // hop by hop, routing, destination
			if len(p.payload) < 8 {
				return false
			}
			size := 8 + int(p.payload[1])*8
			if len(p.payload) < size {
				return false
			}
			p.proto, p.payload = p.payload[0], p.payload[size:]
		case 44: // fragment
			if len(p.payload) < 8 || p.fragment || p.more {
				return false
			}
			where := binary.BigEndian.Uint16(p.payload[2:4])
			p.id = binary.BigEndian.Uint32(p.payload[4:8])
			p.fragment, p.more = where&^7 != 0, where&1 != 0
			p.proto, p.payload = p.payload[0], p.payload[8:]
		default:
			return true
		}
		if p.fragment {
			return true
		}
	}
}

// parseTransport reads the ports, which only the first fragment has.
func (p *packet) parseTransport() bool {
	if p.fragment {
		return true
	}
	switch b := p.payload; p.proto {
	case protoTCP:
		if len(b) < 20 {
			return false
		}
		p.srcPort, p.dstPort, p.tcpFlags = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), b[13]
	case protoUDP:
		if len(b) < 8 {
			return false
		}
		p.srcPort, p.dstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	case protoICMP, protoICMPv6:
		if len(b) < 8 {
			return false
		}
		if p.echo() {
			p.srcPort = binary.BigEndian.Uint16(b[4:])
			p.dstPort = p.srcPort
		}
	}
	return true
}

// echo says whether an ICMP packet is an echo's question or answer.
func (p *packet) echo() bool {
	kind := p.payload[0]
	if p.proto == protoICMP {
		return kind == 8 || kind == 0
	}
	return kind == 128 || kind == 129
}

// echoRequest says whether it is an echo's question.
func (p *packet) echoRequest() bool {
	return !p.fragment && (p.proto == protoICMP && p.payload[0] == 8 || p.proto == protoICMPv6 && p.payload[0] == 128)
}

// sum adds bytes to a ones' complement sum.
func sum(total uint32, b []byte) uint32 {
	for len(b) >= 2 {
		total += uint32(b[0])<<8 | uint32(b[1])
		b = b[2:]
	}
	if len(b) == 1 {
		total += uint32(b[0]) << 8
	}
	return total
}

func fold(total uint32) uint16 {
	for total>>16 != 0 {
		total = total&0xffff + total>>16
	}
	return ^uint16(total)
}

// transportSum is the checksum of a packet's payload with its pseudo header.
func transportSum(src, dst netip.Addr, proto uint8, payload []byte) uint16 {
	total := sum(sum(0, src.AsSlice()), dst.AsSlice())
	return fold(sum(total+uint32(proto)+uint32(len(payload)), payload))
}

// ipv4Header is a header without options for a payload of some length.
func ipv4Header(src, dst netip.Addr, proto uint8, length int) []byte {
	b := make([]byte, 20)
	b[0], b[8], b[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(b[2:], uint16(20+length))
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(b[10:], fold(sum(0, b)))
	return b
}

// ipv6Header is a header for a payload of some length.
func ipv6Header(src, dst netip.Addr, proto, hops uint8, length int) []byte {
	b := make([]byte, 40)
	b[0], b[6], b[7] = 0x60, proto, hops
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return b
}

// udpPacket is a UDP packet over IPv4.
func udpPacket(src, dst netip.AddrPort, data []byte) []byte {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	b = append(b, data...)
	check := transportSum(src.Addr(), dst.Addr(), protoUDP, b)
	if check == 0 {
		check = 0xffff // none is written as zero
	}
	binary.BigEndian.PutUint16(b[6:], check)
	return append(ipv4Header(src.Addr(), dst.Addr(), protoUDP, len(b)), b...)
}

// echoReply is the answer to an echo request, as a whole IP packet.
func echoReply(p packet) []byte {
	b := append([]byte(nil), p.payload...)
	b[2], b[3] = 0, 0
	if p.proto == protoICMP {
		b[0] = 0
		binary.BigEndian.PutUint16(b[2:], fold(sum(0, b)))
		return append(ipv4Header(p.dst, p.src, protoICMP, len(b)), b...)
	}
	b[0] = 129
	binary.BigEndian.PutUint16(b[2:], transportSum(p.dst, p.src, protoICMPv6, b))
	return append(ipv6Header(p.dst, p.src, protoICMPv6, 64, len(b)), b...)
}

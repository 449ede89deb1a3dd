//go:build linux

package routed

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Rules are written as a list of these: conditions, and last what happens.

type term []expr.Any

// all joins conditions and an ending to one rule.
func all(terms ...term) []expr.Any {
	var list []expr.Any
	for _, t := range terms {
		list = append(list, t...)
	}
	return list
}

func equal(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data}
}

func unequal(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: data}
}

func meta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: 1} }

// A link's name is compared in full; what is ours is told by how it begins.
func named(link string) []byte {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, link)
	return name
}

func from(link string) term { return term{meta(expr.MetaKeyIIFNAME), equal(named(link))} }
func to(link string) term   { return term{meta(expr.MetaKeyOIFNAME), equal(named(link))} }

func notTo(link string) term { return term{meta(expr.MetaKeyOIFNAME), unequal(named(link))} }

func notToGuests() term { return term{meta(expr.MetaKeyOIFNAME), unequal([]byte(linkPrefix))} }

func fromGuests() term { return term{meta(expr.MetaKeyIIFNAME), equal([]byte(linkPrefix))} }
func toGuests() term   { return term{meta(expr.MetaKeyOIFNAME), equal([]byte(linkPrefix))} }

// of is the family of the packet, in tables that see both.
func of(a netip.Addr) term {
	if a.Is4() {
		return v4
	}
	return v6
}

var (
	v4 = term{meta(expr.MetaKeyNFPROTO), equal([]byte{unix.NFPROTO_IPV4})}
	v6 = term{meta(expr.MetaKeyNFPROTO), equal([]byte{unix.NFPROTO_IPV6})}
)

// carrying is the kind of a frame.
func carrying(etherType uint16) term {
	return term{meta(expr.MetaKeyPROTOCOL), equal(binary.BigEndian.AppendUint16(nil, etherType))}
}

func protocolIs(number byte) term { return term{meta(expr.MetaKeyL4PROTO), equal([]byte{number})} }

func payload(base expr.PayloadBase, offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: length}
}

func at(base expr.PayloadBase, offset uint32, data []byte) term {
	return term{payload(base, offset, uint32(len(data))), equal(data)}
}

// side is which of a packet's two addresses or ports is meant.
type side int

const (
	source side = iota
	destination
)

func (s side) addr(is4 bool) expr.Any {
	if is4 {
		return payload(expr.PayloadBaseNetworkHeader, 12+4*uint32(s), 4)
	}
	return payload(expr.PayloadBaseNetworkHeader, 8+16*uint32(s), 16)
}

func (s side) is(a netip.Addr) term { return term{s.addr(a.Is4()), equal(a.AsSlice())} }

func (s side) in(p netip.Prefix) term {
	p = p.Masked()
	mask := []byte(net.CIDRMask(p.Bits(), p.Addr().BitLen()))
	length := uint32(len(mask))
	return term{
		s.addr(p.Addr().Is4()),
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length, Mask: mask, Xor: make([]byte, length)},
		equal(p.Addr().AsSlice()),
	}
}

func (s side) inSet(is4 bool, set *nftables.Set) term {
	return term{s.addr(is4), &expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID}}
}

func (s side) port(number uint16) term {
	return at(expr.PayloadBaseTransportHeader, 2*uint32(s), binary.BigEndian.AppendUint16(nil, number))
}

func (s side) ports(first, last uint16) term {
	if first == last {
		return s.port(first)
	}
	return term{
		payload(expr.PayloadBaseTransportHeader, 2*uint32(s), 2),
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: binary.BigEndian.AppendUint16(nil, first)},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: binary.BigEndian.AppendUint16(nil, last)},
	}
}

// dhcp is what goes to or comes from a server of addresses.
func dhcp(s side) term { return append(protocolIs(unix.IPPROTO_UDP), s.port(67)...) }

func tcp(s side, port uint16) term { return append(protocolIs(unix.IPPROTO_TCP), s.port(port)...) }

// icmpType is a kind of ICMP message, of the version that protocol says.
func icmpType(protocol, kind byte) term {
	return append(protocolIs(protocol), at(expr.PayloadBaseTransportHeader, 0, []byte{kind})...)
}

func native32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
func native16(n uint16) []byte { return binary.NativeEndian.AppendUint16(nil, n) }

// connection matches the states of a connection.
func connection(states uint32) term {
	return term{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: native32(states), Xor: native32(0)},
		unequal(native32(0)),
	}
}

var (
	established = connection(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	invalid     = connection(expr.CtStateBitINVALID)
	untracked   = connection(expr.CtStateBitUNTRACKED)
)

// zoneIsNot matches connections that are not of a zone.
func zoneIsNot(zone uint16) term {
	return term{&expr.Ct{Key: expr.CtKeyZONE, Register: 1}, unequal(native16(zone))}
}

func setZone(zone uint16) term {
	return term{
		&expr.Immediate{Register: 1, Data: native16(zone)},
		&expr.Ct{Key: expr.CtKeyZONE, Register: 1, SourceRegister: true},
	}
}

// Endings.

var (
	accept     = term{&expr.Verdict{Kind: expr.VerdictAccept}}
	drop       = term{&expr.Verdict{Kind: expr.VerdictDrop}}
	back       = term{&expr.Verdict{Kind: expr.VerdictReturn}}
	notrack    = term{&expr.Notrack{}}
	masquerade = term{&expr.Masq{}}
)

func jump(chain string) term    { return term{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}} }
func goingTo(chain string) term { return term{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}} }

// deliver gives a packet to the host's own socket at another port, as it is.
func deliver(a netip.Addr, port uint16) term {
	return term{
		&expr.Immediate{Register: 1, Data: a.AsSlice()},
		&expr.Immediate{Register: 2, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.TProxy{Family: unix.NFPROTO_IPV4, RegAddr: 1, RegPort: 2},
	}
}

// byLink goes to the chain that a map names for a link.
func byLink(key expr.MetaKey, chains *nftables.Set) term {
	return term{meta(key), &expr.Lookup{SourceRegister: 1, IsDestRegSet: true, SetName: chains.Name, SetID: chains.ID}}
}

// translate sends what is for an address of a map to the other one.
func translate(is4 bool, addresses *nftables.Set) term {
	family := uint32(unix.NFPROTO_IPV6)
	if is4 {
		family = unix.NFPROTO_IPV4
	}
	return term{
		destination.addr(is4),
		&expr.Lookup{SourceRegister: 1, DestRegister: 1, IsDestRegSet: true, SetName: addresses.Name, SetID: addresses.ID},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: 1},
	}
}

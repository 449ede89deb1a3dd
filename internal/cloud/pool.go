package cloud

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// IPv6Prefix is the prefix length of Droplets' IPv6 addresses.
const IPv6Prefix = 64

// Addresses are where a cloud's public addresses come from.
type Addresses struct {
	Droplets, Reserved Pool
	// IPv6 is where IPv6 addresses come from; the zero value is nowhere.
	IPv6 IPv6Pool
}

// Pool is a range of public IPv4 addresses. Each of its networks keeps its
// first address, its last, and the one after the first, which is its gateway.
type Pool struct {
	base uint32 // the first network's address
	bits int    // the prefix length of each network
	nets int64  // how many there are
	// first is the place of the first address. A place belongs to one address for
	// ever, so that two are never the same while pools change.
	first int64
}

// Simulated addresses come from ranges that the Internet does not route
// (RFC 2544 and RFC 3849), so that nobody's ssh reaches a stranger: the /15 has
// Droplets in front and reserved IPs behind them, and each /20 of it looks like
// a network of its own. Their places are counted from each pool's start.
const (
	simulatedBase = 198<<24 | 18<<16
	simulatedBits = 20
	simulatedNets = 28 // those of Droplets; the other 4 are for reserved IPs
)

// SimulatedAddresses are those of machines that are simulated.
func SimulatedAddresses() Addresses {
	return Addresses{
		Droplets: Pool{base: simulatedBase, bits: simulatedBits, nets: simulatedNets},
		Reserved: Pool{base: simulatedBase + simulatedNets<<(32-simulatedBits), bits: simulatedBits, nets: 32 - simulatedNets},
		IPv6:     IPv6Pool{prefix: netip.MustParsePrefix("2001:db8::/32"), byRegion: true},
	}
}

// NewPool is the pool of one network. Its places are the addresses themselves.
func NewPool(network netip.Prefix) (Pool, error) {
	switch {
	case !network.IsValid() || !network.Addr().Is4():
		return Pool{}, fmt.Errorf("%s is no range of IPv4 addresses", network)
	case network != network.Masked():
		return Pool{}, fmt.Errorf("%s has bits beyond its prefix; use %s", network, network.Masked())
	case network.Bits() < 8 || network.Bits() > 30:
		return Pool{}, fmt.Errorf("%s: a pool is between a /8 and a /30", network)
	}
	base := addressNumber(network.Addr())
	return Pool{base: base, bits: network.Bits(), nets: 1, first: int64(base) + 2}, nil
}

// hostsPerNet is without the network, gateway and broadcast addresses.
func (p Pool) hostsPerNet() int64 { return 1<<(32-p.bits) - 3 }

// Size is how many addresses there are.
func (p Pool) Size() int64 { return p.nets * p.hostsPerNet() }

// Places are that of the first address, and the one after that of the last.
func (p Pool) Places() (first, end int64) { return p.first, p.first + p.Size() }

// Place is that of the n-th address, counting round.
func (p Pool) Place(n int64) int64 { return p.first + n%p.Size() }

// Address is the one at a place of the pool.
func (p Pool) Address(place int64) string {
	n := place - p.first
	net, host := n/p.hostsPerNet(), n%p.hostsPerNet()
	return numberAddress(p.base + uint32(net<<(32-p.bits)+host+2)).String()
}

// Contains reports whether an address is one of the pool's networks.
func (p Pool) Contains(ip netip.Addr) bool {
	if !ip.Is4() {
		return false
	}
	n := int64(addressNumber(ip)) - int64(p.base)
	return n >= 0 && n < p.nets<<(32-p.bits)
}

// Overlaps reports whether two pools have addresses in common.
func (p Pool) Overlaps(q Pool) bool {
	return p.Contains(numberAddress(q.base)) || q.Contains(numberAddress(p.base))
}

// IsReal reports whether the addresses are not those of a simulation.
func (p Pool) IsReal() bool { return p.first != 0 }

// IsLoopback reports whether the addresses lead no further than the host.
func (p Pool) IsLoopback() bool { return p.base>>24 == 127 }

// LoopbackPlaces are those of all addresses that lead no further than the host,
// as Places.
func LoopbackPlaces() (first, end int64) { return 127 << 24, 128 << 24 }

// Alike is the place whose address has the last 16 bits of the one at another
// place, where the pool is a part of one /16; the pool need not have it.
func (p Pool) Alike(place int64) int64 { return int64(p.base)&^0xffff | place&0xffff }

// Network is the network that machines with addresses of the pool are in. It is
// kept with each, as they stay what they are when the pool changes; it is empty
// where an address tells it by itself.
func (p Pool) Network() string {
	if !p.IsReal() {
		return ""
	}
	return netip.PrefixFrom(numberAddress(p.base), p.bits).String()
}

// PublicGateway is the gateway beside a public IPv4 address in a network, and
// the network's prefix length. Simulated addresses tell their network.
func PublicGateway(ip, network string) (gateway string, bits int) {
	if network != "" {
		return Gateway(network)
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return "", 0
	}
	prefix, err := addr.Prefix(simulatedBits)
	if err != nil {
		return "", 0
	}
	return Gateway(prefix.String())
}

// IPv6Pool is a range of IPv6 addresses. They follow from numbers that are never
// used again, so there is nothing to run out of.
type IPv6Pool struct {
	prefix netip.Prefix
	// byRegion says that each region has a network of its own, and reserved
	// addresses one too.
	byRegion bool
}

// NewIPv6Pool is the pool of a prefix: its first network is for Droplets, and
// the upper half of its last for reserved addresses.
func NewIPv6Pool(prefix netip.Prefix) (IPv6Pool, error) {
	switch {
	case !prefix.IsValid() || !prefix.Addr().Is6() || prefix.Addr().Is4In6():
		return IPv6Pool{}, fmt.Errorf("%s is no range of IPv6 addresses", prefix)
	case prefix != prefix.Masked():
		return IPv6Pool{}, fmt.Errorf("%s has bits beyond its prefix; use %s", prefix, prefix.Masked())
	case prefix.Bits() < 16 || prefix.Bits() > IPv6Prefix:
		return IPv6Pool{}, fmt.Errorf("%s: a pool is between a /16 and a /%d", prefix, IPv6Prefix)
	}
	return IPv6Pool{prefix: prefix}, nil
}

// Any reports whether there are addresses.
func (p IPv6Pool) Any() bool { return p.prefix.IsValid() }

// Droplet returns a Droplet's address and gateway. The index is its region's
// place in the catalogue.
func (p IPv6Pool) Droplet(regionIndex int, droplet int64) (ip, gateway string) {
	b := p.prefix.Addr().As16()
	if p.byRegion {
		binary.BigEndian.PutUint16(b[6:], uint16(regionIndex+1))
	}
	gw := b
	gw[15] = 1
	binary.BigEndian.PutUint64(b[8:], uint64(droplet))
	return netip.AddrFrom16(b).String(), netip.AddrFrom16(gw).String()
}

// Reserved returns the n-th reserved address, in the region with the given
// place. It is none that a Droplet has as its own.
func (p IPv6Pool) Reserved(regionIndex int, n int64) string {
	b := p.prefix.Addr().As16()
	if p.byRegion {
		binary.BigEndian.PutUint32(b[4:], 0xffff<<16|uint32(uint16(regionIndex+1)))
		binary.BigEndian.PutUint64(b[8:], uint64(n))
		return netip.AddrFrom16(b).String()
	}
	last := binary.BigEndian.Uint64(b[:]) | (1<<(IPv6Prefix-p.prefix.Bits()) - 1)
	binary.BigEndian.PutUint64(b[:], last)
	binary.BigEndian.PutUint64(b[8:], 1<<63|uint64(n))
	return netip.AddrFrom16(b).String()
}

package cloud

import (
	"encoding/binary"
	"net/netip"
)

// Simulated addresses come from ranges that the Internet does not route
// (RFC 2544 and RFC 3849), so that nobody's ssh reaches a stranger.
const (
	publicBase  = "198.18.0.0" // a /15: Droplets from the front, reserved IPs behind them
	publicBits  = 20           // each /20 looks like a network of its own, with its gateway
	publicNets  = 32           // how many /20 there are in the /15
	dropletNets = 28           // those of Droplets; the rest are for reserved IPs

	hostsPerNet = 1<<(32-publicBits) - 3 // without the network, gateway and broadcast addresses

	// PublicIPv4Pool and ReservedIPv4Pool are how many addresses there are.
	PublicIPv4Pool   = dropletNets * hostsPerNet
	ReservedIPv4Pool = (publicNets - dropletNets) * hostsPerNet

	// PublicPrefix is the prefix length that public IPv4 addresses show.
	PublicPrefix = publicBits
	// IPv6Prefix is the prefix length of Droplets' IPv6 addresses.
	IPv6Prefix = 64
)

// PublicIPv4 returns the n-th public address for Droplets, n taken modulo
// PublicIPv4Pool.
func PublicIPv4(n int64) string { return poolAddress(n%PublicIPv4Pool, 0) }

// ReservedIPv4 returns the n-th address for reserved IPs, n taken modulo
// ReservedIPv4Pool.
func ReservedIPv4(n int64) string { return poolAddress(n%ReservedIPv4Pool, dropletNets) }

func poolAddress(n int64, firstNet int64) string {
	net, host := firstNet+n/hostsPerNet, n%hostsPerNet
	base := addressNumber(netip.MustParseAddr(publicBase))
	return numberAddress(base + uint32(net<<(32-publicBits)+host+2)).String()
}

// PublicGateway returns the gateway beside a public IPv4 address.
func PublicGateway(ip string) string {
	prefix, err := netip.MustParseAddr(ip).Prefix(PublicPrefix)
	if err != nil {
		return ""
	}
	return prefix.Addr().Next().String()
}

// PublicIPv6 returns a Droplet's IPv6 address and gateway. It follows from the
// Droplet's ID, which is never used again, so it needs no pool. The index is
// the region's place in the catalogue.
func PublicIPv6(regionIndex int, droplet int64) (ip, gateway string) {
	var b [16]byte
	copy(b[:], []byte{0x20, 0x01, 0x0d, 0xb8})
	binary.BigEndian.PutUint16(b[6:], uint16(regionIndex+1))
	gw := b
	gw[15] = 1
	binary.BigEndian.PutUint64(b[8:], uint64(droplet))
	return netip.AddrFrom16(b).String(), netip.AddrFrom16(gw).String()
}

// vpcPool is where the ranges of default VPCs come from.
var vpcPool = netip.MustParsePrefix("10.96.0.0/11")

// DefaultVPCBits is the prefix length of a region's default VPC.
const DefaultVPCBits = 16

// PrivateIPv4 returns the n-th address for Droplets in a VPC's range, counting
// round; the first two and the last (gateway, network, broadcast) are left out,
// and the one before the last, which is the VPC's resolver.
func PrivateIPv4(ipRange string, n int64) (string, error) {
	prefix, err := netip.ParsePrefix(ipRange)
	if err != nil {
		return "", err
	}
	hosts := PrivateHosts(prefix.Bits())
	base := addressNumber(prefix.Masked().Addr())
	return numberAddress(base + uint32(n%hosts) + 2).String(), nil
}

// PrivateHosts is how many Droplets a VPC with a prefix of so many bits has
// addresses for.
func PrivateHosts(bits int) int64 { return max(1, int64(1)<<(32-bits)-4) }

// Netmask writes a prefix length as an IPv4 netmask.
func Netmask(bits int) string {
	return numberAddress(^uint32(0) << (32 - bits)).String()
}

// Gateway returns the first address of a range, and its prefix length.
func Gateway(ipRange string) (gateway string, bits int) {
	prefix, err := netip.ParsePrefix(ipRange)
	if err != nil {
		return "", 0
	}
	return prefix.Masked().Addr().Next().String(), prefix.Bits()
}

func addressNumber(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func numberAddress(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

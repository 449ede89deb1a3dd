package cloud

import (
	"encoding/binary"
	"net/netip"
)

// DefaultVPCBits is the prefix length of a region's default VPC.
const DefaultVPCBits = 16

// vpcPool is where the ranges of default VPCs come from.
var vpcPool = netip.MustParsePrefix("10.96.0.0/11")

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

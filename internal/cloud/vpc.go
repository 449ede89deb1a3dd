package cloud

import (
	"net/netip"
	"regexp"
	"slices"
	"time"
)

// VPC is a private network of an account in one region.
type VPC struct {
	ID          string // UUID
	Account     int64
	Name        string
	Description string
	Region      string
	IPRange     string
	Default     bool
	CreatedAt   time.Time
}

// URN is the VPC's name among resources of all kinds.
func (v VPC) URN() string { return "do:vpc:" + v.ID }

// VPCMember is something that is in a VPC.
type VPCMember struct {
	Ref
	Name      string
	CreatedAt time.Time
}

// What a VPC's range may be: RFC 1918, and neither larger nor smaller than
// these prefixes.
const (
	largestVPCBits  = 16
	smallestVPCBits = 28
)

var privateRanges = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
}

const (
	maxVPCName        = 255
	maxVPCDescription = 255
)

var vpcNamePattern = regexp.MustCompile(`^[a-zA-Z0-9\-.]+$`)

// CheckVPCName refuses what cannot be a VPC's name.
func CheckVPCName(name string) error {
	switch {
	case name == "":
		return Invalid("name is required")
	case len(name) > maxVPCName:
		return Invalid("name is too long (maximum is %d characters)", maxVPCName)
	case !vpcNamePattern.MatchString(name):
		return Invalid("name %q: VPC names have letters, digits, dashes and periods", name)
	}
	return nil
}

// CheckVPCDescription refuses a description that is too long.
func CheckVPCDescription(text string) error {
	if len([]rune(text)) > maxVPCDescription {
		return Invalid("description is too long (maximum is %d characters)", maxVPCDescription)
	}
	return nil
}

// CheckVPCRange refuses what cannot be a VPC's range, and returns it otherwise.
func CheckVPCRange(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	private := func(r netip.Prefix) bool { return r.Overlaps(prefix) && r.Bits() <= prefix.Bits() }
	switch {
	case err != nil || !prefix.Addr().Is4():
		return prefix, Invalid("ip_range %q is not an IPv4 range in CIDR notation such as 10.10.10.0/24", text)
	case prefix.Bits() < largestVPCBits || prefix.Bits() > smallestVPCBits:
		return prefix, Invalid("ip_range %s is a /%d; it must be between /%d and /%d",
			text, prefix.Bits(), largestVPCBits, smallestVPCBits)
	case prefix != prefix.Masked():
		return prefix, Invalid("ip_range %s has host bits set; the range is %s", text, prefix.Masked())
	case !slices.ContainsFunc(privateRanges, private):
		return prefix, Invalid("ip_range %s is not private; it must be within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16", text)
	}
	return prefix, nil
}

// RangeBounds returns the first and the last address of an IPv4 range as
// numbers.
func RangeBounds(prefix netip.Prefix) (first, last int64) {
	first = int64(addressNumber(prefix.Masked().Addr()))
	return first, first + 1<<(32-prefix.Bits()) - 1
}

// rangePool is a place to look for a free range of a certain size.
type rangePool struct {
	from netip.Prefix
	bits int
}

// Where ranges are looked for that nobody has named. Default VPCs and those
// that are made without a range have pools of their own, high enough that the
// ranges people write themselves stay free; when a pool is used up, anything
// private will do.
var (
	anyPrivate = []rangePool{
		{privateRanges[0], automaticVPCBits}, {privateRanges[1], automaticVPCBits}, {privateRanges[2], automaticVPCBits},
		{privateRanges[0], smallestVPCBits}, {privateRanges[1], smallestVPCBits}, {privateRanges[2], smallestVPCBits},
	}
	defaultVPCPools = append([]rangePool{{vpcPool, DefaultVPCBits}}, anyPrivate...)
	freshVPCPools   = append([]rangePool{{netip.MustParsePrefix("10.128.0.0/9"), automaticVPCBits}}, anyPrivate...)
)

// automaticVPCBits is the prefix length of a VPC that is made without a range.
const automaticVPCBits = 20

// FreeDefaultRange finds a range for a default VPC beside those that are taken,
// which are in the order of their first address. It reports whether there is
// one.
func FreeDefaultRange(taken []netip.Prefix) (netip.Prefix, bool) {
	return freeRange(taken, defaultVPCPools)
}

// FreeRange is FreeDefaultRange for a VPC that is made without a range.
func FreeRange(taken []netip.Prefix) (netip.Prefix, bool) { return freeRange(taken, freshVPCPools) }

func freeRange(taken []netip.Prefix, pools []rangePool) (netip.Prefix, bool) {
	for _, pool := range pools {
		if free, ok := pool.free(taken); ok {
			return free, true
		}
	}
	return netip.Prefix{}, false
}

// free goes through the pool past every range that is taken.
func (p rangePool) free(taken []netip.Prefix) (netip.Prefix, bool) {
	next, end := RangeBounds(p.from)
	size := int64(1) << (32 - p.bits)
	for _, other := range taken {
		first, last := RangeBounds(other)
		if last < next {
			continue
		}
		if next+size <= first {
			break
		}
		next = (last + size) / size * size // the first of that size behind it
	}
	if next+size-1 > end {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(numberAddress(uint32(next)), p.bits), true
}

// Resolver returns the address of a VPC's resolver, the last of its range that
// can be used.
func Resolver(ipRange string) string {
	prefix, err := netip.ParsePrefix(ipRange)
	if err != nil {
		return ""
	}
	_, last := RangeBounds(prefix)
	return numberAddress(uint32(last - 1)).String()
}

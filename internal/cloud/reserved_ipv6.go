package cloud

import (
	"net/netip"
	"strings"
	"time"
)

// ReservedIPv6 is a public IPv6 address that stays when Droplets go.
type ReservedIPv6 struct {
	IP        string
	Account   int64
	Region    string
	Droplet   int64 // 0 while assigned to none
	CreatedAt time.Time
	HeldBy    int64
}

// Ref names the address for holds and actions.
func (r ReservedIPv6) Ref() Ref { return Ref{KindReservedIPv6, r.IP} }

// IsIPv6 reports whether an address is one of IPv6.
func IsIPv6(ip string) bool { return strings.Contains(ip, ":") }

// CanonicalIPv6 writes an IPv6 address as it is kept, and reports whether it is
// one.
func CanonicalIPv6(text string) (string, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return "", false
	}
	return addr.String(), true
}

package cloud

import (
	"net/netip"
	"slices"
	"testing"
)

// A VPC's addresses are inside its range, each once, without those that the
// network needs itself; the smallest range is a /28.
func TestPrivateAddresses(t *testing.T) {
	for _, ipRange := range []string{"10.10.10.16/28", "192.168.5.0/24", "10.96.0.0/16"} {
		prefix := netip.MustParsePrefix(ipRange)
		hosts := 1<<(32-prefix.Bits()) - 4
		first := addressNumber(prefix.Addr())
		kept := []netip.Addr{
			prefix.Addr(), numberAddress(first + 1), numberAddress(first + uint32(hosts) + 2), numberAddress(first + uint32(hosts) + 3),
		}
		seen := map[string]bool{}
		for n := range int64(hosts) {
			ip, err := PrivateIPv4(ipRange, n)
			if err != nil {
				t.Fatal(err)
			}
			addr := netip.MustParseAddr(ip)
			if !prefix.Contains(addr) || slices.Contains(kept, addr) || seen[ip] {
				t.Fatalf("%s: %s is outside, kept or given twice", ipRange, ip)
			}
			seen[ip] = true
		}
		if again, _ := PrivateIPv4(ipRange, int64(hosts)); !seen[again] {
			t.Errorf("%s: after the last address comes %s", ipRange, again)
		}
	}
	if _, err := PrivateIPv4("home", 1); err == nil {
		t.Error("home is taken for a range")
	}
}

// Regions have default ranges that do not meet.
func TestDefaultVPCRanges(t *testing.T) {
	var ranges []netip.Prefix
	for i := range 32 {
		r, ok := FreeDefaultRange(ranges)
		if !ok || r.Bits() != DefaultVPCBits || !vpcPool.Contains(r.Addr()) || slices.ContainsFunc(ranges, r.Overlaps) {
			t.Errorf("the range %s of region %d is outside %s or another's too", r, i, vpcPool)
		}
		ranges = append(ranges, r)
	}
	if r, ok := FreeDefaultRange(ranges); !ok || r.String() != "10.0.0.0/20" {
		t.Errorf("the 33rd region gets %s", r)
	}
	if gateway, bits := Gateway("10.97.3.0/16"); gateway != "10.97.0.1" || bits != 16 || Netmask(bits) != "255.255.0.0" {
		t.Errorf("the gateway of 10.97.3.0/16 is %s/%d with the netmask %s", gateway, bits, Netmask(bits))
	}
	if gateway, bits := Gateway("home"); gateway != "" || bits != 0 {
		t.Errorf("the gateway of home is %s/%d", gateway, bits)
	}
}

// An address is shown as a number where an action's resource has to be one.
func TestAddressValue(t *testing.T) {
	if n, ok := AddressValue("198.18.0.2"); !ok || n != 3323068418 {
		t.Errorf("198.18.0.2 is %d, %v", n, ok)
	}
	if n, ok := AddressValue("2001:db8::7:3"); !ok || n != 7<<16+3 {
		t.Errorf("2001:db8::7:3 is %d, %v", n, ok)
	}
	for _, bad := range []string{"", "web-1", "198.18.0.2/20"} {
		if _, ok := AddressValue(bad); ok {
			t.Errorf("%q has a value", bad)
		}
	}
}

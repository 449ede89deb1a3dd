package cloud

import (
	"net/netip"
	"testing"
)

var simulated = netip.MustParsePrefix("198.18.0.0/15")

// No public address is given twice, none is in both pools, and none is one
// that a network keeps for itself.
func TestPublicAddressesAreApart(t *testing.T) {
	a := SimulatedAddresses()
	seen := map[string]bool{}
	for _, pool := range []Pool{a.Droplets, a.Reserved} {
		for n := range pool.Size() {
			ip := pool.Address(pool.Place(n))
			addr, err := netip.ParseAddr(ip)
			if err != nil || !simulated.Contains(addr) || !pool.Contains(addr) {
				t.Fatalf("%s is not in %s", ip, simulated)
			}
			if seen[ip] {
				t.Fatalf("%s is given twice", ip)
			}
			seen[ip] = true
			checkHost(t, ip, pool.Network())
		}
	}
}

// checkHost checks that an address is none that its network keeps.
func checkHost(t *testing.T, ip, network string) {
	t.Helper()
	gateway, bits := PublicGateway(ip, network)
	addr := netip.MustParseAddr(ip)
	prefix, _ := addr.Prefix(bits)
	last := numberAddress(addressNumber(prefix.Addr()) | 1<<(32-bits) - 1)
	if addr == prefix.Addr() || ip == gateway || addr == last || !prefix.Contains(netip.MustParseAddr(gateway)) {
		t.Fatalf("%s is the network, the gateway %s or the broadcast address of %s", ip, gateway, prefix)
	}
}

// The pools are counted through in a circle.
func TestPoolsGoRound(t *testing.T) {
	a := SimulatedAddresses()
	for pool, want := range map[Pool]string{
		a.Droplets:                     "198.18.0.2",
		a.Reserved:                     "198.19.192.2",
		mustPool(t, "127.100.0.0/16"):  "127.100.0.2",
		mustPool(t, "203.0.113.16/28"): "203.0.113.18",
	} {
		if first, again := pool.Address(pool.Place(0)), pool.Address(pool.Place(pool.Size())); first != want || again != first {
			t.Errorf("the first address is %s and comes back as %s, want %s", first, again, want)
		}
	}
	if gateway, bits := PublicGateway("198.18.17.4", ""); gateway != "198.18.16.1" || bits != 20 {
		t.Errorf("the gateway beside 198.18.17.4 is %s/%d", gateway, bits)
	}
	if mask := Netmask(simulatedBits); mask != "255.255.240.0" {
		t.Errorf("the public netmask is %s", mask)
	}
}

func mustPool(t *testing.T, network string) Pool {
	t.Helper()
	pool, err := NewPool(netip.MustParsePrefix(network))
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// A pool may be as small as a /30, and a place is the same address in every
// pool that has it.
func TestPoolsOfOneNetwork(t *testing.T) {
	small, large := mustPool(t, "203.0.113.16/28"), mustPool(t, "203.0.113.0/24")
	if small.Size() != 13 || mustPool(t, "203.0.113.0/30").Size() != 1 {
		t.Errorf("a /28 has %d addresses", small.Size())
	}
	for n := range small.Size() {
		place := small.Place(n)
		ip := small.Address(place)
		checkHost(t, ip, small.Network())
		if large.Address(place) != ip {
			t.Errorf("the place of %s is that of %s in the larger pool", ip, large.Address(place))
		}
	}
	if !large.Overlaps(small) || !small.Overlaps(large) || small.Overlaps(mustPool(t, "203.0.113.32/28")) {
		t.Error("whether pools have addresses in common is wrong")
	}
}

func TestPoolsThatCannotBe(t *testing.T) {
	for _, network := range []string{"203.0.113.0/31", "0.0.0.0/0", "203.0.113.1/24", "2001:db8::/64"} {
		if _, err := NewPool(netip.MustParsePrefix(network)); err == nil {
			t.Errorf("%s is a pool", network)
		}
	}
	for _, prefix := range []string{"203.0.113.0/24", "2001:db8::/65", "2001:db8::1/64", "::ffff:1.2.3.0/120"} {
		if _, err := NewIPv6Pool(netip.MustParsePrefix(prefix)); err == nil {
			t.Errorf("%s is a pool of IPv6", prefix)
		}
	}
}

// IPv6 addresses follow from the Droplet, so no two are the same, none is the
// gateway of its region, and none is a reserved one.
func TestPublicIPv6(t *testing.T) {
	for text, pool := range map[string]IPv6Pool{
		"2001:db8::/32":      SimulatedAddresses().IPv6,
		"2001:db8:7::/48":    mustIPv6Pool(t, "2001:db8:7::/48"),
		"2001:db8:7:1::/64":  mustIPv6Pool(t, "2001:db8:7:1::/64"),
		"2001:db8:7:10::/60": mustIPv6Pool(t, "2001:db8:7:10::/60"),
	} {
		whole := netip.MustParsePrefix(text)
		seen := map[string]bool{}
		regions := 15
		if !pool.byRegion {
			regions = 1
		}
		for region := range regions {
			for n := FirstID; n < FirstID+500; n++ {
				ip, gateway := pool.Droplet(region, n)
				reserved := pool.Reserved(region, n)
				addr, router := netip.MustParseAddr(ip), netip.MustParseAddr(gateway)
				network, _ := router.Prefix(IPv6Prefix)
				if seen[ip] || seen[reserved] || ip == reserved || addr == router || !whole.Contains(addr) || !network.Contains(addr) ||
					!whole.Contains(netip.MustParseAddr(reserved)) {
					t.Fatalf("region %d, Droplet %d: %s beside the gateway %s and the reserved %s", region, n, ip, gateway, reserved)
				}
				seen[ip], seen[reserved] = true, true
			}
		}
	}
	if ip, gateway := SimulatedAddresses().IPv6.Droplet(2, 7); ip != "2001:db8:0:3::7" || gateway != "2001:db8:0:3::1" {
		t.Errorf("got %s beside %s", ip, gateway)
	}
	if ip := SimulatedAddresses().IPv6.Reserved(2, 7); ip != "2001:db8:ffff:3::7" {
		t.Errorf("got the reserved %s", ip)
	}
	if (IPv6Pool{}).Any() {
		t.Error("no pool has addresses")
	}
}

func mustIPv6Pool(t *testing.T, prefix string) IPv6Pool {
	t.Helper()
	pool, err := NewIPv6Pool(netip.MustParsePrefix(prefix))
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

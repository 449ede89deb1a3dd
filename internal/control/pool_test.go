package control

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// pools are the addresses of a cloud with real machines; an empty text is none.
func pools(t testing.TB, public, reserved, ipv6 string) (a cloud.Addresses) {
	t.Helper()
	var err error
	if a.Droplets, err = cloud.NewPool(netip.MustParsePrefix(public)); err != nil {
		t.Fatal(err)
	}
	if a.Reserved, err = cloud.NewPool(netip.MustParsePrefix(reserved)); err != nil {
		t.Fatal(err)
	}
	if ipv6 == "" {
		return a
	}
	if a.IPv6, err = cloud.NewIPv6Pool(netip.MustParsePrefix(ipv6)); err != nil {
		t.Fatal(err)
	}
	return a
}

// usePools starts the cloud anew with other pools.
func (c *testCloud) usePools(public, reserved, ipv6 string) {
	c.Helper()
	a := pools(c, public, reserved, ipv6)
	c.configure = func(config *Config) { config.Addresses = a }
	c.restart()
}

// A small pool gives all that it has, and what becomes free again, and then says
// that there is no more.
func TestSmallPools(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		c.usePools("203.0.113.16/28", "203.0.113.32/29", "2001:db8:7::/48")
		names := make([]string, 10)
		for i := range names {
			names[i] = fmt.Sprintf("web-%d", i)
		}
		c.quickly(func() { c.create(newDroplet(names...)) })
		c.refusesDroplets(newDroplet("a", "b", "c", "d"), "No free public addresses are left.")
		var last cloud.Droplet
		c.quickly(func() { c.create(newDroplet("a", "b")); last = c.addDroplet("c") })
		c.refusesDroplets(newDroplet("d"), "No free public addresses are left.")
		c.checkAddresses()

		private := newDroplet("private")
		private.Private = true
		c.quickly(func() {
			c.create(private) // which needs none
			c.must(func(ctx context.Context) error { return c.plane.DeleteDroplet(ctx, c.who, last.ID) })
			if d := c.addDroplet("d"); d.PublicIPv4 != last.PublicIPv4 {
				c.Errorf("got %s, want %s, which is free again", d.PublicIPv4, last.PublicIPv4)
			}
		})
		for i := range 5 {
			if _, _, err := c.plane.ReserveIP(c.Context(), c.who, NewReservedIP{Region: testRegion}); err != nil {
				c.Fatalf("reserved IP %d: %v", i, err)
			}
		}
		_, _, err := c.plane.ReserveIP(c.Context(), c.who, NewReservedIP{Region: testRegion})
		wantError(c, err, cloud.CodeInvalid, "No free reserved IPs are left.")
	})
}

// In the network without root a guest knows the last 16 bits of its address alone.
// So no two Droplets have the same ones, of whatever pools they are.
func TestNoTwoDropletsAreAlikeInside(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		c.usePools("127.102.0.0/29", "127.103.0.0/29", "")
		c.quickly(func() { c.create(newDroplet("a", "b", "c")) }) // .2, .3 and .4
		c.usePools("127.105.0.0/28", "127.103.0.0/29", "")
		private := newDroplet("private")
		private.Private = true
		seen := map[string]bool{"0.2": true, "0.3": true, "0.4": true}
		c.quickly(func() {
			c.create(private)
			for i := range 10 { // a /28 has 13 of its own
				d := c.addDroplet(fmt.Sprintf("new-%d", i))
				inside, is := strings.CutPrefix(d.PublicIPv4, "127.105.")
				if !is || seen[inside] {
					c.Errorf("the Droplet %s has %s", d.Name, d.PublicIPv4)
				}
				seen[inside] = true
			}
		})
		c.refusesDroplets(newDroplet("more"), "No free public addresses are left.")
		c.checkAddresses()
		// What is inside the former one's range again is its own.
		c.usePools("127.102.0.0/28", "127.103.0.0/29", "")
		c.refusesDroplets(newDroplet("x", "y"), "No free public addresses are left.")
		c.checkWorld()
	})
}

func (c *testCloud) refusesDroplets(n NewDroplets, message string) {
	c.Helper()
	_, _, err := c.plane.CreateDroplets(c.Context(), c.who, n)
	wantError(c, err, cloud.CodeInvalid, message)
}

// What has an address keeps it, with its network, when the pools change; nothing
// gets it a second time.
func TestPoolsChange(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		c.usePools("203.0.113.0/30", "203.0.113.32/30", "2001:db8:7::/64")
		n := newDroplet("web")
		n.IPv6 = true
		var d cloud.Droplet
		c.quickly(func() { d = c.create(n) })
		r := c.addReservedIP(0)
		if d.PublicIPv4 != "203.0.113.2" || !strings.HasPrefix(d.PublicIPv6, "2001:db8:7::") || r.IP != "203.0.113.34" {
			c.Fatalf("got %s, %s and %s", d.PublicIPv4, d.PublicIPv6, r.IP)
		}
		c.usePools("203.0.113.0/29", "203.0.113.32/29", "")
		same, err := c.plane.Droplet(c.Context(), c.who, d.ID)
		if gateway, bits := same.PublicGateway(); err != nil || same.PublicIPv4 != d.PublicIPv4 || gateway != "203.0.113.1" || bits != 30 {
			c.Errorf("the Droplet has %s beside %s/%d: %v", same.PublicIPv4, gateway, bits, err)
		}
		var all []cloud.Droplet
		c.quickly(func() {
			for i := range 4 {
				all = append(all, c.addDroplet(fmt.Sprintf("new-%d", i)))
			}
		})
		if gateway, bits := all[0].PublicGateway(); gateway != "203.0.113.1" || bits != 29 {
			c.Errorf("the new Droplet is beside %s/%d", gateway, bits)
		}
		c.refusesDroplets(newDroplet("more"), "No free public addresses are left.")
		c.checkAddresses()
		c.refusesDroplets(n, "IPv6 is not available in "+testRegion+".")
		_, err = c.plane.ReserveIPv6(c.Context(), c.who, testRegion)
		wantError(c, err, cloud.CodeInvalid, "IPv6 is not available in "+testRegion+".")
		c.checkWorld()
	})
}

// Reserved IPs stay with the network that they are of, too.
func TestReservedIPsOfAnotherNetwork(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		for _, test := range []struct{ have, get, want string }{
			{"127.103.0.0/29", "203.0.113.32/28", "--network routed: the reserved IP %s is of --network user; start with that, or delete it there first"},
			{"203.0.113.32/28", "127.103.0.0/29", "--network user: the reserved IP %s is of --network routed; start with that, or delete it there first"},
		} {
			public := map[bool]string{true: "127.102.0.0/29", false: "203.0.113.0/28"}
			loopback := strings.HasPrefix(test.have, "127.")
			c.usePools(public[loopback], test.have, "")
			r := c.addReservedIP(0)
			err := CheckAddresses(c.Context(), c.store, pools(c, public[!loopback], test.get, ""))
			if want := fmt.Sprintf(test.want, r.IP); err == nil || err.Error() != want {
				c.Errorf("got %v, want %s", err, want)
			}
			c.must(func(ctx context.Context) error { return c.plane.DeleteReservedIP(ctx, c.who, r.IP) })
		}
	})
}

// Pools that would give an address twice are refused at the start.
func TestPoolsThatMeet(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		c.usePools("203.0.113.0/28", "203.0.113.32/28", "")
		c.quickly(func() { c.addDroplet("web") })
		c.addReservedIP(0)
		config := Config{Store: c.store, Engine: c.engine, Catalog: c.catalog}
		for _, a := range []struct {
			pools cloud.Addresses
			want  string
		}{
			{pools(c, "203.0.113.0/24", "203.0.113.32/28", ""), "--public-pool 203.0.113.0/24 and --reserved-pool 203.0.113.32/28 have addresses in common"},
			{pools(c, "203.0.113.32/28", "203.0.113.64/28", ""), "--public-pool 203.0.113.32/28 has the reserved IP 203.0.113.34 in it; delete that first, or use another pool"},
			{pools(c, "127.100.0.0/16", "127.101.0.0/16", ""), "--network user: the Droplet web (1000000) has the address 203.0.113.2, which is of --network routed; start with that, or destroy the Droplet there first"},
			{pools(c, "203.0.113.64/28", "203.0.113.0/28", ""), "--reserved-pool 203.0.113.0/28 has 203.0.113.2 in it, which is a Droplet's own; destroy that first, or use another pool"},
		} {
			config.Addresses = a.pools
			if _, err := New(c.Context(), config); err == nil || !strings.Contains(err.Error(), a.want) {
				c.Errorf("got %v, want %s", err, a.want)
			}
			if err := CheckAddresses(c.Context(), c.store, a.pools); err == nil || err.Error() != a.want {
				c.Errorf("the records alone: got %v, want %s", err, a.want)
			}
		}
	})
}

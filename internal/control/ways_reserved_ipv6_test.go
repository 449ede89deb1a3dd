package control

import (
	"context"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// addReservedIPv6 reserves an address, assigned to a Droplet unless that is 0.
func (c *testCloud) addReservedIPv6(droplet int64) cloud.ReservedIPv6 {
	c.Helper()
	r, err := c.plane.ReserveIPv6(c.Context(), c.who, testRegion)
	if err != nil {
		c.Fatal(err)
	}
	if droplet != 0 {
		c.must(func(ctx context.Context) error { return second(c.plane.AssignReservedIPv6(ctx, c.who, r.IP, droplet)) })
	}
	return r
}

// assigningIPv6 is a scenario of the assignment of an address to a Droplet that
// has an IPv4 address as well, which stays.
func assigningIPv6(c *testCloud, r cloud.ReservedIPv6) scenario {
	to := c.addDroplet("web")
	kept := c.addReservedIP(to.ID)
	return scenario{
		ask: func(ctx context.Context) error {
			return second(c.plane.AssignReservedIPv6(ctx, c.who, r.IP, to.ID))
		},
		done: func() bool { d := c.droplet(to.ID); return d.ReservedIPv6 == r.IP && d.ReservedIP == kept.IP },
	}
}

func assignFreeIPv6(c *testCloud) scenario { return assigningIPv6(c, c.addReservedIPv6(0)) }

func assignIPv6Away(c *testCloud) scenario {
	return assigningIPv6(c, c.addReservedIPv6(c.addDroplet("old").ID))
}

func unassignIPv6(c *testCloud) scenario {
	d := c.addDroplet("web")
	r := c.addReservedIPv6(d.ID)
	return scenario{
		ask: func(ctx context.Context) error {
			return second(c.plane.UnassignReservedIPv6(ctx, c.who, r.IP))
		},
		done: func() bool { return c.droplet(d.ID).ReservedIPv6 == "" },
	}
}

// A destroyed Droplet's IPv6 address stays with the account and is free, also
// when it could not be taken away before.
func TestDestroyedDropletLeavesItsReservedIPv6(t *testing.T) {
	for name, failing := range map[string]bool{"released": false, "freed with the machine": true} {
		t.Run(name, func(t *testing.T) {
			eachCloud(t, func(c *testCloud) {
				d := c.addDroplet("web")
				c.addReservedIP(d.ID)
				r := c.addReservedIPv6(d.ID)
				if failing {
					c.addFault(engine.Fault{Operation: "network.apply", Resource: r.IP, Error: "no"})
				}
				c.must(func(ctx context.Context) error { return c.plane.DestroyEverything(ctx, c.who, d.ID) })
				got, _, err := c.plane.ReservedIPv6(c.Context(), c.who, r.IP)
				if err != nil || got.Droplet != 0 || got.HeldBy != 0 || !c.gone(d.ID) {
					c.Errorf("the address is %+v, %v", got, err)
				}
				c.checkWorld()
				c.must1(c.plane.DeleteReservedIPv6, r.IP)
			})
		})
	}
}

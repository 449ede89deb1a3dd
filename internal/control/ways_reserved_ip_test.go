package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// assigning is a scenario of the assignment of an address to a Droplet.
func assigning(c *testCloud, r cloud.ReservedIP, to cloud.Droplet) scenario {
	return scenario{
		ask: func(ctx context.Context) error {
			_, err := c.plane.AssignReservedIP(ctx, c.who, r.IP, to.ID, cloud.KindReservedIP)
			return err
		},
		done: func() bool { return c.droplet(to.ID).ReservedIP == r.IP },
	}
}

func assignFree(c *testCloud) scenario {
	return assigning(c, c.addReservedIP(0), c.addDroplet("web"))
}

func assignAway(c *testCloud) scenario {
	r := c.addReservedIP(c.addDroplet("old").ID)
	return assigning(c, r, c.addDroplet("web"))
}

// reserveForDroplet asks for a new address for a Droplet. When it cannot be
// assigned, it stays reserved.
func reserveForDroplet(c *testCloud) scenario {
	d := c.addDroplet("web")
	return scenario{
		ask: func(ctx context.Context) error {
			_, _, err := c.plane.ReserveIP(ctx, c.who, NewReservedIP{Droplet: d.ID, As: cloud.KindFloatingIP})
			return err
		},
		done: func() bool { return c.droplet(d.ID).ReservedIP != "" },
		failed: func() {
			if ips := c.resources().ReservedIPs; len(ips) != 1 || ips[0].Droplet != 0 {
				c.Errorf("got %+v, want one address, assigned to none", ips)
			}
		},
	}
}

func unassign(c *testCloud) scenario {
	d := c.addDroplet("web")
	r := c.addReservedIP(d.ID)
	return scenario{
		ask: func(ctx context.Context) error {
			_, err := c.plane.UnassignReservedIP(ctx, c.who, r.IP, cloud.KindReservedIP)
			return err
		},
		done: func() bool { return c.droplet(d.ID).ReservedIP == "" },
	}
}

func deleteAssigned(c *testCloud) scenario {
	r := c.addReservedIP(c.addDroplet("web").ID)
	return scenario{
		ask:  func(ctx context.Context) error { return c.plane.DeleteReservedIP(ctx, c.who, r.IP) },
		done: func() bool { return len(c.resources().ReservedIPs) == 0 },
	}
}

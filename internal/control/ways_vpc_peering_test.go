package control

import (
	"context"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func (c *testCloud) addVPC(name string) cloud.VPC {
	c.Helper()
	v, err := c.plane.CreateVPC(c.Context(), c.who, NewVPC{Name: name, Region: testRegion})
	if err != nil {
		c.Fatal(err)
	}
	return v
}

func createPeering(c *testCloud) scenario {
	one, two := c.addVPC("one"), c.addVPC("two")
	return scenario{
		ask: func(ctx context.Context) error {
			return second(c.plane.CreateVPCPeering(ctx, c.who, "pair", []string{one.ID, two.ID}))
		},
		done: func() bool {
			all := c.resources().Peerings
			return len(all) == 1 && all[0].Status == cloud.PeeringActive
		},
	}
}

func deletePeering(c *testCloud) scenario {
	var peering cloud.VPCPeering
	vpcs := []string{c.addVPC("one").ID, c.addVPC("two").ID}
	c.must(func(ctx context.Context) (err error) {
		peering, err = c.plane.CreateVPCPeering(ctx, c.who, "pair", vpcs)
		return err
	})
	return scenario{
		ask: func(ctx context.Context) error {
			return second(c.plane.DeleteVPCPeering(ctx, c.who, peering.ID))
		},
		done: func() bool { return len(c.resources().Peerings) == 0 },
	}
}

// While a peering is made or unmade, it is not unmade again, and its VPCs stay.
func TestBusyPeering(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		one, two := c.addVPC("one"), c.addVPC("two")
		peering, err := c.plane.CreateVPCPeering(c.Context(), c.who, "pair", []string{one.ID, two.ID})
		if err != nil || peering.Status != cloud.PeeringProvisioning {
			c.Fatalf("%+v, %v", peering, err)
		}
		_, err = c.plane.DeleteVPCPeering(c.Context(), c.who, peering.ID)
		wantError(c, err, cloud.CodeConflict, "The VPC peering is PROVISIONING; it can be deleted when it is ACTIVE.")
		c.settle()
		if peering, err = c.plane.DeleteVPCPeering(c.Context(), c.who, peering.ID); err != nil || peering.Status != cloud.PeeringDeleting {
			c.Fatalf("%+v, %v", peering, err)
		}
		_, err = c.plane.DeleteVPCPeering(c.Context(), c.who, peering.ID)
		wantError(c, err, cloud.CodeConflict, "The VPC peering is DELETING; it can be deleted when it is ACTIVE.")
		wantError(c, c.plane.DeleteVPC(c.Context(), c.who, two.ID), cloud.CodePrecondition, "Can not delete VPC with peerings")
		c.settle()
		if err := c.plane.DeleteVPC(c.Context(), c.who, two.ID); err != nil {
			c.Error(err)
		}
		c.checkWorld()
	})
}

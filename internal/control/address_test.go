package control

import (
	"fmt"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// smallVPC makes a VPC with room for twelve Droplets.
func (c *testCloud) smallVPC() cloud.VPC {
	c.Helper()
	v := cloud.VPC{ID: cloud.NewUUID(), Account: c.who.Account, Name: "small", Region: testRegion, IPRange: "10.1.2.0/28"}
	c.inStore(func(tx *store.Tx) error {
		v.CreatedAt = tx.Now
		_, err := tx.AddVPC(v)
		return err
	})
	return v
}

// Addresses are each Droplet's own, also when they have been counted through
// and are given anew.
func TestPrivateAddressesAreUnique(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		n := newDroplet("web")
		vpc := c.smallVPC()
		n.VPC = vpc.ID
		var ids []int64
		for range 12 {
			ids = append(ids, c.create(n).ID)
		}
		c.settle()
		c.checkAddresses()
		_, _, err := c.plane.CreateDroplets(c.Context(), c.who, n)
		wantError(c, err, cloud.CodeInvalid, "The VPC "+vpc.ID+" has no free addresses left.")
		for _, id := range ids[3:5] {
			if err := c.plane.DeleteDroplet(c.Context(), c.who, id); err != nil {
				c.Fatal(err)
			}
		}
		c.settle()
		n.Names = []string{"new-1", "new-2"}
		c.create(n)
		c.settle()
		c.checkAddresses()
		c.checkWorld()
	})
}

// checkAddresses checks that no two Droplets have an address in common.
func (c *testCloud) checkAddresses() {
	c.Helper()
	seen := map[string]int64{}
	for _, d := range c.resources().Droplets {
		for _, address := range []string{d.PublicIPv4, d.PublicIPv6, d.VPC + " " + d.PrivateIPv4} {
			if other, taken := seen[address]; taken && address != "" {
				c.Errorf("Droplets %d and %d both have %s", other, d.ID, address)
			}
			seen[address] = d.ID
		}
	}
}

// A long row of addresses in use is passed over, however long it is.
func TestFreeAddressBehindManyTaken(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		vpc := c.vpc(testRegion)
		first := c.addDroplet("first")
		const many = 300
		c.inStore(func(tx *store.Tx) error {
			for i := range int64(many) {
				d := first
				d.ID, d.Name, d.PublicIPv4 = first.ID+10_000+i, "taken", ""
				ip, err := cloud.PrivateIPv4(vpc.IPRange, i+1)
				if err != nil {
					return err
				}
				d.PrivateIPv4 = ip
				added, err := tx.AddDroplet(store.NewDroplet{Droplet: d, PrivateHost: i + 1, PublicHost: 1000 + i})
				if err != nil || !added {
					return fmt.Errorf("added: %v, %w", added, err)
				}
			}
			return nil
		})
		d := c.create(newDroplet("behind"))
		if want, _ := cloud.PrivateIPv4(vpc.IPRange, many+1); d.PrivateIPv4 != want {
			c.Errorf("got %s, want %s", d.PrivateIPv4, want)
		}
	})
}

// Public and reserved addresses are counted through too.
func TestPublicAddressesAreUnique(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		c.addDroplet("first")
		c.addReservedIP(0)
		c.exec(`UPDATE counters SET next = $1 WHERE name = $2`, cloud.SimulatedAddresses().Droplets.Size()-64, string(store.PublicAddresses))
		c.exec(`UPDATE counters SET next = $1 WHERE name = $2`, cloud.SimulatedAddresses().Reserved.Size()-64, string(store.ReservedAddresses))
		c.restart() // which forgets the numbers that it had taken
		for i := range 7 {
			names := make([]string, 10)
			for j := range names {
				names[j] = fmt.Sprintf("web-%d-%d", i, j)
			}
			c.create(newDroplet(names...))
		}
		ips := map[string]bool{}
		for range 70 {
			r, _, err := c.plane.ReserveIP(c.Context(), c.who, NewReservedIP{Region: testRegion})
			if err != nil || ips[r.IP] {
				c.Fatalf("got %+v again: %v", r, err)
			}
			ips[r.IP] = true
		}
		c.checkAddresses()
	})
}

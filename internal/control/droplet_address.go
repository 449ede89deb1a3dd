package control

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// insert adds a Droplet with the next addresses that are free: mostly those
// whose turn it is, and others where that is taken.
func (c *creation) insert(d *cloud.Droplet, public int64) error {
	_, bits := cloud.Gateway(c.vpc.IPRange)
	size := cloud.PrivateHosts(bits)
	private, err := c.tx.NextHost(c.vpc.ID)
	if err != nil {
		return err
	}
	pool := c.addresses.Droplets
	private, public = private%size, pool.Place(public)
	if !c.request.Private {
		if public, err = c.unlike(public); err != nil {
			return err
		}
	}
	for range maxAddressTries {
		if d.PrivateIPv4, err = cloud.PrivateIPv4(c.vpc.IPRange, private); err != nil {
			return err
		}
		if d.PublicNetworking {
			d.PublicIPv4, d.PublicRange = pool.Address(public), pool.Network()
		}
		added, err := c.tx.AddDroplet(store.NewDroplet{
			Droplet: *d, GPU: c.size.GPUInfo != nil, PrivateHost: private, PublicHost: public,
		})
		if err != nil || added {
			return err
		}
		if private, public, err = c.otherAddresses(private, public, size); err != nil {
			return err
		}
	}
	return cloud.Errorf(cloud.CodeUnavailable, "No free address was found in time. Please try again.")
}

// otherAddresses finds free places after the given ones.
func (c *creation) otherAddresses(private, public, size int64) (int64, int64, error) {
	private, ok, err := c.tx.FreePrivateHost(c.vpc.ID, private, size)
	if err != nil {
		return 0, 0, err
	}
	if !ok {
		return 0, 0, cloud.Invalid("The VPC %s has no free addresses left.", c.vpc.ID)
	}
	if !c.request.Private {
		if public, err = c.freePublic(public); err != nil {
			return 0, 0, err
		}
	}
	return private, public, c.tx.SetNextHost(c.vpc.ID, private+1)
}

// unlike is a place itself, unless nobody may have it: then it is a free one.
func (c *creation) unlike(place int64) (int64, error) {
	nobodys, err := shadowed(c.tx, c.addresses.Droplets)
	if err != nil || !nobodys[place] {
		return place, err
	}
	return c.freePublic(place)
}

// freePublic finds a free place, from one on and round.
func (c *creation) freePublic(from int64) (int64, error) {
	nobodys, err := shadowed(c.tx, c.addresses.Droplets)
	if err != nil {
		return 0, err
	}
	first, end := c.addresses.Droplets.Places()
	for range 2*len(nobodys) + 1 { // each is met twice at the most, as the search goes round once
		place, ok, err := c.tx.FreePublicHost(from, first, end)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		if !nobodys[place] {
			return place, nil
		}
		from = place + 1
	}
	return 0, cloud.Invalid("No free public addresses are left.")
}

// maxAddressTries is how often addresses that were free are taken by another
// process before they can be used.
const maxAddressTries = 16

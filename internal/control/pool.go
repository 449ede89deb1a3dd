package control

import (
	"fmt"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// checkPools refuses pools that would give an address twice. Pools may change
// from one start to the next: what has an address keeps it, as its place says
// which it is. But a place counts in one of the two pools only, so an address
// must not come into the other while something has it.
func checkPools(tx *store.Tx, a cloud.Addresses) error {
	if a.Droplets.Overlaps(a.Reserved) {
		return fmt.Errorf("the public pool %s and the reserved pool %s have addresses in common", a.Droplets.Network(), a.Reserved.Network())
	}
	if !a.Droplets.IsReal() { // those of a simulation are always the same
		return nil
	}
	ip, err := tx.TakenReservedHost(a.Droplets.Places())
	if err != nil {
		return err
	}
	if ip != "" {
		return fmt.Errorf("the public pool %s has the reserved IP %s in it; delete that first, or use another pool", a.Droplets.Network(), ip)
	}
	ip, err = tx.TakenPublicHost(a.Reserved.Places())
	if err == nil && ip == "" {
		return checkNetwork(tx, a)
	}
	if err == nil {
		err = fmt.Errorf("the reserved pool %s has %s in it, which is a Droplet's own; destroy that first, or use another pool", a.Reserved.Network(), ip)
	}
	return err
}

// checkNetwork refuses loopback addresses on a network that routes, and others on
// one of loopback addresses: they lead nowhere there.
func checkNetwork(tx *store.Tx, a cloud.Addresses) error {
	loopback := a.Droplets.IsLoopback()
	ip, err := tx.PublicIPv4Where(!loopback)
	if err != nil || ip == "" {
		return err
	}
	if loopback {
		return fmt.Errorf("a Droplet has the address %s, which is of a routed network; serve with that, or destroy the Droplet first", ip)
	}
	return fmt.Errorf("a Droplet has the address %s, which is of the network for users who are not root; serve with that, or destroy the Droplet first", ip)
}

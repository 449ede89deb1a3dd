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
	if err == nil && ip != "" {
		err = fmt.Errorf("the reserved pool %s has %s in it, which is a Droplet's own; destroy that first, or use another pool", a.Reserved.Network(), ip)
	}
	return err
}

package control

import (
	"context"
	"fmt"
	"math"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// CheckAddresses refuses addresses that a cloud cannot have beside those that it
// has given. It asks the records alone, before anything is made of the addresses.
func CheckAddresses(ctx context.Context, db *store.DB, a cloud.Addresses) error {
	return db.Read(ctx, func(tx *store.Tx) error { return checkPools(tx, a) })
}

// checkPools refuses pools that would give an address twice. Pools may change
// from one start to the next: what has an address keeps it, as its place says
// which it is. But a place counts in one of the two pools only, so an address
// must not come into the other while something has it.
func checkPools(tx *store.Tx, a cloud.Addresses) error {
	if a.Droplets.Overlaps(a.Reserved) {
		return fmt.Errorf("--public-pool %s and --reserved-pool %s have addresses in common", a.Droplets.Network(), a.Reserved.Network())
	}
	if !a.Droplets.IsReal() { // those of a simulation are always the same
		return nil
	}
	ip, err := tx.TakenReservedHost(a.Droplets.Places())
	if err != nil {
		return err
	}
	if ip != "" {
		return fmt.Errorf("--public-pool %s has the reserved IP %s in it; delete that first, or use another pool", a.Droplets.Network(), ip)
	}
	ip, err = tx.TakenPublicHost(a.Reserved.Places())
	if err == nil && ip == "" {
		return checkNetwork(tx, a)
	}
	if err == nil {
		err = fmt.Errorf("--reserved-pool %s has %s in it, which is a Droplet's own; destroy that first, or use another pool", a.Reserved.Network(), ip)
	}
	return err
}

// checkNetwork refuses loopback addresses on a network that routes, and others on
// one of loopback addresses: they lead nowhere there.
func checkNetwork(tx *store.Tx, a cloud.Addresses) error {
	loopback := a.Droplets.IsLoopback()
	network, other := "routed", "user"
	if loopback {
		network, other = other, network
	}
	d, err := tx.DropletWithAddress(!loopback)
	if err != nil {
		return err
	}
	if d.ID != 0 {
		return fmt.Errorf("--network %s: the Droplet %s (%d) has the address %s, which is of --network %s; start with that, or destroy the Droplet there first",
			network, d.Name, d.ID, d.PublicIPv4, other)
	}
	first, end := cloud.LoopbackPlaces()
	wrong := [][2]int64{{first, end}}
	if loopback {
		wrong = [][2]int64{{0, first}, {end, math.MaxInt64}}
	}
	for _, places := range wrong {
		ip, err := tx.TakenReservedHost(places[0], places[1])
		if err != nil {
			return err
		}
		if ip != "" {
			return fmt.Errorf("--network %s: the reserved IP %s is of --network %s; start with that, or delete it there first", network, ip, other)
		}
	}
	return nil
}

// shadowed are the places of the pool that nobody may have: in the network without
// root, a guest knows the last 16 bits of its address alone, and a Droplet of a
// former pool has the same ones. Mostly there are none.
func shadowed(tx *store.Tx, pool cloud.Pool) (map[int64]bool, error) {
	if !pool.IsReal() || !pool.IsLoopback() {
		return nil, nil
	}
	first, end := pool.Places()
	from, to := cloud.LoopbackPlaces()
	others, err := tx.PublicHostsBeside(from, first, end, to)
	if err != nil || len(others) == 0 {
		return nil, err
	}
	taken := map[int64]bool{}
	for _, place := range others {
		taken[pool.Alike(place)] = true
	}
	return taken, nil
}

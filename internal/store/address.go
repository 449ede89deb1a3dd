package store

import (
	"errors"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// FreePrivateHost finds a place that no Droplet of a VPC has, from a place on
// and round. It reports whether there is one among size.
func (tx *Tx) FreePrivateHost(vpc string, from, size int64) (int64, bool, error) {
	return tx.freePlace(`droplets`, `private_host`, `vpc_id`, vpc, from, 0, size)
}

// FreePublicHost finds a place in the pool of public addresses that no Droplet
// has, from a place on and round.
func (tx *Tx) FreePublicHost(from, first, end int64) (int64, bool, error) {
	return tx.freePlace(`droplets`, `public_host`, `''`, "", from, first, end)
}

// FreeReservedHost finds a place in the pool of reserved IPs that is free.
func (tx *Tx) FreeReservedHost(from, first, end int64) (int64, bool, error) {
	return tx.freePlace(`reserved_ips`, `host`, `''`, "", from, first, end)
}

// TakenPublicHost reads the first address that a Droplet has at some places of
// the pool of public addresses; empty where none has any.
func (tx *Tx) TakenPublicHost(first, end int64) (string, error) {
	return tx.takenPlace(`droplets`, `public_host`, `public_ipv4`, first, end)
}

// DropletWithAddress reads the first Droplet whose public address is one of
// loopback, or is none: its ID, name and address. Where there is none such, it is
// zero.
func (tx *Tx) DropletWithAddress(loopback bool) (d cloud.Droplet, err error) {
	found, err := database.All(tx.t, func(row database.Scanner) (d cloud.Droplet, err error) {
		return d, row.Scan(&d.ID, &d.Name, &d.PublicIPv4)
	}, `SELECT id, name, public_ipv4 FROM droplets
		WHERE public_ipv4 <> '' AND (public_ipv4 LIKE '127.%') = $1 ORDER BY id LIMIT 1`, loopback)
	if err != nil || len(found) == 0 {
		return d, err
	}
	return found[0], nil
}

// PublicHostsBeside lists the places of Droplets from one place on and before
// another that are not those of a pool.
func (tx *Tx) PublicHostsBeside(from, first, end, to int64) ([]int64, error) {
	return database.All(tx.t, database.Value[int64], `SELECT public_host FROM droplets
		WHERE public_host >= $1 AND public_host < $2 OR public_host >= $3 AND public_host < $4 ORDER BY public_host`, from, first, end, to)
}

// TakenReservedHost reads the first reserved IP at some places of their pool.
func (tx *Tx) TakenReservedHost(first, end int64) (string, error) {
	return tx.takenPlace(`reserved_ips`, `host`, `ip`, first, end)
}

func (tx *Tx) takenPlace(table, column, address string, first, end int64) (string, error) {
	taken, err := database.All(tx.t, database.Value[string], `SELECT `+address+` FROM `+table+`
		WHERE `+column+` >= $1 AND `+column+` < $2 ORDER BY `+column+` LIMIT 1`, first, end)
	if err != nil || len(taken) == 0 {
		return "", err
	}
	return taken[0], nil
}

// freePlace finds the first free place among those whose group column has the
// given value, from a place on, and then from the first.
func (tx *Tx) freePlace(table, column, group, value string, from, first, end int64) (int64, bool, error) {
	for _, start := range []int64{from, first} {
		place, err := tx.firstFree(table, column, group, value, start)
		if err != nil || place < end {
			return place, err == nil, err
		}
	}
	return 0, false, nil
}

// firstFree is the start itself if it is free, else the end of the run of used
// places that the start is in. It walks the index no further than that.
func (tx *Tx) firstFree(table, column, group, value string, start int64) (int64, error) {
	used, err := database.All(tx.t, database.Value[int64], `SELECT `+column+` FROM `+table+`
		WHERE `+group+` = $1 AND `+column+` = $2`, value, start)
	if err != nil || len(used) == 0 {
		return start, err
	}
	free, err := database.One(tx.t, database.Value[int64], `SELECT a.`+column+` + 1 FROM `+table+` a
		WHERE `+group+` = $1 AND a.`+column+` >= $2
		AND NOT EXISTS (SELECT 1 FROM `+table+` b WHERE b.`+column+` = a.`+column+` + 1 AND `+sameGroup(group)+`)
		ORDER BY a.`+column+` LIMIT 1`, value, start)
	if errors.Is(err, database.ErrNoRows) {
		return start, nil
	}
	return free, err
}

func sameGroup(group string) string {
	if group == `''` {
		return `TRUE`
	}
	return `b.` + group + ` = a.` + group
}

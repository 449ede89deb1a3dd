package store

import (
	"github.com/cistern-cloud/cistern/internal/database"
)

// Use is what all accounts' Droplets and volumes take of a machine that holds
// only so much. Memory is in MiB and Disk in GiB.
type Use struct {
	Memory, Disk int64
	// Growing are the unfinished operations that make a disk larger, which counts
	// as it is until they end.
	Growing []Growing
}

// Growing is an operation that makes a disk larger: its plan, what it was begun
// with, and of a volume the size that it has.
type Growing struct {
	Plan, Args string
	Size       int64
}

// LockUse makes others that lock it wait for the transaction's end, so that no
// two of them count what is left at the same time. It comes after every other
// lock.
func (tx *Tx) LockUse() error {
	_, err := database.All(tx.t, database.Value[string],
		`SELECT slug FROM regions ORDER BY slug LIMIT 1`+tx.t.ForTurn())
	return err
}

// Use counts the memory of the Droplets that run or are about to, and the disks
// of all Droplets and volumes, those that are still made included. It finds the
// unfinished operations of some plans that make disks larger with the statement
// that counts: one that ends meanwhile is in the one or in the other.
func (tx *Tx) Use(growing []string) (u Use, err error) {
	u.Memory, err = database.One(tx.t, database.Value[int64], `SELECT CAST(COALESCE(SUM(d.memory), 0) AS BIGINT) FROM droplets d
		WHERE d.status <> 'off' OR EXISTS (SELECT 1 FROM action_holds h JOIN actions a ON a.id = h.action_id
			WHERE h.kind = 'droplet' AND h.id = CAST(d.id AS TEXT)
			AND a.type IN ('power_on', 'rebuild', 'restore', 'password_reset'))`)
	if err != nil {
		return u, err
	}
	var w filter
	w.add(`a.status = 'in-progress'`)
	w.add(`(a.resource_type <> 'volume' OR v.id IS NOT NULL)`)
	addIn(&w, `a.operation IN`, growing)
	rows, err := database.All(tx.t, func(row database.Scanner) (g Growing, err error) {
		return g, row.Scan(&g.Plan, &g.Args, &g.Size)
	}, `SELECT '', '', CAST((SELECT COALESCE(SUM(disk), 0) FROM droplets)
			+ (SELECT COALESCE(SUM(size_gigabytes), 0) FROM volumes) AS BIGINT)
		UNION ALL SELECT a.operation, a.args, COALESCE(v.size_gigabytes, 0) FROM actions a
			LEFT JOIN volumes v ON v.id = a.resource_id AND a.resource_type = 'volume'`+w.where(), w.args...)
	for _, row := range rows {
		if row.Plan == "" {
			u.Disk = row.Size
		} else {
			u.Growing = append(u.Growing, row)
		}
	}
	return u, err
}

package store

import (
	"github.com/cistern-cloud/cistern/internal/database"
)

// Use is what all accounts' Droplets and volumes take of a machine that holds
// only so much. Memory is in MiB and Disk in GiB.
type Use struct{ Memory, Disk int64 }

// LockUse makes others that lock it wait for the transaction's end, so that no
// two of them count what is left at the same time. It comes after every other
// lock.
func (tx *Tx) LockUse() error {
	_, err := database.All(tx.t, database.Value[string],
		`SELECT slug FROM regions ORDER BY slug LIMIT 1`+tx.t.ForTurn())
	return err
}

// Use counts the memory of the Droplets that run or are about to, and the disks
// of all Droplets and volumes, those that are still made included.
func (tx *Tx) Use() (u Use, err error) {
	u.Memory, err = database.One(tx.t, database.Value[int64], `SELECT CAST(COALESCE(SUM(d.memory), 0) AS BIGINT) FROM droplets d
		WHERE d.status <> 'off' OR EXISTS (SELECT 1 FROM action_holds h JOIN actions a ON a.id = h.action_id
			WHERE h.kind = 'droplet' AND h.id = CAST(d.id AS TEXT)
			AND a.type IN ('power_on', 'rebuild', 'restore', 'password_reset'))`)
	if err != nil {
		return u, err
	}
	u.Disk, err = database.One(tx.t, database.Value[int64], `SELECT CAST((SELECT COALESCE(SUM(disk), 0) FROM droplets)
		+ (SELECT COALESCE(SUM(size_gigabytes), 0) FROM volumes) AS BIGINT)`)
	return u, err
}

// UnfinishedArgs reads what the unfinished operations of a plan, of all
// accounts, were begun with.
func (tx *Tx) UnfinishedArgs(plan string) ([]string, error) {
	return database.All(tx.t, database.Value[string],
		`SELECT args FROM actions WHERE status = 'in-progress' AND operation = $1`, plan)
}

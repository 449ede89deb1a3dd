package store

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// PowerRow is what tells whether a Droplet's power state may follow its
// machine's.
type PowerRow struct {
	Account, Droplet int64
	Status           cloud.DropletStatus
	// Busy says that an operation holds the Droplet, or will destroy it.
	Busy bool
	// Actions is how many it has had: another number says that something has
	// happened to it meanwhile.
	Actions int64
}

// PowerRow reads the one of a Droplet, whosever it is.
func (tx *Tx) PowerRow(droplet int64) (PowerRow, error) {
	return found(database.One(tx.t, func(row database.Scanner) (r PowerRow, err error) {
		return r, row.Scan(&r.Account, &r.Droplet, &r.Status, &r.Busy, &r.Actions)
	}, `SELECT d.account_id, d.id, d.status,
		d.destroyed_by <> 0 OR EXISTS (SELECT 1 FROM action_holds h WHERE h.kind = 'droplet' AND h.id = $1),
		(SELECT COUNT(*) FROM actions a WHERE a.resource_id = $1 AND a.resource_type = 'droplet' AND a.type <> '')
		FROM droplets d WHERE d.id = $2`, cloud.FormatID(droplet), droplet))
}

// LockPowerRow is PowerRow for a transaction that changes the state.
func (tx *Tx) LockPowerRow(droplet int64) (PowerRow, error) {
	if _, err := database.All(tx.t, database.Value[int64],
		`SELECT id FROM droplets WHERE id = $1`+tx.t.ForUpdate(), droplet); err != nil {
		return PowerRow{}, err
	}
	return tx.PowerRow(droplet)
}

// AllDropletIDs lists the Droplets of all accounts that come after one.
func (tx *Tx) AllDropletIDs(after int64, most int) ([]int64, error) {
	return database.All(tx.t, database.Value[int64],
		`SELECT id FROM droplets WHERE id > $1 ORDER BY id LIMIT $2`, after, int64(most))
}

// MachineTags reads the tags of the Droplet whose machine has an ID.
func (db *DB) MachineTags(ctx context.Context, id string) (tags []string, err error) {
	err = db.Read(ctx, func(tx *Tx) error {
		tags, err = database.All(tx.t, database.Value[string],
			`SELECT name FROM tagged WHERE kind = $1 AND resource_id = $2 ORDER BY name`, string(cloud.KindDroplet), id)
		return err
	})
	return tags, err
}

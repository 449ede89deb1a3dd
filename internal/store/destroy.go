package store

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// AddDestroy records a destroy with its resources.
func (tx *Tx) AddDestroy(d cloud.Destroy) error {
	_, err := tx.t.Exec(`INSERT INTO destroys (id, account_id, droplet_id, droplet_name, region, action_id, created_at,
		completed_at, destroyed_at, error) VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, NULL, '')`,
		d.ID, d.Account, d.Droplet, d.DropletName, d.Region, d.Action, micros(d.CreatedAt))
	if err != nil {
		return err
	}
	for _, r := range d.Resources {
		if _, err := tx.t.Exec(`INSERT INTO destroy_resources (destroy_id, kind, id, name, destroyed_at, error, attempts)
			VALUES ($1, $2, $3, $4, NULL, '', 0)`, d.ID, string(r.Kind), r.ID, r.Name); err != nil {
			return err
		}
	}
	return nil
}

const destroyColumns = `d.id, d.account_id, d.droplet_id, d.droplet_name, d.region, d.action_id, d.created_at,
	d.completed_at, d.destroyed_at, d.error`

func scanDestroy(row database.Scanner) (d cloud.Destroy, err error) {
	return d, row.Scan(&d.ID, &d.Account, &d.Droplet, &d.DropletName, &d.Region, &d.Action, moment{&d.CreatedAt},
		moment{&d.CompletedAt}, moment{&d.DestroyedAt}, &d.Error)
}

func scanDestroyResource(row database.Scanner) (r cloud.DestroyResource, err error) {
	return r, row.Scan(&r.Kind, &r.ID, &r.Name, moment{&r.DestroyedAt}, &r.Error, &r.Attempts)
}

// LastDestroy reads the newest destroy of a Droplet, which may be gone.
func (tx *Tx) LastDestroy(account, droplet int64) (cloud.Destroy, error) {
	return tx.withResources(found(database.One(tx.t, scanDestroy, `SELECT `+destroyColumns+` FROM destroys d
		WHERE d.account_id = $1 AND d.droplet_id = $2 ORDER BY d.id DESC LIMIT 1`, account, droplet)))
}

// LockLastDestroy reads it for a transaction that is about to change it.
func (tx *Tx) LockLastDestroy(account, droplet int64) (cloud.Destroy, error) {
	return tx.withResources(found(database.One(tx.t, scanDestroy, `SELECT `+destroyColumns+` FROM destroys d
		WHERE d.account_id = $1 AND d.droplet_id = $2 ORDER BY d.id DESC LIMIT 1`+tx.t.ForUpdate(), account, droplet)))
}

// Destroy reads a destroy.
func (tx *Tx) Destroy(id int64) (cloud.Destroy, error) {
	return tx.withResources(found(database.One(tx.t, scanDestroy,
		`SELECT `+destroyColumns+` FROM destroys d WHERE d.id = $1`, id)))
}

func (tx *Tx) withResources(d cloud.Destroy, err error) (cloud.Destroy, error) {
	if err != nil {
		return d, err
	}
	d.Resources, err = database.All(tx.t, scanDestroyResource, `SELECT r.kind, r.id, r.name, r.destroyed_at, r.error,
		r.attempts FROM destroy_resources r WHERE r.destroy_id = $1 ORDER BY r.kind, r.id`, d.ID)
	return d, err
}

// SaveDestroyResource records what became of one resource.
func (tx *Tx) SaveDestroyResource(destroy int64, r cloud.DestroyResource) error {
	_, err := tx.t.Exec(`UPDATE destroy_resources SET destroyed_at = $1, error = $2, attempts = $3
		WHERE destroy_id = $4 AND kind = $5 AND id = $6`,
		optional(r.DestroyedAt), r.Error, r.Attempts, destroy, string(r.Kind), r.ID)
	return err
}

// SaveDestroy records how a destroy stands; its resources are saved apart.
func (tx *Tx) SaveDestroy(d cloud.Destroy) error {
	_, err := tx.t.Exec(`UPDATE destroys SET action_id = $1, completed_at = $2, destroyed_at = $3, error = $4
		WHERE id = $5`, d.Action, optional(d.CompletedAt), optional(d.DestroyedAt), d.Error, d.ID)
	return err
}

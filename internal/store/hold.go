package store

import (
	"errors"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// Hold gives an action something for itself alone until it ends, and reports
// whether it was free. What the action holds already counts as free. What is held
// by an action that ends just now is not free yet: an insert alone would wait for
// that end, which may wait for what this transaction has locked.
func (tx *Tx) Hold(r cloud.Ref, action int64) (bool, error) {
	n, err := tx.t.Exec(`INSERT INTO action_holds (kind, id, action_id)
		SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT)
		WHERE NOT EXISTS (SELECT 1 FROM action_holds WHERE kind = $1 AND id = $2)
		ON CONFLICT (kind, id) DO NOTHING`, string(r.Kind), r.ID, action)
	if err != nil || n > 0 {
		return n > 0, err
	}
	holder, err := tx.Holder(r)
	return holder == action, err
}

// Holder returns the action that holds something, or 0.
func (tx *Tx) Holder(r cloud.Ref) (int64, error) {
	holder, err := database.One(tx.t, database.Value[int64],
		`SELECT action_id FROM action_holds WHERE kind = $1 AND id = $2`, string(r.Kind), r.ID)
	if errors.Is(err, database.ErrNoRows) {
		return 0, nil
	}
	return holder, err
}

// Release gives back one thing before the action ends.
func (tx *Tx) Release(r cloud.Ref, action int64) error {
	_, err := tx.t.Exec(`DELETE FROM action_holds WHERE kind = $1 AND id = $2 AND action_id = $3`,
		string(r.Kind), r.ID, action)
	return err
}

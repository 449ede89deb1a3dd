package store

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

const actionColumns = `a.id, a.account_id, a.type, a.status, a.resource_type, a.resource_id, a.region,
	a.started_at, a.completed_at, a.error`

func actionFields(a *cloud.Action) []any {
	return []any{&a.ID, &a.Account, &a.Type, &a.Status, &a.ResourceType, &a.ResourceID, &a.Region,
		moment{&a.StartedAt}, moment{&a.CompletedAt}, &a.Error}
}

func scanAction(row database.Scanner) (a cloud.Action, err error) {
	return a, row.Scan(actionFields(&a)...)
}

// Action reads an action of the account.
func (tx *Tx) Action(account, id int64) (cloud.Action, error) {
	return found(database.One(tx.t, scanAction, `SELECT `+actionColumns+` FROM actions a
		WHERE a.id = $1 AND a.account_id = $2 AND a.type <> ''`, id, account))
}

// Actions lists the account's actions, newest first: all, or those of one
// resource.
func (tx *Tx) Actions(account int64, of cloud.Ref, p cloud.Page) ([]cloud.Action, int64, error) {
	var w filter
	w.add(`a.type <> ''`)
	w.add(`a.account_id = ?`, account)
	if of.ID != "" {
		w.add(`a.resource_id = ?`, of.ID)
		if of.Kind == cloud.KindReservedIP { // both names of an address
			addIn(&w, `a.resource_type IN`, []string{string(cloud.KindReservedIP), string(cloud.KindFloatingIP)})
		} else {
			w.add(`a.resource_type = ?`, string(of.Kind))
		}
	}
	return page(tx, scanAction, w, `SELECT `+actionColumns, ` FROM actions a`, ` ORDER BY a.id DESC`, p)
}

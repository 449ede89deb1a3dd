package store

import (
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// OperationFilter chooses operations by how they stand.
type OperationFilter struct {
	Account int64
	State   cloud.OperationState
	// Known is the plans that this version knows, and Now real time: what is
	// leased longer is at work.
	Known []string
	Now   time.Time
}

// stateCase adds the expression of an operation's state to a query, in the
// order of cloud.OperationState, and returns it.
func stateCase(w *filter, known []string, now time.Time) string {
	var cases filter
	cases.args = w.args
	cases.add(`CASE WHEN status = 'errored' THEN 'errored'`)
	addIn(&cases, `WHEN operation NOT IN`, known)
	cases.add(`THEN 'stuck' WHEN undoing AND attempt > 0 THEN 'stuck'
		WHEN leased_until > ? THEN 'running' WHEN undoing THEN 'undoing'
		WHEN attempt > 0 THEN 'retrying' ELSE 'waiting' END`, micros(now))
	w.args = cases.args
	return cases.conditions[0] + " " + cases.conditions[1] + " " + cases.conditions[2]
}

// Operations lists an account's operations in a state: unfinished ones with the
// oldest first, failed ones with the newest.
func (tx *Tx) Operations(f OperationFilter, p cloud.Page) ([]cloud.Operation, int64, error) {
	var w filter
	state := stateCase(&w, f.Known, f.Now)
	w.add(`account_id = ?`, f.Account)
	order := ` ORDER BY started_at, id`
	if f.State == cloud.OperationErrored {
		w.add(`status = 'errored'`)
		order = ` ORDER BY completed_at DESC, id DESC`
	} else {
		w.add(`status = 'in-progress'`)
		if f.State != cloud.OperationUnfinished {
			w.add(`state = ?`, string(f.State))
		}
	}
	from := ` FROM (SELECT actions.*, ` + state + ` AS state FROM actions) AS a`
	return page(tx, scanListedOperation, w, `SELECT `+actionColumns+`, a.operation, a.state, a.step, a.undoing,
		a.cancelled, a.attempt, a.failing_since, a.waits_for, a.run_at, a.undo_error`, from, order, p)
}

func scanListedOperation(row database.Scanner) (o cloud.Operation, err error) {
	return o, row.Scan(append(actionFields(&o.Action), &o.Plan, &o.State, &o.Step, &o.Undoing,
		&o.Cancelled, &o.Attempts, moment{&o.FailingSince}, &o.WaitsFor, moment{&o.NextRun}, &o.UndoError)...)
}

// CountOperations counts the unfinished operations of all accounts by plan and
// state.
func (tx *Tx) CountOperations(known []string, now time.Time) ([]cloud.OperationCount, error) {
	var w filter
	state := stateCase(&w, known, now)
	return database.All(tx.t, func(row database.Scanner) (c cloud.OperationCount, err error) {
		return c, row.Scan(&c.Plan, &c.State, &c.Count, moment{&c.Oldest})
	}, `SELECT operation, `+state+` AS state, COUNT(*), MIN(started_at) FROM actions
		WHERE status = 'in-progress' GROUP BY 1, 2`, w.args...)
}

// SetUndoError notes why an operation could not be taken back just now.
func (tx *Tx) SetUndoError(id, lease int64, text string) error {
	_, err := tx.t.Exec(`UPDATE actions SET undo_error = $1 WHERE id = $2 AND lease = $3 AND status = 'in-progress'`,
		text, id, lease)
	return err
}

// CountResources counts what all accounts have together.
func (tx *Tx) CountResources() (map[string]int64, error) {
	counts, err := database.One(tx.t, func(row database.Scanner) (n [3]int64, err error) {
		return n, row.Scan(&n[0], &n[1], &n[2])
	}, `SELECT CAST(COALESCE(SUM(droplets), 0) AS BIGINT), CAST(COALESCE(SUM(volumes), 0) AS BIGINT),
		CAST(COALESCE(SUM(reserved_ips), 0) AS BIGINT) FROM accounts`)
	return map[string]int64{"droplet": counts[0], "volume": counts[1], "reserved_ip": counts[2]}, err
}

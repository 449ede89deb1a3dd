package store

import (
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// Operation is the whole row of an action: what the API shows, and what the
// operation engine needs to go on with it.
type Operation struct {
	cloud.Action
	Name      string // of its plan
	Step      string // the step it is at; empty before the first
	Args      string // JSON
	Undoing   bool
	Cancelled bool // asked to stop at its next step
	RunAt     time.Time
	WaitsFor  int64 // the action whose end makes it due
	Attempt   int64 // how often in a row the step failed
	// FailingSince is when it first failed in a row; zero when it did not.
	FailingSince time.Time
	Lease        int64 // rises with each claim
}

const operationColumns = `actions.id, actions.account_id, actions.type, actions.status, actions.resource_type,
	actions.resource_id, actions.region, actions.started_at, actions.completed_at, actions.error,
	actions.operation, actions.step, actions.args, actions.undoing, actions.cancelled,
	actions.run_at, actions.waits_for, actions.attempt, actions.failing_since, actions.lease`

func scanOperation(row database.Scanner) (o Operation, err error) {
	return o, row.Scan(append(actionFields(&o.Action), &o.Name, &o.Step, &o.Args, &o.Undoing, &o.Cancelled,
		moment{&o.RunAt}, &o.WaitsFor, &o.Attempt, moment{&o.FailingSince}, &o.Lease)...)
}

// AddOperation queues an operation, due at once.
func (tx *Tx) AddOperation(o Operation) error {
	if tx.began.ID == 0 {
		tx.began = o.Action
	}
	_, err := tx.t.Exec(`INSERT INTO actions (id, account_id, type, status, resource_type, resource_id, region,
		started_at, completed_at, error, operation, step, args, undoing, cancelled,
		run_at, waits_for, attempt, failing_since, lease, leased_by, leased_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, '', $9, '', $10, $11, $11, $8, 0, 0, NULL, 0, '', 0)`,
		o.ID, o.Account, string(o.Type), string(cloud.InProgress), string(o.ResourceType), o.ResourceID, o.Region,
		micros(o.StartedAt), o.Name, o.Args, false)
	return err
}

// Operation reads an operation, whosever it is.
func (tx *Tx) Operation(id int64) (Operation, error) {
	return found(database.One(tx.t, scanOperation, `SELECT `+operationColumns+` FROM actions WHERE id = $1`, id))
}

// WaitedFor is Operation for one whose end is about to be waited for: it does
// not end before the transaction does, so that its end finds who waits.
func (tx *Tx) WaitedFor(id int64) (Operation, error) {
	return found(database.One(tx.t, scanOperation, `SELECT `+operationColumns+` FROM actions WHERE id = $1`+tx.t.ForShare(), id))
}

// Claim is who claims operations, until when in real time.
type Claim struct {
	Owner string
	Now   time.Time // real time
	Until time.Time // real time
	Names []string  // the plans that the owner knows
	Most  int
}

// ClaimOperations leases operations that are due and that nobody works on.
func (tx *Tx) ClaimOperations(c Claim) ([]Operation, error) {
	var w filter
	w.args = []any{c.Owner, micros(c.Until)}
	w.add(`status = 'in-progress'`)
	w.add(`run_at <= ?`, micros(tx.Now))
	w.add(`leased_until <= ?`, micros(c.Now))
	addIn(&w, `operation IN`, c.Names)
	w.args = append(w.args, int64(c.Most))
	return database.All(tx.t, scanOperation, `UPDATE actions SET lease = lease + 1, leased_by = $1, leased_until = $2
		WHERE id IN (SELECT id FROM actions`+w.where()+` ORDER BY run_at, id LIMIT `+w.place()+tx.t.SkipLocked()+`)
		RETURNING `+operationColumns, w.args...)
}

// SaveOperation records how far an operation is and gives up its lease unless
// the owner goes on. It reports whether the lease still held. Who was asked to
// stop since it was claimed is due at once, whatever it says itself.
func (tx *Tx) SaveOperation(o Operation, goesOn bool) (bool, error) {
	n, err := tx.t.Exec(`UPDATE actions SET step = $1, undoing = $2, error = $3,
		run_at = CASE WHEN cancelled AND NOT $4 THEN CAST($5 AS BIGINT) ELSE CAST($6 AS BIGINT) END, waits_for = $7,
		attempt = $8, failing_since = $9, leased_until = CASE WHEN $10 THEN leased_until ELSE 0 END
		WHERE id = $11 AND lease = $12 AND status = 'in-progress'`,
		o.Step, o.Undoing, o.Error, o.Cancelled, min(micros(o.RunAt), micros(tx.Now)), micros(o.RunAt), o.WaitsFor,
		o.Attempt, optional(o.FailingSince), goesOn, o.ID, o.Lease)
	return n > 0, err
}

// FinishOperation ends an operation: its action is completed or errored, what
// it held is free and who waited for it is due, all at once. It reports
// whether the lease still held.
func (tx *Tx) FinishOperation(o Operation, status cloud.ActionStatus) (bool, error) {
	n, err := tx.t.Exec(`UPDATE actions SET status = $1, error = $2, completed_at = $3, step = $4, leased_until = 0
		WHERE id = $5 AND lease = $6 AND status = 'in-progress'`,
		string(status), o.Error, micros(tx.Now), o.Step, o.ID, o.Lease)
	if err != nil || n == 0 {
		return false, err
	}
	if _, err := tx.t.Exec(`DELETE FROM action_holds WHERE action_id = $1`, o.ID); err != nil {
		return false, err
	}
	_, err = tx.t.Exec(`UPDATE actions SET run_at = $1, waits_for = 0
		WHERE waits_for = $2 AND waits_for <> 0 AND status = 'in-progress'`, micros(tx.Now), o.ID)
	return true, err
}

// CancelOperation asks an operation to stop at its next step, and makes it due
// so that it sees that now.
func (tx *Tx) CancelOperation(id int64) error {
	_, err := tx.t.Exec(`UPDATE actions SET cancelled = $1, run_at = CASE WHEN run_at > $2 THEN $2 ELSE run_at END
		WHERE id = $3 AND status = 'in-progress' AND NOT cancelled`, true, micros(tx.Now), id)
	return err
}

// RenewLeases keeps the owner's operations its own until then.
func (tx *Tx) RenewLeases(owner string, ids []int64, until time.Time) error {
	for _, id := range ids {
		if _, err := tx.t.Exec(`UPDATE actions SET leased_until = $1
			WHERE id = $2 AND leased_by = $3 AND leased_until <> 0 AND status = 'in-progress'`,
			micros(until), id, owner); err != nil {
			return err
		}
	}
	return nil
}

// ClearLeases frees every operation, for a process that knows it is alone.
func (tx *Tx) ClearLeases() error {
	_, err := tx.t.Exec(`UPDATE actions SET leased_until = 0 WHERE status = 'in-progress' AND leased_until <> 0`)
	return err
}

// NextDue returns when the next operation of the named plans is due that
// nobody works on, and whether there is one.
func (tx *Tx) NextDue(realNow time.Time, names []string) (time.Time, bool, error) {
	at, err := tx.nextDue(realNow, names, `status = 'in-progress'`)
	return at, !at.IsZero(), err
}

// NextTimed is NextDue for those that do not wait for the end of another, which
// tells them; zero when there is none.
func (tx *Tx) NextTimed(realNow time.Time, names []string) (time.Time, error) {
	return tx.nextDue(realNow, names, `status = 'in-progress' AND waits_for = 0`)
}

func (tx *Tx) nextDue(realNow time.Time, names []string, condition string) (time.Time, error) {
	var w filter
	w.add(condition)
	w.add(`leased_until <= ?`, micros(realNow))
	addIn(&w, `operation IN`, names)
	return database.One(tx.t, func(row database.Scanner) (at time.Time, err error) {
		return at, row.Scan(moment{&at})
	}, `SELECT MIN(run_at) FROM actions`+w.where(), w.args...)
}

// UnknownOperations lists unfinished operations whose plan is not among names.
func (tx *Tx) UnknownOperations(names []string) ([]Operation, error) {
	var w filter
	w.add(`status = 'in-progress'`)
	addIn(&w, `operation NOT IN`, names)
	return database.All(tx.t, scanOperation, `SELECT `+operationColumns+` FROM actions`+w.where()+` ORDER BY id`, w.args...)
}

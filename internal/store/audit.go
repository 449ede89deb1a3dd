package store

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// Audit is a request on its way into the audit trail.
type Audit struct {
	entry cloud.AuditEntry
	// recorded is what the trail has of it, once that is committed.
	recorded atomic.Pointer[cloud.AuditEntry]
}

// Recorded returns the entry that is in the trail, or nil.
func (a *Audit) Recorded() *cloud.AuditEntry { return a.recorded.Load() }

type auditKey struct{}

// WithAudit makes the first Write under the context add the entry to the audit
// trail, in the same transaction: a change that is committed is in the trail,
// and one that is not is not.
func WithAudit(ctx context.Context, e cloud.AuditEntry) (context.Context, *Audit) {
	a := &Audit{entry: e}
	return context.WithValue(ctx, auditKey{}, a), a
}

func auditOf(ctx context.Context) *Audit {
	a, _ := ctx.Value(auditKey{}).(*Audit)
	return a
}

// record adds the entry of the request whose transaction this is, with what
// the transaction began.
func (a *Audit) record(tx *Tx) error {
	if a == nil || a.recorded.Load() != nil {
		return nil
	}
	e := a.entry
	e.Action, e.About = tx.began.ID, cloud.Ref{Kind: tx.began.ResourceType, ID: tx.began.ResourceID}
	if err := tx.AddAudit(e); err != nil {
		return err
	}
	tx.OnCommit(func() { a.recorded.Store(&e) })
	return nil
}

// AddAudit adds an entry to the audit trail.
func (tx *Tx) AddAudit(e cloud.AuditEntry) error {
	_, err := tx.t.Exec(`INSERT INTO audit (at, request_id, account_id, token_id, token_name, remote, forwarded,
		method, route, path, refused, action_id, resource_type, resource_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		micros(e.At), e.RequestID, e.Account, e.Token, e.TokenName, e.Remote, e.Forwarded,
		e.Method, e.Route, e.Path, e.Refused, e.Action, string(e.About.Kind), e.About.ID)
	return err
}

const auditColumns = `at, request_id, account_id, token_id, token_name, remote, forwarded, method, route, path,
	refused, action_id, resource_type, resource_id`

func scanAudit(row database.Scanner) (e cloud.AuditEntry, err error) {
	return e, row.Scan(moment{&e.At}, &e.RequestID, &e.Account, &e.Token, &e.TokenName, &e.Remote, &e.Forwarded,
		&e.Method, &e.Route, &e.Path, &e.Refused, &e.Action, &e.About.Kind, &e.About.ID)
}

// AuditAfter lists up to most entries, oldest first: those that follow another
// one, or from the first.
func (tx *Tx) AuditAfter(last cloud.AuditEntry, f cloud.AuditFilter, most int) ([]cloud.AuditEntry, error) {
	var w filter
	w.add(`at >= ?`, auditTime(f.Since))
	w.add(`(at, request_id) > (?, ?)`, auditTime(last.At), last.RequestID)
	if f.Account != 0 {
		w.add(`account_id = ?`, f.Account)
	}
	w.args = append(w.args, int64(most))
	return database.All(tx.t, scanAudit, `SELECT `+auditColumns+` FROM audit`+w.where()+
		` ORDER BY at, request_id LIMIT `+w.place(), w.args...)
}

// auditTime is a time to compare with; the zero time is before every entry.
func auditTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return micros(t)
}

// HasAuditBefore reports whether the trail has entries of before a time.
func (tx *Tx) HasAuditBefore(t time.Time) (bool, error) {
	return database.One(tx.t, database.Value[bool], `SELECT EXISTS (SELECT 1 FROM audit WHERE at < $1)`, micros(t))
}

// DeleteAuditBefore deletes up to limit entries that are older, oldest first,
// and returns how many that were.
func (tx *Tx) DeleteAuditBefore(t time.Time, limit int64) (int64, error) {
	return tx.t.Exec(`DELETE FROM audit WHERE (at, request_id) IN
		(SELECT at, request_id FROM audit WHERE at < $1 ORDER BY at, request_id LIMIT $2)`, micros(t), limit)
}

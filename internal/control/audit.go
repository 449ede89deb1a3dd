package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Audited follows one request into the audit trail.
type Audited struct {
	plane *Plane
	audit *store.Audit
}

// Audit puts what is changed under the context it returns into the audit trail,
// as the request of the entry, with the change itself.
func (p *Plane) Audit(ctx context.Context, e cloud.AuditEntry) (context.Context, *Audited) {
	ctx, audit := store.WithAudit(ctx, e)
	return ctx, &Audited{p, audit}
}

// Accepted records the request under its context, unless its change has done
// so, before anyone is told that it was accepted. Requests that change nothing
// but the engine need it.
func (a *Audited) Accepted(ctx context.Context) error {
	if a.audit.Recorded() != nil {
		return nil
	}
	return a.plane.store.Write(context.WithoutCancel(ctx), func(*store.Tx) error { return nil })
}

// Action is the action that the request began, or 0.
func (a *Audited) Action() int64 {
	if e := a.audit.Recorded(); e != nil {
		return e.Action
	}
	return 0
}

// RecordAudit adds an entry to the audit trail that goes with no change. The
// context is not one that Audit returned.
func (p *Plane) RecordAudit(ctx context.Context, e cloud.AuditEntry) error {
	return p.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.AddAudit(e) })
}

// auditChunk is how many entries are read at once.
const auditChunk = 500

// Audit calls f with each entry of the audit trail, oldest first. The trail may
// be long, so it is read in parts.
func (a Accounts) Audit(ctx context.Context, filter cloud.AuditFilter, f func(cloud.AuditEntry) error) error {
	var last cloud.AuditEntry
	for {
		var entries []cloud.AuditEntry
		err := a.Store.Read(ctx, func(tx *store.Tx) (err error) {
			entries, err = tx.AuditAfter(last, filter, auditChunk)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := f(e); err != nil {
				return err
			}
			last = e
		}
		if len(entries) < auditChunk {
			return nil
		}
	}
}

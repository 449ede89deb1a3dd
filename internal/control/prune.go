package control

import (
	"context"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/store"
)

const (
	pruneEvery = time.Hour
	// pruneWindow is how many rows one transaction looks at, so that nobody
	// waits long behind it.
	pruneWindow = 500
	// keepDestroys is how long the record of a destroy answers at least, however
	// short the rest is kept: it is how its owner learns what became of it.
	keepDestroys = 7 * 24 * time.Hour
)

// history lists what is pruned, in this order: a destroy goes before its action.
var history = []struct {
	name  string
	prune func(p *Plane, ctx context.Context, keep time.Duration) (int64, error)
}{
	{"destroys", (*Plane).pruneDestroys},
	{"actions", (*Plane).pruneActions},
	{"images", (*Plane).pruneImages},
	{"audit", (*Plane).pruneAudit},
}

// prune forgets what ended longer ago than the plane keeps it.
func (p *Plane) prune(ctx context.Context) error {
	if pruner, ok := p.engine.(engine.Pruner); ok {
		if err := pruner.Prune(ctx); err != nil {
			return err
		}
	}
	if p.keep <= 0 {
		return nil
	}
	for _, part := range history {
		n, err := part.prune(p, ctx, p.keep)
		if n > 0 {
			p.log.Info("forgot what is old", "what", part.name, "rows", n, "older_than", p.keep)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// window is a run of rows by ID, oldest first, that one transaction prunes.
type window = store.Window

// pruneWindows goes through rows from the oldest on, and ends at a window that
// has nothing old in it: IDs rise with time.
func (p *Plane) pruneWindows(ctx context.Context, before time.Time,
	look func(tx *store.Tx, after int64, before time.Time, most int) (window, error),
	forget func(tx *store.Tx, w window) (int64, error),
) (total int64, err error) {
	for last := int64(0); ; {
		var w window
		err := p.store.Read(ctx, func(tx *store.Tx) (err error) {
			w, err = look(tx, last, before, pruneWindow)
			return err
		})
		if err != nil || w.Old == 0 {
			return total, err
		}
		if w.Ended > 0 {
			var n int64
			err := p.store.Write(ctx, func(tx *store.Tx) (err error) {
				n, err = forget(tx, w)
				return err
			})
			if err != nil {
				return total, err
			}
			total += n
		}
		last = w.Last
	}
}

func (p *Plane) pruneActions(ctx context.Context, keep time.Duration) (int64, error) {
	return p.pruneWindows(ctx, p.store.Now().Add(-keep), (*store.Tx).LookAtActions, (*store.Tx).ForgetActions)
}

// pruneDestroys keeps those that left something behind which is still there:
// its owner can still ask for a retry. Once that is gone, whoever removed it,
// the record has told all that it can.
func (p *Plane) pruneDestroys(ctx context.Context, keep time.Duration) (int64, error) {
	before := p.store.Now().Add(-max(keep, keepDestroys))
	return p.pruneWindows(ctx, before, (*store.Tx).LookAtDestroys, func(tx *store.Tx, w window) (int64, error) {
		ended, err := tx.EndedDestroys(w)
		if err != nil {
			return 0, err
		}
		n := int64(0)
		for _, destroy := range ended {
			left, err := leftBehind(tx, destroy)
			if err != nil {
				return 0, err
			}
			if left {
				continue
			}
			if err := tx.ForgetDestroy(destroy.ID); err != nil {
				return 0, err
			}
			n++
		}
		return n, nil
	})
}

// leftBehind reports whether something is still there that a destroy failed to
// destroy.
func leftBehind(tx *store.Tx, destroy cloud.Destroy) (bool, error) {
	refs := []cloud.Ref{}
	if destroy.Error != "" {
		refs = append(refs, cloud.Ref{Kind: cloud.KindDroplet, ID: cloud.FormatID(destroy.Droplet)})
	}
	for _, r := range destroy.Resources {
		if r.Error != "" {
			refs = append(refs, resourceRef(r))
		}
	}
	for _, ref := range refs {
		err := resourceExists(tx, cloud.Actor{Account: destroy.Account}, ref)
		if !cloud.IsNotFound(err) {
			return err == nil, err
		}
	}
	return false, nil
}

// pruneImages forgets images that were deleted and that no Droplet shows.
func (p *Plane) pruneImages(ctx context.Context, keep time.Duration) (total int64, err error) {
	before := p.store.Now().Add(-keep)
	for {
		var ids []int64
		err := p.store.Read(ctx, func(tx *store.Tx) (err error) {
			ids, err = tx.DeletedImages(before)
			return err
		})
		if err != nil || len(ids) == 0 {
			return total, err
		}
		var n int64
		err = p.store.Write(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.ForgetDeletedImages(ids)
			return err
		})
		if err != nil || n == 0 {
			return total, err
		}
		total += n
	}
}

// pruneAudit forgets what is old in the audit trail, which keeps real time.
func (p *Plane) pruneAudit(ctx context.Context, keep time.Duration) (total int64, err error) {
	before := time.Now().Add(-keep)
	for {
		var old bool
		err := p.store.Read(ctx, func(tx *store.Tx) (err error) {
			old, err = tx.HasAuditBefore(before)
			return err
		})
		if err != nil || !old {
			return total, err
		}
		var n int64
		err = p.store.Write(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.DeleteAuditBefore(before, pruneWindow)
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
	}
}

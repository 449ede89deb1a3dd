package control

import (
	"context"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// maxResourceAttempts is how often the destroy of one resource may fail in a
// way worth another try; retryResource is how long it waits between two.
const (
	maxResourceAttempts = 10
	retryResource       = 500 * time.Millisecond
)

// destroyResources destroys what was chosen, one kind after the other: what
// was made from something goes before it. A resource that fails stops nothing.
func (p *Plane) destroyResources(ctx context.Context, run *op.Run[destroyArgs]) error {
	if run.Args.Destroy == 0 {
		return nil
	}
	t, err := p.readTarget(ctx, run)
	if err != nil {
		return err
	}
	for _, kind := range cloud.AssociatedKinds {
		var unfinished []cloud.DestroyResource
		for _, r := range t.destroy.Resources {
			if r.Kind == kind && !r.Finished() {
				unfinished = append(unfinished, r)
			}
		}
		if len(unfinished) == 0 {
			continue
		}
		if err := p.destroyKind(ctx, run, unfinished); err != nil {
			return err
		}
	}
	return nil
}

// destroyKind asks for each resource and records all answers at once. It
// returns Again while some are not finished.
func (p *Plane) destroyKind(ctx context.Context, run *op.Run[destroyArgs], resources []cloud.DestroyResource) error {
	var again time.Duration
	for i := range resources {
		r := &resources[i]
		progress, err := p.destroyResource(ctx, run, *r)
		if store.IsOutage(err) {
			return err // not the resource's failure; what is done is asked for again
		}
		wait := judge(r, progress, err, p.store.Now())
		if wait > 0 && (again == 0 || wait < again) {
			again = wait
		}
	}
	err := run.Commit(ctx, func(tx *store.Tx) error {
		for _, r := range resources {
			if err := saveResource(tx, run, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && again > 0 {
		err = op.Again(again)
	}
	return err
}

// judge notes on the resource what the engine answered, and returns how long to
// wait before asking again; 0 when the resource is finished with.
func judge(r *cloud.DestroyResource, progress engine.Progress, err error, now time.Time) time.Duration {
	if err == nil {
		if !progress.Done {
			return max(progress.After, time.Millisecond)
		}
		r.DestroyedAt = now
		return 0
	}
	r.Attempts++
	if engine.IsFinal(err) || r.Attempts >= maxResourceAttempts {
		r.Error = err.Error()
		return 0
	}
	return retryResource
}

// destroyResource asks the engine to destroy one resource. One that is gone is
// done. One that meanwhile belongs to another Droplet is not ours to destroy.
func (p *Plane) destroyResource(ctx context.Context, run *op.Run[destroyArgs], r cloud.DestroyResource) (engine.Progress, error) {
	w := do(run, string(r.Kind), r.ID)
	ref := engine.Ref{Account: run.Account, ID: r.ID, Name: r.Name}
	switch r.Kind {
	case cloud.AssociatedVolumeSnapshot:
		return p.engine.DeleteVolumeSnapshot(ctx, w, ref)
	case cloud.AssociatedSnapshot:
		if err := p.stillOwns(ctx, run, r); err != nil {
			return engine.Progress{}, err
		}
		return p.engine.DeleteImage(ctx, w, ref)
	case cloud.AssociatedVolume:
		if owner, err := p.otherOwner(ctx, run, r); err != nil || owner != 0 {
			return engine.Progress{}, ownedBy(owner, err)
		}
		return p.engine.DeleteVolume(ctx, w, ref)
	default:
		owner, err := p.otherOwner(ctx, run, r)
		return engine.Progress{Done: true}, ownedBy(owner, err)
	}
}

// stillOwns fails for a snapshot that was given to another account since.
func (p *Plane) stillOwns(ctx context.Context, run *op.Run[destroyArgs], r cloud.DestroyResource) error {
	id, _ := cloud.ParseID(r.ID)
	return p.store.Read(ctx, func(tx *store.Tx) error {
		image, err := tx.AnyImage(id)
		if err == nil && image.Account != run.Account {
			err = &engine.Error{Message: "it belongs to another account now"}
		}
		if cloud.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// otherOwner returns the Droplet, other than the one destroyed, that a volume
// or reserved IP belongs to by now.
func (p *Plane) otherOwner(ctx context.Context, run *op.Run[destroyArgs], r cloud.DestroyResource) (owner int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) error {
		if r.Kind == cloud.AssociatedVolume {
			v, err := tx.Volume(run.Account, r.ID)
			owner = v.Droplet
			return err
		}
		ip, err := tx.ReservedIP(run.Account, r.Name)
		if cloud.FormatID(ip.ID) == r.ID { // else it was reserved anew since
			owner = ip.Droplet
		}
		return err
	})
	if cloud.IsNotFound(err) || owner == run.Args.Droplet {
		return 0, nil
	}
	return owner, err
}

func ownedBy(owner int64, err error) error {
	if err != nil || owner == 0 {
		return err
	}
	return &engine.Error{Message: "it belongs to Droplet " + cloud.FormatID(owner) + " now"}
}

// saveResource records what became of a resource, and removes what is gone.
func saveResource(tx *store.Tx, run *op.Run[destroyArgs], r cloud.DestroyResource) error {
	if err := tx.SaveDestroyResource(run.Args.Destroy, r); err != nil || r.DestroyedAt.IsZero() {
		return err
	}
	switch r.Kind {
	case cloud.AssociatedVolumeSnapshot:
		return tx.DeleteVolumeSnapshot(r.ID)
	case cloud.AssociatedVolume:
		return tx.DeleteVolume(r.ID)
	case cloud.AssociatedSnapshot:
		id, _ := cloud.ParseID(r.ID) // it was made from a number
		return tx.DropImage(id)
	default:
		return deleteReservedIP(tx, run.Account, r)
	}
}

// deleteReservedIP gives an address back, unless that has happened and it was
// reserved anew since.
func deleteReservedIP(tx *store.Tx, account int64, r cloud.DestroyResource) error {
	ip, err := tx.ReservedIP(account, r.Name)
	if cloud.IsNotFound(err) || err == nil && cloud.FormatID(ip.ID) != r.ID {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.DeleteReservedIP(ip.IP)
}

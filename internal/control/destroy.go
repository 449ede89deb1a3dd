package control

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Associated lists what belongs to a Droplet and would be left behind without
// it: its snapshots, the volumes attached to it, their snapshots, and the
// reserved IP assigned to it.
func (p *Plane) Associated(ctx context.Context, who cloud.Actor, droplet int64) (resources []cloud.Associated, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if _, err := tx.Droplet(who.Account, droplet); err != nil {
			return err
		}
		resources, err = associated(tx, who.Account, droplet)
		return err
	})
	return resources, err
}

func associated(tx *store.Tx, account, droplet int64) ([]cloud.Associated, error) {
	resources := []cloud.Associated{}
	volumes, _, err := tx.Volumes(account, cloud.VolumeFilter{Droplet: droplet}, cloud.Page{})
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(volumes))
	for i, v := range volumes {
		ids[i] = v.ID
		resources = append(resources, cloud.Associated{
			Kind: cloud.AssociatedVolume, ID: v.ID, Name: v.Name, SizeGigabytes: float64(v.SizeGigabytes),
		})
	}
	copies, err := tx.SnapshotsOfVolumes(account, ids) // of those, whatever is attached meanwhile
	if err != nil {
		return nil, err
	}
	for _, s := range copies {
		resources = append(resources, cloud.Associated{
			Kind: cloud.AssociatedVolumeSnapshot, ID: s.ID, Name: s.Name, SizeGigabytes: s.SizeGigabytes,
		})
	}
	images, _, err := tx.DropletImages(account, droplet, cloud.ImageSnapshot, cloud.Page{})
	if err != nil {
		return nil, err
	}
	for _, i := range images {
		resources = append(resources, cloud.Associated{
			Kind: cloud.AssociatedSnapshot, ID: cloud.FormatID(i.ID), Name: i.Name, SizeGigabytes: i.SizeGigabytes,
		})
	}
	ip, err := tx.ReservedIPOf(account, droplet)
	if err == nil {
		resources = append(resources, cloud.Associated{
			Kind: cloud.AssociatedReservedIP, ID: cloud.FormatID(ip.ID), Name: ip.IP,
		})
	}
	if cloud.IsNotFound(err) {
		err = nil
	}
	return resources, err
}

// Selection is what of the associated resources is to be destroyed, by kind. A
// reserved IP may be named by its address too.
type Selection map[cloud.AssociatedKind][]string

// choose finds what a selection names among the associated resources, each
// once. What is not among them is refused by name.
func (s Selection) choose(among []cloud.Associated) ([]cloud.DestroyResource, error) {
	chosen := []cloud.DestroyResource{}
	var unknown []string
	for _, kind := range cloud.AssociatedKinds {
		for _, id := range s[kind] {
			i := slices.IndexFunc(among, func(a cloud.Associated) bool {
				return a.Kind == kind && (a.ID == id || kind == cloud.AssociatedReservedIP && a.Name == id)
			})
			if i < 0 {
				unknown = append(unknown, id)
				continue
			}
			resource := cloud.DestroyResource{Kind: kind, ID: among[i].ID, Name: among[i].Name}
			if !slices.Contains(chosen, resource) {
				chosen = append(chosen, resource)
			}
		}
	}
	if len(unknown) > 0 {
		return nil, cloud.Invalid("not associated with this Droplet: %s. Nothing was destroyed.", strings.Join(unknown, ", "))
	}
	return chosen, nil
}

// everything selects all of them.
func everything(among []cloud.Associated) []cloud.DestroyResource {
	all := make([]cloud.DestroyResource, len(among))
	for i, a := range among {
		all[i] = cloud.DestroyResource{Kind: a.Kind, ID: a.ID, Name: a.Name}
	}
	return all
}

// DestroySelected accepts the destroy of a Droplet and of the resources that
// the selection names.
func (p *Plane) DestroySelected(ctx context.Context, who cloud.Actor, droplet int64, selection Selection) error {
	return p.destroyWith(ctx, who, droplet, selection.choose)
}

// DestroyEverything accepts the destroy of a Droplet and of all that belongs to
// it at this moment.
func (p *Plane) DestroyEverything(ctx context.Context, who cloud.Actor, droplet int64) error {
	return p.destroyWith(ctx, who, droplet, func(among []cloud.Associated) ([]cloud.DestroyResource, error) {
		return everything(among), nil
	})
}

func (p *Plane) destroyWith(ctx context.Context, who cloud.Actor, droplet int64,
	choose func([]cloud.Associated) ([]cloud.DestroyResource, error),
) error {
	id, err := p.store.ID(ctx, store.DestroyIDs)
	if err != nil {
		return err
	}
	action, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return err
	}
	return p.store.Write(ctx, func(tx *store.Tx) error {
		d, err := tx.LockDroplet(who.Account, droplet)
		if err != nil {
			return err
		}
		if d.DestroyedBy != 0 {
			return errDestroying()
		}
		among, err := associated(tx, who.Account, droplet)
		if err != nil {
			return err
		}
		chosen, err := choose(among)
		if err != nil {
			return err
		}
		destroy := cloud.Destroy{
			ID: id, Account: who.Account, Droplet: d.ID, DropletName: d.Name, Region: d.Region,
			Action: action, CreatedAt: tx.Now, Resources: chosen,
		}
		if err := tx.AddDestroy(destroy); err != nil {
			return err
		}
		return p.beginDestroy(tx, action, d, id)
	})
}

func errDestroying() error {
	return cloud.Conflict("This Droplet is already being destroyed.")
}

// DeleteDroplet accepts the destroy of a Droplet alone. What was attached or
// assigned to it is kept.
func (p *Plane) DeleteDroplet(ctx context.Context, who cloud.Actor, droplet int64) error {
	action, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return err
	}
	return p.store.Write(ctx, func(tx *store.Tx) error {
		d, err := tx.LockDroplet(who.Account, droplet)
		if err != nil {
			return err
		}
		if err := d.AllowDelete(); err != nil {
			return err
		}
		return p.beginDestroy(tx, action, d, 0)
	})
}

// beginDestroy queues a destroy. It holds nothing yet: the mark on the Droplet
// keeps everything else from beginning, and what runs already is waited for.
func (p *Plane) beginDestroy(tx *store.Tx, action int64, d cloud.Droplet, destroy int64) error {
	if err := tx.MarkDroplet(d.ID, action); err != nil {
		return err
	}
	if d.Status == cloud.DropletNew { // which it will never be again
		if err := tx.SetDropletStatus(d.ID, cloud.DropletOff); err != nil {
			return err
		}
	}
	_, err := begin(tx, p, dropletDestroy, op.New{
		ID: action, Account: d.Account, Type: cloud.ActionDestroy, About: d.Ref(), Region: d.Region,
	}, destroyArgs{Droplet: d.ID, Destroy: destroy})
	return err
}

// DestroyStatus tells how the last destroy of a Droplet stands. It answers when
// the Droplet is gone, too.
func (p *Plane) DestroyStatus(ctx context.Context, who cloud.Actor, droplet int64) (destroy cloud.Destroy, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		destroy, err = tx.LastDestroy(who.Account, droplet)
		return err
	})
	return destroy, err
}

// RetryDestroy queues the last destroy of a Droplet once more, for what is left
// of it.
func (p *Plane) RetryDestroy(ctx context.Context, who cloud.Actor, droplet int64) error {
	action, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return err
	}
	return p.store.Write(ctx, func(tx *store.Tx) error {
		destroy, err := tx.LockLastDestroy(who.Account, droplet)
		switch {
		case err != nil:
			return err
		case destroy.Running():
			return errDestroying()
		case destroy.Failures() == 0:
			return cloud.Invalid("There is nothing to retry.")
		}
		if err := forgetFailures(tx, &destroy, action); err != nil {
			return err
		}
		return p.beginRetry(tx, destroy)
	})
}

// forgetFailures makes what failed unfinished again.
func forgetFailures(tx *store.Tx, destroy *cloud.Destroy, action int64) error {
	for _, r := range destroy.Resources {
		if r.Error == "" {
			continue
		}
		r.Error, r.Attempts = "", 0
		if err := tx.SaveDestroyResource(destroy.ID, r); err != nil {
			return err
		}
	}
	destroy.Action, destroy.Error, destroy.CompletedAt = action, "", time.Time{}
	return tx.SaveDestroy(*destroy)
}

func (p *Plane) beginRetry(tx *store.Tx, destroy cloud.Destroy) error {
	d, err := tx.LockDroplet(destroy.Account, destroy.Droplet)
	switch {
	case cloud.IsNotFound(err): // gone already: only resources are left
		gone := cloud.Ref{Kind: cloud.KindDroplet, ID: cloud.FormatID(destroy.Droplet)}
		_, err := begin(tx, p, dropletDestroy, op.New{
			ID: destroy.Action, Account: destroy.Account, Type: cloud.ActionDestroy, About: gone, Region: destroy.Region,
		}, destroyArgs{Droplet: destroy.Droplet, Destroy: destroy.ID})
		return err
	case err != nil:
		return err
	case d.DestroyedBy != 0:
		return errDestroying()
	}
	return p.beginDestroy(tx, destroy.Action, d, destroy.ID)
}

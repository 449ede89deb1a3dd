package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Action reads an action of the account.
func (p *Plane) Action(ctx context.Context, who cloud.Actor, id int64) (action cloud.Action, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		action, err = tx.Action(who.Account, id)
		return err
	})
	return action, err
}

// Actions lists the account's actions, newest first.
func (p *Plane) Actions(ctx context.Context, who cloud.Actor, page cloud.Page) (actions []cloud.Action, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		actions, total, err = tx.Actions(who.Account, cloud.Ref{}, page)
		return err
	})
	return actions, total, err
}

// ResourceActions lists the actions of one resource that exists, newest first.
func (p *Plane) ResourceActions(ctx context.Context, who cloud.Actor, of cloud.Ref, page cloud.Page) (actions []cloud.Action, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if err := resourceExists(tx, who, of); err != nil {
			return err
		}
		actions, total, err = tx.Actions(who.Account, of, page)
		return err
	})
	return actions, total, err
}

// ResourceAction reads an action of one resource. It may be asked for when the
// resource is gone, since actions outlive what they were about.
func (p *Plane) ResourceAction(ctx context.Context, who cloud.Actor, of cloud.Ref, id int64) (cloud.Action, error) {
	action, err := p.Action(ctx, who, id)
	kind := action.ResourceType
	if kind == cloud.KindFloatingIP { // the same address by its older name
		kind = cloud.KindReservedIP
	}
	if err == nil && (kind != of.Kind || action.ResourceID != of.ID) {
		return cloud.Action{}, cloud.NotFound()
	}
	return action, err
}

func resourceExists(tx *store.Tx, who cloud.Actor, r cloud.Ref) (err error) {
	switch r.Kind {
	case cloud.KindDroplet:
		id, _ := cloud.ParseID(r.ID)
		_, err = tx.Droplet(who.Account, id)
	case cloud.KindVolume:
		_, err = tx.Volume(who.Account, r.ID)
	case cloud.KindReservedIP:
		_, err = tx.ReservedIP(who.Account, r.ID)
	case cloud.KindReservedIPv6:
		_, err = tx.ReservedIPv6(who.Account, r.ID)
	case cloud.KindVolumeSnapshot:
		_, err = tx.VolumeSnapshot(who.Account, r.ID)
	case cloud.KindImage:
		id, _ := cloud.ParseID(r.ID)
		_, err = tx.Image(who.Account, id)
	default:
		err = cloud.NotFound()
	}
	return err
}

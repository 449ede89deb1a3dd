package control

import (
	"context"
	"errors"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// errBlocked refuses what is asked of all Droplets with a tag while one of them
// is held.
func errBlocked() error {
	return cloud.Invalid("there are currently blocking events processing for one or more of the droplets")
}

// StartTaggedActions starts an action on every Droplet with a tag, on all or
// none, and returns them in the order of the Droplets' IDs.
func (p *Plane) StartTaggedActions(ctx context.Context, who cloud.Actor, tag string, a DropletAction) (actions []cloud.Action, err error) {
	n, err := p.countTagged(ctx, who, tag)
	if err != nil { // before its request is judged
		return nil, err
	}
	verb, err := a.verb(who)
	if err == nil && !verb.byTag {
		err = cloud.Invalid("The action %s cannot be asked for by tag.", a.Type)
	}
	if err != nil {
		return nil, err
	}
	bounds, err := p.readBounds(ctx)
	if err != nil {
		return nil, err
	}
	err = p.withTagged(ctx, who, tag, verb, n, func(tx *store.Tx, droplets []cloud.Droplet, ids, images []int64) error {
		actions = make([]cloud.Action, len(droplets))
		for i, d := range droplets {
			if d.Free() != nil {
				return errBlocked()
			}
			var err error
			if actions[i], err = p.beginDropletAction(tx, verb, d, a, bounds, ids[i], images[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return actions, err
}

// DeleteTaggedDroplets accepts the destroy of every Droplet with a tag, of all
// or none. Those that are being destroyed already are passed over.
func (p *Plane) DeleteTaggedDroplets(ctx context.Context, who cloud.Actor, tag string) error {
	n, err := p.countTagged(ctx, who, tag)
	if err != nil {
		return err
	}
	return p.withTagged(ctx, who, tag, dropletVerb{}, n, func(tx *store.Tx, droplets []cloud.Droplet, ids, _ []int64) error {
		for i, d := range droplets {
			if d.DestroyedBy != 0 {
				continue
			}
			if d.AllowDelete() != nil {
				return errBlocked()
			}
			if err := p.beginDestroy(tx, ids[i], d, 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// countTagged says how many Droplets have a tag, which has to be there.
func (p *Plane) countTagged(ctx context.Context, who cloud.Actor, name string) (n int, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) error {
		tag, err := tx.FindTag(who.Account, name)
		n = int(tag.Uses[cloud.KindDroplet].Count)
		return err
	})
	return n, err
}

// errMoreTagged says that the tag was put on more Droplets meanwhile.
var errMoreTagged = errors.New("more Droplets have the tag than there are IDs for")

// withTagged hands all Droplets with a tag to f in one transaction, with the IDs
// for an action on each. IDs are taken before a transaction, so should there
// turn out to be more than n Droplets, all is done again with more of them.
func (p *Plane) withTagged(ctx context.Context, who cloud.Actor, tag string, verb dropletVerb, n int,
	f func(tx *store.Tx, droplets []cloud.Droplet, ids, images []int64) error,
) error {
	for {
		ids, images, err := p.actionIDs(ctx, verb, n)
		if err != nil {
			return err
		}
		found := 0
		err = p.store.Write(ctx, func(tx *store.Tx) error {
			if err := tx.LockAccount(who.Account); err != nil {
				return err
			}
			if err := tx.LockTag(who.Account, tag); err != nil {
				return err
			}
			droplets, err := tx.LockTaggedDroplets(who.Account, tag)
			if err != nil {
				return err
			}
			if found = len(droplets); found > n {
				return errMoreTagged
			}
			return f(tx, droplets, ids, images)
		})
		if !errors.Is(err, errMoreTagged) {
			return err
		}
		n = found
	}
}

package control

import (
	"context"
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Tags lists the account's tags with what bears them.
func (p *Plane) Tags(ctx context.Context, who cloud.Actor, page cloud.Page) (tags []cloud.Tag, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		tags, total, err = tx.Tags(who.Account, page)
		return err
	})
	return tags, total, err
}

// Tag reads a tag by its name, in the case that it has.
func (p *Plane) Tag(ctx context.Context, who cloud.Actor, name string) (tag cloud.Tag, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		tag, err = tx.FindTag(who.Account, name)
		return err
	})
	return tag, err
}

// AddTag makes a tag. One that there is already, in whatever case, is returned
// as it is.
func (p *Plane) AddTag(ctx context.Context, who cloud.Actor, name string) (tag cloud.Tag, err error) {
	if err := cloud.CheckTag(name); err != nil {
		return tag, err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(who.Account); err != nil {
			return err
		}
		kept, err := tx.AddTag(who.Account, name)
		if err != nil {
			return err
		}
		tag, err = tx.FindTag(who.Account, kept)
		return err
	})
	return tag, err
}

// RenameTag gives a tag another name on all that bears it.
func (p *Plane) RenameTag(ctx context.Context, who cloud.Actor, from, to string) (tag cloud.Tag, err error) {
	if err := cloud.CheckTag(to); err != nil {
		return tag, err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(who.Account); err != nil {
			return err
		}
		if err := tx.LockTag(who.Account, from); err != nil {
			return err
		}
		renamed, err := tx.RenameTag(who.Account, from, to)
		if err == nil && !renamed {
			err = cloud.Invalid("there is a tag named %s already", to)
		}
		if err != nil {
			return err
		}
		tag, err = tx.FindTag(who.Account, to)
		return err
	})
	return tag, err
}

// DeleteTag removes a tag, also from all that bears it.
func (p *Plane) DeleteTag(ctx context.Context, who cloud.Actor, name string) error {
	return p.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(who.Account); err != nil {
			return err
		}
		if err := tx.LockTag(who.Account, name); err != nil {
			return err
		}
		return tx.DeleteTag(who.Account, name)
	})
}

// TagResources puts a tag on resources. What does not exist is passed over, as
// the API does.
func (p *Plane) TagResources(ctx context.Context, who cloud.Actor, name string, resources []cloud.Ref) error {
	return p.eachTagged(ctx, who, name, resources, (*store.Tx).TagResources)
}

// UntagResources takes a tag off resources. What does not bear it is passed
// over.
func (p *Plane) UntagResources(ctx context.Context, who cloud.Actor, name string, resources []cloud.Ref) error {
	return p.eachTagged(ctx, who, name, resources, (*store.Tx).UntagResources)
}

// eachTagged calls change for each kind among the resources, in a fixed order.
func (p *Plane) eachTagged(ctx context.Context, who cloud.Actor, name string, resources []cloud.Ref,
	change func(tx *store.Tx, account int64, name string, kind cloud.Kind, ids []string) error,
) error {
	return p.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(who.Account); err != nil {
			return err
		}
		if err := tx.LockTag(who.Account, name); err != nil {
			return err
		}
		for _, kind := range cloud.TaggableKinds {
			var ids []string
			for _, r := range resources {
				if r.Kind == kind && !slices.Contains(ids, r.ID) {
					ids = append(ids, r.ID)
				}
			}
			if len(ids) == 0 {
				continue
			}
			if err := change(tx, who.Account, name, kind, ids); err != nil {
				return err
			}
		}
		return nil
	})
}

package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

var imageDelete = op.Define("image.delete",
	op.Step[*Plane, imageArgs]{Name: "delete", Do: (*Plane).deleteDisk, Save: (*Plane).saveImageGone})

type imageArgs struct {
	Image int64  `json:"image"`
	Name  string `json:"name"`
}

// Image reads an image by its ID or slug. A custom image is found still when it
// is deleted: clients wait to read that.
func (p *Plane) Image(ctx context.Context, who cloud.Actor, idOrSlug string) (image cloud.Image, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		image, err = findImage(tx, who.Account, idOrSlug)
		if id, ok := cloud.ParseID(idOrSlug); ok && cloud.IsNotFound(err) {
			image, err = tx.DeletedCustomImage(who.Account, id)
		}
		return err
	})
	return image, err
}

// Images lists images.
func (p *Plane) Images(ctx context.Context, who cloud.Actor, f cloud.ImageFilter, page cloud.Page) (images []cloud.Image, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		images, total, err = tx.Images(who.Account, f, page)
		return err
	})
	return images, total, err
}

// DeleteImage deletes one of the account's own images and returns when it is
// gone. Droplets made from it keep running.
func (p *Plane) DeleteImage(ctx context.Context, who cloud.Actor, id int64) error {
	action, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		image, err := ownImage(tx, who.Account, id)
		if cloud.IsNotFound(err) {
			if _, gone := tx.DeletedCustomImage(who.Account, id); gone == nil {
				return cloud.Invalid("Image Can not delete an already deleted image.")
			}
		}
		if err != nil {
			return err
		}
		_, err = begin(tx, p, imageDelete, op.New{
			ID: action, Account: who.Account, About: image.Ref(), Holds: []cloud.Ref{image.Ref()},
		}, imageArgs{Image: id, Name: image.Name})
		return err
	})
	if err != nil {
		return err
	}
	return p.await(ctx, action)
}

// ownImage reads an image to change it. Those of the catalogue are nobody's to
// change.
func ownImage(tx *store.Tx, account, id int64) (cloud.Image, error) {
	image, err := tx.LockImage(account, id)
	if err == nil && image.Account == 0 {
		err = cloud.Forbidden("You do not have access for the attempted action.")
	}
	return image, err
}

// ImageUpdate is what to change of an image; what is nil stays.
type ImageUpdate struct {
	Name, Distribution, Description *string
}

// check refuses what no image may be.
func (u ImageUpdate) check() error {
	if u.Name == nil && u.Distribution == nil && u.Description == nil {
		return cloud.Invalid("name is required; custom images may be given a distribution and a description, too")
	}
	if u.Name != nil {
		if err := cloud.CheckImageName(*u.Name); err != nil {
			return err
		}
	}
	if u.Description != nil {
		return cloud.CheckImageDescription(*u.Description)
	}
	return nil
}

// UpdateImage changes what an image is called and, of custom ones, how it is
// described.
func (p *Plane) UpdateImage(ctx context.Context, who cloud.Actor, id int64, u ImageUpdate) (image cloud.Image, err error) {
	if err := u.check(); err != nil {
		return image, err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		if image, err = ownImage(tx, who.Account, id); err != nil {
			return err
		}
		if (u.Distribution != nil || u.Description != nil) && image.Type != cloud.ImageCustom {
			return cloud.Invalid("only custom images can be given another distribution or description")
		}
		if u.Name != nil {
			image.Name = *u.Name
		}
		if u.Distribution != nil {
			image.Distribution = cloud.CustomDistribution(*u.Distribution)
		}
		if u.Description != nil {
			image.Description = *u.Description
		}
		return tx.SaveImage(image)
	})
	return image, err
}

func (p *Plane) deleteDisk(ctx context.Context, run *op.Run[imageArgs]) error {
	return work(p.engine.DeleteImage(ctx, do(run), imageRef(run.Account, run.Args.Image, run.Args.Name)))
}

func (p *Plane) saveImageGone(tx *store.Tx, run *op.Run[imageArgs]) error {
	return tx.DropImage(run.Args.Image)
}

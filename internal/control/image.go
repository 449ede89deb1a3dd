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

// Image reads an image by its ID or slug.
func (p *Plane) Image(ctx context.Context, who cloud.Actor, idOrSlug string) (image cloud.Image, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		image, err = findImage(tx, who.Account, idOrSlug)
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
		image, err := tx.Image(who.Account, id)
		if err != nil {
			return err
		}
		if image.Account == 0 {
			return cloud.Forbidden("You do not have access for the attempted action.")
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

func (p *Plane) deleteDisk(ctx context.Context, run *op.Run[imageArgs]) error {
	return work(p.engine.DeleteImage(ctx, do(run), imageRef(run.Account, run.Args.Image, run.Args.Name)))
}

func (p *Plane) saveImageGone(tx *store.Tx, run *op.Run[imageArgs]) error {
	return tx.DropImage(run.Args.Image)
}

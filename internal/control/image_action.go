package control

import (
	"context"
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

var (
	imageTransfer = op.Define("image.transfer",
		op.Step[*Plane, transferArgs]{
			Name: "transfer", Do: (*Plane).transferDisk, Undo: (*Plane).withdrawDisk, Save: (*Plane).saveTransferred,
		})

	imageConvert = op.Define("image.convert",
		op.Step[*Plane, imageArgs]{Name: "convert", Save: (*Plane).saveConverted})
)

type transferArgs struct {
	imageArgs
	Region string `json:"region"`
}

// TransferImage begins to make an image available in one more region.
func (p *Plane) TransferImage(ctx context.Context, who cloud.Actor, id int64, to string) (cloud.Action, error) {
	return p.startImageAction(ctx, who, id, func(tx *store.Tx, action int64, image cloud.Image) (cloud.Action, error) {
		region, err := p.imageRegion(to)
		if err != nil {
			return cloud.Action{}, err
		}
		if slices.Contains(image.Regions, region.Slug) {
			return cloud.Action{}, cloud.Invalid("The image is in %s already.", region.Slug)
		}
		return begin(tx, p, imageTransfer, op.New{
			ID: action, Account: who.Account, Type: cloud.ActionTransfer, About: image.Ref(), Region: region.Slug,
			Holds: []cloud.Ref{image.Ref()},
		}, transferArgs{imageArgs{Image: id, Name: image.Name}, region.Slug})
	})
}

// ConvertImage begins to make a backup a snapshot, which is kept until somebody
// deletes it.
func (p *Plane) ConvertImage(ctx context.Context, who cloud.Actor, id int64) (cloud.Action, error) {
	return p.startImageAction(ctx, who, id, func(tx *store.Tx, action int64, image cloud.Image) (cloud.Action, error) {
		if image.Type != cloud.ImageBackup {
			return cloud.Action{}, cloud.Invalid("Only backups can be converted to snapshots.")
		}
		return begin(tx, p, imageConvert, op.New{
			ID: action, Account: who.Account, Type: cloud.ActionConvert, About: image.Ref(), Region: firstRegion(image),
			Holds: []cloud.Ref{image.Ref()},
		}, imageArgs{Image: id, Name: image.Name})
	})
}

func firstRegion(image cloud.Image) string {
	if len(image.Regions) == 0 {
		return ""
	}
	return image.Regions[0]
}

// startImageAction runs start in a transaction with the image locked.
func (p *Plane) startImageAction(ctx context.Context, who cloud.Actor, image int64,
	start func(*store.Tx, int64, cloud.Image) (cloud.Action, error),
) (action cloud.Action, err error) {
	id, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return action, err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		i, err := ownImage(tx, who.Account, image)
		if err != nil {
			return err
		}
		if i.Status != cloud.ImageAvailable {
			return cloud.Invalid("The image is not available yet.")
		}
		action, err = start(tx, id, i)
		return err
	})
	return action, err
}

func (p *Plane) transferDisk(ctx context.Context, run *op.Run[transferArgs]) error {
	ref := imageRef(run.Account, run.Args.Image, run.Args.Name)
	return work(p.engine.TransferImage(ctx, do(run), ref, run.Args.Region))
}

func (p *Plane) withdrawDisk(ctx context.Context, run *op.Run[transferArgs]) error {
	ref := imageRef(run.Account, run.Args.Image, run.Args.Name)
	return work(p.engine.WithdrawImage(ctx, undo(run), ref, run.Args.Region))
}

func (p *Plane) saveTransferred(tx *store.Tx, run *op.Run[transferArgs]) error {
	return changeImage(tx, run.Args.Image, func(i *cloud.Image) {
		if !slices.Contains(i.Regions, run.Args.Region) {
			i.Regions = append(i.Regions, run.Args.Region)
		}
	})
}

func (p *Plane) saveConverted(tx *store.Tx, run *op.Run[imageArgs]) error {
	return changeImage(tx, run.Args.Image, func(i *cloud.Image) { i.Type = cloud.ImageSnapshot })
}

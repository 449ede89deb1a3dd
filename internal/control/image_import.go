package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// A custom image is shown from the request on: NEW, then pending while the
// engine imports it. One that cannot be imported is shown as deleted, with the
// reason.
var imageImport = op.Define("image.import",
	op.Step[*Plane, importArgs]{Name: "begin", Save: (*Plane).saveImporting},
	op.Step[*Plane, importArgs]{Name: "import", Do: (*Plane).importDisk, Undo: (*Plane).dropImport, Save: (*Plane).publishImport},
).Failed((*Plane).saveNotImported)

type importArgs struct {
	Image  int64  `json:"image"`
	Name   string `json:"name"`
	URL    string `json:"url"`
	Region string `json:"region"`
}

func (a importArgs) ref(account int64) engine.Ref { return imageRef(account, a.Image, a.Name) }

// NewImage is a request for a custom image.
type NewImage struct {
	Name, URL, Region, Distribution, Description string
	Tags                                         []string
}

// check refuses what can be told without the store.
func (n NewImage) check() error {
	if err := cloud.CheckImageName(n.Name); err != nil {
		return err
	}
	if err := cloud.CheckImageURL(n.URL); err != nil {
		return err
	}
	if err := cloud.CheckImageDescription(n.Description); err != nil {
		return err
	}
	return cloud.CheckTags(n.Tags)
}

// ImportImage begins to make a custom image from a URL, and returns it as it is
// then. The engine does whatever is done with the URL.
func (p *Plane) ImportImage(ctx context.Context, who cloud.Actor, n NewImage) (image cloud.Image, err error) {
	if err := n.check(); err != nil {
		return image, err
	}
	region, err := p.imageRegion(n.Region)
	if err != nil {
		return image, err
	}
	id, err := p.store.ID(ctx, store.ImageIDs)
	if err != nil {
		return image, err
	}
	action, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return image, err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) (err error) {
		if err := tx.LockAccount(who.Account); err != nil {
			return err
		}
		image = cloud.Image{
			ID: id, Account: who.Account, Name: n.Name, Type: cloud.ImageCustom, Status: cloud.ImageNew,
			Distribution: cloud.CustomDistribution(n.Distribution), Description: n.Description,
			Regions: []string{}, CreatedAt: tx.Now,
		}
		if err := tx.AddImage(image); err != nil {
			return err
		}
		if image.Tags, err = tx.Tag(who.Account, image.Ref(), n.Tags); err != nil {
			return err
		}
		_, err = begin(tx, p, imageImport, op.New{
			ID: action, Account: who.Account, About: image.Ref(), Region: region.Slug, Holds: []cloud.Ref{image.Ref()},
		}, importArgs{Image: id, Name: n.Name, URL: n.URL, Region: region.Slug})
		return err
	})
	return image, err
}

// imageRegion is a region that images can be put into.
func (p *Plane) imageRegion(slug string) (cloud.Region, error) {
	if slug == "" {
		return cloud.Region{}, cloud.Invalid("region is required")
	}
	return p.openRegion(slug, slug)
}

func (p *Plane) saveImporting(tx *store.Tx, run *op.Run[importArgs]) error {
	return changeImage(tx, run.Args.Image, func(i *cloud.Image) { i.Status = cloud.ImagePending })
}

func (p *Plane) importDisk(ctx context.Context, run *op.Run[importArgs]) error {
	progress, err := p.engine.ImportImage(ctx, do(run), engine.Import{
		Ref: run.Args.ref(run.Account), URL: run.Args.URL, Region: run.Args.Region,
	})
	run.Keep(progress.SizeGigabytes)
	return work(progress, err)
}

func (p *Plane) dropImport(ctx context.Context, run *op.Run[importArgs]) error {
	return work(p.engine.DeleteImage(ctx, undo(run), run.Args.ref(run.Account)))
}

func (p *Plane) publishImport(tx *store.Tx, run *op.Run[importArgs]) error {
	size, _ := run.Kept().(float64)
	return changeImage(tx, run.Args.Image, func(i *cloud.Image) {
		i.Status, i.Regions = cloud.ImageAvailable, []string{run.Args.Region}
		i.SizeGigabytes, i.MinDiskSize = size, cloud.MinDisk(size)
	})
}

func (p *Plane) saveNotImported(tx *store.Tx, run *op.Run[importArgs]) error {
	if err := changeImage(tx, run.Args.Image, func(i *cloud.Image) { i.Error = run.Err }); err != nil {
		return err
	}
	return tx.DropImage(run.Args.Image)
}

// changeImage changes an image that an operation holds. Its owner may describe it
// at the same time, and neither overwrites what the other has written.
func changeImage(tx *store.Tx, id int64, change func(*cloud.Image)) error {
	image, err := tx.LockAnyImage(id)
	if err != nil {
		return err
	}
	change(&image)
	return tx.SaveImage(image)
}

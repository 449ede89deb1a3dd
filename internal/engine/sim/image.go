package sim

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// baseImageGigabytes is the size of every image of the catalogue, which the
// engine does not know: that of a plain Linux. What is copied from a machine
// is as large as the image that the machine was made from.
const baseImageGigabytes = 2.36

// CopyImage copies a machine's disk into a new image.
func (e *Engine) CopyImage(ctx context.Context, w engine.Work, machine, image engine.Ref) (engine.Progress, error) {
	c := e.call(w, "image.copy", machine, image)
	c.makes = thing{"sim_images", image.ID}
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		return makeImage(t, c.makes, func() error {
			m, err := lockMachine(t, machine.ID)
			if err != nil {
				return err
			}
			return insertImage(t, image, m.Region, m.Disk, m.UsedGigabytes)
		})
	}
	return e.do(ctx, c)
}

// makeImage makes an image that is not there yet, and answers with its size.
func makeImage(t *database.Tx, image thing, insert func() error) (engine.Progress, error) {
	there, err := image.exists(t)
	if err == nil && !there {
		err = insert()
	}
	if err != nil {
		return engine.Progress{}, err
	}
	i, err := findImage(t, image.id)
	return engine.Progress{SizeGigabytes: i.SizeGigabytes}, err
}

func insertImage(t *database.Tx, image engine.Ref, region string, disk int64, size float64) error {
	if err := one(t.Exec(`
		INSERT INTO sim_images (id, account, name, disk, size_gigabytes, destroyed)
		VALUES ($1, $2, $3, $4, $5, FALSE) ON CONFLICT (id) DO NOTHING`,
		image.ID, image.Account, image.Name, disk, size)); err != nil {
		return err
	}
	return addImageRegion(t, image.ID, region)
}

// ImportImage makes an image of the size that all images of the catalogue have.
// Nothing is fetched: the simulation has no use for what the URL leads to.
func (e *Engine) ImportImage(ctx context.Context, w engine.Work, image engine.Import) (engine.Progress, error) {
	c := e.call(w, "image.import", image.Ref)
	c.names = append(c.names, image.URL)
	c.makes = thing{"sim_images", image.ID}
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		return makeImage(t, c.makes, func() error {
			return insertImage(t, image.Ref, image.Region, int64(math.Ceil(baseImageGigabytes)), baseImageGigabytes)
		})
	}
	return e.do(ctx, c)
}

// TransferImage makes an image available in one more region.
func (e *Engine) TransferImage(ctx context.Context, w engine.Work, image engine.Ref, region string) (engine.Progress, error) {
	c := e.call(w, "image.transfer", image)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		if _, err := findImage(t, image.ID); err != nil {
			return engine.Progress{}, err
		}
		return engine.Progress{}, addImageRegion(t, image.ID, region)
	}
	return e.do(ctx, c)
}

// WithdrawImage takes an image out of a region.
func (e *Engine) WithdrawImage(ctx context.Context, w engine.Work, image engine.Ref, region string) (engine.Progress, error) {
	c := e.call(w, "image.withdraw", image)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		_, err := t.Exec("DELETE FROM sim_image_regions WHERE image = $1 AND region = $2", image.ID, region)
		return engine.Progress{}, err
	}
	return e.do(ctx, c)
}

func addImageRegion(t *database.Tx, image, region string) error {
	_, err := t.Exec(`INSERT INTO sim_image_regions (image, region) VALUES ($1, $2)
		ON CONFLICT (image, region) DO NOTHING`, image, region)
	return err
}

// ReplaceImage puts a fresh copy of an image in place of a machine's disk.
// Whether the machine runs stays as it is. Taking that back puts the former
// disk in place again.
func (e *Engine) ReplaceImage(ctx context.Context, w engine.Work, machine engine.Ref, image engine.Image) (engine.Progress, error) {
	c := e.call(w, "image.replace", machine, image.Ref)
	c.names = append(c.names, image.Slug)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		m, err := lockMachine(t, machine.ID)
		if err != nil {
			return engine.Progress{}, err
		}
		if w.Undo {
			return engine.Progress{}, putBack(t, m.ID, w.Key)
		}
		used, err := imageFor(t, image, m.Region, m.Disk)
		if err != nil {
			return engine.Progress{}, err
		}
		return changed(t.Exec(`
			UPDATE sim_machines SET image = $1, used_gigabytes = $2,
				replaced_by = $3, former_image = image, former_gigabytes = used_gigabytes
			WHERE id = $4`,
			imageName(image), used, w.Key, m.ID))
	}
	return e.do(ctx, c)
}

// putBack makes a machine's disk what it was before the work of a key replaced
// it, if it did.
func putBack(t *database.Tx, machine, key string) error {
	_, err := t.Exec(`
		UPDATE sim_machines SET image = former_image, used_gigabytes = former_gigabytes, replaced_by = ''
		WHERE id = $1 AND replaced_by = $2`, machine, key)
	return err
}

// DeleteImage removes an image, or makes sure that it never comes to be.
// Machines that were made from it keep their disks.
func (e *Engine) DeleteImage(ctx context.Context, w engine.Work, image engine.Ref) (engine.Progress, error) {
	c := e.call(w, "image.delete", image)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		_, err := t.Exec(`
			INSERT INTO sim_images (id, account, name, disk, size_gigabytes, destroyed)
			VALUES ($1, $2, $3, 0, 0, TRUE) ON CONFLICT (id) DO UPDATE SET destroyed = TRUE`,
			image.ID, image.Account, image.Name)
		if err == nil {
			_, err = t.Exec("DELETE FROM sim_image_regions WHERE image = $1", image.ID)
		}
		return engine.Progress{}, err
	}
	return e.do(ctx, c)
}

// imageFor returns the size of an image that is to fill a disk, or why it
// cannot.
func imageFor(t *database.Tx, image engine.Image, region string, disk int64) (float64, error) {
	if image.Base {
		if image.Slug == "" {
			return 0, refuse("a base image needs a slug")
		}
		return baseImageGigabytes, nil
	}
	i, err := findImage(t, image.ID)
	if errors.Is(err, engine.ErrNotFound) {
		return 0, refuse("there is no image %s", image.ID)
	}
	switch {
	case err != nil:
	case !slices.Contains(i.Regions, region):
		err = refuse("image %s is not in %s", i.ID, region)
	case i.Disk > disk:
		err = refuse("image %s needs a disk of %d GiB and this one has %d", i.ID, i.Disk, disk)
	}
	return i.SizeGigabytes, err
}

// imageName is what a machine remembers of its image.
func imageName(i engine.Image) string {
	if i.Base {
		return i.Slug
	}
	return i.ID
}

func findImage(t *database.Tx, id string) (Image, error) {
	return found(database.One(t, scanImage, selectImages+" AND id = $1", id))
}

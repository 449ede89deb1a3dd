package store

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

var imageColumns = `i.id, i.account_id, i.slug, i.name, i.type, i.kind, i.distribution, i.regions,
	i.min_disk_size, i.size_gigabytes, i.description, i.status, i.source_droplet_id, i.error, i.created_at,
	i.given, ` + tagsOf(cloud.KindImage, "CAST(i.id AS TEXT)")

func scanImage(row database.Scanner) (i cloud.Image, err error) {
	var tags string
	err = row.Scan(&i.ID, &i.Account, &i.Slug, &i.Name, &i.Type, &i.Kind, &i.Distribution, list[string]{&i.Regions},
		&i.MinDiskSize, &i.SizeGigabytes, &i.Description, &i.Status, &i.SourceDroplet, &i.Error,
		moment{&i.CreatedAt}, list[cloud.GivenImage]{&i.Given}, &tags)
	i.Tags = sorted(tags)
	return i, err
}

// shownImage leaves out images that are not complete, and those deleted.
const shownImage = `i.status NOT IN ('creating', 'deleted')`

// AddImage adds an image.
func (tx *Tx) AddImage(i cloud.Image) error {
	_, err := tx.t.Exec(`INSERT INTO images (id, account_id, slug, name, type, kind, distribution, regions,
		min_disk_size, size_gigabytes, description, status, source_droplet_id, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		i.ID, i.Account, i.Slug, i.Name, string(i.Type), i.Kind, i.Distribution, jsonText(i.Regions),
		i.MinDiskSize, i.SizeGigabytes, i.Description, string(i.Status), i.SourceDroplet, micros(i.CreatedAt))
	return err
}

// Image reads an image that the account may see: a public or retired one, or
// one of its own.
func (tx *Tx) Image(account, id int64) (cloud.Image, error) {
	return found(database.One(tx.t, scanImage, `SELECT `+imageColumns+` FROM images i
		WHERE i.id = $1 AND i.account_id IN (0, $2) AND `+shownImage, id, account))
}

// LockImage reads an image that the transaction is about to begin something
// with, or to give away.
func (tx *Tx) LockImage(account, id int64) (cloud.Image, error) {
	if _, err := database.All(tx.t, database.Value[int64],
		`SELECT id FROM images WHERE id = $1 AND account_id = $2`+tx.t.ForUpdate(), id, account); err != nil {
		return cloud.Image{}, err
	}
	return tx.Image(account, id)
}

// DeletedCustomImage reads a custom image of the account that was deleted, or
// that could not be imported.
func (tx *Tx) DeletedCustomImage(account, id int64) (cloud.Image, error) {
	return found(database.One(tx.t, scanImage, `SELECT `+imageColumns+` FROM images i
		WHERE i.id = $1 AND i.account_id = $2 AND i.type = 'custom' AND i.status = 'deleted'`, id, account))
}

// AnyImage reads an image whosever it is and however it stands: a Droplet may
// be made from one that is deleted by now.
func (tx *Tx) AnyImage(id int64) (cloud.Image, error) {
	return found(database.One(tx.t, scanImage, `SELECT `+imageColumns+` FROM images i WHERE i.id = $1`, id))
}

// LockAnyImage is AnyImage for one that the transaction is about to change, or to
// hold for an operation: who gives it away waits.
func (tx *Tx) LockAnyImage(id int64) (cloud.Image, error) {
	if _, err := database.All(tx.t, database.Value[int64], `SELECT id FROM images WHERE id = $1`+tx.t.ForUpdate(), id); err != nil {
		return cloud.Image{}, err
	}
	return tx.AnyImage(id)
}

// ImageBySlug reads an image of the catalogue.
func (tx *Tx) ImageBySlug(slug string) (cloud.Image, error) {
	if base, ok := tx.base.bySlug[slug]; ok {
		return base, nil
	}
	return found(database.One(tx.t, scanImage, `SELECT `+imageColumns+` FROM images i
		WHERE i.slug = $1 AND i.slug <> '' AND `+shownImage, slug))
}

// Images lists images, those of the catalogue first, each by ID.
func (tx *Tx) Images(account int64, f cloud.ImageFilter, p cloud.Page) ([]cloud.Image, int64, error) {
	var w filter
	w.add(shownImage + ` AND i.status <> 'retired'`)
	if f.Private {
		w.add(`i.account_id = ?`, account)
	} else {
		w.add(`i.account_id IN (0, ?)`, account)
	}
	if f.Kind != "" {
		w.add(`i.kind = ?`, f.Kind)
	}
	if f.Tag != "" {
		w.add(taggedBy(cloud.KindImage, "CAST(i.id AS TEXT)"), account, f.Tag)
	}
	return page(tx, scanImage, w, `SELECT `+imageColumns, ` FROM images i`,
		` ORDER BY CASE WHEN i.account_id = 0 THEN 0 ELSE 1 END, i.id`, p)
}

// DropletImages lists the snapshots or backups made from a Droplet, by ID.
func (tx *Tx) DropletImages(account, droplet int64, kind cloud.ImageType, p cloud.Page) ([]cloud.Image, int64, error) {
	var w filter
	w.add(shownImage)
	w.add(`i.account_id = ?`, account)
	w.add(`i.source_droplet_id = ?`, droplet)
	w.add(`i.type = ?`, string(kind))
	return page(tx, scanImage, w, `SELECT `+imageColumns, ` FROM images i`, ` ORDER BY i.id`, p)
}

// PublishImage shows an image that is complete.
func (tx *Tx) PublishImage(id int64, sizeGigabytes float64) error {
	_, err := tx.t.Exec(`UPDATE images SET status = $1, size_gigabytes = $2 WHERE id = $3`,
		string(cloud.ImageAvailable), sizeGigabytes, id)
	return err
}

// SaveImage records everything of an image that may change.
func (tx *Tx) SaveImage(i cloud.Image) error {
	_, err := tx.t.Exec(`UPDATE images SET account_id = $1, name = $2, type = $3, distribution = $4, regions = $5,
		min_disk_size = $6, size_gigabytes = $7, description = $8, status = $9, source_droplet_id = $10, error = $11
		WHERE id = $12`,
		i.Account, i.Name, string(i.Type), i.Distribution, jsonText(i.Regions), i.MinDiskSize, i.SizeGigabytes,
		i.Description, string(i.Status), i.SourceDroplet, i.Error, i.ID)
	return err
}

// DropImage hides an image for good.
func (tx *Tx) DropImage(id int64) error {
	_, err := tx.t.Exec(`UPDATE images SET status = $1, delete_at = NULL WHERE id = $2`, string(cloud.ImageDeleted), id)
	if err != nil {
		return err
	}
	if err := tx.withdrawTransfer(id); err != nil {
		return err
	}
	return tx.untagAll(cloud.KindImage, cloud.FormatID(id))
}

// ForgetImage removes an image that never was complete.
func (tx *Tx) ForgetImage(id int64) error {
	_, err := tx.t.Exec(`DELETE FROM images WHERE id = $1 AND status = $2`, id, string(cloud.ImageCreating))
	return err
}

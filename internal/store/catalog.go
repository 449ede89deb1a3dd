package store

import (
	"context"
	"encoding/json"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// baseImages are the images of the catalogue, which are the same while a
// process lives.
type baseImages struct {
	byID   map[int64]cloud.Image
	bySlug map[string]cloud.Image
}

// KeepBaseImages reads the images of the catalogue once for all that follows.
func (db *DB) KeepBaseImages(ctx context.Context) error {
	base := baseImages{map[int64]cloud.Image{}, map[string]cloud.Image{}}
	err := db.Read(ctx, func(tx *Tx) error {
		images, err := database.All(tx.t, scanImage, `SELECT `+imageColumns+` FROM images i WHERE i.account_id = 0`)
		for _, i := range images {
			base.byID[i.ID] = i
			if i.Slug != "" {
				base.bySlug[i.Slug] = i
			}
		}
		return err
	})
	if err == nil {
		db.base.Store(&base)
	}
	return err
}

// SetCatalog makes the stored catalogue the given one. What the new one lacks
// is retired: it stays for what uses it and is offered no more.
func (tx *Tx) SetCatalog(c cloud.Catalog) error {
	if _, err := tx.t.Exec(`UPDATE regions SET retired = $1`, true); err != nil {
		return err
	}
	if _, err := tx.t.Exec(`UPDATE sizes SET retired = $1`, true); err != nil {
		return err
	}
	for i, region := range c.Regions {
		if err := tx.setCatalogRow("regions", region.Slug, i, region); err != nil {
			return err
		}
	}
	for i, size := range c.Sizes {
		if err := tx.setCatalogRow("sizes", size.Slug, i, size); err != nil {
			return err
		}
	}
	return tx.setBaseImages(c.Images)
}

func (tx *Tx) setCatalogRow(table, slug string, place int, row any) error {
	_, err := tx.t.Exec(`INSERT INTO `+table+` (slug, place, data, retired) VALUES ($1, $2, $3, $4)
		ON CONFLICT (slug) DO UPDATE SET place = $2, data = $3, retired = $4`,
		slug, int64(place), jsonText(row), false)
	return err
}

// setBaseImages gives slugs to the images that bear them now; the images that
// bore them before are retired.
func (tx *Tx) setBaseImages(images []cloud.BaseImage) error {
	if _, err := tx.t.Exec(`UPDATE images SET slug = '', status = $1 WHERE account_id = 0`,
		string(cloud.ImageRetired)); err != nil {
		return err
	}
	for _, i := range images {
		created, err := cloud.ParseTime(i.CreatedAt)
		if err != nil {
			return err
		}
		if _, err := tx.t.Exec(`INSERT INTO images (id, account_id, slug, name, type, kind, distribution, regions,
			min_disk_size, size_gigabytes, description, status, source_droplet_id, created_at)
			VALUES ($1, 0, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12)
			ON CONFLICT (id) DO UPDATE SET slug = $2, name = $3, kind = $5, distribution = $6, regions = $7,
			min_disk_size = $8, size_gigabytes = $9, description = $10, status = $11`,
			i.ID, i.Slug, i.Name, string(cloud.ImageBase), i.Kind, i.Distribution, jsonText(i.Regions),
			i.MinDiskSize, i.SizeGigabytes, i.Description, string(cloud.ImageAvailable), micros(created)); err != nil {
			return err
		}
	}
	return nil
}

// Catalog reads the regions and sizes, the retired ones after the others.
// Images are read where they are asked for.
func (tx *Tx) Catalog() (cloud.Catalog, error) {
	var c cloud.Catalog
	var err error
	if c.Regions, err = database.All(tx.t, scanRegion, `SELECT data, retired FROM regions ORDER BY retired, place, slug`); err != nil {
		return c, err
	}
	c.Sizes, err = database.All(tx.t, scanSize, `SELECT data, retired FROM sizes ORDER BY retired, place, slug`)
	return c, err
}

func scanRegion(row database.Scanner) (r cloud.Region, err error) {
	var data string
	var retired bool
	if err := row.Scan(&data, &retired); err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(data), &r); err != nil {
		return r, err
	}
	if retired {
		r.Retired, r.Available = true, false
	}
	return r, nil
}

func scanSize(row database.Scanner) (s cloud.Size, err error) {
	var data string
	var retired bool
	if err := row.Scan(&data, &retired); err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(data), &s); err != nil {
		return s, err
	}
	if retired {
		s.Retired, s.Available, s.Regions = true, false, []string{}
	}
	return s, nil
}

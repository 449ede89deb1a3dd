package store

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

var volumeColumns = `vo.id, vo.account_id, vo.name, vo.region, vo.description, vo.size_gigabytes,
	vo.filesystem_type, vo.filesystem_label, vo.droplet_id, vo.created_at,
	COALESCE((SELECT h.action_id FROM action_holds h WHERE h.kind = 'volume' AND h.id = vo.id), 0),
	` + tagsOf(cloud.KindVolume, "vo.id")

func scanVolume(row database.Scanner) (v cloud.Volume, err error) {
	var tags string
	err = row.Scan(&v.ID, &v.Account, &v.Name, &v.Region, &v.Description, &v.SizeGigabytes,
		&v.FilesystemType, &v.FilesystemLabel, &v.Droplet, moment{&v.CreatedAt}, &v.HeldBy, &tags)
	v.Tags = sorted(tags)
	return v, err
}

// AddVolume adds a volume that is not shown yet, and reports whether its name
// was free in the region.
func (tx *Tx) AddVolume(v cloud.Volume) (bool, error) {
	n, err := tx.t.Exec(`INSERT INTO volumes (id, account_id, name, region, description, size_gigabytes,
		filesystem_type, filesystem_label, droplet_id, ready, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10) ON CONFLICT (account_id, region, name) DO NOTHING`,
		v.ID, v.Account, v.Name, v.Region, v.Description, v.SizeGigabytes,
		v.FilesystemType, v.FilesystemLabel, false, micros(v.CreatedAt))
	return n > 0, err
}

// PublishVolume shows a volume that is complete.
func (tx *Tx) PublishVolume(id string) error {
	_, err := tx.t.Exec(`UPDATE volumes SET ready = $1 WHERE id = $2`, true, id)
	return err
}

// Volume reads a volume of the account.
func (tx *Tx) Volume(account int64, id string) (cloud.Volume, error) {
	return found(database.One(tx.t, scanVolume, `SELECT `+volumeColumns+` FROM volumes vo
		WHERE vo.id = $1 AND vo.account_id = $2 AND vo.ready`, id, account))
}

// LockVolume reads a volume that the transaction is about to begin something
// with.
func (tx *Tx) LockVolume(account int64, id string) (cloud.Volume, error) {
	if _, err := database.All(tx.t, database.Value[string],
		`SELECT id FROM volumes WHERE id = $1 AND account_id = $2`+tx.t.ForUpdate(), id, account); err != nil {
		return cloud.Volume{}, err
	}
	return tx.Volume(account, id)
}

// NewVolume reads a volume whether it is shown or not, for the operation that
// creates it.
func (tx *Tx) NewVolume(id string) (cloud.Volume, error) {
	return found(database.One(tx.t, scanVolume, `SELECT `+volumeColumns+` FROM volumes vo WHERE vo.id = $1`, id))
}

// Volumes lists volumes, oldest first.
func (tx *Tx) Volumes(account int64, f cloud.VolumeFilter, p cloud.Page) ([]cloud.Volume, int64, error) {
	var w filter
	w.add(`vo.ready`)
	w.add(`vo.account_id = ?`, account)
	if f.Name != "" {
		w.add(`vo.name = ?`, f.Name)
	}
	if f.Region != "" {
		w.add(`vo.region = ?`, f.Region)
	}
	if f.Droplet != 0 {
		w.add(`vo.droplet_id = ?`, f.Droplet)
	}
	return page(tx, scanVolume, w, `SELECT `+volumeColumns, ` FROM volumes vo`, ` ORDER BY vo.created_at, vo.id`, p)
}

// SetVolumeDroplet records where a volume is attached; 0 is nowhere.
func (tx *Tx) SetVolumeDroplet(id string, droplet int64) error {
	_, err := tx.t.Exec(`UPDATE volumes SET droplet_id = $1 WHERE id = $2`, droplet, id)
	return err
}

// SetVolumeSize records a volume's size.
func (tx *Tx) SetVolumeSize(id string, gigabytes int64) error {
	_, err := tx.t.Exec(`UPDATE volumes SET size_gigabytes = $1 WHERE id = $2`, gigabytes, id)
	return err
}

// DeleteVolume removes a volume. Its snapshots stay.
func (tx *Tx) DeleteVolume(id string) error {
	if err := tx.remove(countedVolumes, `id = $1`, id); err != nil {
		return err
	}
	return tx.untagAll(cloud.KindVolume, id)
}

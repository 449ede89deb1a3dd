package store

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

var volumeSnapshotColumns = `vs.id, vs.account_id, vs.volume_id, vs.name, vs.region, vs.min_disk_size,
	vs.size_gigabytes, vs.created_at, ` + tagsOf(cloud.KindVolumeSnapshot, "vs.id")

func scanVolumeSnapshot(row database.Scanner) (s cloud.VolumeSnapshot, err error) {
	var tags string
	err = row.Scan(&s.ID, &s.Account, &s.Volume, &s.Name, &s.Region, &s.MinDiskSize,
		&s.SizeGigabytes, moment{&s.CreatedAt}, &tags)
	s.Tags = sorted(tags)
	return s, err
}

// AddVolumeSnapshot adds a snapshot that is not shown yet, and reports whether
// its volume had none of that name.
func (tx *Tx) AddVolumeSnapshot(s cloud.VolumeSnapshot) (bool, error) {
	n, err := tx.t.Exec(`INSERT INTO volume_snapshots (id, account_id, volume_id, name, region, min_disk_size,
		size_gigabytes, ready, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (volume_id, name) DO NOTHING`,
		s.ID, s.Account, s.Volume, s.Name, s.Region, s.MinDiskSize, s.SizeGigabytes, false, micros(s.CreatedAt))
	return n > 0, err
}

// PublishVolumeSnapshot shows a snapshot that is complete.
func (tx *Tx) PublishVolumeSnapshot(id string, sizeGigabytes float64) error {
	_, err := tx.t.Exec(`UPDATE volume_snapshots SET ready = $1, size_gigabytes = $2 WHERE id = $3`,
		true, sizeGigabytes, id)
	return err
}

// VolumeSnapshot reads a volume snapshot of the account.
func (tx *Tx) VolumeSnapshot(account int64, id string) (cloud.VolumeSnapshot, error) {
	return found(database.One(tx.t, scanVolumeSnapshot, `SELECT `+volumeSnapshotColumns+` FROM volume_snapshots vs
		WHERE vs.id = $1 AND vs.account_id = $2 AND vs.ready`, id, account))
}

// VolumeSnapshots lists a volume's snapshots, oldest first. Those of a volume
// that is gone are found under its ID still.
func (tx *Tx) VolumeSnapshots(account int64, volume string, p cloud.Page) ([]cloud.VolumeSnapshot, int64, error) {
	var w filter
	w.add(`vs.ready`)
	w.add(`vs.account_id = ?`, account)
	w.add(`vs.volume_id = ?`, volume)
	return page(tx, scanVolumeSnapshot, w, `SELECT `+volumeSnapshotColumns, ` FROM volume_snapshots vs`,
		` ORDER BY vs.created_at, vs.id`, p)
}

// SnapshotsOfVolumes lists the snapshots of volumes, oldest first.
func (tx *Tx) SnapshotsOfVolumes(account int64, volumes []string) ([]cloud.VolumeSnapshot, error) {
	if len(volumes) == 0 {
		return []cloud.VolumeSnapshot{}, nil
	}
	var w filter
	w.add(`vs.ready`)
	w.add(`vs.account_id = ?`, account)
	addIn(&w, `vs.volume_id IN`, volumes)
	return database.All(tx.t, scanVolumeSnapshot, `SELECT `+volumeSnapshotColumns+` FROM volume_snapshots vs`+w.where()+
		` ORDER BY vs.created_at, vs.id`, w.args...)
}

// DeleteVolumeSnapshot removes a volume snapshot.
func (tx *Tx) DeleteVolumeSnapshot(id string) error {
	if _, err := tx.t.Exec(`DELETE FROM volume_snapshots WHERE id = $1`, id); err != nil {
		return err
	}
	return tx.untagAll(cloud.KindVolumeSnapshot, id)
}

// snapshotRows joins both kinds of snapshots into one list.
var snapshotRows = ` FROM (
	SELECT CAST(i.id AS TEXT) AS id, i.account_id AS account_id, i.name AS name, i.created_at AS created_at,
		i.regions AS regions, CAST(i.source_droplet_id AS TEXT) AS resource_id, 'droplet' AS resource_type,
		i.min_disk_size AS min_disk_size, i.size_gigabytes AS size_gigabytes,
		` + tagsOf(cloud.KindImage, "CAST(i.id AS TEXT)") + ` AS tags
	FROM images i WHERE i.type = 'snapshot' AND i.account_id <> 0 AND ` + shownImage + `
	UNION ALL
	SELECT vs.id, vs.account_id, vs.name, vs.created_at, '["' || vs.region || '"]', vs.volume_id, 'volume',
		vs.min_disk_size, vs.size_gigabytes, ` + tagsOf(cloud.KindVolumeSnapshot, "vs.id") + `
	FROM volume_snapshots vs WHERE vs.ready
) s`

func scanSnapshot(row database.Scanner) (s cloud.Snapshot, err error) {
	var tags string
	err = row.Scan(&s.ID, &s.Name, moment{&s.CreatedAt}, list[string]{&s.Regions}, &s.ResourceID, &s.ResourceType,
		&s.MinDiskSize, &s.SizeGigabytes, &tags)
	s.Tags = sorted(tags)
	return s, err
}

// Snapshots lists snapshots of Droplets and volumes together, oldest first. An
// empty kind is both; an empty region is all.
func (tx *Tx) Snapshots(account int64, kind cloud.Kind, region string, p cloud.Page) ([]cloud.Snapshot, int64, error) {
	var w filter
	w.add(`s.account_id = ?`, account)
	if kind != "" {
		w.add(`s.resource_type = ?`, string(kind))
	}
	if region != "" {
		// Not LIKE, which has wildcards, and on SQLite ignores case.
		w.add(`replace(s.regions, CAST(? AS TEXT), '') <> s.regions`, jsonText(region))
	}
	return page(tx, scanSnapshot, w,
		`SELECT s.id, s.name, s.created_at, s.regions, s.resource_id, s.resource_type,
		s.min_disk_size, s.size_gigabytes, s.tags`, snapshotRows, ` ORDER BY s.created_at, s.id`, p)
}

// Snapshot reads one snapshot of either kind.
func (tx *Tx) Snapshot(account int64, id string) (cloud.Snapshot, error) {
	return found(database.One(tx.t, scanSnapshot,
		`SELECT s.id, s.name, s.created_at, s.regions, s.resource_id, s.resource_type,
		s.min_disk_size, s.size_gigabytes, s.tags`+snapshotRows+` WHERE s.account_id = $1 AND s.id = $2`, account, id))
}

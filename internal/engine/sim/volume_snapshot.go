package sim

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// SnapshotVolume copies a volume. Nothing writes to simulated volumes, so the
// copy of one that began empty has size 0, as a fresh volume's has on the real
// cloud.
func (e *Engine) SnapshotVolume(ctx context.Context, w engine.Work, volume, snapshot engine.Ref) (engine.Progress, error) {
	c := e.call(w, "volume.snapshot", volume, snapshot)
	c.makes = thing{"sim_volume_snapshots", snapshot.ID}
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		there, err := c.makes.exists(t)
		if err == nil && !there {
			err = insertVolumeSnapshot(t, volume.ID, snapshot)
		}
		if err != nil {
			return engine.Progress{}, err
		}
		s, err := findVolumeSnapshot(t, snapshot.ID)
		return engine.Progress{SizeGigabytes: s.SizeGigabytes}, err
	}
	return e.do(ctx, c)
}

func insertVolumeSnapshot(t *database.Tx, volume string, snapshot engine.Ref) error {
	v, err := lockVolume(t, volume)
	if err != nil {
		return err
	}
	return one(t.Exec(`
		INSERT INTO sim_volume_snapshots (id, account, name, volume_gigabytes, size_gigabytes, destroyed)
		VALUES ($1, $2, $3, $4, $5, FALSE) ON CONFLICT (id) DO NOTHING`,
		snapshot.ID, snapshot.Account, snapshot.Name, v.SizeGigabytes, v.UsedGigabytes))
}

// DeleteVolumeSnapshot removes a snapshot, or makes sure that it never comes
// to be. Volumes that were made from it keep their content.
func (e *Engine) DeleteVolumeSnapshot(ctx context.Context, w engine.Work, snapshot engine.Ref) (engine.Progress, error) {
	c := e.call(w, "volume_snapshot.delete", snapshot)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		_, err := t.Exec(`
			INSERT INTO sim_volume_snapshots (id, account, name, volume_gigabytes, size_gigabytes, destroyed)
			VALUES ($1, $2, $3, 0, 0, TRUE) ON CONFLICT (id) DO UPDATE SET destroyed = TRUE`,
			snapshot.ID, snapshot.Account, snapshot.Name)
		return engine.Progress{}, err
	}
	return e.do(ctx, c)
}

func findVolumeSnapshot(t *database.Tx, id string) (VolumeSnapshot, error) {
	return found(database.One(t, scanVolumeSnapshot, selectVolumeSnapshots+" AND id = $1", id))
}

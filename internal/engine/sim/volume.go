package sim

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// CreateVolume makes a volume, empty or filled from a snapshot.
func (e *Engine) CreateVolume(ctx context.Context, w engine.Work, v engine.Volume) (engine.Progress, error) {
	c := e.call(w, "volume.create", v.Ref, v.Snapshot)
	c.makes = thing{"sim_volumes", v.ID}
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		there, err := c.makes.exists(t)
		if err == nil && !there {
			err = insertVolume(t, v)
		}
		return engine.Progress{}, err
	}
	return e.do(ctx, c)
}

func insertVolume(t *database.Tx, v engine.Volume) error {
	used, err := volumeContent(t, v)
	if err != nil {
		return err
	}
	return one(t.Exec(`
		INSERT INTO sim_volumes (id, account, name, region, size_gigabytes, used_gigabytes,
			filesystem_type, filesystem_label, machine, destroyed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', FALSE) ON CONFLICT (id) DO NOTHING`,
		v.ID, v.Account, v.Name, v.Region, v.SizeGigabytes, used, v.FilesystemType, v.FilesystemLabel))
}

// volumeContent returns how much of a new volume is in use: nothing, or all
// that the snapshot held.
func volumeContent(t *database.Tx, v engine.Volume) (float64, error) {
	if v.Snapshot.ID == "" {
		return 0, nil
	}
	s, err := findVolumeSnapshot(t, v.Snapshot.ID)
	if err == nil && s.VolumeGigabytes > v.SizeGigabytes {
		err = refuse("snapshot %s needs a volume of %d GiB and this one has %d", s.ID, s.VolumeGigabytes, v.SizeGigabytes)
	}
	return s.SizeGigabytes, err
}

// ResizeVolume makes a volume larger, attached or not.
func (e *Engine) ResizeVolume(ctx context.Context, w engine.Work, volume engine.Ref, size int64) (engine.Progress, error) {
	c := e.call(w, "volume.resize", volume)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		v, err := lockVolume(t, volume.ID)
		if err == nil && size < v.SizeGigabytes {
			err = refuse("volume %s has %d GiB and cannot shrink to %d", v.ID, v.SizeGigabytes, size)
		}
		if err != nil {
			return engine.Progress{}, err
		}
		return changed(t.Exec("UPDATE sim_volumes SET size_gigabytes = $1 WHERE id = $2", size, v.ID))
	}
	return e.do(ctx, c)
}

// DeleteVolume removes a volume that is attached nowhere, or makes sure that
// it never comes to be.
func (e *Engine) DeleteVolume(ctx context.Context, w engine.Work, volume engine.Ref) (engine.Progress, error) {
	c := e.call(w, "volume.delete", volume)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		n, err := t.Exec(`
			INSERT INTO sim_volumes (id, account, name, region, size_gigabytes, used_gigabytes,
				filesystem_type, filesystem_label, machine, destroyed)
			VALUES ($1, $2, $3, '', 0, 0, '', '', '', TRUE)
			ON CONFLICT (id) DO UPDATE SET destroyed = TRUE WHERE sim_volumes.machine = ''`,
			volume.ID, volume.Account, volume.Name)
		if err != nil || n > 0 {
			return engine.Progress{}, err
		}
		v, err := lockVolume(t, volume.ID)
		if err == nil {
			err = refuse("the volume is attached to machine %s", v.Machine)
		}
		return engine.Progress{}, err
	}
	return e.do(ctx, c)
}

// AttachVolume attaches a volume to a machine, running or not.
func (e *Engine) AttachVolume(ctx context.Context, w engine.Work, volume, machine engine.Ref) (engine.Progress, error) {
	c := e.call(w, "volume.attach", volume, machine)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		m, err := lockMachine(t, machine.ID)
		if err != nil {
			return engine.Progress{}, err
		}
		v, err := lockVolume(t, volume.ID)
		switch {
		case err != nil, v.Machine == m.ID:
			return engine.Progress{}, err
		case v.Machine != "":
			return engine.Progress{}, refuse("the volume is attached to machine %s", v.Machine)
		case v.Region != m.Region:
			return engine.Progress{}, refuse("volume %s is in %s and machine %s in %s", v.ID, v.Region, m.ID, m.Region)
		}
		return changed(t.Exec("UPDATE sim_volumes SET machine = $1 WHERE id = $2", m.ID, v.ID))
	}
	return e.do(ctx, c)
}

// DetachVolume frees a volume from one machine. A volume that is not attached
// to it is left alone, so that a late detach cannot undo a newer attach.
func (e *Engine) DetachVolume(ctx context.Context, w engine.Work, volume, machine engine.Ref) (engine.Progress, error) {
	c := e.call(w, "volume.detach", volume, machine)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		_, err := t.Exec("UPDATE sim_volumes SET machine = '' WHERE id = $1 AND machine = $2", volume.ID, machine.ID)
		return engine.Progress{}, err
	}
	return e.do(ctx, c)
}

func lockVolume(t *database.Tx, id string) (Volume, error) {
	return found(database.One(t, scanVolume, selectVolumes+" AND id = $1"+t.ForUpdate(), id))
}

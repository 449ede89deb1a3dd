package qemu

import (
	"context"
	"path/filepath"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// volumeSnapshot is what the records hold of a snapshot of a volume.
type volumeSnapshot struct {
	engine.Ref
	VolumeGigabytes int64   `json:"volume_gigabytes"`
	SizeGigabytes   float64 `json:"size_gigabytes"`
}

func (s volumeSnapshot) save(t *database.Tx) error { return save(t, snapshots, s.ID, "", s) }

// SnapshotVolume copies a volume as it is at one instant, whether a machine
// writes to it or not.
func (e *Engine) SnapshotVolume(ctx context.Context, w engine.Work, ref, snapshot engine.Ref) (engine.Progress, error) {
	return e.do(ctx, call{
		work: w, locks: []string{snapshotLock(snapshot.ID)}, makes: snapshots, id: snapshot.ID,
		run: func(ctx context.Context, j *job) (effect, error) {
			if s, err := look[volumeSnapshot](ctx, e, snapshots, snapshot.ID); err == nil {
				return effect{progress: engine.Progress{SizeGigabytes: s.SizeGigabytes}}, nil
			}
			v, unlock, err := e.lockVolume(ctx, ref.ID, diskLock)
			if err != nil {
				return effect{}, err
			}
			j.atEnd = append(j.atEnd, unlock)
			return e.takeSnapshot(ctx, j, v, snapshot)
		},
	})
}

func (e *Engine) takeSnapshot(ctx context.Context, j *job, v volume, ref engine.Ref) (effect, error) {
	dir := e.folder(snapshots, ref.ID)
	if err := emptyFolder(dir); err != nil {
		return effect{}, err
	}
	to := filepath.Join(dir, diskFile)
	vm, err := e.process(v.Machine)
	if err != nil {
		return effect{}, err
	}
	if vm != nil {
		err = e.copyLive(ctx, j, vm, v.node(), v.SizeGigabytes*gibibyte, to)
	} else {
		err = e.copyFile(ctx, e.folder(volumes, v.ID), volumeFile, "raw", to)
	}
	if err == nil {
		err = e.finish(dir)
	}
	if err != nil {
		return effect{}, err
	}
	bytes, err := allocated(to)
	s := volumeSnapshot{Ref: ref, VolumeGigabytes: v.SizeGigabytes, SizeGigabytes: gigabytes(bytes)}
	return effect{record: s.save, progress: engine.Progress{SizeGigabytes: s.SizeGigabytes}}, err
}

// DeleteVolumeSnapshot removes a snapshot, or makes sure that it never comes to
// be. Volumes that were made from it are copies.
func (e *Engine) DeleteVolumeSnapshot(ctx context.Context, w engine.Work, ref engine.Ref) (engine.Progress, error) {
	return e.do(ctx, e.deletion(w, snapshots, ref.ID))
}

package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

var volumeSnapshot = op.Define("volume.snapshot",
	op.Step[*Plane, snapshotArgs]{
		Name: "copy", Do: (*Plane).copyVolume, Undo: (*Plane).dropVolumeCopy, Save: (*Plane).publishVolumeSnapshot,
	},
).Failed((*Plane).forgetVolumeSnapshot)

var volumeSnapshotDelete = op.Define("volume_snapshot.delete",
	op.Step[*Plane, snapshotArgs]{Name: "delete", Do: (*Plane).deleteVolumeCopy, Save: (*Plane).saveVolumeSnapshotGone})

type snapshotArgs struct {
	Snapshot string `json:"snapshot"`
	Name     string `json:"name"`
	Volume   string `json:"volume,omitempty"`
}

func (a snapshotArgs) ref(account int64) engine.Ref {
	return engine.Ref{Account: account, ID: a.Snapshot, Name: a.Name}
}

// SnapshotVolume copies a volume and returns the snapshot when it is complete.
func (p *Plane) SnapshotVolume(ctx context.Context, who cloud.Actor, volume, name string, tags []string) (snapshot cloud.VolumeSnapshot, err error) {
	action, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return snapshot, err
	}
	id := cloud.NewUUID()
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(who.Account); err != nil {
			return err
		}
		v, err := tx.LockVolume(who.Account, volume)
		if err != nil {
			return err
		}
		if err := cloud.CheckImageName(name); err != nil {
			return err
		}
		if err := cloud.CheckTags(tags); err != nil {
			return err
		}
		s := cloud.VolumeSnapshot{
			ID: id, Account: who.Account, Volume: v.ID, Name: name, Region: v.Region,
			MinDiskSize: v.SizeGigabytes, CreatedAt: tx.Now,
		}
		added, err := tx.AddVolumeSnapshot(s)
		if err != nil {
			return err
		}
		if !added {
			return cloud.Conflict("a snapshot named %s already exists for this volume", name)
		}
		if _, err := tx.Tag(who.Account, s.Ref(), tags); err != nil {
			return err
		}
		_, err = begin(tx, p, volumeSnapshot, op.New{
			ID: action, Account: who.Account, About: s.Ref(), Holds: []cloud.Ref{v.Ref(), s.Ref()},
		}, snapshotArgs{Snapshot: id, Name: name, Volume: v.ID})
		return err
	})
	if err != nil {
		return snapshot, err
	}
	if err := p.await(ctx, action); err != nil {
		return snapshot, err
	}
	return p.VolumeSnapshot(ctx, who, id)
}

// VolumeSnapshot reads a volume snapshot.
func (p *Plane) VolumeSnapshot(ctx context.Context, who cloud.Actor, id string) (snapshot cloud.VolumeSnapshot, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		snapshot, err = tx.VolumeSnapshot(who.Account, id)
		return err
	})
	return snapshot, err
}

// VolumeSnapshots lists the snapshots of a volume that exists.
func (p *Plane) VolumeSnapshots(ctx context.Context, who cloud.Actor, volume string, page cloud.Page) (snapshots []cloud.VolumeSnapshot, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if _, err := tx.Volume(who.Account, volume); err != nil {
			return err
		}
		snapshots, total, err = tx.VolumeSnapshots(who.Account, volume, page)
		return err
	})
	return snapshots, total, err
}

// DeleteVolumeSnapshot deletes a volume snapshot and returns when it is gone.
func (p *Plane) DeleteVolumeSnapshot(ctx context.Context, who cloud.Actor, id string) error {
	action, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		s, err := tx.VolumeSnapshot(who.Account, id)
		if err != nil {
			return err
		}
		_, err = begin(tx, p, volumeSnapshotDelete, op.New{
			ID: action, Account: who.Account, About: s.Ref(), Holds: []cloud.Ref{s.Ref()},
		}, snapshotArgs{Snapshot: id, Name: s.Name})
		return err
	})
	if err != nil {
		return err
	}
	return p.await(ctx, action)
}

// Snapshots lists snapshots of Droplets and volumes.
func (p *Plane) Snapshots(ctx context.Context, who cloud.Actor, kind cloud.Kind, region string, page cloud.Page) (snapshots []cloud.Snapshot, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		snapshots, total, err = tx.Snapshots(who.Account, kind, region, page)
		return err
	})
	return snapshots, total, err
}

// Snapshot reads a snapshot of either kind. The number of an image that is no
// snapshot is told apart from one that is nothing.
func (p *Plane) Snapshot(ctx context.Context, who cloud.Actor, id string) (snapshot cloud.Snapshot, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		snapshot, err = tx.Snapshot(who.Account, id)
		if !cloud.IsNotFound(err) {
			return err
		}
		if number, ok := cloud.ParseID(id); ok {
			if _, e := tx.Image(who.Account, number); e == nil {
				return cloud.Errorf(cloud.CodeBadRequest, "the resource is not a snapshot")
			}
		}
		return err
	})
	return snapshot, err
}

// DeleteSnapshot deletes a snapshot of either kind and returns when it is gone.
func (p *Plane) DeleteSnapshot(ctx context.Context, who cloud.Actor, id string) error {
	snapshot, err := p.Snapshot(ctx, who, id)
	if err != nil {
		return err
	}
	if number, ok := cloud.ParseID(id); ok && snapshot.ResourceType == cloud.KindDroplet {
		return p.DeleteImage(ctx, who, number)
	}
	return p.DeleteVolumeSnapshot(ctx, who, id)
}

func (p *Plane) copyVolume(ctx context.Context, run *op.Run[snapshotArgs]) error {
	v, err := p.readVolume(ctx, run.Args.Volume)
	if err != nil {
		return err
	}
	progress, err := p.engine.SnapshotVolume(ctx, do(run), volumeRef(v), run.Args.ref(run.Account))
	run.Keep(progress.SizeGigabytes)
	return work(progress, err)
}

func (p *Plane) dropVolumeCopy(ctx context.Context, run *op.Run[snapshotArgs]) error {
	return work(p.engine.DeleteVolumeSnapshot(ctx, undo(run), run.Args.ref(run.Account)))
}

func (p *Plane) publishVolumeSnapshot(tx *store.Tx, run *op.Run[snapshotArgs]) error {
	size, _ := run.Kept().(float64)
	return tx.PublishVolumeSnapshot(run.Args.Snapshot, size)
}

func (p *Plane) forgetVolumeSnapshot(tx *store.Tx, run *op.Run[snapshotArgs]) error {
	return tx.DeleteVolumeSnapshot(run.Args.Snapshot)
}

func (p *Plane) deleteVolumeCopy(ctx context.Context, run *op.Run[snapshotArgs]) error {
	return work(p.engine.DeleteVolumeSnapshot(ctx, do(run), run.Args.ref(run.Account)))
}

func (p *Plane) saveVolumeSnapshotGone(tx *store.Tx, run *op.Run[snapshotArgs]) error {
	return tx.DeleteVolumeSnapshot(run.Args.Snapshot)
}

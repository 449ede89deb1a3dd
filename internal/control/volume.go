package control

import (
	"context"
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// A volume appears when it is complete, and a create that fails leaves nothing.
var volumeCreate = op.Define("volume.create",
	op.Step[*Plane, volumeArgs]{Name: "create", Do: (*Plane).createDisk, Undo: (*Plane).dropDisk, Save: (*Plane).publishVolume},
).Failed((*Plane).forgetVolume)

var volumeDelete = op.Define("volume.delete",
	op.Step[*Plane, volumeArgs]{Name: "delete", Do: (*Plane).deleteVolume, Save: (*Plane).saveVolumeGone})

type volumeArgs struct {
	Volume   string `json:"volume"`
	Name     string `json:"name"`
	Snapshot string `json:"snapshot,omitempty"`
}

// NewVolume is a request for a volume.
type NewVolume struct {
	cloud.Volume
	Snapshot string // the volume snapshot to fill it from, if any
}

// CreateVolume creates a volume and returns it when it is ready.
func (p *Plane) CreateVolume(ctx context.Context, who cloud.Actor, n NewVolume) (cloud.Volume, error) {
	action, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return cloud.Volume{}, err
	}
	bounds, err := p.readBounds(ctx)
	if err != nil {
		return cloud.Volume{}, err
	}
	id := cloud.NewUUID()
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		v := n.Volume
		v.ID, v.Account, v.CreatedAt = id, who.Account, tx.Now
		if err := p.addVolume(tx, v, n.Snapshot, bounds); err != nil {
			return err
		}
		_, err := begin(tx, p, volumeCreate, op.New{
			ID: action, Account: who.Account, About: v.Ref(), Holds: []cloud.Ref{v.Ref()},
		}, volumeArgs{Volume: v.ID, Name: v.Name, Snapshot: n.Snapshot})
		return err
	})
	if err != nil {
		return cloud.Volume{}, err
	}
	if err := p.await(ctx, action); err != nil {
		return cloud.Volume{}, err
	}
	return p.Volume(ctx, who, id)
}

// addVolume checks a new volume and adds it, not yet shown.
func (p *Plane) addVolume(tx *store.Tx, v cloud.Volume, snapshot string, bounds bounds) error {
	if err := p.fillFromSnapshot(tx, &v, snapshot); err != nil {
		return err
	}
	region, err := p.volumeRegion(v.Region)
	if err != nil {
		return err
	}
	v.Region = region.Slug
	if err := v.Check(); err != nil {
		return err
	}
	if err := cloud.CheckTags(v.Tags); err != nil {
		return err
	}
	if err := checkVolumeLimit(tx, v.Account); err != nil {
		return err
	}
	if err := bounds.more(tx, 0, v.SizeGigabytes); err != nil {
		return err
	}
	added, err := tx.AddVolume(v)
	if err != nil {
		return err
	}
	if !added {
		return cloud.Conflict("failed to create volume: volume %s in %s already exists", v.Name, v.Region)
	}
	_, err = tx.Tag(v.Account, v.Ref(), v.Tags)
	return err
}

// fillFromSnapshot gives a volume the region and at least the size of the
// snapshot that it is made from.
func (p *Plane) fillFromSnapshot(tx *store.Tx, v *cloud.Volume, id string) error {
	if id == "" {
		return nil
	}
	snapshot, err := tx.VolumeSnapshot(v.Account, id)
	if cloud.IsNotFound(err) {
		return cloud.Invalid("snapshot %s does not exist", id)
	}
	if err != nil {
		return err
	}
	if v.Region == "" {
		v.Region = snapshot.Region
	}
	if v.SizeGigabytes == 0 {
		v.SizeGigabytes = snapshot.MinDiskSize
	}
	switch {
	case v.SizeGigabytes < snapshot.MinDiskSize:
		return cloud.Invalid("size_gigabytes must be at least the snapshot's, %d", snapshot.MinDiskSize)
	case !strings.EqualFold(v.Region, snapshot.Region):
		return cloud.Invalid("the snapshot is in %s, not in %s", snapshot.Region, v.Region)
	}
	return nil
}

func (p *Plane) volumeRegion(slug string) (cloud.Region, error) {
	region, err := p.openRegion(slug, slug)
	if err == nil && !region.Has("storage") {
		err = cloud.Invalid("Storage is not supported for this region")
	}
	return region, err
}

func checkVolumeLimit(tx *store.Tx, account int64) error {
	within, err := tx.CountVolume(account)
	if err == nil && !within {
		err = cloud.Forbidden("failed to create volume: volume/snapshot capacity limit exceeded")
	}
	return err
}

// Volume reads a volume.
func (p *Plane) Volume(ctx context.Context, who cloud.Actor, id string) (volume cloud.Volume, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		volume, err = tx.Volume(who.Account, id)
		return err
	})
	return volume, err
}

// Volumes lists volumes, oldest first.
func (p *Plane) Volumes(ctx context.Context, who cloud.Actor, f cloud.VolumeFilter, page cloud.Page) (volumes []cloud.Volume, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		volumes, total, err = tx.Volumes(who.Account, f, page)
		return err
	})
	return volumes, total, err
}

// VolumeNamed finds the ID of the volume of a name in a region.
func (p *Plane) VolumeNamed(ctx context.Context, who cloud.Actor, name, region string) (id string, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) error {
		f := cloud.VolumeFilter{Name: name, Region: strings.ToLower(region)}
		named, _, err := tx.Volumes(who.Account, f, cloud.Page{Limit: 1})
		if err == nil && len(named) == 0 {
			err = cloud.NotFound()
		}
		if err != nil {
			return err
		}
		id = named[0].ID
		return nil
	})
	return id, err
}

// DeleteVolume deletes a volume that is attached nowhere and returns when it is
// gone. Its snapshots stay.
func (p *Plane) DeleteVolume(ctx context.Context, who cloud.Actor, id string) error {
	action, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		v, err := tx.LockVolume(who.Account, id)
		if err != nil {
			return err
		}
		if v.Droplet != 0 {
			return cloud.Conflict("failed to delete volume: attached volume cannot be deleted")
		}
		_, err = begin(tx, p, volumeDelete, op.New{
			ID: action, Account: who.Account, About: v.Ref(), Holds: []cloud.Ref{v.Ref()},
		}, volumeArgs{Volume: v.ID, Name: v.Name})
		return err
	})
	if err != nil {
		return err
	}
	return p.await(ctx, action)
}

// findVolume reads a volume by its ID, or by its name in a region.
func findVolume(tx *store.Tx, account int64, idOrName, region string) (cloud.Volume, error) {
	if idOrName == "" { // which a list takes for any name
		return cloud.Volume{}, cloud.NotFound()
	}
	if cloud.IsUUID(idOrName) {
		return tx.LockVolume(account, idOrName)
	}
	named, _, err := tx.Volumes(account, cloud.VolumeFilter{Name: idOrName, Region: region}, cloud.Page{Limit: 1})
	if err != nil {
		return cloud.Volume{}, err
	}
	if len(named) == 0 {
		return cloud.Volume{}, cloud.NotFound()
	}
	return tx.LockVolume(account, named[0].ID)
}

// readVolume reads an operation's volume as it is now, shown or not.
func (p *Plane) readVolume(ctx context.Context, id string) (volume cloud.Volume, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		volume, err = tx.NewVolume(id)
		return err
	})
	return volume, err
}

// volumeRef is how the engine knows a volume.
func volumeRef(v cloud.Volume) engine.Ref {
	return engine.Ref{Account: v.Account, ID: v.ID, Name: v.Name}
}

func (a volumeArgs) ref(account int64) engine.Ref {
	return engine.Ref{Account: account, ID: a.Volume, Name: a.Name}
}

func (p *Plane) createDisk(ctx context.Context, run *op.Run[volumeArgs]) error {
	v, err := p.readVolume(ctx, run.Args.Volume)
	if err != nil {
		return err
	}
	return work(p.engine.CreateVolume(ctx, do(run), engine.Volume{
		Ref: volumeRef(v), Region: v.Region, SizeGigabytes: v.SizeGigabytes,
		FilesystemType: v.FilesystemType, FilesystemLabel: v.FilesystemLabel,
		Snapshot: engine.Ref{Account: v.Account, ID: run.Args.Snapshot},
	}))
}

func (p *Plane) dropDisk(ctx context.Context, run *op.Run[volumeArgs]) error {
	return work(p.engine.DeleteVolume(ctx, undo(run), run.Args.ref(run.Account)))
}

func (p *Plane) publishVolume(tx *store.Tx, run *op.Run[volumeArgs]) error {
	return tx.PublishVolume(run.Args.Volume)
}

func (p *Plane) forgetVolume(tx *store.Tx, run *op.Run[volumeArgs]) error {
	return tx.DeleteVolume(run.Args.Volume)
}

func (p *Plane) deleteVolume(ctx context.Context, run *op.Run[volumeArgs]) error {
	return work(p.engine.DeleteVolume(ctx, do(run), run.Args.ref(run.Account)))
}

func (p *Plane) saveVolumeGone(tx *store.Tx, run *op.Run[volumeArgs]) error {
	return tx.DeleteVolume(run.Args.Volume)
}

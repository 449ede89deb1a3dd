package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
)

var snapshotRoutes = []route{
	get("/v2/snapshots", (*Server).listSnapshots, "snapshot:read"),
	get("/v2/snapshots/{snapshot_id}", (*Server).getSnapshot, "snapshot:read", "block_storage_snapshot:read"),
	del("/v2/snapshots/{snapshot_id}", (*Server).deleteSnapshot, "image:delete", "snapshot:delete"),
}

var volumeSnapshotRoutes = []route{
	get("/v2/volumes/{volume_id}/snapshots", (*Server).listVolumeSnapshots, "block_storage_snapshot:read"),
	post("/v2/volumes/{volume_id}/snapshots", (*Server).snapshotVolume, "block_storage_snapshot:create"),
	get("/v2/volumes/snapshots/{snapshot_id}", (*Server).getVolumeSnapshot, "block_storage_snapshot:read"),
	del("/v2/volumes/snapshots/{snapshot_id}", (*Server).deleteVolumeSnapshot, "block_storage_snapshot:delete"),
}

type wireSnapshot struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	CreatedAt     string   `json:"created_at"`
	Regions       []string `json:"regions"`
	ResourceID    string   `json:"resource_id"`
	ResourceType  string   `json:"resource_type"`
	MinDiskSize   int64    `json:"min_disk_size"`
	SizeGigabytes float64  `json:"size_gigabytes"`
	Tags          []string `json:"tags"`
}

type snapshotBody struct {
	Snapshot wireSnapshot `json:"snapshot"`
}

type snapshotsBody struct {
	Snapshots []wireSnapshot `json:"snapshots"`
	Links     wireLinks      `json:"links"`
	Meta      wireMeta       `json:"meta"`
}

func (v view) snapshot(s cloud.Snapshot) wireSnapshot {
	return wireSnapshot{
		s.ID, s.Name, stamp(s.CreatedAt), list(true, s.Regions), s.ResourceID, string(s.ResourceType),
		s.MinDiskSize, s.SizeGigabytes, list(v.sees("tag:read"), s.Tags),
	}
}

func (v view) volumeSnapshot(s cloud.VolumeSnapshot) wireSnapshot {
	return v.snapshot(cloud.Snapshot{
		ID: s.ID, Name: s.Name, CreatedAt: s.CreatedAt, Regions: []string{s.Region}, ResourceID: s.Volume,
		ResourceType: cloud.KindVolume, MinDiskSize: s.MinDiskSize, SizeGigabytes: s.SizeGigabytes, Tags: s.Tags,
	})
}

func (s *Server) listSnapshots(c *call) (*reply, error) {
	kind := cloud.Kind(c.query("resource_type"))
	switch kind {
	case "", cloud.KindDroplet, cloud.KindVolume:
	default:
		return nil, cloud.Invalid("resource_type must be droplet or volume")
	}
	p := c.paging()
	snapshots, total, err := s.plane.Snapshots(c.Context(), c.Actor, kind, c.region(), p.page())
	if err != nil {
		return nil, err
	}
	return ok(snapshotsBody{each(snapshots, c.view().snapshot), c.links(p, total), wireMeta{total}}), nil
}

func (s *Server) getSnapshot(c *call) (*reply, error) {
	snapshot, err := s.plane.Snapshot(c.Context(), c.Actor, c.identifier("snapshot_id"))
	if err != nil {
		return nil, err
	}
	return ok(snapshotBody{c.view().snapshot(snapshot)}), nil
}

func (s *Server) deleteSnapshot(c *call) (*reply, error) {
	return noContent(), s.plane.DeleteSnapshot(c.Context(), c.Actor, c.identifier("snapshot_id"))
}

func (s *Server) listVolumeSnapshots(c *call) (*reply, error) {
	id, err := c.uuid("volume_id")
	if err != nil {
		return nil, err
	}
	p := c.paging()
	snapshots, total, err := s.plane.VolumeSnapshots(c.Context(), c.Actor, id, p.page())
	if err != nil {
		return nil, err
	}
	return ok(snapshotsBody{each(snapshots, c.view().volumeSnapshot), c.links(p, total), wireMeta{total}}), nil
}

type volumeSnapshotRequest struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

func (s *Server) snapshotVolume(c *call) (*reply, error) {
	id, err := c.uuid("volume_id")
	if err != nil {
		return nil, err
	}
	var in volumeSnapshotRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := c.requireTags(in.Tags); err != nil {
		return nil, err
	}
	snapshot, err := s.plane.SnapshotVolume(c.Context(), c.Actor, id, in.Name, in.Tags)
	if err != nil {
		return nil, err
	}
	return created(snapshotBody{c.view().volumeSnapshot(snapshot)}), nil
}

// requireTags asks for the scope that putting tags on something takes, and
// that there are not too many.
func (c *call) requireTags(tags []string) error {
	if len(tags) == 0 {
		return nil
	}
	if err := c.Actor.Require("tag:create"); err != nil {
		return err
	}
	return checkListed("tags", len(tags))
}

func (s *Server) getVolumeSnapshot(c *call) (*reply, error) {
	id, err := c.uuid("snapshot_id")
	if err != nil {
		return nil, err
	}
	snapshot, err := s.plane.VolumeSnapshot(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	return ok(snapshotBody{c.view().volumeSnapshot(snapshot)}), nil
}

func (s *Server) deleteVolumeSnapshot(c *call) (*reply, error) {
	id, err := c.uuid("snapshot_id")
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.DeleteVolumeSnapshot(c.Context(), c.Actor, id)
}

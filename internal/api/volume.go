package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
)

var volumeRoutes = []route{
	get("/v2/volumes", (*Server).listVolumes, "block_storage:read"),
	post("/v2/volumes", (*Server).createVolume, "block_storage:create"),
	get("/v2/volumes/{volume_id}", (*Server).getVolume, "block_storage:read"),
	del("/v2/volumes", (*Server).deleteVolumeByName, "block_storage:delete"),
	del("/v2/volumes/{volume_id}", (*Server).deleteVolume, "block_storage:delete"),
}

type wireVolume struct {
	ID              string      `json:"id"`
	Region          *wireRegion `json:"region"`
	DropletIDs      []int64     `json:"droplet_ids"`
	Name            string      `json:"name"`
	Description     string      `json:"description"`
	SizeGigabytes   int64       `json:"size_gigabytes"`
	FilesystemType  string      `json:"filesystem_type"`
	FilesystemLabel string      `json:"filesystem_label"`
	CreatedAt       string      `json:"created_at"`
	Tags            []string    `json:"tags"`
}

type volumeBody struct {
	Volume wireVolume `json:"volume"`
}

func (v view) volume(vo cloud.Volume) wireVolume {
	droplets := []int64{}
	if vo.Droplet != 0 && v.sees("droplet:read") {
		droplets = append(droplets, vo.Droplet)
	}
	return wireVolume{
		vo.ID, v.region(vo.Region), droplets, vo.Name, vo.Description, vo.SizeGigabytes,
		vo.FilesystemType, vo.FilesystemLabel, stamp(vo.CreatedAt), list(v.sees("tag:read"), vo.Tags),
	}
}

func (s *Server) listVolumes(c *call) (*reply, error) {
	f := cloud.VolumeFilter{Name: c.query("name"), Region: c.region()}
	p := c.paging()
	volumes, total, err := s.plane.Volumes(c.Context(), c.Actor, f, p.page())
	if err != nil {
		return nil, err
	}
	return ok(struct {
		Volumes []wireVolume `json:"volumes"`
		Links   wireLinks    `json:"links"`
		Meta    wireMeta     `json:"meta"`
	}{each(volumes, c.view().volume), c.links(p, total), wireMeta{total}}), nil
}

// region reads the region that a list is filtered by, in whatever case it is
// written.
func (c *call) region() string {
	slug := c.query("region")
	if region, ok := c.server.plane.Catalog().Region(slug); ok {
		return region.Slug
	}
	return slug
}

type volumeRequest struct {
	Name            string     `json:"name"`
	Description     string     `json:"description"`
	Region          string     `json:"region"`
	SizeGigabytes   integer    `json:"size_gigabytes"`
	FilesystemType  string     `json:"filesystem_type"`
	FilesystemLabel string     `json:"filesystem_label"`
	SnapshotID      identifier `json:"snapshot_id"`
	Tags            []string   `json:"tags"`
}

func (s *Server) createVolume(c *call) (*reply, error) {
	var in volumeRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := c.requireTags(in.Tags); err != nil {
		return nil, err
	}
	volume, err := s.plane.CreateVolume(c.Context(), c.Actor, control.NewVolume{
		Volume: cloud.Volume{
			Name: in.Name, Description: in.Description, Region: in.Region, SizeGigabytes: int64(in.SizeGigabytes),
			FilesystemType: in.FilesystemType, FilesystemLabel: in.FilesystemLabel, Tags: in.Tags,
		},
		Snapshot: string(in.SnapshotID),
	})
	if err != nil {
		return nil, err
	}
	return created(volumeBody{c.view().volume(volume)}), nil
}

func (s *Server) getVolume(c *call) (*reply, error) {
	id, err := c.uuid("volume_id")
	if err != nil {
		return nil, err
	}
	volume, err := s.plane.Volume(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	return ok(volumeBody{c.view().volume(volume)}), nil
}

func (s *Server) deleteVolume(c *call) (*reply, error) {
	id, err := c.uuid("volume_id")
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.DeleteVolume(c.Context(), c.Actor, id)
}

// deleteVolumeByName deletes the volume of a name in a region.
func (s *Server) deleteVolumeByName(c *call) (*reply, error) {
	if c.query("name") == "" || c.query("region") == "" {
		return nil, cloud.Invalid("name and region are required")
	}
	id, err := s.plane.VolumeNamed(c.Context(), c.Actor, c.query("name"), c.region())
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.DeleteVolume(c.Context(), c.Actor, id)
}

package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
)

var volumeActionRoutes = []route{
	get("/v2/volumes/{volume_id}/actions", (*Server).listVolumeActions, "block_storage_action:read"),
	post("/v2/volumes/{volume_id}/actions", (*Server).startVolumeAction, "block_storage_action:create"),
	post("/v2/volumes/actions", (*Server).startVolumeActionByName, "block_storage_action:create"),
	get("/v2/volumes/{volume_id}/actions/{action_id}", (*Server).getVolumeAction, "block_storage_action:read"),
}

type volumeActionRequest struct {
	Type          string   `json:"type"`
	Droplet       integer  `json:"droplet_id"`
	Region        string   `json:"region"`
	Name          string   `json:"volume_name"`
	SizeGigabytes integer  `json:"size_gigabytes"`
	Tags          []string `json:"tags"` // for the volume, with an attach
}

func (c *call) volumeRef() (cloud.Ref, error) {
	id, err := c.uuid("volume_id")
	return cloud.Ref{Kind: cloud.KindVolume, ID: id}, err
}

func (s *Server) listVolumeActions(c *call) (*reply, error) {
	of, err := c.volumeRef()
	if err != nil {
		return nil, err
	}
	return s.listResourceActions(c, of)
}

func (s *Server) getVolumeAction(c *call) (*reply, error) {
	of, err := c.volumeRef()
	if err != nil {
		return nil, err
	}
	return s.getResourceAction(c, of)
}

// startVolumeAction starts one action and answers before it is done.
func (s *Server) startVolumeAction(c *call) (*reply, error) {
	id, err := c.uuid("volume_id")
	if err != nil {
		return nil, err
	}
	var in volumeActionRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	action, err := s.beginVolumeAction(c, id, in)
	if err != nil {
		return nil, err
	}
	return accepted(actionBody{c.view().action(action)}), nil
}

func (s *Server) beginVolumeAction(c *call, id string, in volumeActionRequest) (cloud.Action, error) {
	switch in.Type {
	case "attach":
		if err := c.requireTags(in.Tags); err != nil {
			return cloud.Action{}, err
		}
		return s.plane.AttachVolume(c.Context(), c.Actor, id, int64(in.Droplet), in.Tags)
	case "detach":
		return s.plane.DetachVolume(c.Context(), c.Actor, id, int64(in.Droplet))
	case "resize":
		return s.plane.ResizeVolume(c.Context(), c.Actor, id, int64(in.SizeGigabytes))
	}
	if _, err := s.plane.Volume(c.Context(), c.Actor, id); err != nil {
		return cloud.Action{}, err
	}
	return cloud.Action{}, cloud.Invalid("type must be attach, detach or resize")
}

// startVolumeActionByName attaches or detaches the volume of a name in a region.
func (s *Server) startVolumeActionByName(c *call) (*reply, error) {
	var in volumeActionRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	switch {
	case in.Type != "attach" && in.Type != "detach":
		return nil, cloud.Invalid("type must be attach or detach; other actions take the volume's ID")
	case in.Name == "" || in.Region == "":
		return nil, cloud.Invalid("volume_name and region are required")
	}
	id, err := s.plane.VolumeNamed(c.Context(), c.Actor, in.Name, in.Region)
	if err != nil {
		return nil, err
	}
	action, err := s.beginVolumeAction(c, id, in)
	if err != nil {
		return nil, err
	}
	return accepted(actionBody{c.view().action(action)}), nil
}

package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
)

var dropletActionRoutes = []route{
	get("/v2/droplets/{droplet_id}/actions", (*Server).listDropletActions, "droplet:read"),
	post("/v2/droplets/{droplet_id}/actions", (*Server).startDropletAction, "droplet:update"),
	post("/v2/droplets/actions", (*Server).startTaggedActions, "droplet:update"),
	get("/v2/droplets/{droplet_id}/actions/{action_id}", (*Server).getDropletAction, "droplet:read"),
}

type dropletActionRequest struct {
	Type  string     `json:"type"`
	Name  string     `json:"name"`
	Size  string     `json:"size"`
	Disk  boolean    `json:"disk"`
	Image identifier `json:"image"`

	BackupPolicy *backupPolicy `json:"backup_policy"`
}

func (in dropletActionRequest) action() control.DropletAction {
	return control.DropletAction{
		Type: cloud.ActionType(in.Type), Name: in.Name, Size: in.Size, Disk: bool(in.Disk), Image: string(in.Image),
		Backups: in.BackupPolicy.policy(),
	}
}

func (s *Server) listDropletActions(c *call) (*reply, error) {
	of, err := c.dropletRef()
	if err != nil {
		return nil, err
	}
	return s.listResourceActions(c, of)
}

func (s *Server) getDropletAction(c *call) (*reply, error) {
	of, err := c.dropletRef()
	if err != nil {
		return nil, err
	}
	return s.getResourceAction(c, of)
}

func (c *call) dropletRef() (cloud.Ref, error) {
	id, err := c.number("droplet_id")
	return cloud.Ref{Kind: cloud.KindDroplet, ID: cloud.FormatID(id)}, err
}

// startDropletAction starts one action and answers before it is done.
func (s *Server) startDropletAction(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	var in dropletActionRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	action, err := s.plane.StartDropletAction(c.Context(), c.Actor, id, in.action())
	if err != nil {
		return nil, err
	}
	return created(actionBody{c.view().action(action)}), nil
}

// startTaggedActions starts an action on all Droplets with a tag, or on none.
func (s *Server) startTaggedActions(c *call) (*reply, error) {
	var in dropletActionRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	tag, err := c.wantTag()
	if err != nil {
		return nil, err
	}
	actions, err := s.plane.StartTaggedActions(c.Context(), c.Actor, tag, in.action())
	if err != nil {
		return nil, err
	}
	return created(map[string][]wireAction{"actions": c.view().actions(actions)}), nil
}

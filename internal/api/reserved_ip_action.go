package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
)

type reservedIPActionRequest struct {
	Type    string  `json:"type"`
	Droplet integer `json:"droplet_id"`
}

// reservedIPAction shows an action under the family that it is asked for by,
// with the project that the address is in.
func (c *call) reservedIPAction(a cloud.Action, project string) wireAction {
	a.ResourceType = c.family()
	w := c.view().action(a)
	w.ProjectID = project
	return w
}

func (c *call) reservedIPRef() cloud.Ref {
	return cloud.Ref{Kind: cloud.KindReservedIP, ID: c.param("reserved_ip")}
}

func (s *Server) listReservedIPActions(c *call) (*reply, error) {
	account, err := s.plane.Account(c.Context(), c.Actor)
	if err != nil {
		return nil, err
	}
	p := c.paging()
	actions, total, err := s.plane.ResourceActions(c.Context(), c.Actor, c.reservedIPRef(), p.page())
	if err != nil {
		return nil, err
	}
	return ok(actionsBody{each(actions, func(a cloud.Action) wireAction {
		return c.reservedIPAction(a, account.ProjectID)
	}), c.links(p, total), wireMeta{total}}), nil
}

func (s *Server) getReservedIPAction(c *call) (*reply, error) {
	id, err := c.number("action_id")
	if err != nil {
		return nil, err
	}
	account, err := s.plane.Account(c.Context(), c.Actor)
	if err != nil {
		return nil, err
	}
	action, err := s.plane.ResourceAction(c.Context(), c.Actor, c.reservedIPRef(), id)
	if err != nil {
		return nil, err
	}
	return ok(actionBody{c.reservedIPAction(action, account.ProjectID)}), nil
}

// startReservedIPAction starts one action and answers before it is done.
func (s *Server) startReservedIPAction(c *call) (*reply, error) {
	var in reservedIPActionRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	account, err := s.plane.Account(c.Context(), c.Actor)
	if err != nil {
		return nil, err
	}
	action, err := s.beginReservedIPAction(c, in)
	if err != nil {
		return nil, err
	}
	return created(actionBody{c.reservedIPAction(action, account.ProjectID)}), nil
}

func (s *Server) beginReservedIPAction(c *call, in reservedIPActionRequest) (cloud.Action, error) {
	ip := c.param("reserved_ip")
	switch in.begins() {
	case "assign":
		return s.plane.AssignReservedIP(c.Context(), c.Actor, ip, int64(in.Droplet), c.family())
	case "unassign":
		return s.plane.UnassignReservedIP(c.Context(), c.Actor, ip, c.family())
	}
	if _, _, err := s.plane.ReservedIP(c.Context(), c.Actor, ip); err != nil {
		return cloud.Action{}, err
	}
	return cloud.Action{}, in.refusal()
}

// begins is the action that is asked for, or nothing when the request is refused.
func (in reservedIPActionRequest) begins() string {
	if in.Type == "assign" && in.Droplet == 0 {
		return ""
	}
	return in.Type
}

// refusal says why no action begins.
func (in reservedIPActionRequest) refusal() error {
	if in.Type == "assign" {
		return cloud.Invalid("droplet_id is required")
	}
	return cloud.Invalid("type must be assign or unassign")
}

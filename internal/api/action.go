package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
)

var actionRoutes = []route{
	get("/v2/actions", (*Server).listActions, "actions:read"),
	get("/v2/actions/{action_id}", (*Server).getAction, "actions:read"),
}

type wireAction struct {
	ID           int64       `json:"id"`
	Status       string      `json:"status"`
	Type         string      `json:"type"`
	StartedAt    string      `json:"started_at"`
	CompletedAt  *string     `json:"completed_at"`
	ResourceID   *int64      `json:"resource_id"`
	ResourceType string      `json:"resource_type"`
	Region       *wireRegion `json:"region,omitempty"`
	RegionSlug   *string     `json:"region_slug"`
	ProjectID    string      `json:"project_id,omitempty"`
}

type actionBody struct {
	Action wireAction `json:"action"`
}

type actionsBody struct {
	Actions []wireAction `json:"actions"`
	Links   wireLinks    `json:"links"`
	Meta    wireMeta     `json:"meta"`
}

func (v view) action(a cloud.Action) wireAction {
	w := wireAction{
		ID: a.ID, Status: string(a.Status), Type: string(a.Type), StartedAt: stamp(a.StartedAt),
		CompletedAt: optionalStamp(a.CompletedAt), ResourceType: string(a.ResourceType), Region: v.region(a.Region),
	}
	if id, ok := a.NumericResource(); ok {
		w.ResourceID = &id
	}
	if a.Region != "" {
		w.RegionSlug = &a.Region
	}
	return w
}

func (v view) actions(actions []cloud.Action) []wireAction { return each(actions, v.action) }

// wireLink points from a create to the action that finishes it.
type wireLink struct {
	ID   int64  `json:"id"`
	Rel  string `json:"rel"`
	Href string `json:"href"`
}

func (v view) actionLink(a cloud.Action) wireLink {
	return wireLink{a.ID, string(a.Type), v.base + "/v2/actions/" + cloud.FormatID(a.ID)}
}

func (s *Server) listActions(c *call) (*reply, error) {
	p := c.paging()
	actions, total, err := s.plane.Actions(c.Context(), c.Actor, p.page())
	if err != nil {
		return nil, err
	}
	return ok(actionsBody{c.view().actions(actions), c.links(p, total), wireMeta{total}}), nil
}

func (s *Server) getAction(c *call) (*reply, error) {
	id, err := c.number("action_id")
	if err != nil {
		return nil, err
	}
	action, err := s.plane.Action(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	return ok(actionBody{c.view().action(action)}), nil
}

// listResourceActions lists the actions of one resource.
func (s *Server) listResourceActions(c *call, of cloud.Ref) (*reply, error) {
	p := c.paging()
	actions, total, err := s.plane.ResourceActions(c.Context(), c.Actor, of, p.page())
	if err != nil {
		return nil, err
	}
	return ok(actionsBody{c.view().actions(actions), c.links(p, total), wireMeta{total}}), nil
}

// getResourceAction reads an action that must be of the resource.
func (s *Server) getResourceAction(c *call, of cloud.Ref) (*reply, error) {
	id, err := c.number("action_id")
	if err != nil {
		return nil, err
	}
	action, err := s.plane.ResourceAction(c.Context(), c.Actor, of, id)
	if err != nil {
		return nil, err
	}
	return ok(actionBody{c.view().action(action)}), nil
}

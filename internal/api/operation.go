package api

import "github.com/cistern-cloud/cistern/internal/cloud"

// Operations are what actions are made of: DigitalOcean's API shows only
// whether an action is over.
var operationRoutes = []route{
	get("/_cistern/operations", (*Server).listOperations, "actions:read"),
}

type wireOperation struct {
	ID           int64   `json:"id"` // the action's too
	Kind         string  `json:"kind"`
	State        string  `json:"state"`
	ActionType   *string `json:"action_type"` // null where the API shows no action
	ResourceType string  `json:"resource_type"`
	ResourceID   string  `json:"resource_id"`
	Region       string  `json:"region"`
	Step         string  `json:"step"`
	Undoing      bool    `json:"undoing"`
	Cancelled    bool    `json:"cancelled"`
	Attempts     int64   `json:"attempts"`
	FailingSince *string `json:"failing_since"`
	WaitsFor     *int64  `json:"waits_for"`
	NextRun      *string `json:"next_run"`
	LastError    string  `json:"last_error"`
	UndoError    string  `json:"undo_error"`
	StartedAt    string  `json:"started_at"`
	CompletedAt  *string `json:"completed_at"`
}

func viewOperation(o cloud.Operation) wireOperation {
	w := wireOperation{
		ID: o.ID, Kind: o.Plan, State: string(o.State), ResourceType: string(o.ResourceType), ResourceID: o.ResourceID,
		Region: o.Region, Step: o.Step, Undoing: o.Undoing, Cancelled: o.Cancelled, Attempts: o.Attempts,
		FailingSince: optionalStamp(o.FailingSince), NextRun: optionalStamp(o.NextRun), LastError: o.Error, UndoError: o.UndoError,
		StartedAt: stamp(o.StartedAt), CompletedAt: optionalStamp(o.CompletedAt),
	}
	if o.Type != cloud.ActionNone {
		name := string(o.Type)
		w.ActionType = &name
	}
	if o.WaitsFor != 0 {
		w.WaitsFor = &o.WaitsFor
	}
	return w
}

func (s *Server) listOperations(c *call) (*reply, error) {
	state := cloud.OperationState(c.query("state"))
	if state == "" {
		state = cloud.OperationUnfinished
	}
	p := c.paging()
	operations, total, err := s.plane.Operations(c.Context(), c.Actor, state, p.page())
	if err != nil {
		return nil, err
	}
	return ok(struct {
		Operations []wireOperation `json:"operations"`
		Links      wireLinks       `json:"links"`
		Meta       wireMeta        `json:"meta"`
	}{each(operations, viewOperation), c.links(p, total), wireMeta{total}}), nil
}

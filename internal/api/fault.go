package api

import (
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// Faults are for people who test how their own code takes failures. They act
// on the caller's own account and take full access.
var faultRoutes = []route{
	get("/_sim/faults", (*Server).listFaults, cloud.FullAccess),
	post("/_sim/faults", (*Server).addFault, cloud.FullAccess),
	del("/_sim/faults", (*Server).removeFaults, cloud.FullAccess),
	del("/_sim/faults/{fault_id}", (*Server).removeFault, cloud.FullAccess),
}

type wireFault struct {
	ID        int64  `json:"id"`
	Operation string `json:"operation"`
	Resource  string `json:"resource"`
	Error     string `json:"error,omitempty"`
	Transient bool   `json:"transient"`
	Delay     string `json:"delay,omitempty"`
	Times     int64  `json:"times"`
	Hits      int64  `json:"hits"`
}

func viewFault(f engine.Fault) wireFault {
	w := wireFault{
		ID: f.ID, Operation: f.Operation, Resource: f.Resource, Error: f.Error, Transient: f.Transient, Times: f.Times, Hits: f.Hits,
	}
	if f.Delay > 0 {
		w.Delay = f.Delay.String()
	}
	return w
}

type faultRequest struct {
	Operation string     `json:"operation"`
	Resource  identifier `json:"resource"`
	Error     string     `json:"error"`
	Transient boolean    `json:"transient"`
	Delay     string     `json:"delay"`
	Times     integer    `json:"times"`
}

func (in faultRequest) fault() (engine.Fault, error) {
	f := engine.Fault{
		Operation: in.Operation, Resource: string(in.Resource), Error: in.Error, Transient: bool(in.Transient), Times: int64(in.Times),
	}
	if f.Resource == "" {
		f.Resource = "*"
	}
	if in.Delay == "" {
		return f, nil
	}
	delay, err := time.ParseDuration(in.Delay)
	if err != nil || delay < 0 {
		return f, cloud.Invalid("delay must be a duration such as 30s or 500ms")
	}
	f.Delay = delay
	return f, nil
}

func (s *Server) addFault(c *call) (*reply, error) {
	var in faultRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	f, err := in.fault()
	if err != nil {
		return nil, err
	}
	if f, err = s.plane.AddFault(c.Context(), c.Actor, f); err != nil {
		return nil, err
	}
	return created(struct {
		Fault wireFault `json:"fault"`
	}{viewFault(f)}), nil
}

func (s *Server) listFaults(c *call) (*reply, error) {
	faults, err := s.plane.Faults(c.Context(), c.Actor)
	if err != nil {
		return nil, err
	}
	return ok(struct {
		Faults []wireFault `json:"faults"`
	}{each(faults, viewFault)}), nil
}

func (s *Server) removeFaults(c *call) (*reply, error) {
	return noContent(), s.plane.RemoveFaults(c.Context(), c.Actor, 0)
}

func (s *Server) removeFault(c *call) (*reply, error) {
	id, ok := cloud.ParseID(c.param("fault_id"))
	if !ok {
		return nil, cloud.NotFound()
	}
	return noContent(), s.plane.RemoveFaults(c.Context(), c.Actor, id)
}

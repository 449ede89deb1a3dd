package api

import (
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// The clock is for people who test what takes days. It is the whole server's,
// so it takes full access to the first account.
var clockRoutes = []route{
	get("/_sim/clock", (*Server).getClock, cloud.FullAccess),
	post("/_sim/clock", (*Server).advanceClock, cloud.FullAccess),
}

type clockBody struct {
	Now string `json:"now"`
	// Ahead is how far that is from real time.
	Ahead string `json:"ahead"`
}

type clockRequest struct {
	Advance string `json:"advance"`
}

func (s *Server) getClock(c *call) (*reply, error) {
	now, ahead, err := s.plane.Clock(c.Context(), c.Actor)
	if err != nil {
		return nil, err
	}
	return ok(clockBody{stamp(now), ahead.Round(time.Second).String()}), nil
}

// advanceClock answers when all that fell due on the way is done.
func (s *Server) advanceClock(c *call) (*reply, error) {
	if _, err := s.getClock(c); err != nil { // before the request is judged
		return nil, err
	}
	var in clockRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	by, ok := cloud.ParseDuration(in.Advance)
	if !ok {
		return nil, cloud.Invalid("advance must be a duration such as 8d, 36h or 90m")
	}
	if err := s.plane.AdvanceClock(c.Context(), c.Actor, by); err != nil {
		return nil, err
	}
	return s.getClock(c)
}

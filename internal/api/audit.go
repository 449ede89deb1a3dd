package api

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// audited runs a route's handler and sees to it that what it changes is in the
// audit trail.
func (s *Server) audited(c *call, rt route) (*reply, error) {
	if rt.Open || rt.Method == http.MethodGet {
		return rt.handler(s, c)
	}
	ctx, audited := s.plane.Audit(c.Context(), c.auditEntry(rt))
	c.Request = c.WithContext(ctx)
	reply, err := rt.handler(s, c)
	c.action = audited.Action()
	if err == nil {
		err = audited.Accepted(ctx)
	}
	return reply, err
}

func (c *call) auditEntry(rt route) cloud.AuditEntry {
	return cloud.AuditEntry{
		At: time.Now(), RequestID: c.header.Get(requestID),
		Account: c.Actor.Account, Token: c.Actor.Token, TokenName: c.Actor.TokenName,
		Remote: remoteHost(c.Request), Forwarded: shortText(strings.Join(c.Header.Values("X-Forwarded-For"), ", ")),
		Method: c.Method, Route: rt.Pattern, Path: shortPath(c.Request),
	}
}

// refusals bounds how many refused requests the audit trail takes up, since
// anyone can send them.
type refusals struct {
	limit   *rate.Limiter
	dropped atomic.Int64
}

// newRefusals lets 60 refusals at once through and then one each second.
func newRefusals() *refusals {
	return &refusals{limit: rate.NewLimiter(rate.Every(time.Second), 60)}
}

// auditRefusal records a request that was refused for who sent it. The request
// is as it came, so that no change of its own is recorded with it.
func (s *Server) auditRefusal(r *http.Request, c *call, rt route, err error) {
	code := cloud.CodeOf(err)
	if code != cloud.CodeUnauthorized && code != cloud.CodeForbidden {
		return
	}
	if !s.refusals.limit.Allow() {
		s.refusals.dropped.Add(1)
		return
	}
	e := c.auditEntry(rt)
	e.Refused = int64(statuses[code])
	e.Method = knownMethod(e.Method)
	if err := s.plane.RecordAudit(r.Context(), e); err != nil {
		s.refusals.dropped.Add(1)
		s.log.Error("record a refusal in the audit trail", "request_id", c.header.Get(requestID), "error", err)
	}
}

// RefusalsDropped is how many refused requests the audit trail has not taken
// up.
func (s *Server) RefusalsDropped() int64 { return s.refusals.dropped.Load() }

package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// route is one line of the route table. All that a request must pass is said
// here, so that no handler can forget it.
type route struct {
	Method  string
	Pattern string
	// Scopes is what the token must have, all of it.
	Scopes []cloud.Scope
	// Open routes need no token.
	Open bool
	// Unbuilt routes answer 501.
	Unbuilt bool

	listsKeys bool
	handler   handler
}

type handler func(*Server, *call) (*reply, error)

// routes is the whole table: each family's file opens with its part.
func routes() []route {
	return slices.Concat(
		healthRoutes, accountRoutes, actionRoutes, catalogRoutes,
		dropletRoutes, dropletActionRoutes, backupRoutes, destroyRoutes,
		imageRoutes, imageActionRoutes, imageTransferRoutes, snapshotRoutes, sshKeyRoutes,
		volumeRoutes, volumeActionRoutes, volumeSnapshotRoutes,
		reservedIPRoutes, reservedIPv6Routes, vpcRoutes, vpcPeeringRoutes, firewallRoutes, tagRoutes, faultRoutes, clockRoutes, operationRoutes, accessRoutes, metricsRoutes, projectRoutes,
		oneClickRoutes, openAPIRoutes, unbuiltRoutes(),
	)
}

func get(pattern string, h handler, scopes ...cloud.Scope) route {
	return route{Method: http.MethodGet, Pattern: pattern, Scopes: scopes, handler: h}
}

func post(pattern string, h handler, scopes ...cloud.Scope) route {
	return route{Method: http.MethodPost, Pattern: pattern, Scopes: scopes, handler: h}
}

func put(pattern string, h handler, scopes ...cloud.Scope) route {
	return route{Method: http.MethodPut, Pattern: pattern, Scopes: scopes, handler: h}
}

func patch(pattern string, h handler, scopes ...cloud.Scope) route {
	return route{Method: http.MethodPatch, Pattern: pattern, Scopes: scopes, handler: h}
}

func del(pattern string, h handler, scopes ...cloud.Scope) route {
	return route{Method: http.MethodDelete, Pattern: pattern, Scopes: scopes, handler: h}
}

var healthRoutes = []route{
	{Method: http.MethodGet, Pattern: "/healthz", Open: true, handler: (*Server).health},
}

// health answers once the server is ready, as it listens no sooner.
func (s *Server) health(*call) (*reply, error) {
	return ok(map[string]string{"status": "ok"}), nil
}

// handle lets a request in and answers it.
func (s *Server) handle(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{Request: r, server: s, header: w.Header()}
		note(w, c, rt)
		reply, err := s.answer(c, rt)
		if err != nil {
			s.auditRefusal(r, c, rt, err)
			s.writeError(w, r, err)
			return
		}
		if direct, is := reply.body.(http.Handler); is { // it writes its answer itself
			direct.ServeHTTP(w, r)
			return
		}
		s.write(w, r, reply)
	}
}

func (s *Server) answer(c *call, rt route) (*reply, error) {
	if !rt.Open {
		if err := c.authenticate(); err != nil {
			return nil, err
		}
		if err := s.limit(c, rt); err != nil {
			return nil, err
		}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if rt.Unbuilt {
		return nil, cloud.Errorf(cloud.CodeNotImplemented, "This server does not have %s %s yet.", rt.Method, rt.Pattern)
	}
	if err := c.Actor.Require(rt.Scopes...); err != nil && !rt.Open {
		return nil, err
	}
	return s.audited(c, rt)
}

// noRoute answers what no route matches. Like any other it asks for a token
// first: who has none is not told what there is.
func (s *Server) noRoute(*call) (*reply, error) { return nil, cloud.NotFound() }

// wrongMethod answers a path that other methods have.
func (s *Server) wrongMethod(c *call) (*reply, error) {
	allow := s.methods(c.URL.EscapedPath())
	if len(allow) == 0 { // a method that chi does not know, wherever it is sent
		return nil, cloud.NotFound()
	}
	return nil, &methodError{allow: strings.Join(allow, ", "), method: c.Method}
}

// methods lists what may be asked of a path, for Allow.
func (s *Server) methods(path string) (allow []string) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if !s.router.Match(chi.NewRouteContext(), method, path) {
			continue
		}
		allow = append(allow, method)
		if method == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	return allow
}

// methodError is a wrong method, with those that are right.
type methodError struct{ method, allow string }

func (e *methodError) Error() string {
	return "The method " + e.method + " is not allowed here; allowed: " + e.allow + "."
}

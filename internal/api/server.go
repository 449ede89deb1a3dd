// Package api speaks the DigitalOcean v2 API over HTTP: it routes, lets in who
// may, decodes what is asked and encodes what the control plane answers.
package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
)

const (
	// maxBody is how many bytes a request body may have.
	maxBody = 1 << 20
	// requestID is the header that every answer has, for people to ask about it.
	requestID = "X-Request-Id"
)

// Config is what a Server is made of.
type Config struct {
	Plane *control.Plane
	Log   *slog.Logger
	// PublicURL is where clients reach the server, for the links in answers.
	// When it is empty, links point to where the request was sent.
	PublicURL string
	// RateLimit is what each token may ask; the zero value is no limit.
	RateLimit RateLimit
	// Metrics answers /metrics; nil is none.
	Metrics http.Handler
	// Served is told of each request once it is answered; nil tells nobody.
	Served func(Served)
}

// Server is the API's http.Handler.
type Server struct {
	plane     *control.Plane
	log       *slog.Logger
	publicURL string
	router    chi.Router
	catalog   atomic.Pointer[catalogViews]
	limiter   *limiter
	metrics   http.Handler
	served    func(Served)
	refusals  *refusals
	// document describes the API; it is made when it is first asked for.
	document func() schema
	// stopping is closed when connections that requests have taken over are to
	// end.
	stopping chan struct{}
	stopOnce sync.Once
}

// Stop ends what goes on beyond requests: an http.Server that shuts down does
// not wait for it.
func (s *Server) Stop() { s.stopOnce.Do(func() { close(s.stopping) }) }

// New makes a server.
func New(c Config) *Server {
	s := &Server{
		plane: c.Plane, log: c.Log, publicURL: strings.TrimRight(c.PublicURL, "/"), limiter: newLimiter(c.RateLimit),
		metrics: c.Metrics, served: c.Served, refusals: newRefusals(), document: sync.OnceValue(document), stopping: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.router = s.newRouter()
	return s
}

// newRouter routes what the route table lists; all else is an error in the
// API's own form.
func (s *Server) newRouter() chi.Router {
	r := chi.NewRouter()
	r.Use(middleware.GetHead)
	r.NotFound(s.handle(route{handler: (*Server).noRoute}))
	r.MethodNotAllowed(s.handle(route{handler: (*Server).wrongMethod}))
	for _, route := range routes() {
		r.Method(route.Method, route.Pattern, s.handle(route))
	}
	return r
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := cloud.NewUUID()
	w.Header().Set(requestID, id)
	out := &recorder{ResponseWriter: w, start: time.Now()}
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			s.log.Error("panic", "request_id", id, "panic", p, "stack", string(debug.Stack()))
			s.writeError(out, r, fmt.Errorf("panic: %v", p))
		}
		s.tell(out, r, id)
	}()
	allowOrigin(w.Header(), r)
	r = cleanPath(r)
	if r.Method == http.MethodOptions {
		s.options(out, r)
		return
	}
	s.router.ServeHTTP(out, r)
}

// cleanPath makes repeated slashes one and forgets one at the end, since
// clients write both. It never redirects: some repeat a redirected POST as GET.
func cleanPath(r *http.Request) *http.Request {
	if r.URL.Path == "/" || !strings.Contains(r.URL.Path, "//") && !strings.HasSuffix(r.URL.Path, "/") {
		return r
	}
	clean := func(path string) string {
		for strings.Contains(path, "//") {
			path = strings.ReplaceAll(path, "//", "/")
		}
		if path != "/" {
			path = strings.TrimSuffix(path, "/")
		}
		return path
	}
	r2 := *r
	u := *r.URL
	u.Path, u.RawPath = clean(u.Path), clean(u.RawPath)
	r2.URL = &u
	return &r2
}

// plainText reports whether a text can be kept: PostgreSQL takes no NUL and
// nothing but UTF-8, so the door does not either.
func plainText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

func errNotText() error {
	return cloud.Errorf(cloud.CodeBadRequest, "the request has a NUL character or text that is not UTF-8")
}

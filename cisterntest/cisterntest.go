// Package cisterntest gives a test a Droplet cloud of its own: a whole Cistern
// in the test's process, on a free loopback port, with simulated machines and
// nothing kept. It starts in milliseconds and ends with the test, and many can
// run side by side.
//
//	func TestMine(t *testing.T) {
//		t.Parallel()
//		cloud := cisterntest.New(t)
//		cloud.Fail("volume.delete", cisterntest.Fault{Error: "disk on fire", Times: 1})
//		err := mypackage.CleanUp(t.Context(), cloud.Client())
//		// ...
//	}
//
// Code that makes its own client gets URL and Token: godo.SetBaseURL takes the
// first, as do DIGITALOCEAN_API_URL of doctl and api_endpoint of Terraform's
// provider.
package cisterntest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/cistern-cloud/cistern/internal/app"
)

// Server is a running Cistern with one account.
type Server struct {
	// URL is where it answers, without /v2: http://127.0.0.1: and a port.
	URL string
	// Token has full access to the account.
	Token string

	t testing.TB
}

// Option changes what New starts.
type Option func(*app.Config)

// WithLatency makes each simulated piece of work take a time; without it all is
// done at once.
func WithLatency(d time.Duration) Option {
	return func(c *app.Config) { c.SimLatency = d.String() }
}

// WithRealLatency makes simulated work take about as long as DigitalOcean's
// does: a create half a minute.
func WithRealLatency() Option { return func(c *app.Config) { c.SimLatency = "real" } }

// WithRateLimit limits what the token may ask, as in "5000/h,250/m"; without it
// there is no limit.
func WithRateLimit(limit string) Option { return func(c *app.Config) { c.RateLimit = limit } }

// WithCatalog offers the regions, sizes and images of a JSON file; see
// docs/configuration.md for its form.
func WithCatalog(file string) Option { return func(c *app.Config) { c.Catalog = file } }

// WithState starts the server with what is in a file of cistern state export, and
// at the time at which that was written, if that is still to come.
func WithState(file string) Option { return func(c *app.Config) { c.Seed = file } }

// WithAccountLimits says how many Droplets, volumes and reserved IPs the account may
// have, to see what your code does when there is no more.
func WithAccountLimits(droplets, volumes, reservedIPs int64) Option {
	return func(c *app.Config) {
		c.Limits = app.Limits{Droplets: &droplets, Volumes: &volumes, ReservedIPs: &reservedIPs}
	}
}

// New starts a server that stops when the test ends. The test fails at once if
// it cannot start.
func New(t testing.TB, options ...Option) *Server {
	t.Helper()
	c := app.Config{
		Storage: app.Storage{Ephemeral: true}, Listen: "127.0.0.1:0", Engine: "sim", RateLimit: "off",
		KeepActions: "forever", SimLatency: "0", LogFormat: "text", LogLevel: "warn", Embedded: true,
	}
	for _, set := range options {
		set(&c)
	}
	ctx, stop := context.WithCancel(context.Background())
	started, ended := make(chan app.Started, 1), make(chan error, 1)
	log := &testLog{t: t}
	go func() {
		ended <- app.Serve(ctx, c, log, func(s app.Started) { started <- s })
	}()
	select {
	case err := <-ended:
		stop()
		t.Fatalf("cisterntest: %v", err)
	case s := <-started:
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Errorf("cisterntest: %v", err)
			}
		})
		return &Server{URL: s.URL, Token: s.Token, t: t}
	}
	return nil
}

// testLog shows the server's warnings with the test.
type testLog struct {
	mu sync.Mutex
	t  testing.TB
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Logf("cistern: %s", bytes.TrimSpace(p))
	return len(p), nil
}

// Client returns a godo client of the server.
func (s *Server) Client() *godo.Client {
	s.t.Helper()
	client, err := godo.New(&http.Client{}, godo.SetBaseURL(s.URL),
		godo.SetRequestHeaders(map[string]string{"Authorization": "Bearer " + s.Token}))
	if err != nil {
		s.t.Fatalf("cisterntest: %v", err)
	}
	return client
}

// Fault makes simulated work fail, or take longer. See docs/faults.md for the
// operations that there are.
type Fault struct {
	// Resource is the name or ID of what it happens to; empty for anything.
	Resource string
	// Error is what the work fails with; empty lets it succeed, after Delay.
	Error string
	// Transient makes the server try again by itself. Else the operation
	// fails.
	Transient bool
	// Delay is how much longer the work takes.
	Delay time.Duration
	// Times is how often it happens; 0 is each time.
	Times int
}

// Fail makes an operation of the simulated machines fail, such as
// "volume.delete", until the returned function is called. Without a Fault it
// fails each time with an error of no particular kind.
func (s *Server) Fail(operation string, faults ...Fault) (mend func()) {
	s.t.Helper()
	if len(faults) == 0 {
		faults = []Fault{{Error: operation + " was made to fail"}}
	}
	var ids []int64
	for _, f := range faults {
		body := map[string]any{
			"operation": operation, "resource": f.Resource, "error": f.Error, "transient": f.Transient, "times": f.Times,
		}
		if f.Delay > 0 {
			body["delay"] = f.Delay.String()
		}
		var made struct {
			Fault struct {
				ID int64 `json:"id"`
			} `json:"fault"`
		}
		s.do(http.MethodPost, "/_sim/faults", body, &made)
		ids = append(ids, made.Fault.ID)
	}
	return func() {
		s.t.Helper()
		for _, id := range ids {
			s.do(http.MethodDelete, fmt.Sprintf("/_sim/faults/%d", id), nil, nil)
		}
	}
}

// Advance moves the cloud's clock on, lets everything that falls due by then
// happen in its order (backups, what waits for simulated work), and returns the
// new time once all has settled.
func (s *Server) Advance(d time.Duration) time.Time {
	s.t.Helper()
	var clock struct {
		Now time.Time `json:"now"`
	}
	s.do(http.MethodPost, "/_sim/clock", map[string]any{"advance": d.String()}, &clock)
	return clock.Now
}

// Now is the cloud's time.
func (s *Server) Now() time.Time {
	s.t.Helper()
	var clock struct {
		Now time.Time `json:"now"`
	}
	s.do(http.MethodGet, "/_sim/clock", nil, &clock)
	return clock.Now
}

// do asks the server for what only Cistern has. It ends the test if that is
// refused.
func (s *Server) do(method, path string, body, answer any) {
	s.t.Helper()
	client := s.Client()
	request, err := client.NewRequest(context.Background(), method, strings.TrimPrefix(path, "/"), body)
	if err != nil {
		s.t.Fatalf("cisterntest: %v", err)
	}
	var text bytes.Buffer
	if _, err := client.Do(context.Background(), request, &text); err != nil {
		s.t.Fatalf("cisterntest: %v", err)
	}
	if answer != nil {
		if err := json.Unmarshal(text.Bytes(), answer); err != nil {
			s.t.Fatalf("cisterntest: %s %s: %v", method, path, err)
		}
	}
}

package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// These benchmarks answer requests without a network, so that a profile of them
// shows what the server does itself. Beside the time they report the CPU time of
// an answer, which a busy machine changes less. `make bench` measures the whole.

// speed is a server with a token for one benchmark.
type speed struct {
	*server
	handler http.Handler
	token   string
}

func newSpeed(b *testing.B) *speed {
	b.Helper()
	s := start(b, database.Config{Path: filepath.Join(b.TempDir(), "cistern.db"), Now: time.Now})
	account, err := s.accounts.Add(b.Context(), "Bench", "bench@example.com")
	if err != nil {
		b.Fatal(err)
	}
	secret := cloud.NewSecret()
	if _, err := s.accounts.AddToken(b.Context(), account.ID, "bench", secret, cloud.Scopes{cloud.FullAccess}, 0); err != nil {
		b.Fatal(err)
	}
	return &speed{s, s.Config.Handler, secret}
}

// ask makes a request as net/http does: its context ends with it.
func (s *speed) ask(b *testing.B, method, path, body string) *httptest.ResponseRecorder {
	ctx, done := context.WithCancel(context.Background())
	defer done()
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+s.token)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if w.Code >= 300 {
		b.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return w
}

// fill creates n Droplets and waits until they are active.
func (s *speed) fill(b *testing.B, n int) {
	b.Helper()
	for from := 0; from < n; from += 10 {
		var list []string
		for i := range min(10, n-from) {
			list = append(list, fmt.Sprintf(`"web-%d"`, from+i))
		}
		s.ask(b, http.MethodPost, "/v2/droplets",
			`{"names":[`+strings.Join(list, ",")+`],"region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`)
	}
	s.settled(b)
}

// settled waits until no operation is left to do.
func (s *speed) settled(b *testing.B) {
	b.Helper()
	for {
		_, waiting, err := s.plane.Runner().NextDue(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if !waiting {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// run measures f from so many goroutines.
func (s *speed) run(b *testing.B, clients int, f func(i int64)) {
	b.SetParallelism(clients)
	b.ReportAllocs()
	before := cpuTime()
	var n atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			f(n.Add(1))
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1e3, "cpu-µs/op")
}

func BenchmarkGetDroplet(b *testing.B) {
	s := newSpeed(b)
	s.fill(b, 100)
	var list struct{ Droplets []struct{ ID int64 } }
	if err := json.Unmarshal(s.ask(b, http.MethodGet, "/v2/droplets?per_page=1", "").Body.Bytes(), &list); err != nil {
		b.Fatal(err)
	}
	path := dropletPath(list.Droplets[0].ID)
	s.run(b, 4, func(int64) { s.ask(b, http.MethodGet, path, "") })
}

func BenchmarkListDroplets(b *testing.B) {
	s := newSpeed(b)
	s.fill(b, 1000)
	s.run(b, 2, func(int64) { s.ask(b, http.MethodGet, "/v2/droplets?per_page=200&page=3", "") })
}

// What is counted is the whole create, its operation included.
func BenchmarkCreateDroplet(b *testing.B) {
	s := newSpeed(b)
	s.run(b, 32, func(int64) {
		s.ask(b, http.MethodPost, "/v2/droplets",
			`{"name":"web-1","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`)
	})
	before := cpuTime()
	s.settled(b)
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1e3, "after-µs/op")
}

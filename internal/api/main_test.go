package api_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/api"
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
	"github.com/cistern-cloud/cistern/internal/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

// server is a whole Cistern behind a real HTTP server: the store, the simulated
// engine, and the runner that carries operations out.
type server struct {
	*httptest.Server
	plane    *control.Plane
	accounts control.Accounts
	db       *database.DB
	handler  *api.Server
}

// each runs a test against one server for each kind of database. All tests
// share it: what they do is in accounts of their own.
func each(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	for _, kind := range databasetest.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			if kind == "postgres" && os.Getenv("CISTERN_TEST_POSTGRES") == "" {
				t.Skip("PostgreSQL: CISTERN_TEST_POSTGRES names no server")
			}
			test(t, shared(kind))
		})
	}
}

// eachAlone runs a test against one server for each kind of database that no
// other test uses.
func eachAlone(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, c database.Config) { test(t, start(t, c)) })
}

// alone starts a server that no other test uses, on SQLite.
func alone(t testing.TB) *server {
	t.Helper()
	return start(t, databasetest.Config(t, "sqlite"))
}

// start starts a server that ends with the test.
func start(t testing.TB, c database.Config) *server {
	t.Helper()
	return startWith(t, c, func(*sim.Engine, *control.Config) {})
}

// startWith starts a server that is made of something else.
func startWith(t testing.TB, c database.Config, change func(*sim.Engine, *control.Config)) *server {
	t.Helper()
	clock := sim.NewMovableClock(time.Now)
	c.Now = clock.Now
	db := databasetest.Open(t, c)
	if _, err := db.Migrate(t.Context(), store.Migrations()); err != nil {
		t.Fatal(err)
	}
	engine, err := sim.Open(t.Context(), db, sim.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := clock.Restore(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	rows := store.New(db)
	config := control.Config{
		Store: rows, Engine: engine, Catalog: cloud.DefaultCatalog(), Owner: cloud.NewUUID(), Alone: true, Clock: clock,
	}
	change(engine, &config)
	plane, err := control.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { plane.Runner().Run(ctx) })
	running.Go(func() { plane.Reconcile(ctx) })
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	handler := api.New(api.Config{Plane: plane, Log: log})
	web := httptest.NewServer(handler)
	t.Cleanup(func() {
		handler.Stop()
		web.Close()
		stop()
		running.Wait()
	})
	return &server{web, plane, control.Accounts{Store: rows}, db, handler}
}

// wholeRun takes the part of a test for what is shared by all tests: it ends
// with the process.
type wholeRun struct {
	testing.TB
	mu      sync.Mutex
	ends    []func()
	servers map[string]*server
}

var run = &wholeRun{servers: map[string]*server{}}

func (r *wholeRun) Helper()                  {}
func (r *wholeRun) Context() context.Context { return context.Background() }
func (r *wholeRun) Cleanup(f func())         { r.ends = append(r.ends, f) }
func (r *wholeRun) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }
func (r *wholeRun) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}
func (r *wholeRun) Errorf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (r *wholeRun) TempDir() string {
	dir, err := os.MkdirTemp("", "cistern-api-")
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (r *wholeRun) end() {
	for i := len(r.ends) - 1; i >= 0; i-- {
		r.ends[i]()
	}
}

// shared is the server on one kind of database that all tests use.
func shared(kind string) *server {
	run.mu.Lock()
	defer run.mu.Unlock()
	if run.servers[kind] == nil {
		run.servers[kind] = start(run, databasetest.Config(run, kind))
	}
	return run.servers[kind]
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	run.end()
	if code == 0 && allRan() {
		code = max(reportUnusedDeviations(), reportUnusedGodo(), reportCoverage())
	}
	os.Exit(code)
}

// allRan reports whether no flag chose among the tests.
func allRan() bool {
	if testing.Short() {
		return false
	}
	for _, name := range []string{"run", "skip", "list", "fuzz"} {
		if flag.Lookup("test."+name).Value.String() != "" {
			return false
		}
	}
	return true
}

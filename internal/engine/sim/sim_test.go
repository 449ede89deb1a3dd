package sim_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/enginetest"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
)

// fakeClock is a cloud's clock that stands until it is advanced.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newFakeClock() *fakeClock {
	return &fakeClock{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// lab is a simulation under test.
type lab struct {
	*testing.T
	*sim.Engine
	config  database.Config
	db      *database.DB
	clock   *fakeClock
	latency sim.Latency
	keys    int
}

func newLab(t *testing.T, c database.Config, latency string) *lab {
	t.Helper()
	parsed, err := sim.ParseLatency(latency)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, config: c, clock: newFakeClock(), latency: parsed}
	l.open()
	t.Cleanup(func() { l.db.Close() })
	return l
}

func (l *lab) open() {
	l.Helper()
	db, err := database.Open(l.Context(), l.config)
	if err != nil {
		l.Fatal(err)
	}
	l.db = db
	l.Engine, err = sim.Open(l.Context(), db, sim.Options{Latency: l.latency, Clock: l.clock})
	if err != nil {
		l.Fatal(err)
	}
}

func (l *lab) reopen() {
	l.Helper()
	l.db.Close()
	l.open()
}

// each runs a test on every kind of database.
func each(t *testing.T, latency string, test func(l *lab)) {
	databasetest.Each(t, func(t *testing.T, c database.Config) { test(newLab(t, c, latency)) })
}

func TestConformance(t *testing.T) {
	for _, kind := range databasetest.Kinds {
		for _, latency := range []string{"0", "50ms"} {
			t.Run(kind+"/"+latency, func(t *testing.T) {
				t.Parallel()
				if kind == "postgres" {
					databasetest.Postgres(t) // skips the group where there is no server
				}
				enginetest.Run(t, func(t *testing.T) enginetest.Harness {
					return newLab(t, databasetest.Config(t, kind), latency).harness()
				})
			})
		}
	}
}

func (l *lab) harness() enginetest.Harness {
	return enginetest.Harness{
		Engine: l.Engine,
		Reopen: func() engine.Engine { l.reopen(); return l.Engine },
		Wait:   func(p engine.Progress) { l.clock.advance(p.After) },
	}
}

// work is a new piece of work.
func (l *lab) work() engine.Work {
	l.keys++
	return engine.Work{Key: fmt.Sprintf("work-%d", l.keys)}
}

func ref(id string) engine.Ref { return engine.Ref{Account: 1, ID: id, Name: "name-" + id} }

func machine(id string) engine.Machine {
	return engine.Machine{
		Ref: ref(id), Region: "nyc3", Shape: engine.Shape{VCPUs: 1, Memory: 1024, Disk: 25},
		Image: engine.Image{Base: true, Slug: "debian-12-x64"},
	}
}

// must checks that a call is done at once.
func (l *lab) must(p engine.Progress, err error) engine.Progress {
	l.Helper()
	if err != nil || !p.Done {
		l.Fatalf("%+v, %v; want done", p, err)
	}
	return p
}

func (l *lab) create(w engine.Work, id string) (engine.Progress, error) {
	return l.CreateMachine(l.Context(), w, machine(id))
}

func (l *lab) start(w engine.Work, id string) (engine.Progress, error) {
	return l.StartMachine(l.Context(), w, ref(id))
}

func (l *lab) volume(w engine.Work, id, snapshot string) (engine.Progress, error) {
	v := engine.Volume{Ref: ref(id), Region: "nyc3", SizeGigabytes: 10}
	if snapshot != "" {
		v.Snapshot = ref(snapshot)
	}
	return l.CreateVolume(l.Context(), w, v)
}

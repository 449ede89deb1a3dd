package control

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/op/optest"
	"github.com/cistern-cloud/cistern/internal/store"
)

// fakeClock is the cloud's clock, which stands until it is advanced.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) advance(d time.Duration) { c.advanceTo(c.Now().Add(d)) }

// advanceTo moves the clock forward; it never goes back.
func (c *fakeClock) advanceTo(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.After(c.now) {
		c.now = at
	}
}

// Ahead and MoveTo make it one that users can move on.
func (c *fakeClock) Ahead() time.Duration { return c.Now().Sub(clockStart) }

func (c *fakeClock) MoveTo(_ context.Context, at time.Time) error {
	c.advanceTo(at)
	return nil
}

// clockStart is when every test begins.
var clockStart = time.Date(2030, 1, 2, 3, 4, 5, 678_000, time.UTC)

// testLatency is how long all simulated work takes: enough for every step to
// wait, and to be asked for again.
const testLatency = "1500ms"

// testCloud is a whole cloud: the real store on a real database, the simulated
// engine, and a clock that moves when the test says so. Nothing runs by itself;
// settle carries out what is due.
type testCloud struct {
	testing.TB
	clock   *fakeClock
	db      *database.DB
	catalog cloud.Catalog
	fault   *optest.Fault // in the processes started from now on; nil for none
	// intercept stands in for a fault in the processes started from now on.
	intercept op.Intercept
	// replica starts processes that others may run beside, so that they leave
	// leases alone.
	replica bool
	// configure changes what processes are made of from now on; nil changes nothing.
	configure func(*Config)
	latency   sim.Latency

	store  *store.DB
	engine *sim.Engine
	plane  *Plane
	who    cloud.Actor // of the account that newTestCloud made

	// ctx ends when the process crashes, and with it what waits for it.
	ctx   context.Context
	crash context.CancelFunc
	lives int
}

// newTestCloud starts a cloud on an empty database, with one account.
func newTestCloud(t testing.TB, config database.Config) *testCloud {
	t.Helper()
	return newCloud(t, config, testLatency)
}

func newCloud(t testing.TB, config database.Config, latency string) *testCloud {
	t.Helper()
	c := &testCloud{
		TB: t, catalog: testCatalog(),
		clock: &fakeClock{now: clockStart},
	}
	config.Now = c.clock.Now
	c.db = databasetest.Open(t, config)
	if _, err := c.db.Migrate(t.Context(), store.Migrations()); err != nil {
		t.Fatal(err)
	}
	c.setLatency(latency)
	c.who = c.addAccount("first")
	return c
}

// eachCloud runs a test on a cloud on each kind of database.
func eachCloud(t *testing.T, test func(c *testCloud)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, config database.Config) { test(newTestCloud(t, config)) })
}

// setLatency starts the cloud anew with another latency.
func (c *testCloud) setLatency(text string) {
	c.Helper()
	var err error
	if c.latency, err = sim.ParseLatency(text); err != nil {
		c.Fatal(err)
	}
	c.start()
}

// quickly sets a scene with work that takes no time.
func (c *testCloud) quickly(scene func()) {
	c.Helper()
	latency := c.latency.String()
	c.setLatency("0")
	scene()
	c.setLatency(latency)
}

// start starts a process on the database as it lies, alone.
func (c *testCloud) start() {
	c.Helper()
	c.lives++
	c.ctx, c.crash = context.WithCancel(c.Context())
	c.Cleanup(c.crash)
	var err error
	if c.engine, err = sim.Open(c.Context(), c.db, sim.Options{Latency: c.latency, Clock: c.clock}); err != nil {
		c.Fatal(err)
	}
	c.store = store.New(c.db)
	config := Config{
		Store: c.store, Engine: c.engine, Catalog: c.catalog, Alone: !c.replica,
		Owner: fmt.Sprintf("process %d", c.lives), Log: slog.New(slog.NewTextHandler(c.Output(), nil)),
		Clock: c.clock,
	}
	if c.fault != nil {
		config.Intercept = c.fault.Intercept
	} else {
		config.Intercept = c.intercept
	}
	if c.configure != nil {
		c.configure(&config)
	}
	if c.plane, err = New(c.Context(), config); err != nil {
		c.Fatal(err)
	}
}

// restart is a crash and a new start: what waited in the old process is cut
// off, and nothing of it is left but the database.
func (c *testCloud) restart() {
	c.Helper()
	c.crash()
	c.start()
}

// addAccount makes an account and returns an actor who may do everything.
func (c *testCloud) addAccount(name string) cloud.Actor {
	c.Helper()
	account, err := Accounts{Store: c.store}.Add(c.Context(), name, name+"@example.com")
	if err != nil {
		c.Fatal(err)
	}
	return cloud.Actor{Account: account.ID, Scopes: cloud.Scopes{cloud.FullAccess}}
}

// limited is the actor with a token that has some scopes only.
func limited(who cloud.Actor, scopes ...cloud.Scope) cloud.Actor {
	who.Scopes = scopes
	return who
}

// settle carries out everything that is due and moves the clock on to what is
// due next, until nothing is left to do. A process that crashes on the way is
// started again.
func (c *testCloud) settle() {
	c.Helper()
	for range 5000 {
		if _, err := c.plane.Runner().RunDue(c.Context()); err != nil {
			c.Fatal(err)
		}
		if c.fault != nil && c.fault.Crashed() {
			c.restart()
			continue
		}
		if err := c.plane.firewalls.passOnce(c.Context()); err != nil {
			c.Fatal(err)
		}
		at, any := c.nextDue()
		if !any {
			return
		}
		c.clock.advanceTo(at)
	}
	c.Fatal("it does not settle: some operation goes on for ever")
}

// nextDue is when the next operation or the rules of the next Droplet are due,
// and whether any are.
func (c *testCloud) nextDue() (time.Time, bool) {
	c.Helper()
	at, any, err := c.plane.Runner().NextDue(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	rules, err := c.plane.nextFirewall(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	if !rules.IsZero() && (!any || rules.Before(at)) {
		return rules, true
	}
	return at, any
}

// do makes a call that may wait for an operation, and settles until the call
// returns and nothing is left to do.
func (c *testCloud) do(call func(ctx context.Context) error) error {
	c.Helper()
	answer := make(chan error, 1)
	ctx, woken := c.ctx, c.plane.Runner().Woken()
	go func() { answer <- call(ctx) }()
	for {
		select {
		case err := <-answer:
			c.settle()
			return err
		case <-woken:
			c.settle()
		case <-time.After(time.Minute):
			c.Fatalf("a call has not returned after a minute, and %d operations are unfinished", c.query(`SELECT COUNT(*) FROM actions WHERE status = 'in-progress'`))
		}
	}
}

// must makes a call that succeeds.
func (c *testCloud) must(call func(ctx context.Context) error) {
	c.Helper()
	if err := c.do(call); err != nil {
		c.Fatal(err)
	}
}

// Run runs a part of the test by its name.
func (c *testCloud) Run(name string, part func(t *testing.T)) {
	c.Helper()
	c.TB.(*testing.T).Run(name, part)
}

// inStore writes to the store behind the control plane's back.
func (c *testCloud) inStore(fn func(tx *store.Tx) error) {
	c.Helper()
	if err := c.store.Write(c.Context(), fn); err != nil {
		c.Fatal(err)
	}
}

// query reads one number from the database.
func (c *testCloud) query(sql string, args ...any) (n int64) {
	c.Helper()
	err := c.db.Read(c.Context(), func(t *database.Tx) (err error) {
		n, err = database.One(t, database.Value[int64], sql, args...)
		return err
	})
	if err != nil {
		c.Fatalf("%s: %v", sql, err)
	}
	return n
}

// exec changes rows behind the cloud's back.
func (c *testCloud) exec(sql string, args ...any) {
	c.Helper()
	err := c.db.Write(c.Context(), func(t *database.Tx) error {
		_, err := t.Exec(sql, args...)
		return err
	})
	if err != nil {
		c.Fatalf("%s: %v", sql, err)
	}
}

// wantError checks the kind of a refusal and its text, byte for byte.
func wantError(t testing.TB, err error, code cloud.Code, message string) {
	t.Helper()
	if cloud.CodeOf(err) != code || err == nil || err.Error() != message {
		t.Errorf("got %s: %v\nwant %s: %s", cloud.CodeOf(err), err, code, message)
	}
}

// wantPending checks for the text that clients match.
func wantPending(t testing.TB, err error) {
	t.Helper()
	wantError(t, err, cloud.CodeInvalid, "Droplet already has a pending event.")
}

package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/database/databasetest"
)

var (
	crashRounds = flag.Int("crash.rounds", 0, "how often to kill the server on SQLite (default 50, with -short 5)")
	crashSeed   = flag.Uint64("crash.seed", 0, "seed of the random killer (default: a new one each time)")
)

// A PostgreSQL server gives the leases of a killed process another ten seconds,
// so its rounds are slow, and some clouds share the wait.
const (
	postgresClouds = 3
	postgresRounds = 4
)

// longest is how many milliseconds a server works at most before it is killed.
const longest = 1000

// The server is killed at random instants while clients keep it busy. After
// each restart all that was acknowledged is there, and all that was accepted
// ends.
func TestCrash(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("to repeat the instants: -crash.seed %d", seed)
	rounds := *crashRounds
	if rounds == 0 {
		rounds = 50
		if testing.Short() {
			rounds = 5
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		killRounds(t, cloudUnderTest{data: t.TempDir()}, seed, rounds)
	})
	for i := range uint64(postgresClouds) {
		t.Run(fmt.Sprintf("postgres-%d", i+1), func(t *testing.T) {
			t.Parallel()
			n := postgresRounds
			if testing.Short() {
				n = 1
			}
			killRounds(t, cloudUnderTest{data: t.TempDir(), database: databasetest.Postgres(t)}, seed+1+i, n)
		})
	}
}

// cloudUnderTest says where a cloud's state is. It outlives its servers.
type cloudUnderTest struct{ data, database string }

func (c cloudUnderTest) environ() []string {
	env := append(os.Environ(), "XDG_STATE_HOME="+c.data, "CISTERN_LISTEN=127.0.0.1:0", "CISTERN_SIM_LATENCY=5ms",
		"CISTERN_TOKEN=dop_v1_crash", "CISTERN_LOG_LEVEL=warn", "CISTERN_RATE_LIMIT=off") // the workload asks more than any client
	if c.database != "" {
		return append(env, "CISTERN_DATABASE="+c.database)
	}
	return append(env, "CISTERN_DATA="+c.data)
}

// killRounds kills servers of one cloud, one after the other, and audits the
// cloud after each.
func killRounds(t *testing.T, c cloudUnderTest, seed uint64, rounds int) {
	l := newLedger(seed)
	for round := 1; round <= rounds; round++ {
		if l.n(4) == 0 {
			killStarting(t, c, l)
		}
		killWorking(t, c, l, round%2 == 0)
		server := startOrFail(t, c)
		inspect(t, c, l, server, round)
		if round%3 == 0 { // the next one meets what a stop in order leaves
			if err := server.terminate(); err != nil {
				t.Fatal(err)
			}
		}
		server.kill()
		if t.Failed() {
			t.Fatalf("stopped after round %d, seed %d", round, seed)
		}
	}
	t.Logf("%d rounds: %d things asked for, %d actions and %d destroys accepted", rounds, len(l.things), len(l.promises), len(l.destroys))
}

func startOrFail(t *testing.T, c cloudUnderTest) *server {
	t.Helper()
	s, err := start(c.data, c.environ())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	return s
}

// killStarting kills a server before anybody has asked it for anything.
func killStarting(t *testing.T, c cloudUnderTest, l *ledger) {
	t.Helper()
	s, err := launch(c.data, c.environ())
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Duration(l.n(150)) * time.Millisecond) // the random instant
	s.kill()
}

// killWorking kills a server that is busy.
func killWorking(t *testing.T, c cloudUnderTest, l *ledger, faults bool) {
	t.Helper()
	s := startOrFail(t, c)
	instant := time.Duration(20+l.n(longest)) * time.Millisecond
	killer := time.AfterFunc(instant, s.kill)
	defer killer.Stop()
	l.work(s.url, "dop_v1_crash", 6, faults, s.exited)
	s.kill()
	if err := s.complaints(); err != nil {
		t.Error(err)
	}
}

// inspect waits until the server is at rest and audits it from both sides.
func inspect(t *testing.T, c cloudUnderTest, l *ledger, s *server, round int) {
	t.Helper()
	db, err := openBeside(c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := settle(db); err != nil {
		t.Errorf("round %d: %v", round, err)
	}
	findings := l.audit(s.url, "dop_v1_crash")
	worlds, err := compareWorlds(db)
	if err != nil {
		t.Error(err)
	}
	if findings = append(findings, worlds...); len(findings) > 0 {
		t.Errorf("round %d: %s\n\nthe server says:\n%s", round, strings.Join(findings, "\n"), s.stderr.String())
		keep(t, c)
	}
}

// keep leaves a copy of a SQLite cloud in which something is wrong.
func keep(t *testing.T, c cloudUnderTest) {
	t.Helper()
	if c.database != "" {
		return
	}
	dir, err := os.MkdirTemp("", "cistern-crash-")
	if err != nil {
		t.Error(err)
		return
	}
	for _, name := range []string{"cistern.db", "cistern.db-wal"} {
		if data, err := os.ReadFile(filepath.Join(c.data, name)); err == nil {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Error(err)
			}
		}
	}
	t.Logf("a copy of its data is in %s", dir)
}

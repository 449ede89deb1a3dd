// Package e2e tests the binary as people use it: scripts that read like a
// session at a terminal, and a killer that ends the server at any instant.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	_ "github.com/cistern-cloud/cistern/internal/cli" // so that results are not kept when the server has changed
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
)

// binary is the cistern that all tests run.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for servers more than they work.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cistern-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o755); err != nil { // for those who run the binary as somebody else
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "cistern")
	// As it is released. The race detector would make it too slow to be caught
	// in the middle of much; the tests of its parts have it.
	build := exec.Command("go", "build", "-race=false", "-buildvcs=false", "-o", binary, "../../cmd/cistern")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build cistern: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// TestScripts runs every script of testdata on both databases. The scripts name
// neither: where the state is comes from the environment.
func TestScripts(t *testing.T) {
	for _, kind := range databasetest.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			if kind == "postgres" {
				databasetest.Postgres(t) // or skip all
			}
			testscript.Run(t, testscript.Params{
				Dir:   "testdata",
				Setup: func(env *testscript.Env) error { return setUp(t, kind, env) },
				Cmds:  commands,
				Condition: func(name string) (bool, error) {
					if name != "sqlite" && name != "postgres" {
						return false, fmt.Errorf("unknown condition")
					}
					return name == kind, nil
				},
				RequireUniqueNames: true,
				Deadline:           time.Now().Add(10 * time.Minute),
			})
		})
	}
}

// setUp gives a script a home of its own: the binary on its path, its own
// storage, and a free port.
func setUp(t *testing.T, kind string, env *testscript.Env) error {
	env.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+env.Getenv("PATH"))
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
	env.Setenv("CISTERN_LISTEN", "127.0.0.1:0")
	env.Setenv("CISTERN_RATE_LIMIT", "off") // waiting asks often
	if kind == "postgres" {
		env.Setenv("CISTERN_DATABASE", databasetest.Postgres(t))
	}
	s := &session{}
	env.Values[sessionKey{}] = s
	env.Defer(s.end)
	return nil
}

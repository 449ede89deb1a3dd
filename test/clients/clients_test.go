// Package clients drives the built binary with the clients that people use.
// scripts/with-clients installs them; `make test-clients` runs all of this.
package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/cistern-cloud/cistern/internal/cli" // so that results are not kept when the server has changed
)

// binary is the cistern that all tests run.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	if os.Getenv("CISTERN_TEST_CLIENTS") == "" { // each test says so
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "cistern-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "cistern")
	build := exec.Command("go", "build", "-race=false", "-buildvcs=false", "-o", binary, "../../cmd/cistern")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build cistern: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// installed returns what scripts/with-clients has put into a variable, or skips
// the test.
func installed(t *testing.T, variable string) string {
	t.Helper()
	if os.Getenv("CISTERN_TEST_CLIENTS") == "" {
		t.Skip("the clients are not installed; run this through scripts/with-clients, or make test-clients")
	}
	value := os.Getenv(variable)
	if value == "" {
		t.Skipf("%s names nothing; scripts/with-clients says why", variable)
	}
	return value
}

// python returns the path of a program of the clients' Python environment.
func python(t *testing.T, program string) string {
	t.Helper()
	return filepath.Join(installed(t, "CISTERN_TEST_PYTHON"), program)
}

func TestPydo(t *testing.T)      { cases(t, python(t, "python"), "pydo_client.py") }
func TestPydoAsync(t *testing.T) { cases(t, python(t, "python"), "pydo_client.py", "aio") }
func TestGradient(t *testing.T)  { cases(t, python(t, "python"), "gradient_client.py") }
func TestDOBOTO(t *testing.T)    { cases(t, python(t, "python"), "doboto_client.py") }

// TestDoTs needs Node 20, which not every system that is supported has.
func TestDoTs(t *testing.T) {
	installed(t, "CISTERN_TEST_CLIENTS")
	if os.Getenv("CISTERN_TEST_NODE") == "" {
		t.Skip("not applicable: DoTs needs Node 20 or later with npm, which is not installed here")
	}
	cases(t, "node", "dots_client.mjs")
}

// result is how a case of a script ended.
type result struct{ Case, Error string }

// cases runs a script against a server of its own. Each line that it prints is
// the end of one case, and becomes a test.
func cases(t *testing.T, command ...string) {
	t.Parallel()
	s := serve(t)
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = append(os.Environ(), s.environment()...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	ran := 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); ran++ {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Errorf("%s: %v", lines.Text(), err)
			continue
		}
		t.Run(r.Case, func(t *testing.T) {
			if r.Error != "" {
				t.Error(r.Error)
			}
		})
	}
	if err != nil || ran == 0 {
		t.Errorf("%s: %d cases, %v\n%s", strings.Join(command, " "), ran, err, complaints.String())
	}
}

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What docs/testing.md shows is run as it stands there.

// block returns the one block of code of a language in a document.
func block(t *testing.T, document, language string) string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks of %s, want one", document, len(found), language)
	}
	return found[0][1]
}

// runBlock runs a command in a folder that has the block as a file.
func runBlock(t *testing.T, language, file string, command ...string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(block(t, "../../docs/testing.md", language)), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), "XDG_STATE_HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
	t.Logf("%s", out)
}

func TestShellInDocs(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not applicable: %s is not installed", program)
		}
	}
	runBlock(t, "bash", "test.sh", "bash", "test.sh")
}

// TestPythonInDocs takes the Python that scripts/with-clients has set up.
func TestPythonInDocs(t *testing.T) {
	t.Parallel()
	programs := os.Getenv("CISTERN_TEST_PYTHON")
	if programs == "" {
		t.Skip("the clients are not installed; run this through scripts/with-clients, or make test")
	}
	runBlock(t, "python", "test_infrastructure.py", filepath.Join(programs, "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider")
}

// The test in Go is one of package cisterntest, and so is run there.
func TestGoInDocs(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../../cisterntest/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range []string{"../../docs/testing.md", "../../README.md"} {
		if block(t, document, "go") != string(source) {
			t.Errorf("%s shows other code than cisterntest/example_test.go", document)
		}
	}
}

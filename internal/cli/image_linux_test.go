package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// At a terminal a bar shows how much was read, and gives way to the result.
func TestImageImportAtATerminal(t *testing.T) {
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("QEMU: qemu-img is not installed; scripts/with-qemu installs it")
	}
	t.Setenv("TERM", "xterm")
	data := t.TempDir()
	file := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(file, rawDisk(), 0o600); err != nil {
		t.Fatal(err)
	}
	terminal, screen := openTerminal(t)
	status := execute(t.Context(), []string{"image", "import", file, "--slug", "web", "--distribution", "Debian", "--data", data}, terminal, terminal, terminal)
	shown := screen()
	want := regexp.MustCompile(`(?s)^\r\x1b\[K[^\n]* +\d+%.*\r\x1b\[KImported web: [^\r]*\r\nSHA-256 of what was imported: [0-9a-f]{64}\r\n`)
	if status != 0 || !want.MatchString(shown) {
		t.Errorf("%d, %q", status, shown)
	}
}

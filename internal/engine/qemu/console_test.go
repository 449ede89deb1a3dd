package qemu

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// Who wants to see a machine that does not answer is told so.
func TestSilentMachine(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	l.startMachine("1")
	if err := os.Remove(filepath.Join(l.folder(machines, "1"), consoleSocket)); err != nil {
		t.Fatal(err)
	}
	_, err := l.Console(t.Context(), "1")
	l.wantSilent("its console", err)
	// Another engine finds its monitor gone.
	if err := errors.Join(l.Close(), os.Remove(filepath.Join(l.folder(machines, "1"), monitorSocket))); err != nil {
		t.Fatal(err)
	}
	l.open()
	_, err = l.Screenshot(t.Context(), "1")
	l.wantSilent("its screen", err)
}

func (l *lab) wantSilent(what string, err error) {
	l.Helper()
	if e, is := errors.AsType[*engine.Error](err); !is || !e.Transient || !strings.Contains(e.Message, "power-cycle the Droplet") {
		l.Errorf("%s: %v", what, err)
	}
}

// Whoever joins the console sees what it wrote before, and sends away who was
// there.
func TestConsole(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	if _, err := l.Console(t.Context(), "1"); !engine.IsFinal(err) {
		t.Errorf("of a machine that is off: %v", err)
	}
	l.startMachine("1")
	first, err := l.Console(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	readUntil(t, first, "cistern-tiny ready")
	second, err := l.Console(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	readUntil(t, second, "cistern-tiny") // of before
	if _, err := second.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	readUntil(t, second, "login:")
	for b := make([]byte, 1024); err == nil; {
		_, err = first.Read(b)
	}
}

// What a guest writes to its console does not fill the host's disk.
func TestConsoleIsKeptSmall(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	l.startMachine("1")
	console, err := l.Console(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	readUntil(t, console, "login:")
	l.cutConsoles(10)
	if _, err := console.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	readUntil(t, console, "login:")
	info, err := os.Stat(filepath.Join(l.folder(machines, "1"), consoleFile))
	if err != nil || info.Size() > 100 {
		t.Errorf("%+v, %v: want what was written since", info, err)
	}
}

package qemu

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cistern-cloud/cistern/internal/engine"
)

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

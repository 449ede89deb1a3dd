package qemu

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// What a machine's process could put in the place of its files does not lead to
// the host's.
func TestPlantedLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.create("1")
	l.must(func(w engine.Work) (engine.Progress, error) {
		return l.CreateVolume(t.Context(), w, engine.Volume{Ref: ref("v"), Region: "nyc3", SizeGigabytes: 1})
	})
	machine, volume := l.folder(machines, "1"), l.folder(volumes, "v")
	plant := func(folder, name string) string {
		path := filepath.Join(folder, name)
		_ = os.Remove(path)
		if err := os.Symlink(victim, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := l.seal(plant(machine, diskFile)); err == nil {
		t.Error("a link was sealed")
	}
	if err := cut(plant(machine, consoleFile), 1); err == nil {
		t.Error("a link was cut")
	}
	if text, err := tail(plant(machine, logFile), 100); err == nil {
		t.Errorf("a link was read: %q", text)
	}
	plant(machine, "new")
	if err := l.makeFile(machine, "new"); err == nil {
		t.Error("a link was made")
	}
	if err := os.Symlink(filepath.Dir(victim), filepath.Join(machine, "disk-9")); err != nil {
		t.Fatal(err)
	}
	if err := makeFolder(filepath.Join(machine, "disk-9"), nil); err == nil {
		t.Error("a link was taken for a new folder")
	}
	if err := link(filepath.Join(volume, volumeFile), filepath.Join(machine, "disk-9"), "victim"); err == nil {
		t.Error("a link was put where a link leads")
	}
	plant(volume, volumeFile)
	_, err := l.finish(engine.Work{Key: "resize"}, func(w engine.Work) (engine.Progress, error) {
		return l.ResizeVolume(t.Context(), w, ref("v"), 2)
	})
	if err == nil {
		t.Error("a volume that is a link was resized")
	}
	info, err := os.Lstat(victim)
	if text, _ := os.ReadFile(victim); err != nil || string(text) != "precious" || info.Mode().Perm() != 0o600 {
		t.Errorf("the victim is %v, %q, %v", info, text, err)
	}
}

// A pipe in the place of a file would keep who opens it waiting for ever.
func TestPlantedPipesAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tail(path, 100); err == nil {
		t.Error("a pipe was read")
	}
	if err := cut(path, 1); err == nil {
		t.Error("a pipe was cut")
	}
}

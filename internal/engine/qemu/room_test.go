package qemu

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/image"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/image/imagetest"
)

// A machine that could not write for want of room goes on when there is some.
func TestMachineWaitsForRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root: a small disk takes a mount")
	}
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"); err != nil {
		t.Skipf("root: a small disk cannot be mounted: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	imagetest.TinyIn(t, filepath.Join(dir, "images"))
	l := newLab(t, func(o *Options) {
		o.Dir, o.Images = filepath.Join(dir, "qemu"), image.Open(filepath.Join(dir, "images"))
	})
	l.create("1")
	filler := filepath.Join(dir, "filler")
	var room unix.Statfs_t
	if err := unix.Statfs(dir, &room); err != nil {
		t.Fatal(err)
	}
	const enoughToStart = 192 << 10
	if err := os.WriteFile(filler, make([]byte, int64(room.Bavail)*room.Bsize-enoughToStart), 0o600); err != nil {
		t.Fatal(err)
	}

	l.startMachine("1")
	console, err := l.Console(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	halted := func() bool {
		was, err := l.vm("1").resume(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return was
	}
	for !halted() { // it grows its file system when it starts
		time.Sleep(100 * time.Millisecond)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	l.resumeWaiting(t.Context())
	readUntil(t, console, "login:")
	if halted() {
		t.Error("it is halted, with room")
	}
}

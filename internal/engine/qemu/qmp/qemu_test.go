package qmp

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// startQEMU starts a QEMU without a guest in a folder whose name is too long
// for a socket's address. It is handed its sockets, so that they are there
// before it is. The second result waits until it has ended.
func startQEMU(t *testing.T) (dir string, ended func()) {
	t.Helper()
	program, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("QEMU: there is no qemu-system-x86_64 here")
	}
	dir = filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-accel", "tcg", "-S", "-display", "none", "-nodefaults", "-no-user-config", "-m", "16",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-chardev", "socket,id=qmp,fd=3,server=on,wait=off", "-mon", "chardev=qmp,mode=control",
		"-device", "virtio-serial", "-chardev", "socket,id=agent,fd=4,server=on,wait=off",
		"-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
		"-drive", "if=none,id=disk,driver=null-co,size=1M", "-device", "pcie-root-port,id=slot1", "-machine", "q35")
	cmd.Dir = dir
	cmd.Stderr = t.Output()
	cmd.ExtraFiles = []*os.File{listen(t, dir, "qmp.sock"), listen(t, dir, "agent.sock")}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, file := range cmd.ExtraFiles {
		file.Close() // only QEMU's are left, and end with it
	}
	ended = sync.OnceFunc(func() { _ = cmd.Wait() }) // however it ends
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		ended()
	})
	return dir, ended
}

func listen(t *testing.T, dir, name string) *os.File {
	t.Helper()
	// The address is bound under a short name: only its folder has a long one.
	tmp, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Remove(tmp) }() // the socket has left it
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(tmp, name)})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	if err := os.Rename(filepath.Join(tmp, name), filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// within is a context that ends long after anything here should have.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestQEMU(t *testing.T) {
	dir, ended := startQEMU(t)
	ctx := within(t, time.Minute)
	c, err := Dial(ctx, Unix(dir, "qmp.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if v := c.Version(); !strings.Contains(v, ".") || strings.HasPrefix(v, "0.") {
		t.Errorf("version %q", v)
	}
	err = c.Execute(ctx, "device_del", map[string]string{"id": "nothing"}, nil)
	if e, is := errors.AsType[*Error](err); !is || e.Class != "DeviceNotFound" {
		t.Errorf("delete what is not there: %v", err)
	}
	var status struct{ Status string }
	if err := c.Execute(ctx, "query-status", nil, &status); err != nil || status.Status != "prelaunch" {
		t.Errorf("%v, %v", status, err)
	}
	if _, err := Dial(within(t, 50*time.Millisecond), Unix(dir, "qmp.sock")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second client: %v", err)
	}
	c.Close()

	if c, err = Dial(ctx, Unix(dir, "qmp.sock")); err != nil {
		t.Fatalf("after the first left: %v", err)
	}
	events := c.Subscribe("SHUTDOWN")
	if err := c.Execute(ctx, "quit", nil, nil); err != nil {
		t.Error(err)
	}
	if _, err := events.Next(ctx); err != nil {
		t.Error(err)
	}
	<-c.Done()
	ended()
	if _, err := Dial(ctx, Unix(dir, "qmp.sock")); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a QEMU that has ended: %v", err)
	}
}

func TestQEMUHotPlug(t *testing.T) {
	dir, _ := startQEMU(t)
	ctx := within(t, time.Minute)
	c, err := Dial(ctx, Unix(dir, "qmp.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Execute(ctx, "device_add", map[string]string{"driver": "virtio-blk-pci", "drive": "disk", "id": "vda", "bus": "slot1"}, nil); err != nil {
		t.Fatal(err)
	}
	deletions := c.Subscribe("DEVICE_DELETED")
	if err := c.Execute(ctx, "device_del", map[string]string{"id": "vda"}, nil); err != nil {
		t.Fatal(err)
	}
	// No guest runs that would let go of it, but a reset takes it away.
	if err := c.Execute(ctx, "system_reset", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Execute(ctx, "cont", nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := deletions.Wait(ctx, deleted("vda")); err != nil {
		t.Error(err)
	}
}

func TestNoAgent(t *testing.T) {
	dir, _ := startQEMU(t)
	agent := NewAgent(Unix(dir, "agent.sock"))
	for range 3 {
		if err := agent.Ping(within(t, 100*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
}

func TestDialUnixFails(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{"no folder": filepath.Join(dir, "x"), "no socket": dir} {
		if _, err := DialUnix(t.Context(), path, "qmp.sock"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "/proc") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package usernet

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// as does something as another user, in a thread that ends with it.
func as(uid int, do func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			result <- errno
			return
		}
		result <- do()
	}()
	return <-result
}

// A machine's process has a user of its own, where this one is root: it gets
// its frames and sends, and nobody else can.
func TestMachineOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be someone else")
	}
	const user, stranger = 65534, 65533
	c := newCloud(t)
	dir, err := os.MkdirTemp("", "machine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chown(dir, user, user); err != nil {
		t.Fatal(err)
	}
	m := describeMachine(dir, 7)
	c.plug(m)
	ping := pingFrame(m, "198.18.77.7", "198.18.0.1", 5)
	var conn *net.UnixConn
	gateway := &net.UnixAddr{Name: filepath.Join(dir, "public.net"), Net: "unixgram"}
	err = as(user, func() (err error) {
		own := &net.UnixAddr{Name: filepath.Join(dir, "public.qemu"), Net: "unixgram"}
		if conn, err = net.ListenUnixgram("unixgram", own); err == nil {
			_, err = conn.WriteToUnix(ping, gateway)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wire := &card{t, conn, gateway}
	defer conn.Close()
	if p, ok := parse(wire.next()); !ok || p.srcPort != 5 {
		t.Errorf("got %+v", p)
	}
	err = as(stranger, func() error {
		conn, err := net.DialUnix("unixgram", nil, gateway)
		if err == nil {
			conn.Close()
		}
		return err
	})
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a stranger may send: %v", err)
	}
}

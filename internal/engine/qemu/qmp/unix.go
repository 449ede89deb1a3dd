package qmp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Unix dials the socket of a name in a folder.
func Unix(dir, name string) Dialer {
	return func(ctx context.Context) (net.Conn, error) { return DialUnix(ctx, dir, name) }
}

// DialUnix connects to the socket of a name in a folder, however long the
// folder's own name is: an address has room for 108 bytes, so that it leads
// through a descriptor of the folder. While as many wait there as the socket
// lets wait, this one waits as well.
func DialUnix(ctx context.Context, dir, name string) (net.Conn, error) {
	fd, err := openPath(dir)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer syscall.Close(fd)
	address := fmt.Sprintf("/proc/self/fd/%d/%s", fd, name)
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "unix", address)
		if err == nil {
			return conn, nil
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), reason(err))
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// openPath opens a folder that may be entered, whether or not it may be read.
// Only Linux has that, as it has KVM.
func openPath(dir string) (int, error) {
	const path = 0x200000 // O_PATH, which package syscall lacks
	return syscall.Open(dir, path|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
}

// reason leaves out the address, which tells nobody anything.
func reason(err error) error {
	if e, is := errors.AsType[*net.OpError](err); is {
		return e.Err
	}
	return err
}

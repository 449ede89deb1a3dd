package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// alive reports whether a machine's process runs. QEMU holds a lock on its
// pidfile for as long as it does; whether there is a process of that number
// says nothing.
func alive(dir string) bool { return lockHolder(dir) != 0 }

// lockHolder returns the process that holds a machine's pidfile, or 0.
func lockHolder(dir string) int {
	f, err := os.OpenFile(filepath.Join(dir, pidFile), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil || lock.Type == unix.F_UNLCK {
		return 0
	}
	return int(lock.Pid)
}

// killHolder kills the process that holds a machine's pidfile. The process is
// opened first, and the lock looked at again: so the number cannot have come to
// mean somebody else.
func killHolder(ctx context.Context, dir string, pid int) error {
	process, err := openProcess(pid)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer process.Close()
	if lockHolder(dir) != pid {
		return nil
	}
	if err := kill(process); err != nil {
		return err
	}
	return waitForEnd(ctx, process)
}

// kill ends a process that was opened. One that has ended is done.
func kill(process *os.File) error {
	conn, err := process.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) })
	if errors.Is(failed, unix.ESRCH) {
		failed = nil
	}
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("kill %s: %w", process.Name(), err)
	}
	return nil
}

// openProcess returns a file that stands for a process and can be read when the
// process has ended.
func openProcess(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return os.NewFile(uintptr(fd), fmt.Sprintf("process %d", pid)), nil
}

// waitForEnd waits until a process has ended.
func waitForEnd(ctx context.Context, process *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = process.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := process.SyscallConn()
	if err != nil {
		return err
	}
	err = conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 && err == nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

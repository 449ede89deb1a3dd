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

const (
	// strangerTime is how long a process that this engine is not connected to may
	// take to tell its number and to end, and lookAgainAfter how often it is looked at.
	strangerTime   = 20 * time.Second
	lookAgainAfter = 10 * time.Millisecond
)

// alive reports whether a machine has a process, from before it starts until it
// has ended. Whether there is a process of some number says nothing.
func alive(dir string) bool {
	f, err := openPlain(filepath.Join(dir, runningFile), os.O_RDONLY)
	if err != nil {
		return false
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock)
	return err == nil && lock.Type != unix.F_UNLCK
}

// lockRunning makes and locks the file that a machine's process is given. The
// lock is that of the open file, so the process has it from its first moment on,
// whatever becomes of this one.
func lockRunning(dir string) (*os.File, error) {
	path := filepath.Join(dir, runningFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := create(path)
	if err != nil {
		return nil, err
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// lockHolder returns the process that holds a machine's pidfile, or 0. QEMU locks
// it soon after it has started, and removes it just before it has ended.
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

// endStranger ends a machine's process that this engine is not connected to.
// One that has just started takes a moment to tell its number.
func endStranger(ctx context.Context, dir string) error {
	ctx, done := context.WithTimeoutCause(ctx, strangerTime,
		fmt.Errorf("a process runs in %s and does not end; end it by hand (%s tells which, if it is there)", dir, pidFile))
	defer done()
	again := time.NewTicker(lookAgainAfter)
	defer again.Stop()
	for alive(dir) {
		if pid := lockHolder(dir); pid != 0 {
			if err := killHolder(ctx, dir, pid); err != nil {
				return err
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
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

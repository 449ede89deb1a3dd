package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// crash kills a machine's process, as a fault of its own would.
func (l *lab) crash(id string) {
	l.Helper()
	pid := lockHolder(l.folder(machines, id))
	if pid == 0 {
		l.Fatalf("machine %s has no process", id)
	}
	process, err := openProcess(pid)
	if err != nil {
		l.Fatal(err)
	}
	defer process.Close()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		l.Fatal(err)
	}
	if err := waitForEnd(l.Context(), process); err != nil {
		l.Fatal(err)
	}
}

// startSlowly starts a machine's process as an engine does that is killed before
// it has heard of it, and returns what lets it come up: until then it has not told
// its number.
func (l *lab) startSlowly(id string) (process *exec.Cmd, comeUp func()) {
	l.Helper()
	gate := filepath.Join(l.TempDir(), "gate")
	slow := filepath.Join(filepath.Dir(gate), "qemu")
	script := fmt.Sprintf("#!/bin/sh\nread line <'%s'\nexec '%s' \"$@\"\n", gate, l.programs.qemu)
	if err := errors.Join(unix.Mkfifo(gate, 0o600), os.WriteFile(slow, []byte(script), 0o700)); err != nil {
		l.Fatal(err)
	}
	defer func(before string) { l.programs.qemu = before }(l.programs.qemu)
	l.programs.qemu = slow
	m := l.record(id)
	nics, _ := l.Network.Plug(l.Context(), l.vnet(m))
	sockets, err := l.listen(l.folder(machines, id), monitorSocket, consoleSocket, agentSocket)
	if err != nil {
		l.Fatal(err)
	}
	command := l.commandFor(m, nil, nics, sockets)
	process, err = l.spawn(l.folder(machines, id), command)
	command.close()
	if err != nil {
		l.Fatal(err)
	}
	return process, func() {
		if err := os.WriteFile(gate, []byte("go on\n"), 0); err != nil {
			l.Error(err)
		}
	}
}

// An engine that is killed while it starts a process leaves one that comes up
// while the next engine looks for it. It is taken over.
func TestMachineThatComesUpLate(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	process, comeUp := l.startSlowly("1")
	go func() { _ = process.Wait() }()
	go comeUp()
	l.reopen()
	l.startMachine("1")
	l.runs("1", true)
	if pid := lockHolder(l.folder(machines, "1")); pid != process.Process.Pid || l.vm("1") == nil || !l.record("1").Running {
		t.Errorf("process %d runs it, and %d was started", pid, process.Process.Pid)
	}
}

// A process that has not told its number yet is there all the same: a machine is
// destroyed when it has ended.
func TestMachineIsDestroyedWhileItComesUp(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	process, comeUp := l.startSlowly("1")
	l.runs("1", true)
	ended := make(chan error, 1)
	go func() { ended <- process.Wait() }()
	go comeUp()
	l.must(func(w engine.Work) (engine.Progress, error) { return l.DestroyMachine(t.Context(), w, ref("1")) })
	err := <-ended
	exit, is := errors.AsType[*exec.ExitError](err)
	if !is || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Errorf("its process has ended with %v", err)
	}
}

// A process that nobody was told of, and that cannot be reached, is ended when its
// machine is started.
func TestMachineThatCannotBeReachedIsStartedAnew(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	l.startMachine("1")
	dir := l.folder(machines, "1")
	first := lockHolder(dir)
	if err := errors.Join(l.noteStopped(t.Context(), "1"), l.Close(), os.Remove(filepath.Join(dir, monitorSocket))); err != nil {
		t.Fatal(err)
	}
	l.open()
	l.startMachine("1")
	l.runs("1", true)
	if now := lockHolder(dir); now == first || l.vm("1") == nil || !l.record("1").Running {
		t.Errorf("process %d runs it, before %d did", now, first)
	}
}

// A process that does not tell its number in the end is not left behind unsaid.
func TestProcessWithoutANumberIsNotForgotten(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	process, comeUp := l.startSlowly("1")
	ctx, giveUp := context.WithCancel(t.Context())
	giveUp()
	if err := l.kill(ctx, "1"); !errors.Is(err, context.Canceled) {
		t.Errorf("ending it: %v", err)
	}
	l.runs("1", true)
	go func() { _ = process.Wait() }()
	go comeUp() // and it ends with the test
}

// A process whose monitor does not answer, and that holds its pidfile no more, is
// ended all the same.
func TestWedgedProcessIsEnded(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	l.startMachine("1")
	changed := l.watch()
	dir := l.folder(machines, "1")
	pid := lockHolder(dir)
	process, err := openProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer process.Close()
	if err := errors.Join(unix.Kill(pid, unix.SIGSTOP), os.Remove(filepath.Join(dir, pidFile))); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = kill(process) }()
	l.must(func(w engine.Work) (engine.Progress, error) {
		return l.StopMachine(t.Context(), w, ref("1"), engine.Stop{Force: true})
	})
	l.runs("1", false)
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(process.Fd()), Events: unix.POLLIN}}, 0); n != 1 {
		t.Errorf("its process runs on: %v", err)
	}
	select {
	case id := <-changed:
		t.Errorf("machine %s is said to have stopped by itself", id)
	default:
	}
}

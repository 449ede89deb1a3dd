package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/qmp"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// vm is a machine's process that runs, and the connection to its monitor.
type vm struct {
	id      string
	dir     string
	process *os.File // see openProcess; closed when it is watched no more
	monitor atomic.Pointer[qmp.Client]
	ended   chan struct{}
	// expected says that somebody is ending it, so that its end is no news.
	expected atomic.Bool
	// console is who has joined the serial console, which joining guards; screen is
	// held while the screen is written to its file.
	joining sync.Mutex
	console net.Conn
	screen  sync.Mutex
}

const (
	// monitorTime is how long a monitor may take to answer: it stands still
	// while a snapshot of much memory is written back, or the host is short of it.
	monitorTime = 20 * time.Second
	// quitTime is how long a process may take to end when it is told to.
	quitTime = 5 * time.Second
	// reconnectAfter is how long to wait before connecting again to a monitor
	// whose process is alive.
	reconnectAfter = 200 * time.Millisecond
)

// vm returns a machine's process, or nil when none runs.
func (e *Engine) vm(id string) *vm {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.vms[id]
}

// process returns a machine's process, or nil when none runs. One whose monitor
// does not answer is an error: it cannot be told anything, and is not off.
func (e *Engine) process(id string) (*vm, error) {
	v := e.vm(id)
	if v == nil && e.hasProcess(id) {
		return nil, fmt.Errorf("machine %s runs, but its monitor does not answer", id)
	}
	return v, nil
}

// hasProcess reports whether a machine has a process, whoever it answers.
func (e *Engine) hasProcess(id string) bool {
	return e.vm(id) != nil || alive(e.folder(machines, id))
}

// execute runs a command of the machine's monitor.
func (v *vm) execute(ctx context.Context, command string, arguments, result any) error {
	ctx, done := context.WithTimeout(ctx, monitorTime)
	defer done()
	return v.monitor.Load().Execute(ctx, command, arguments, result)
}

// agent is the machine's guest agent, which need not be there.
func (v *vm) agent() *qmp.Agent { return qmp.NewAgent(qmp.Unix(v.dir, agentSocket)) }

// launch starts a machine's process and connects to its monitor.
func (e *Engine) launch(ctx context.Context, m machine, attached []volume) (err error) {
	dir := e.folder(machines, m.ID)
	defer func() {
		if err != nil { // nothing leads to a machine that is off
			err = errors.Join(err, e.Network.Unplug(context.WithoutCancel(ctx), m.ID))
		}
	}()
	nics, err := e.Network.Plug(ctx, e.vnet(m))
	if err != nil {
		return err
	}
	sockets, err := e.listen(dir, monitorSocket, consoleSocket, agentSocket)
	if err != nil {
		closeFiles(nics)
		return err
	}
	command := e.commandFor(m, attached, nics, sockets)
	process, err := e.spawn(dir, command)
	command.close()
	if err != nil {
		return err
	}
	reaped := make(chan struct{})
	go func() { _ = process.Wait(); close(reaped) }() // not ours to wait for when the engine closes
	if err := e.connect(ctx, m.ID, reaped); err != nil {
		_ = process.Process.Kill()
		<-reaped
		return startFailure(dir, err)
	}
	return nil
}

// closeFiles closes this process's copies of the files of network devices.
func closeFiles(nics []vnet.NIC) {
	for _, nic := range nics {
		if nic.File != nil {
			nic.File.Close()
		}
	}
}

// spawn starts QEMU in a session of its own, so that it outlives this process
// and no terminal's signal reaches it.
func (e *Engine) spawn(dir string, c *command) (*exec.Cmd, error) {
	owner, err := e.ownerOf(dir)
	if err != nil {
		return nil, err
	}
	running, err := lockRunning(dir)
	if err != nil {
		return nil, err
	}
	c.give(running)
	discard(filepath.Join(dir, partialFile)) // of a process that died while it was copied
	discard(filepath.Join(dir, logFile))
	log, err := create(filepath.Join(dir, logFile))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(e.programs.qemu, c.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = dir, log, log, c.files
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: owner.credential()}
	return cmd, cmd.Start()
}

// startFailure is why a process did not start, in its own words.
func startFailure(dir string, err error) error {
	words, _ := tail(filepath.Join(dir, logFile), 500)
	if text := strings.TrimSpace(string(words)); text != "" {
		return fmt.Errorf("QEMU did not start: %s", text)
	}
	return fmt.Errorf("QEMU did not start: %w", err)
}

// listen makes sockets in a machine's folder that its process will serve.
func (e *Engine) listen(dir string, names ...string) (sockets map[string]*os.File, err error) {
	sockets = map[string]*os.File{}
	defer func() {
		if err != nil {
			for _, f := range sockets {
				f.Close()
			}
		}
	}()
	for _, name := range names {
		if sockets[name], err = e.listenOn(dir, name); err != nil {
			return sockets, err
		}
	}
	return sockets, nil
}

// listenOn goes through a descriptor of the folder: the names of sockets are
// short, and data folders need not be.
func (e *Engine) listenOn(dir, name string) (*os.File, error) {
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), name), Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	owner, err := e.ownerOf(dir)
	if err != nil {
		return nil, err
	}
	if err := owner.lchown(filepath.Join(dir, name)); err != nil {
		return nil, err
	}
	return l.File()
}

// connect connects to the monitor of a process that has started, and watches
// over it from then on. Gone is closed if the process ends meanwhile; it is nil
// for a process that is not a child of this one.
func (e *Engine) connect(ctx context.Context, id string, gone <-chan struct{}) error {
	v := &vm{id: id, dir: e.folder(machines, id), ended: make(chan struct{})}
	ctx, done := context.WithTimeout(ctx, monitorTime)
	defer done()
	if gone != nil {
		go func() {
			select {
			case <-gone:
				done()
			case <-ctx.Done():
			}
		}()
	}
	monitor, err := qmp.Dial(ctx, qmp.Unix(v.dir, monitorSocket))
	if err != nil {
		return err
	}
	// It greets before it has made its devices, and answers afterwards.
	if err := monitor.Execute(ctx, "query-status", nil, nil); err != nil {
		monitor.Close()
		return err
	}
	process, err := openProcess(lockHolder(v.dir))
	if err != nil {
		monitor.Close()
		return err
	}
	v.process = process
	v.monitor.Store(monitor)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		monitor.Close()
		process.Close()
		return errClosed
	}
	e.vms[id] = v
	ended := make(chan struct{})
	e.running.Go(func() {
		if waitForEnd(e.life, process) == nil {
			close(ended)
		}
	})
	e.running.Go(func() { e.watch(v, ended) })
	if gone == nil {
		e.running.Go(func() { e.endFormerCopy(v) })
	}
	return nil
}

// watch stays connected to a machine's monitor until its process has ended or
// the engine closes.
func (e *Engine) watch(v *vm, ended <-chan struct{}) {
	defer v.process.Close()
	for {
		monitor := v.monitor.Load()
		select {
		case <-ended:
			monitor.Close()
			e.noteEnd(v)
			return
		case <-e.life.Done():
			monitor.Close()
			return
		case <-monitor.Done():
		}
		pause := time.NewTimer(reconnectAfter)
		select {
		case <-ended:
		case <-e.life.Done():
		case <-pause.C:
			e.reconnect(v)
		}
		pause.Stop()
	}
}

func (e *Engine) reconnect(v *vm) {
	ctx, done := context.WithTimeout(e.life, monitorTime)
	defer done()
	if monitor, err := qmp.Dial(ctx, qmp.Unix(v.dir, monitorSocket)); err == nil {
		v.monitor.Store(monitor)
	}
}

// noteEnd notes that a machine's process is gone, and says so when nobody has
// asked for it.
func (e *Engine) noteEnd(v *vm) {
	e.mu.Lock()
	delete(e.vms, v.id)
	e.mu.Unlock()
	expected := v.expected.Load() // who expects it takes that back afterwards
	close(v.ended)
	if !expected {
		e.log.Info("a machine has stopped by itself", "machine", v.id)
		e.stoppedByItself(v.id)
	}
}

// kill ends a machine's process, whatever it is doing, and returns when it has
// ended. Where none runs, that is done.
func (e *Engine) kill(ctx context.Context, id string) error {
	if v := e.vm(id); v != nil {
		return v.kill(ctx)
	}
	return endStranger(ctx, e.folder(machines, id))
}

// kill has QEMU write back what it holds and end, or else ends it.
func (v *vm) kill(ctx context.Context) (err error) {
	v.expected.Store(true)
	defer func() {
		if err != nil {
			v.expected.Store(false) // it may end later, and then nobody waits for it
		}
	}()
	patience, done := context.WithTimeout(ctx, quitTime)
	defer done()
	_ = v.monitor.Load().Execute(patience, "quit", nil, nil) // it may end before it answers
	if v.wait(patience) == nil {
		return nil
	}
	if err := kill(v.process); err != nil && !v.hasEnded() {
		return err
	}
	return v.wait(ctx)
}

// wait waits until the process has ended, and that was noted.
func (v *vm) wait(ctx context.Context) error {
	select {
	case <-v.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (v *vm) hasEnded() bool {
	select {
	case <-v.ended:
		return true
	default:
		return false
	}
}

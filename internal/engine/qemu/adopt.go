package qemu

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// adoptAll takes over what a former process has left: machines that run, and
// folders of machines that are no more. It starts again the machines that ran
// when the host went down.
func (e *Engine) adoptAll(ctx context.Context) error {
	var known []machine
	var joined []engine.Peering
	err := e.db.Read(ctx, func(t *database.Tx) (err error) {
		if known, err = all[machine](t, machines, ""); err != nil {
			return err
		}
		joined, err = all[engine.Peering](t, peerings, "")
		return err
	})
	if err != nil {
		return err
	}
	if err := e.removeStrays(ctx, known); err != nil {
		return err
	}
	for _, p := range joined {
		if err := e.Network.Peer(ctx, p); err != nil {
			return fmt.Errorf("join VPCs: %w", err)
		}
	}
	var each sync.WaitGroup
	failures := make([]error, len(known))
	for i, m := range known {
		each.Go(func() { failures[i] = e.adopt(ctx, m) })
	}
	each.Wait()
	return errors.Join(failures...)
}

// adopt takes one machine over as it is.
func (e *Engine) adopt(ctx context.Context, m machine) error {
	switch {
	case alive(e.folder(machines, m.ID)):
		return e.takeOver(ctx, m)
	case m.Running && m.Boot != e.boot:
		e.log.Info("a machine that ran when the host went down is started again", "machine", m.ID)
		e.running.Go(func() { e.startAgain(m.ID) })
	case m.Running:
		e.log.Info("a machine has stopped while nobody watched", "machine", m.ID)
		return e.noteStopped(ctx, m.ID)
	}
	return nil
}

// takeOver plugs in a machine that runs, and connects to its monitor. A process
// that is wedged is no reason not to serve the others, nor to let them wait for
// long.
func (e *Engine) takeOver(ctx context.Context, m machine) error {
	if err := e.plug(ctx, m); err != nil {
		return err
	}
	patience, done := context.WithTimeout(ctx, askMonitorTime)
	defer done()
	if err := e.connect(patience, m.ID, nil); err != nil {
		e.log.Error("a machine runs, but its monitor does not answer; will try again", "machine", m.ID, "error", err)
		e.running.Go(func() { e.keepAsking(m.ID) })
		return nil
	}
	if !m.Running {
		return e.noteRunning(ctx, m.ID)
	}
	e.setNewPassword(m.ID)
	return nil
}

// plug plugs in a machine that runs.
func (e *Engine) plug(ctx context.Context, m machine) error {
	nics, err := e.Network.Plug(ctx, e.vnet(m))
	if err != nil {
		return fmt.Errorf("machine %s: %w", m.ID, err)
	}
	if !holds(e.folder(machines, m.ID), nics) {
		e.log.Error("a machine runs without a network, as its process holds none of its devices' other ends; power_cycle gives it one",
			"machine", m.ID, "name", m.Name)
	}
	closeFiles(nics) // its process has its own
	return nil
}

// holds reports whether the process that runs in a folder has the other ends of
// its network devices. It has not where somebody has removed them beside it, as
// cistern network clean does, or where it was started in a network of another kind.
func holds(dir string, nics []vnet.NIC) bool {
	words, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(lockHolder(dir)), "cmdline"))
	for _, nic := range nics {
		kind, _, _ := strings.Cut(nic.Netdev, ",")
		if nic.File != nil { // which nobody had, so that this process has it now
			return false
		}
		if err == nil && !bytes.Contains(words, []byte("\x00"+kind+",")) {
			return false
		}
	}
	return true
}

// takeOverLate takes over a process, if there is one, that did not answer when
// this engine looked for those that run: the one before may have been killed while
// it started it. If it cannot be reached it is ended, as nobody was told that it
// has started.
func (e *Engine) takeOverLate(ctx context.Context, m machine) error {
	if e.vm(m.ID) != nil || !alive(e.folder(machines, m.ID)) {
		return nil
	}
	if err := e.plug(ctx, m); err != nil {
		return err
	}
	err := e.connect(ctx, m.ID, nil)
	switch {
	case err == nil:
		return nil
	case m.Running && m.Boot == e.boot:
		return fmt.Errorf("machine %s runs, but its monitor does not answer: %w", m.ID, err)
	}
	e.log.Warn("a machine whose start was cut off cannot be reached; it is started anew", "machine", m.ID, "error", err)
	return e.kill(ctx, m.ID)
}

const (
	// askMonitorEvery is how long after a monitor did not answer it is asked again,
	// and askMonitorTime how long it may take when a machine is taken over: so long
	// does the engine's start wait, or is the machine's lock held.
	askMonitorEvery = time.Second
	askMonitorTime  = 5 * time.Second
)

// keepAsking goes on where takeOver had no answer, until the process answers
// or has ended.
func (e *Engine) keepAsking(id string) {
	again := time.NewTicker(askMonitorEvery)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-e.life.Done():
			return
		}
		if !alive(e.folder(machines, id)) {
			e.stoppedByItself(id)
			return
		}
		if e.takeOverAgain(id) == nil {
			e.log.Info("a machine's monitor answers again", "machine", id)
			return
		}
	}
}

// takeOverAgain connects to the monitor of a process that runs, unless somebody
// has done so.
func (e *Engine) takeOverAgain(id string) error {
	ctx, done := context.WithTimeout(e.life, askMonitorTime)
	defer done()
	unlock, err := e.locks.take(ctx, []string{machineLock(id)})
	if err != nil {
		return err
	}
	defer unlock()
	if e.vm(id) != nil {
		return nil
	}
	if err := e.connect(ctx, id, nil); err != nil {
		return err
	}
	if err := e.noteRunning(e.life, id); err != nil {
		return err
	}
	e.setNewPassword(id)
	return nil
}

// startAgainAfter is the pause after the first try to start a machine again; each
// is twice as long as the one before.
const startAgainAfter = 5 * time.Second

// startAgain starts a machine after a start of the host, which may not have all
// that it needs yet, such as its uplink. After seven tries it stays off.
func (e *Engine) startAgain(id string) {
	defer e.tell(id)
	pause := cmp.Or(e.startAgainAfter, startAgainAfter)
	for left := 6; ; left-- {
		if e.tryToStartAgain(id, left == 0) {
			return
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-e.life.Done():
			wait.Stop()
			return
		}
		pause *= 2
	}
}

// tryToStartAgain reports whether there is nothing more to try.
func (e *Engine) tryToStartAgain(id string, last bool) bool {
	unlock, err := e.locks.take(e.life, []string{diskLock(id), machineLock(id)})
	if err != nil {
		return true
	}
	defer unlock()
	m, err := look[machine](e.life, e, machines, id)
	if err != nil || !m.Running {
		return true // it was stopped or destroyed meanwhile
	}
	err = e.start(e.life, &m)
	if err != nil && !last {
		e.log.Warn("a machine could not be started again; another try follows", "machine", id, "error", err)
		return false
	}
	if err != nil {
		e.log.Error("a machine could not be started again, and is off", "machine", id, "error", err)
		m.Running = false
	}
	if err := e.db.Write(context.WithoutCancel(e.life), m.save); err != nil {
		e.log.Error("note a machine's start", "machine", id, "error", err)
	}
	return true
}

// stoppedByItself notes that a machine's process has ended without having been
// asked to, and tells whoever watches.
func (e *Engine) stoppedByItself(id string) {
	unlock, err := e.locks.take(e.life, []string{machineLock(id)})
	if err != nil {
		return // the next start finds out
	}
	defer unlock()
	if e.vm(id) != nil {
		return
	}
	if err := e.Network.Unplug(e.life, id); err != nil {
		e.log.Error("take a machine off the network", "machine", id, "error", err)
	}
	if err := e.noteStopped(e.life, id); err != nil {
		e.log.Error("note that a machine has stopped", "machine", id, "error", err)
	}
	e.tell(id)
}

func (e *Engine) noteStopped(ctx context.Context, id string) error { return e.note(ctx, id, false) }
func (e *Engine) noteRunning(ctx context.Context, id string) error { return e.note(ctx, id, true) }

// note records whether a machine is to run, if it is still there.
func (e *Engine) note(ctx context.Context, id string, runs bool) error {
	return e.db.Write(context.WithoutCancel(ctx), func(t *database.Tx) error {
		m, err := read[machine](t, machines, id)
		if errors.Is(err, engine.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		m.Running, m.Boot = runs, e.boot
		return m.save(t)
	})
}

// removeStrays removes what is left of machines that were destroyed. A process
// that runs there is ended. Folders of machines that the records do not know stay:
// a create was cut off and will go on, or the records are older than the folder.
func (e *Engine) removeStrays(ctx context.Context, known []machine) error {
	ours := map[string]bool{}
	for _, m := range known {
		ours[m.ID] = true
	}
	entries, err := os.ReadDir(e.folder(machines, ""))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if ours[entry.Name()] {
			continue
		}
		_, err := e.isThere(ctx, machines, entry.Name())
		if err == nil {
			e.log.Warn("there are files of a machine that is not in the records", "folder", e.folder(machines, entry.Name()))
			continue
		}
		if !errors.Is(err, engine.ErrGone) {
			return err
		}
		e.log.Info("what is left of a machine is removed", "machine", entry.Name())
		if err := e.remove(ctx, entry.Name()); err != nil {
			return err
		}
	}
	return nil
}

// Watch calls changed for each machine that stops by itself, or is started
// again after a start of the host, until ctx ends. There is one watcher.
func (e *Engine) Watch(ctx context.Context, changed func(id string)) error {
	e.watcher.Store(&changed)
	defer e.watcher.Store(nil)
	select {
	case <-ctx.Done():
	case <-e.life.Done():
	}
	return ctx.Err()
}

func (e *Engine) tell(id string) {
	if changed := e.watcher.Load(); changed != nil {
		(*changed)(id)
	}
}

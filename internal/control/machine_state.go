package control

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Real machines stop by themselves: a guest shuts down, a process dies; and the
// engine starts them again after a reboot of the host. A reconciler has Droplets
// follow. What an operation holds is left to it, and looked at when it has
// ended.

const (
	// machinesEvery is how often a pass is made that nothing has woken. It has
	// nothing to look at.
	machinesEvery = time.Hour
	// machinesAtOnce is how many Droplets are read at a time.
	machinesAtOnce = 500
	// watchRetry is how long after a watch that failed the next one is.
	watchRetry = time.Second
)

// machineStates is what the reconciler has to look at.
type machineStates struct {
	mu      sync.Mutex
	all     bool            // every Droplet
	changed map[string]bool // machines by ID
}

func newMachineStates() *machineStates { return &machineStates{all: true, changed: map[string]bool{}} }

func (s *machineStates) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed[id] = true
}

func (s *machineStates) addAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = true
}

// take hands out what there is to look at.
func (s *machineStates) take() (all bool, changed map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, changed = s.all, s.changed
	s.all, s.changed = false, map[string]bool{}
	return all, changed
}

// any reports whether something is left to look at.
func (s *machineStates) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all || len(s.changed) > 0
}

// watchMachines adds the reconciler, if the engine's machines need it.
func (p *Plane) watchMachines() {
	watcher, is := p.engine.(engine.Watcher)
	if !is {
		return
	}
	states := newMachineStates()
	r := newReconciler(p.log, "machines", machinesEvery, func(ctx context.Context) error { return p.followMachines(ctx, states) })
	r.when(p.store.Now, func(context.Context) (at time.Time, err error) {
		if states.any() {
			at = p.store.Now().Add(betweenPasses)
		}
		return at, nil
	})
	p.machines = r
	p.reconcilers = append(p.reconcilers, r)
	p.watch = func(ctx context.Context) {
		for ctx.Err() == nil {
			err := watcher.Watch(ctx, func(id string) {
				states.add(id)
				r.Wake()
			})
			if ctx.Err() != nil {
				return
			}
			p.log.Warn("machines are not watched; will try again", "after", watchRetry, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(watchRetry):
			}
			states.addAll() // something may have changed meanwhile
			r.Wake()
		}
	}
}

// followMachines is a pass over the machines that have changed. What cannot be
// settled stays to be looked at.
func (p *Plane) followMachines(ctx context.Context, states *machineStates) error {
	all, changed := states.take()
	if all {
		if err := p.addEveryMachine(ctx, changed); err != nil {
			states.addAll()
			return err
		}
	}
	var failed []error
	for id := range changed {
		settled, err := p.followMachine(ctx, id)
		if err != nil || !settled {
			states.add(id)
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (p *Plane) addEveryMachine(ctx context.Context, ids map[string]bool) error {
	for after := int64(0); ; {
		var some []int64
		err := p.store.Read(ctx, func(tx *store.Tx) (err error) {
			some, err = tx.AllDropletIDs(after, machinesAtOnce)
			return err
		})
		if err != nil || len(some) == 0 {
			return err
		}
		for _, id := range some {
			ids[cloud.FormatID(id)] = true
		}
		after = some[len(some)-1]
	}
}

// followMachine makes a Droplet's state its machine's. It reports whether the two
// are settled: an operation that holds the Droplet may still change both.
func (p *Plane) followMachine(ctx context.Context, id string) (settled bool, err error) {
	droplet, ok := cloud.ParseID(id)
	if !ok {
		return true, nil
	}
	var row store.PowerRow
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		row, err = tx.PowerRow(droplet)
		return err
	})
	switch {
	case cloud.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, err
	case row.Busy || row.Status == cloud.DropletNew:
		return false, nil
	}
	state, err := p.engine.Machine(ctx, id)
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return false, err
	}
	status := powerStatus(state.Running)
	if status == row.Status {
		return true, nil
	}
	return p.savePowerOf(ctx, row, status)
}

// savePowerOf records a state unless something has happened to the Droplet since
// its row was read, and with it maybe since the machine was looked at.
func (p *Plane) savePowerOf(ctx context.Context, row store.PowerRow, status cloud.DropletStatus) (saved bool, err error) {
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		now, err := tx.LockPowerRow(row.Droplet)
		saved = false
		if cloud.IsNotFound(err) {
			return nil
		}
		if err != nil || now != row {
			return err
		}
		saved = true
		return tx.SetDropletStatus(row.Droplet, status)
	})
	if err == nil && saved {
		p.log.Info("a Droplet's machine has changed by itself", "account", row.Account, "droplet", row.Droplet, "from", row.Status, "to", status)
	}
	return saved, err
}

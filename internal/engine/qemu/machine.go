package qemu

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// machine is what the records hold of a machine. The names in JSON stay the
// same.
type machine struct {
	engine.Machine
	// Running says that it is to run, and Boot under which start of the host it
	// was started.
	Running bool   `json:"running"`
	Boot    string `json:"boot"`
	// Resetting is the key of the work that stops it in order to start it again.
	Resetting string `json:"resetting,omitempty"`
	// PublicMAC and PrivateMAC are the addresses of its network devices.
	PublicMAC  string `json:"public_mac"`
	PrivateMAC string `json:"private_mac"`
	// Disk is the disk that it has, and Former the disk that ReplacedBy, the key of a piece of work, has replaced.
	Disk       disk   `json:"own_disk"` // beside the shape's, which is a size
	Former     disk   `json:"former_disk"`
	ReplacedBy string `json:"replaced_by"`
	// Password is root's, until somebody was told; PasswordHash is what its guest
	// is given of it at its first start.
	Password     string `json:"password,omitempty"`
	PasswordHash string `json:"password_hash,omitempty"`
	// NewPassword is to be set by the guest agent when it starts next.
	NewPassword string `json:"new_password,omitempty"`
}

// CreateMachine makes a machine's folder with its disk, not yet running.
func (e *Engine) CreateMachine(ctx context.Context, w engine.Work, m engine.Machine) (engine.Progress, error) {
	return e.do(ctx, call{
		work: w, locks: []string{machineLock(m.ID)}, makes: machines, id: m.ID,
		run: func(ctx context.Context, j *job) (effect, error) {
			done := effect{progress: engine.Progress{Host: e.Host}}
			there, err := e.isThere(ctx, machines, m.ID)
			if err != nil || there {
				return done, err
			}
			made, err := e.make(ctx, m)
			done.record = made.save
			return done, err
		},
	})
}

// make makes what a new machine consists of. Nothing of a former try is used.
func (e *Engine) make(ctx context.Context, spec engine.Machine) (machine, error) {
	if err := e.Network.Check(spec.Firewall); err != nil {
		e.log.Warn("a new machine's firewall cannot be kept", "machine", spec.ID, "error", err)
	}
	m := machine{Machine: spec, PublicMAC: newMAC(), PrivateMAC: newMAC()}
	source, err := e.sourceOf(ctx, spec.Image, spec.Region, spec.Disk)
	if err != nil {
		return m, err
	}
	dir := e.folder(machines, m.ID)
	if err := e.kill(ctx, m.ID); err != nil {
		return m, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return m, err
	}
	if err := makeFolder(dir, e.User.of(m.ID)); err != nil {
		return m, err
	}
	if m.Disk, err = e.makeDisk(ctx, dir, 1, source, m.Shape.Disk); err != nil {
		return m, err
	}
	if len(m.PublicKeys) == 0 {
		m.Password = newPassword()
		if m.PasswordHash, err = hashPassword(m.Password); err != nil {
			return m, err
		}
	}
	return m, e.sync(dir)
}

func (m machine) save(t *database.Tx) error { return save(t, machines, m.ID, "", m) }

// newMAC makes a random address that no manufacturer has given out.
func newMAC() string {
	mac := make(net.HardwareAddr, 6)
	rand.Read(mac)
	mac[0] = mac[0]&^1 | 2
	return mac.String()
}

// DestroyMachine ends a machine's process and removes its files, or makes sure
// that it never comes to be. Its volumes become free.
func (e *Engine) DestroyMachine(ctx context.Context, w engine.Work, ref engine.Ref) (engine.Progress, error) {
	return e.do(ctx, call{
		work: w, locks: []string{diskLock(ref.ID), machineLock(ref.ID)},
		run: func(ctx context.Context, j *job) (effect, error) {
			if err := e.remove(ctx, ref.ID); err != nil {
				return effect{}, err
			}
			e.takeBackVolumes(ctx, ref.ID)
			return effect{record: func(t *database.Tx) error { return buryMachine(t, ref.ID) }}, nil
		},
	})
}

// remove ends a machine's process and removes everything that is its own.
func (e *Engine) remove(ctx context.Context, id string) error {
	if err := e.kill(ctx, id); err != nil {
		return err
	}
	if err := e.Network.Unplug(ctx, id); err != nil {
		return fmt.Errorf("take machine %s off the network: %w", id, err)
	}
	return os.RemoveAll(e.folder(machines, id))
}

// buryMachine leaves a machine's tombstone, and frees its volumes.
func buryMachine(t *database.Tx, id string) error {
	attached, err := all[volume](t, volumes, id)
	if err != nil {
		return err
	}
	for _, v := range attached {
		v.Machine = ""
		if err := v.save(t); err != nil {
			return err
		}
	}
	return bury(t, machines, id)
}

// Machine returns the state of a machine, or ErrNotFound.
func (e *Engine) Machine(ctx context.Context, id string) (engine.MachineState, error) {
	if _, err := look[machine](ctx, e, machines, id); err != nil {
		return engine.MachineState{}, err
	}
	return engine.MachineState{Running: e.hasProcess(id), Host: e.Host}, nil
}

// change makes a call that changes a machine that is there. The change is
// recorded when it is done.
func (e *Engine) change(w engine.Work, id string, run func(ctx context.Context, j *job, m *machine) error) call {
	return call{
		work: w, locks: []string{machineLock(id)},
		run: func(ctx context.Context, j *job) (effect, error) {
			m, err := look[machine](ctx, e, machines, id)
			if err != nil {
				return effect{}, err
			}
			err = run(ctx, j, &m)
			return effect{record: m.save}, err
		},
	}
}

// changeDisk is change for what must not happen while the disk is copied.
func (e *Engine) changeDisk(w engine.Work, id string, run func(ctx context.Context, j *job, m *machine) error) call {
	c := e.change(w, id, run)
	c.locks = []string{diskLock(id), machineLock(id)}
	return c
}

// vnet is what the network is told of a machine.
func (e *Engine) vnet(m machine) vnet.Machine {
	return vnet.Machine{
		ID: m.ID, Dir: e.folder(machines, m.ID), PublicMAC: m.PublicMAC, PrivateMAC: m.PrivateMAC,
		Network: m.Network, Firewall: m.Firewall, Metadata: e.metadata(m.ID),
	}
}

// sync waits until a folder's files are on the disk, so that what is recorded
// next is true after a power cut.
func (e *Engine) sync(dir string) error {
	if e.Unsafe {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return errors.Join(syncFilesystem(f))
}

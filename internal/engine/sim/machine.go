package sim

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// errRaced is a thing made by another call with another key just now. The next
// try finds it there.
var errRaced = errors.New("sim: made by another call at the same time")

// machinesPerHost is how many neighbouring machines share a simulated host.
const machinesPerHost = 8

// CreateMachine makes a machine that does not run yet.
func (e *Engine) CreateMachine(ctx context.Context, w engine.Work, m engine.Machine) (engine.Progress, error) {
	c := e.call(w, "machine.create", m.Ref, m.Image.Ref)
	c.names = append(c.names, m.Image.Slug)
	c.makes = thing{"sim_machines", m.ID}
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		host := hostOf(m.Region, m.ID)
		there, err := c.makes.exists(t)
		if err == nil && !there {
			err = insertMachine(t, m, host)
		}
		return engine.Progress{Done: true, Host: host}, err
	}
	return e.do(ctx, c)
}

func insertMachine(t *database.Tx, m engine.Machine, host string) error {
	used, err := imageFor(t, m.Image, m.Region, m.Disk)
	if err != nil {
		return err
	}
	network, err := networkText(m.Network)
	if err != nil {
		return err
	}
	firewall, err := firewallText(m.Firewall)
	if err != nil {
		return err
	}
	n, err := t.Exec(`
		INSERT INTO sim_machines (id, account, name, region, host, running, vcpus, memory, disk,
			image, used_gigabytes, network, firewall, firewall_version, destroyed)
		VALUES ($1, $2, $3, $4, $5, FALSE, $6, $7, $8, $9, $10, $11, $12, $13, FALSE)
		ON CONFLICT (id) DO NOTHING`,
		m.ID, m.Account, m.Name, m.Region, host, m.VCPUs, m.Memory, m.Disk, imageName(m.Image), used,
		network, firewall, m.Firewall.Version)
	return one(n, err)
}

// one makes an insert that met another's row worth another try.
func one(n int64, err error) error {
	if err == nil && n == 0 {
		return errRaced
	}
	return err
}

// hostOf places machines so that a few neighbours share a host, and always the
// same ones.
func hostOf(region, id string) string {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		h := fnv.New32a()
		h.Write([]byte(id))
		n = uint64(h.Sum32())
	}
	return fmt.Sprintf("%s-%d", region, n/machinesPerHost)
}

// StartMachine starts a machine; one that runs is left alone.
func (e *Engine) StartMachine(ctx context.Context, w engine.Work, machine engine.Ref) (engine.Progress, error) {
	c := e.call(w, "machine.start", machine)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		host, err := found(database.One(t, database.Value[string],
			"UPDATE sim_machines SET running = TRUE WHERE id = $1 AND NOT destroyed RETURNING host", machine.ID))
		return engine.Progress{Done: err == nil, Host: host}, err
	}
	return e.do(ctx, c)
}

// StopMachine stops a machine. Simulated guests obey, so it always stops.
func (e *Engine) StopMachine(ctx context.Context, w engine.Work, machine engine.Ref, how engine.Stop) (engine.Progress, error) {
	c := e.call(w, "machine.stop", machine)
	c.takes = e.latency.stop(how)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		return changed(t.Exec("UPDATE sim_machines SET running = FALSE WHERE id = $1 AND NOT destroyed", machine.ID))
	}
	return e.do(ctx, c)
}

// changed answers an update of one thing, which has to be there.
func changed(n int64, err error) (engine.Progress, error) {
	if err == nil && n == 0 {
		err = engine.ErrNotFound
	}
	return engine.Progress{Done: err == nil}, err
}

// ResetMachine restarts a running machine and refuses one that does not run.
func (e *Engine) ResetMachine(ctx context.Context, w engine.Work, machine engine.Ref, hard bool) (engine.Progress, error) {
	c := e.call(w, "machine.reset", machine)
	c.takes = e.latency.reset(hard)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		m, err := lockMachine(t, machine.ID)
		if err == nil && !m.Running {
			err = refuse("machine %s is not running", machine.ID)
		}
		return engine.Progress{}, err
	}
	return e.do(ctx, c)
}

// ResizeMachine gives a stopped machine another shape. Its disk only grows,
// unless that is taken back.
func (e *Engine) ResizeMachine(ctx context.Context, w engine.Work, machine engine.Ref, shape engine.Shape) (engine.Progress, error) {
	c := e.call(w, "machine.resize", machine)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		m, err := lockMachine(t, machine.ID)
		switch {
		case err != nil || m.shape() == shape:
			return engine.Progress{}, err
		case m.Running:
			return engine.Progress{}, refuse("machine %s is running", m.ID)
		case shape.Disk < m.Disk && !w.Undo:
			return engine.Progress{}, refuse("the disk of machine %s has %d GiB and cannot shrink to %d", m.ID, m.Disk, shape.Disk)
		}
		return changed(t.Exec("UPDATE sim_machines SET vcpus = $1, memory = $2, disk = $3 WHERE id = $4",
			shape.VCPUs, shape.Memory, shape.Disk, m.ID))
	}
	return e.do(ctx, c)
}

// ResetPassword counts the passwords that a machine's guest was given: there
// is no guest to have them.
func (e *Engine) ResetPassword(ctx context.Context, w engine.Work, machine engine.Ref) (engine.Progress, error) {
	c := e.call(w, "machine.password", machine)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		return changed(t.Exec("UPDATE sim_machines SET passwords = passwords + 1 WHERE id = $1 AND NOT destroyed", machine.ID))
	}
	return e.do(ctx, c)
}

// DestroyMachine removes a machine, or makes sure that it never comes to be.
// Its volumes become free.
func (e *Engine) DestroyMachine(ctx context.Context, w engine.Work, machine engine.Ref) (engine.Progress, error) {
	c := e.call(w, "machine.destroy", machine)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		_, err := t.Exec(`
			INSERT INTO sim_machines (id, account, name, region, host, running, vcpus, memory, disk,
				image, used_gigabytes, network, firewall, firewall_version, destroyed)
			VALUES ($1, $2, $3, '', '', FALSE, 0, 0, 0, '', 0, '{}', '{}', 0, TRUE)
			ON CONFLICT (id) DO UPDATE SET running = FALSE, destroyed = TRUE`,
			machine.ID, machine.Account, machine.Name)
		if err != nil {
			return engine.Progress{}, err
		}
		_, err = t.Exec("UPDATE sim_volumes SET machine = '' WHERE machine <> '' AND machine = $1", machine.ID)
		return engine.Progress{}, err
	}
	return e.do(ctx, c)
}

// Machine returns the state of a machine, or ErrNotFound.
func (e *Engine) Machine(ctx context.Context, id string) (engine.MachineState, error) {
	var m Machine
	err := e.db.Peek(ctx, func(t *database.Tx) (err error) {
		m, err = findMachine(t, id, "")
		return err
	})
	return engine.MachineState{Running: m.Running, Host: m.Host}, err
}

// lockMachine reads a machine that is about to change, or whose volumes are.
// Machines are locked before volumes everywhere, so that nobody deadlocks.
func lockMachine(t *database.Tx, id string) (Machine, error) {
	return findMachine(t, id, t.ForUpdate())
}

func findMachine(t *database.Tx, id, lock string) (Machine, error) {
	return found(database.One(t, scanMachine, selectMachines+" AND id = $1"+lock, id))
}

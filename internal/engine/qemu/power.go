package qemu

import (
	"context"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// rebootGrace is how long a guest that is asked to restart may take to shut
// down before its process is replaced all the same.
const rebootGrace = 30 * time.Second

// StartMachine starts a machine's process; one that runs is left alone.
func (e *Engine) StartMachine(ctx context.Context, w engine.Work, ref engine.Ref) (engine.Progress, error) {
	c := e.changeDisk(w, ref.ID, func(ctx context.Context, j *job, m *machine) error {
		return e.start(ctx, m)
	})
	return e.do(ctx, onHost(c, e.Host))
}

// onHost adds to a call's answer where the machine is.
func onHost(c call, host string) call {
	run := c.run
	c.run = func(ctx context.Context, j *job) (effect, error) {
		done, err := run(ctx, j)
		done.progress.Host = host
		return done, err
	}
	return c
}

// start starts a machine's process if none runs, and notes that it is to run.
func (e *Engine) start(ctx context.Context, m *machine) error {
	if err := e.takeOverLate(ctx, *m); err != nil {
		return err
	}
	if e.vm(m.ID) == nil {
		attached, err := e.volumesOf(ctx, m.ID)
		if err != nil {
			return err
		}
		if err := e.linkVolumes(m.ID, attached); err != nil {
			return err
		}
		if err := e.launch(ctx, *m, attached); err != nil {
			return err
		}
	}
	m.Running, m.Boot = true, e.boot
	e.setNewPassword(m.ID)
	return nil
}

// StopMachine stops a machine: the guest is asked first if it has any grace.
func (e *Engine) StopMachine(ctx context.Context, w engine.Work, ref engine.Ref, how engine.Stop) (engine.Progress, error) {
	return e.do(ctx, e.changeDisk(w, ref.ID, func(ctx context.Context, j *job, m *machine) error {
		m.Running = false
		return e.stop(ctx, m.ID, how)
	}))
}

func (e *Engine) stop(ctx context.Context, id string, how engine.Stop) error {
	stopped, err := e.askToStop(ctx, id, how.Grace)
	switch {
	case err != nil:
		return err
	case !stopped && !how.Force:
		return refuse("machine %s did not shut down within %s; it runs on", id, how.Grace)
	case !stopped:
		if err := e.kill(ctx, id); err != nil {
			return err
		}
	}
	return e.Network.Unplug(ctx, id)
}

// askToStop presses the machine's power button and waits for its process to
// end. It reports whether none runs any more.
func (e *Engine) askToStop(ctx context.Context, id string, grace time.Duration) (bool, error) {
	v := e.vm(id)
	if v == nil {
		return !alive(e.folder(machines, id)), nil
	}
	if grace <= 0 {
		return false, nil
	}
	v.expected.Store(true)
	defer v.expected.Store(false) // in vain, it may stop by itself later
	patience := time.NewTimer(grace)
	defer patience.Stop()
	press := time.NewTicker(buttonEvery)
	defer press.Stop()
	for {
		// A guest that is still booting does not hear it the first time.
		if err := v.execute(ctx, "system_powerdown", nil, nil); err != nil && alive(v.dir) {
			return false, err
		}
		select {
		case <-v.ended:
			return true, nil
		case <-patience.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		case <-press.C:
		}
	}
}

// buttonEvery is how often the power button is pressed.
const buttonEvery = 3 * time.Second

// ResetMachine restarts a running machine by replacing its process, which takes
// up what has changed of its shape, and is steadier than a reset under
// emulation. The guest is asked first unless it is a hard one.
func (e *Engine) ResetMachine(ctx context.Context, w engine.Work, ref engine.Ref, hard bool) (engine.Progress, error) {
	return e.do(ctx, e.changeDisk(w, ref.ID, func(ctx context.Context, j *job, m *machine) error {
		// A try that was cut off between stop and start has noted that it stopped.
		if !e.hasProcess(m.ID) && m.Resetting != w.Key {
			return refuse("machine %s is not running", m.ID)
		}
		if err := e.noteReset(ctx, m, w.Key); err != nil {
			return err
		}
		how := engine.Stop{Force: true}
		if !hard {
			how.Grace = rebootGrace
		}
		if err := e.stop(ctx, m.ID, how); err != nil {
			return err
		}
		m.Resetting = ""
		return e.start(ctx, m)
	}))
}

// noteReset records that a machine is about to be stopped in order to be
// started again.
func (e *Engine) noteReset(ctx context.Context, m *machine, key string) error {
	if m.Resetting == key {
		return nil
	}
	m.Resetting = key
	return e.db.Write(context.WithoutCancel(ctx), m.save)
}

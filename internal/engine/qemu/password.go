package qemu

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/GehirnInc/crypt/sha512_crypt"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

const (
	// agentTime is how long a guest that runs may take to start its agent. It may
	// have been started just now.
	agentTime = 2 * time.Minute
	// askAgentEvery is how often an agent is asked that does not answer yet.
	askAgentEvery = time.Second
)

// ResetPassword gives root a new random password through the guest agent: now
// when the machine runs, else when it starts next. While the agent is waited for
// all else can be done to the machine.
func (e *Engine) ResetPassword(ctx context.Context, w engine.Work, ref engine.Ref) (engine.Progress, error) {
	return e.do(ctx, call{
		work: w, locks: []string{passwordLock(ref.ID)},
		run: func(ctx context.Context, j *job) (effect, error) {
			password := newPassword()
			set, err := e.setPasswordNow(ctx, ref.ID, password)
			if err != nil {
				return effect{}, err
			}
			unlock, err := e.locks.take(ctx, []string{machineLock(ref.ID)})
			if err != nil {
				return effect{}, err
			}
			// It may have been started since it was found to be off.
			j.atEnd = append(j.atEnd, unlock, func() { e.setNewPassword(ref.ID) })
			m, err := look[machine](ctx, e, machines, ref.ID)
			if err != nil {
				return effect{}, err
			}
			m.NewPassword = password
			if set {
				err = m.takeNewPassword()
			}
			return effect{record: m.save}, err
		},
	})
}

// setPasswordNow sets a machine's password and reports whether it runs.
func (e *Engine) setPasswordNow(ctx context.Context, id, password string) (bool, error) {
	if _, err := look[machine](ctx, e, machines, id); err != nil {
		return false, err
	}
	v, err := e.process(id)
	if err != nil || v == nil {
		return false, err
	}
	err = setPassword(ctx, v, password)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil:
		return false, refuse("the password was not changed: the guest agent of machine %s does not answer (is qemu-guest-agent installed?): %v", id, err)
	}
	return true, nil
}

// takeNewPassword notes that the new password was set. Where the guest is given
// one at its first start, that is the one from now on: a rebuilt one is to have
// the password that was told last.
func (m *machine) takeNewPassword() (err error) {
	m.Password, m.NewPassword = m.NewPassword, ""
	if m.PasswordHash != "" {
		m.PasswordHash, err = hashPassword(m.Password)
	}
	return err
}

// setPassword waits for the guest agent and has it set root's password.
func setPassword(ctx context.Context, v *vm, password string) error {
	ctx, done := context.WithTimeout(ctx, agentTime)
	defer done()
	again := time.NewTicker(askAgentEvery)
	defer again.Stop()
	for {
		try, done := context.WithTimeout(ctx, 5*time.Second)
		err := v.agent().SetPassword(try, "root", password)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-v.ended:
			return errors.New("the machine has stopped")
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// setNewPassword sets a password that was reset while the machine was off, once
// its guest agent answers.
func (e *Engine) setNewPassword(id string) {
	v := e.vm(id)
	if v == nil {
		return
	}
	e.running.Go(func() {
		m, err := look[machine](e.life, e, machines, id)
		if err != nil || m.NewPassword == "" {
			return
		}
		if err := setPassword(e.life, v, m.NewPassword); err != nil {
			e.log.Warn("a password that was reset is not set yet; the next start tries again", "machine", m.ID, "error", err)
			return
		}
		if err := e.noteNewPassword(m); err != nil {
			e.log.Error("note a password's reset", "machine", m.ID, "error", err)
		}
	})
}

func (e *Engine) noteNewPassword(set machine) error {
	unlock, err := e.locks.take(e.life, []string{machineLock(set.ID)})
	if err != nil {
		return err
	}
	defer unlock()
	return e.db.Write(context.WithoutCancel(e.life), func(t *database.Tx) error {
		m, err := read[machine](t, machines, set.ID)
		if err != nil || m.NewPassword != set.NewPassword {
			return err
		}
		if err := m.takeNewPassword(); err != nil {
			return err
		}
		return m.save(t)
	})
}

func newPassword() string { return rand.Text() }

// hashPassword hashes a password as /etc/shadow has it, so that the metadata of
// a machine do not tell it.
func hashPassword(password string) (string, error) {
	return sha512_crypt.New().Generate([]byte(password), []byte("$6$"+rand.Text()[:16]))
}

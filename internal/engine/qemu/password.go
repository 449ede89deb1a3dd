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
// when the machine runs, else when it starts next.
func (e *Engine) ResetPassword(ctx context.Context, w engine.Work, ref engine.Ref) (engine.Progress, error) {
	return e.do(ctx, e.change(w, ref.ID, func(ctx context.Context, j *job, m *machine) error {
		m.NewPassword = newPassword()
		v, err := e.process(m.ID)
		if err != nil || v == nil {
			return err
		}
		if err := setPassword(ctx, v, m.NewPassword); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return refuse("the password was not changed: the guest agent of machine %s does not answer (is qemu-guest-agent installed?): %v", m.ID, err)
		}
		return m.takeNewPassword()
	}))
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
func (e *Engine) setNewPassword(m machine) {
	v := e.vm(m.ID)
	if m.NewPassword == "" || v == nil {
		return
	}
	e.running.Go(func() {
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

package qemu

import (
	"strings"
	"testing"

	"github.com/GehirnInc/crypt/sha512_crypt"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// A machine without keys gets a password that is told once; its metadata hold
// no more than a hash.
func TestPasswordIsToldOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	m := l.machine("1")
	m.PublicKeys = nil
	l.createAs(m)
	if data := vendorData(l.record("1")); !strings.Contains(data, "- root:$6$") || strings.Contains(data, l.record("1").Password) {
		t.Errorf("vendor data:\n%s", data)
	}
	if first, err := l.TellPassword(t.Context(), "1"); err != nil || len(first) < 16 {
		t.Errorf("first %q, %v", first, err)
	}
	if again, err := l.TellPassword(t.Context(), "1"); err != nil || again != "" {
		t.Errorf("again %q, %v", again, err)
	}
	l.create("2")
	if with, err := l.TellPassword(t.Context(), "2"); err != nil || with != "" {
		t.Errorf("with keys: %q, %v", with, err)
	}
}

// While a guest agent is waited for that is not there, its machine can be
// stopped, and with that the wait is over.
func TestResetOfAPasswordIsInNobodysWay(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	l.startMachine("1")
	w := engine.Work{Key: "reset"}
	reset := func(w engine.Work) (engine.Progress, error) { return l.ResetPassword(t.Context(), w, ref("1")) }
	if p, err := reset(w); err != nil || p.Done {
		t.Fatalf("the reset: %+v, %v", p, err)
	}
	l.must(func(w engine.Work) (engine.Progress, error) {
		return l.StopMachine(t.Context(), w, ref("1"), engine.Stop{Force: true})
	})
	if _, err := l.finish(w, reset); err == nil || !strings.Contains(err.Error(), "the machine has stopped") {
		t.Errorf("the reset: %v", err)
	}
	if m := l.record("1"); m.NewPassword != "" || m.Running {
		t.Errorf("the record: %+v", m)
	}
}

// A machine that was made without keys and is rebuilt after its password was
// reset has the password that was told last.
func TestPasswordThatWasResetIsKept(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	m := l.machine("1")
	m.PublicKeys = nil
	l.createAs(m)
	l.must(func(w engine.Work) (engine.Progress, error) { return l.ResetPassword(t.Context(), w, ref("1")) })
	set := l.record("1")
	if err := l.noteNewPassword(set); err != nil { // as when the guest has taken it
		t.Fatal(err)
	}
	now := l.record("1")
	if now.Password != set.NewPassword || now.NewPassword != "" {
		t.Errorf("the password to tell is another one than was set")
	}
	if err := sha512_crypt.New().Verify(now.PasswordHash, []byte(set.NewPassword)); err != nil {
		t.Errorf("a rebuilt machine has another password: %v", err)
	}
}

// Package optest makes the steps of a plan fail, repeat and stop half-way, each
// in turn, so that every operation passes the same tests.
package optest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cistern-cloud/cistern/internal/op"
)

// EachFault runs a test once for each fault of each step of a plan, as the
// subtest "step/fault".
func EachFault(t *testing.T, plan op.Outline, test func(t *testing.T, fault *Fault)) {
	t.Helper()
	for _, fault := range Faults(plan) {
		t.Run(fault.String(), func(t *testing.T) { test(t, fault) })
	}
}

// Faults lists the faults of a plan, none of which has struck yet.
func Faults(plan op.Outline) []*Fault {
	var faults []*Fault
	for _, step := range plan.Steps {
		for _, k := range kinds {
			if k.fits(step) {
				faults = append(faults, &Fault{Name: k.name, Operation: plan.Name, Step: step.Name, kind: k, strike: k.strike(step)})
			}
		}
	}
	return faults
}

// Fault is one thing that goes wrong in one step of one plan.
type Fault struct {
	Name, Operation, Step string

	kind   kind
	strike striker

	mu      sync.Mutex
	hits    int
	crashed bool
	lifted  bool
	wrong   []string
}

// String names the fault as its subtest is named.
func (f *Fault) String() string { return f.Step + "/" + f.Name }

// Intercept is what the runner under test is given.
func (f *Fault) Intercept(operation, step string, phase op.Phase, call func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed { // a dead process does nothing any more
		return op.ErrCrash
	}
	if f.lifted || operation != f.Operation || (step != f.Step && phase != op.Undo) {
		return call()
	}
	return f.strike(f, phase, call)
}

// Lift ends the fault: from now on all goes well.
func (f *Fault) Lift() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lifted = true
}

// Crashed reports whether the process is dead, and lets it live again: whoever
// asks starts a new one.
func (f *Fault) Crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	crashed := f.crashed
	f.crashed = false
	return crashed
}

// Check fails the test when the fault never struck, or when a step did not
// bear being repeated.
func (f *Fault) Check(t testing.TB) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hits == 0 {
		t.Errorf("the fault %s never struck: the test proves nothing", f)
	}
	for _, wrong := range f.wrong {
		t.Error(wrong)
	}
}

// Final reports whether the fault makes the operation fail.
func (f *Fault) Final() bool { return f.kind.final }

// errOnPurpose is what steps fail with.
var errOnPurpose = errors.New("failed on purpose")

// first reports whether this is the first strike, and counts it.
func (f *Fault) first() bool {
	f.hits++
	return f.hits == 1
}

func (f *Fault) crash() error {
	f.crashed = true
	return op.ErrCrash
}

// twice calls something two times over, as when the first answer was lost.
func (f *Fault) twice(phase op.Phase, call func() error) error {
	err := call()
	again := call()
	if err == nil && again != nil {
		f.wrong = append(f.wrong, fmt.Sprintf("%s of %s was done, and when repeated: %v", phase, f.Step, again))
	}
	if op.IsWaiting(err) {
		return again
	}
	return err
}

package optest

import "github.com/cistern-cloud/cistern/internal/op"

// kind is one way in which a step goes wrong.
type kind struct {
	name string
	// final says that the operation fails.
	final  bool
	fits   func(op.StepOutline) bool
	strike func(op.StepOutline) striker
}

// striker is called in place of each phase that a fault may strike.
type striker func(f *Fault, phase op.Phase, call func() error) error

// kinds lists what can go wrong with a step. A step that fails late has done its
// work, and one that fails midway has begun it; only a step with an undo bears
// that.
var kinds = []kind{
	{"fails", true, always, inStep(fail)},
	{"fails-midway", true, undoes, inStep(failMidway)},
	{"fails-late", true, undoes, inStep(failLate)},
	{"keeps-failing", true, always, inStep(keepFailing)},
	{"fails-twice", false, always, inStep(failTwice)},
	{"panics", false, always, inStep(panicOnce)},
	{"repeats", false, does, inStep(repeat)},
	{"crashes-before", false, always, inStep(crashBefore)},
	{"crashes-midway", false, does, inStep(crashMidway)},
	{"crashes-after", false, does, inStep(crashAfter)},
	{"crashes-after-save", false, saves, crashAfterSave},
	{"undo-repeats", true, undoes, inUndo(undoTwice)},
	{"undo-fails-twice", true, undoes, inUndo(undoFailsTwice)},
	{"undo-is-overtaken", true, undoes, overtaken},
	{"undo-crashes-before", true, undoes, inUndo(undoCrashesBefore)},
	{"undo-crashes-after", true, undoes, inUndo(undoCrashesAfter)},
}

func always(op.StepOutline) bool   { return true }
func does(s op.StepOutline) bool   { return s.Do }
func saves(s op.StepOutline) bool  { return s.Save }
func undoes(s op.StepOutline) bool { return s.Undo }

// work is the phase in which a step does its work.
func work(s op.StepOutline) op.Phase {
	if s.Do {
		return op.Do
	}
	return op.Save
}

// inStep strikes a step's work and leaves the rest alone.
func inStep(strike func(f *Fault, call func() error) error) func(op.StepOutline) striker {
	return func(s op.StepOutline) striker {
		return func(f *Fault, phase op.Phase, call func() error) error {
			if phase != work(s) {
				return call()
			}
			return strike(f, call)
		}
	}
}

// inUndo makes a step fail when its work is done and strikes the undo of that
// and of every step before it.
func inUndo(strike func(f *Fault, call func() error) error) func(op.StepOutline) striker {
	return func(s op.StepOutline) striker {
		return func(f *Fault, phase op.Phase, call func() error) error {
			switch phase {
			case op.Undo:
				return strike(f, call)
			case work(s):
				if err := call(); err != nil {
					return err
				}
				return op.Final(errOnPurpose)
			}
			return call()
		}
	}
}

func fail(f *Fault, call func() error) error {
	if f.first() {
		return op.Final(errOnPurpose)
	}
	return call()
}

// failMidway fails a step that has begun its work and waits for its end.
func failMidway(f *Fault, call func() error) error {
	err := call()
	if op.IsWaiting(err) || err == nil {
		f.first()
		return op.Final(errOnPurpose)
	}
	return err
}

func failLate(f *Fault, call func() error) error {
	if err := call(); err != nil {
		return err
	}
	f.first()
	return op.Final(errOnPurpose)
}

func keepFailing(f *Fault, _ func() error) error {
	f.first()
	return errOnPurpose
}

func failTwice(f *Fault, call func() error) error {
	if f.hits++; f.hits <= 2 {
		return errOnPurpose
	}
	return call()
}

func panicOnce(f *Fault, call func() error) error {
	if f.first() {
		panic("panicked on purpose")
	}
	return call()
}

func repeat(f *Fault, call func() error) error {
	f.first()
	return f.twice(op.Do, call)
}

func crashBefore(f *Fault, call func() error) error {
	if f.first() {
		return f.crash()
	}
	return call()
}

// crashMidway dies when the work has begun, whether it is done or not.
func crashMidway(f *Fault, call func() error) error {
	err := call()
	if f.first() {
		return f.crash()
	}
	return err
}

// crashAfter dies when the work is done and nothing is written down yet.
func crashAfter(f *Fault, call func() error) error {
	err := call()
	if err == nil && f.first() {
		return f.crash()
	}
	return err
}

func crashAfterSave(op.StepOutline) striker {
	return func(f *Fault, phase op.Phase, call func() error) error {
		err := call()
		if phase == op.Save && err == nil && f.first() {
			return f.crash()
		}
		return err
	}
}

func undoTwice(f *Fault, call func() error) error {
	f.first()
	return f.twice(op.Undo, call)
}

func undoFailsTwice(f *Fault, call func() error) error {
	if f.hits++; f.hits <= 2 {
		return errOnPurpose
	}
	return call()
}

// overtaken fails a step that has begun its work, and lets the same call come
// in once more when that is undone, as from a process that was thought dead.
func overtaken(s op.StepOutline) striker {
	var late func() error
	return func(f *Fault, phase op.Phase, call func() error) error {
		switch {
		case phase == work(s):
			late = call
			return failMidway(f, call)
		case phase == op.Undo && late != nil:
			err := call()
			if err == nil {
				_ = late() // nobody hears what it is told
				late = nil
			}
			return err
		}
		return call()
	}
}

func undoCrashesBefore(f *Fault, call func() error) error {
	if f.first() {
		return f.crash()
	}
	return call()
}

func undoCrashesAfter(f *Fault, call func() error) error {
	err := call()
	if err == nil && f.first() {
		return f.crash()
	}
	return err
}

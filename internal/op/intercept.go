package op

import "errors"

// Phase is a part of a step.
type Phase string

// The phases of a step.
const (
	Do   Phase = "do"
	Save Phase = "save"
	Undo Phase = "undo"
)

// Intercept stands between the runner and a step, for tests that make steps
// fail, repeat them, or cut them off.
type Intercept func(operation, step string, phase Phase, call func() error) error

// ErrCrash is returned by an Intercept to leave an operation as it lies:
// nothing is written any more, as when the process dies.
var ErrCrash = errors.New("crashed on purpose")

// Outline is what a plan consists of, for tests that go through all its steps.
type Outline struct {
	Name  string
	Steps []StepOutline
}

// StepOutline says which phases a step has.
type StepOutline struct {
	Name           string
	Do, Save, Undo bool
}

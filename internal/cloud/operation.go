package cloud

import "time"

// OperationState is how an operation stands, for those who look after it. Each
// operation is in one state: the first of this list that fits.
type OperationState string

// The states of operations.
const (
	// OperationErrored has ended without doing what was asked.
	OperationErrored OperationState = "errored"
	// OperationStuck needs somebody to look: this version does not know its
	// plan, or it has failed and taking it back fails too.
	OperationStuck OperationState = "stuck"
	// OperationRunning is worked on at this instant.
	OperationRunning OperationState = "running"
	// OperationUndoing has failed and is taken back.
	OperationUndoing OperationState = "undoing"
	// OperationRetrying waits for another try of a step that failed.
	OperationRetrying OperationState = "retrying"
	// OperationWaiting waits for a time, for another action or for its turn.
	OperationWaiting OperationState = "waiting"

	// OperationUnfinished is every state but errored, to ask for.
	OperationUnfinished OperationState = "unfinished"
)

// OperationStates lists what may be asked for.
var OperationStates = []OperationState{
	OperationUnfinished, OperationRunning, OperationWaiting, OperationRetrying, OperationUndoing, OperationStuck, OperationErrored,
}

// Operation is a durable operation as those see it who look after it.
type Operation struct {
	Action
	// Plan is the kind of operation, such as "droplet.create".
	Plan      string
	State     OperationState
	Step      string // empty before the first
	Undoing   bool
	Cancelled bool // asked to stop at its next step
	// Attempts is how often in a row its step failed, and FailingSince since
	// when; zero when it did not.
	Attempts     int64
	FailingSince time.Time
	WaitsFor     int64     // the action whose end makes it due; 0 for none
	NextRun      time.Time // zero when it is running, stuck for good or ended
	// UndoError is why it could not be taken back when that was last tried.
	UndoError string
}

// OperationCount is how many operations of one plan are in one state.
type OperationCount struct {
	Plan   string
	State  OperationState
	Count  int64
	Oldest time.Time // when the oldest of them began
}

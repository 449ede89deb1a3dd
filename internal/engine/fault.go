package engine

import (
	"context"
	"slices"
	"time"
)

// Operations lists the engine's verbs by the names that faults use.
var Operations = []string{
	"machine.create", "machine.start", "machine.stop", "machine.reset", "machine.resize", "machine.destroy",
	"machine.password",
	"image.copy", "image.replace", "image.import", "image.transfer", "image.withdraw", "image.delete",
	"volume.create", "volume.resize", "volume.delete", "volume.attach", "volume.detach", "volume.snapshot",
	"volume_snapshot.delete",
	"network.apply", "firewall.apply", "peering.create", "peering.delete",
}

// IsOperation reports whether name is one of Operations.
func IsOperation(name string) bool { return slices.Contains(Operations, name) }

// Fault makes calls fail or wait on purpose.
type Fault struct {
	ID        int64
	Account   int64
	Operation string // one of Operations
	// Resource is the ID or the name of anything the call names, or "*".
	Resource string
	// Error is the message that the call fails with; empty when the fault only
	// delays.
	Error string
	// Transient makes the error one that is worth another try.
	Transient bool
	// Delay is added to how long the work takes.
	Delay time.Duration
	// Times is how often the fault strikes; 0 means always. Each piece of work
	// is delayed once, however often it is asked for.
	Times int64
	// Hits is how often it has struck.
	Hits int64
}

// FaultInjector is an engine that can be made to fail. Only simulations are.
type FaultInjector interface {
	AddFault(ctx context.Context, f Fault) (Fault, error)
	// Faults lists an account's faults by ID. Those that are used up stay,
	// so that a test can see that they struck.
	Faults(ctx context.Context, account int64) ([]Fault, error)
	// RemoveFault removes one fault, or fails with ErrNotFound; with the id 0 it
	// removes all that the account has, if any.
	RemoveFault(ctx context.Context, account, id int64) error
}

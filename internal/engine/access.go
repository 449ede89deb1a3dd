package engine

import (
	"context"
	"io"
)

// Accessor is an Engine whose machines people can reach.
type Accessor interface {
	// Access tells how a machine is reached from the engine's host.
	Access(ctx context.Context, id string) (Access, error)
	// TellPassword is root's password, where the machine was made without keys or
	// has had its password reset: it is told once, and empty when it was told
	// before. Who asks is to be let in with it.
	TellPassword(ctx context.Context, id string) (string, error)
	// Console joins a running machine's serial console, until it is closed. What
	// the machine wrote before is given first. Whoever joins last has it.
	Console(ctx context.Context, id string) (io.ReadWriteCloser, error)
	// Screenshot is what a running machine's screen shows, as a PNG.
	Screenshot(ctx context.Context, id string) ([]byte, error)
}

// Access is how a machine is reached.
type Access struct {
	// Address and Port are where its ssh is; an empty address means nowhere.
	Address string
	Port    int
}

// Watcher is an Engine whose machines can stop by themselves.
type Watcher interface {
	// Watch calls changed with the ID of each machine whose state has changed
	// without a call that asked for it, until ctx ends.
	Watch(ctx context.Context, changed func(id string)) error
}

// Bounded is an Engine that holds only so much.
type Bounded interface {
	// Capacity is what all machines together can have.
	Capacity(ctx context.Context) (Capacity, error)
}

// Capacity is how much there is in all, what is in use included. Memory is in
// MiB and Disk in GiB; VCPUs is the most that one machine can have.
type Capacity struct {
	VCPUs, Memory, Disk int64
}

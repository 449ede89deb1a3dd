// Package sim is a simulated hypervisor. It keeps a world of its own, in
// tables of its own and in its own transactions, like a hypervisor that is a
// separate thing: what the cloud believes and what the world holds can differ,
// as they can with real machines.
package sim

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations is the schema of the simulated world.
func Migrations() database.Migrations {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return database.Migrations{Files: files, Table: "sim_schema"}
}

// Clock tells the cloud's time, by which work falls due.
type Clock interface {
	Now() time.Time
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

// Options say how a simulated hypervisor behaves.
type Options struct {
	// Latency is how long work takes; the zero value is no time at all.
	Latency Latency
	// Clock is the cloud's clock; nil is the real one.
	Clock Clock
}

// Engine is the simulated hypervisor. It is an engine.Engine, an engine.Pruner
// and an engine.FaultInjector.
type Engine struct {
	db      *database.DB
	latency Latency
	clock   Clock
}

var (
	_ engine.Engine        = (*Engine)(nil)
	_ engine.FaultInjector = (*Engine)(nil)
	_ engine.Pruner        = (*Engine)(nil)
)

// Open brings the world's schema up to date and forgets work of long ago. All
// state is in the database: work that waited goes on where it was.
func Open(ctx context.Context, db *database.DB, opts Options) (*Engine, error) {
	e := &Engine{db: db, latency: opts.Latency, clock: opts.Clock}
	if e.clock == nil {
		e.clock = realClock{}
	}
	if _, err := db.Migrate(ctx, Migrations()); err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	if err := e.Prune(ctx); err != nil {
		return nil, fmt.Errorf("sim: forget old work: %w", err)
	}
	return e, nil
}

// Name is "sim".
func (e *Engine) Name() string { return "sim" }

// now is the cloud's time as the database keeps it. It is taken before a
// transaction begins, since the clock may have to read a database as well.
func (e *Engine) now() time.Time { return e.clock.Now().UTC().Truncate(time.Microsecond) }

// refuse makes an error that the hypervisor explains and that is final.
func refuse(format string, args ...any) error {
	return &engine.Error{Message: fmt.Sprintf(format, args...)}
}

// found makes a missing row the engine's own error.
func found[T any](v T, err error) (T, error) {
	if errors.Is(err, database.ErrNoRows) {
		return v, engine.ErrNotFound
	}
	return v, err
}

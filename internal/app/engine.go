package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
)

// running is an engine that is open, with what the cloud has to know of it.
type running struct {
	engine    engine.Engine
	clock     engine.Timekeeper // nil where time is real
	catalog   cloud.Catalog
	offers    func(context.Context) (cloud.Catalog, error) // nil where the catalogue stays
	addresses cloud.Addresses
	close     func() error
}

// openEngine starts what runs the machines.
func (s *server) openEngine(ctx context.Context) (running, error) {
	if s.Engine == engineQEMU {
		return s.openQEMU(ctx)
	}
	e, err := sim.Open(ctx, s.storage.db, sim.Options{Latency: s.latency, Clock: s.storage.clock})
	return running{
		engine: e, clock: s.storage.clock, catalog: s.catalog, addresses: cloud.SimulatedAddresses(),
		close: func() error { return nil },
	}, err
}

// engineFile says in a data folder which engine has its machines. A folder
// without it is of the engine sim, as all were before there was another.
const engineFile = "engine"

// engineOf is the engine that a folder was used with; empty for a new one.
func engineOf(folder string) (string, error) {
	text, err := os.ReadFile(filepath.Join(folder, engineFile))
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	_, err = os.Stat(filepath.Join(folder, databaseFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	}
	return engineSim, nil
}

// claim makes a data folder the engine's, unless it is another's: what one
// engine has made means nothing to the next. The folder is locked.
func claim(folder, engine string) error {
	of, err := engineOf(folder)
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	if of != "" && of != engine {
		return fmt.Errorf("--data %s has the machines of the engine %s; start with --engine %s, or use another folder for %s", folder, of, of, engine)
	}
	if of == engine {
		return nil
	}
	if err := os.WriteFile(filepath.Join(folder, engineFile), []byte(engine+"\n"), 0o600); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	return nil
}

// refuseReal refuses what only simulated machines can be asked: real ones are
// disks on their host, which rows cannot carry.
func (o *opened) refuseReal(what string) error {
	if o.Data == "" {
		return nil
	}
	of, err := engineOf(o.Data)
	if err == nil && of != "" && of != engineSim {
		err = fmt.Errorf("%s is for simulated machines: those of %s are real (engine %s), and their disks stay on this host; take snapshots, and copy the folder while nothing serves it", what, o.Data, of)
	}
	return err
}

package sim

import (
	"context"
	"strings"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// AddFault makes future calls fail or wait. It numbers the fault and starts
// its hits at zero.
func (e *Engine) AddFault(ctx context.Context, f engine.Fault) (engine.Fault, error) {
	if err := checkFault(f); err != nil {
		return engine.Fault{}, err
	}
	f.Delay, f.Hits = f.Delay.Truncate(time.Microsecond), 0
	err := e.db.Write(ctx, func(t *database.Tx) (err error) {
		f.ID, err = nextFault(t)
		if err != nil {
			return err
		}
		_, err = t.Exec(`
			INSERT INTO sim_faults (id, account, operation, resource, error, transient, delay, times, hits)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)`,
			f.ID, f.Account, f.Operation, f.Resource, f.Error, f.Transient, f.Delay.Microseconds(), f.Times)
		return err
	})
	return f, err
}

func checkFault(f engine.Fault) error {
	switch {
	case !engine.IsOperation(f.Operation):
		return refuse("unknown operation %q: it is one of %s", f.Operation, strings.Join(engine.Operations, ", "))
	case f.Resource == "":
		return refuse(`a fault needs a resource: an ID, a name, or "*" for all`)
	case f.Times < 0:
		return refuse("a fault cannot strike %d times; 0 is always", f.Times)
	case f.Delay < 0:
		return refuse("a fault cannot delay by %s", f.Delay)
	case f.Error == "" && f.Delay < time.Microsecond:
		return refuse("a fault needs an error, a delay, or both")
	}
	return nil
}

func nextFault(t *database.Tx) (int64, error) {
	return database.One(t, database.Value[int64], `
		INSERT INTO sim_counters (name, next) VALUES ('fault', 2)
		ON CONFLICT (name) DO UPDATE SET next = sim_counters.next + 1
		RETURNING next - 1`)
}

// Faults lists an account's faults by ID, with those that are used up.
func (e *Engine) Faults(ctx context.Context, account int64) ([]engine.Fault, error) {
	var faults []engine.Fault
	err := e.db.Read(ctx, func(t *database.Tx) error {
		rows, err := database.All(t, scanFault, selectFaults+" WHERE account = $1 ORDER BY id", account)
		faults = make([]engine.Fault, len(rows))
		for i, f := range rows {
			faults[i] = f.Fault
		}
		return err
	})
	return faults, err
}

// RemoveFault removes one fault, or fails with ErrNotFound. With ID 0 it
// removes all of the account's, if there are any.
func (e *Engine) RemoveFault(ctx context.Context, account, id int64) error {
	return e.db.Write(ctx, func(t *database.Tx) error {
		if id == 0 {
			_, err := t.Exec("DELETE FROM sim_faults WHERE account = $1", account)
			return err
		}
		n, err := t.Exec("DELETE FROM sim_faults WHERE account = $1 AND id = $2", account, id)
		if err == nil && n == 0 {
			err = engine.ErrNotFound
		}
		return err
	})
}

const selectFaults = `SELECT id, account, operation, resource, error, transient, delay, times, hits FROM sim_faults`

func scanFault(row database.Scanner) (*fault, error) {
	var f fault
	var delay int64
	err := row.Scan(&f.ID, &f.Account, &f.Operation, &f.Resource, &f.Error, &f.Transient, &delay, &f.Times, &f.Hits)
	f.Delay = time.Duration(delay) * time.Microsecond
	return &f, err
}

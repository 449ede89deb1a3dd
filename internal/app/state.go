package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cistern-cloud/cistern/internal/control"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
	"github.com/cistern-cloud/cistern/internal/store"
)

// stateTables are the tables with what an account has, in the cloud and in the
// simulated world, and how the two belong together: they do not know each other.
func stateTables() []store.StateTable {
	world := map[string]string{
		"droplets": "sim_machines", "volumes": "sim_volumes", "volume_snapshots": "sim_volume_snapshots", "images": "sim_images",
		"vpc_peerings": "sim_peerings",
	}
	mine := map[string]string{}
	for cloud, sim := range world {
		mine[sim] = cloud
	}
	tables := append(store.StateTables(),
		sim.StateTables(`IN (SELECT CAST(id AS TEXT) FROM images WHERE account_id = $1 AND status = 'available')`)...)
	for i := range tables {
		t := &tables[i]
		if there, is := world[t.Name]; is {
			ref := database.Ref{Column: "id", Table: there, To: "id"}
			if t.Name == "images" { // of one that was deleted there is nothing
				ref.Where, ref.Is = "status", "available"
			}
			t.Refs = append(t.Refs, ref)
		}
		if here, is := mine[t.Name]; is {
			t.Refs = append(t.Refs, database.Ref{Column: "id", Table: here, To: "id"})
		}
	}
	return tables
}

func newStates(db *store.DB) control.States {
	return control.States{Store: db, Tables: stateTables(), Settle: func(tx *store.Tx) error {
		return tx.WithDatabase(sim.ContinueNumbers)
	}}
}

// chosen is the account with a number, or the first one for 0.
func chosen(ctx context.Context, db *store.DB, account int64) (int64, error) {
	if account != 0 {
		return account, nil
	}
	first, there, err := control.Accounts{Store: db}.First(ctx)
	if err == nil && !there {
		err = errors.New("there is no account yet; start a server with cistern serve, or make one with cistern account create")
	}
	return first.ID, err
}

// ExportState writes what an account has, as it is at one instant. Account 0 is
// the first.
func ExportState(ctx context.Context, s Storage, account int64, w io.Writer) error {
	return withSimulated(ctx, s, "state export", func(db *store.DB) error {
		account, err := chosen(ctx, db, account)
		if err != nil {
			return err
		}
		state, err := newStates(db).Export(ctx, account)
		if err != nil {
			return err
		}
		to := json.NewEncoder(w)
		to.SetIndent("", " ")
		to.SetEscapeHTML(false)
		return to.Encode(state)
	})
}

// Imported is what an import has added: rows of each table, to an account.
type Imported struct {
	Account int64
	Rows    map[string]int
	// Ahead is how far the clock that it was made by was ahead of this cloud's.
	Ahead time.Duration
}

// ImportState gives an account that has nothing what was exported elsewhere.
func ImportState(ctx context.Context, s Storage, account int64, r io.Reader) (Imported, error) {
	state, err := readState(r)
	if err != nil {
		return Imported{}, err
	}
	done := Imported{Rows: map[string]int{}}
	return done, withSimulated(ctx, s, "state import", func(db *store.DB) error {
		if done.Account, err = chosen(ctx, db, account); err != nil {
			return err
		}
		if err := newStates(db).Import(ctx, done.Account, state); err != nil {
			return err
		}
		for name, rows := range state.Rows {
			done.Rows[name] = len(rows)
		}
		done.Ahead = max(0, state.At.Sub(db.Now()))
		return nil
	})
}

// readState reads the whole of a state.
func readState(r io.Reader) (state control.State, err error) {
	from := json.NewDecoder(r)
	from.UseNumber() // some are too large for a float
	from.DisallowUnknownFields()
	if err := from.Decode(&state); err != nil {
		return state, fmt.Errorf("this is not what cistern state export writes: %w", err)
	}
	if _, err := from.Token(); !errors.Is(err, io.EOF) {
		return state, errors.New("this is not what cistern state export writes: there is something after its end")
	}
	return state, state.Check()
}

// seed gives the first account of an ephemeral server what a file has, and moves
// the clock to where it was: a test may have let days pass.
func (s *server) seed(ctx context.Context) error {
	if s.Seed == "" {
		return nil
	}
	file, err := os.Open(s.Seed)
	if err != nil {
		return fmt.Errorf("--seed: %w", err)
	}
	defer file.Close()
	state, err := readState(file)
	if err != nil {
		return fmt.Errorf("--seed %s: %w", s.Seed, err)
	}
	account, err := chosen(ctx, s.store, 0)
	if err != nil {
		return err
	}
	if err := newStates(s.store).Import(ctx, account, state); err != nil {
		return fmt.Errorf("--seed %s: %w", s.Seed, err)
	}
	return s.storage.clock.MoveTo(ctx, state.At)
}

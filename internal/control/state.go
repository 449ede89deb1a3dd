package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// StateVersion is the version of the form of a State.
const StateVersion = 1

// State is an account with all that it has, for another cloud.
type State struct {
	Version int `json:"cistern_state"`
	// At is the time at which it was like that, of the cloud that it was in.
	At   time.Time       `json:"at"`
	Rows store.StateRows `json:"rows"`
}

// Check refuses a state of another version, and one of a time that no cloud
// comes to.
func (s State) Check() error {
	if s.Version != StateVersion {
		return fmt.Errorf("cistern_state is %d, and this version of cistern reads %d", s.Version, StateVersion)
	}
	if begins := time.Unix(0, 0); s.At.Before(begins) || s.At.After(clockEnds) {
		return fmt.Errorf("at: it is %s, and has to be between %s and %s",
			s.At.Format(time.RFC3339), cloud.FormatTime(begins), cloud.FormatTime(clockEnds))
	}
	return nil
}

// States takes accounts from one cloud to another. The commands of the binary
// use it beside a running server.
type States struct {
	Store *store.DB
	// Tables are those of the cloud and of the hypervisor, and Settle is called in
	// the transaction of an import when they are filled.
	Tables []store.StateTable
	Settle func(tx *store.Tx) error
}

// Export reads an account as it is at one instant. It is refused while something
// is under way: half of an operation is worth nothing elsewhere.
func (s States) Export(ctx context.Context, account int64) (state State, err error) {
	err = s.Store.Read(ctx, func(tx *store.Tx) error {
		state = State{Version: StateVersion, At: tx.Now}
		if _, err := tx.Account(account); err != nil {
			return fmt.Errorf("there is no account %d; see cistern account list", account)
		}
		running, err := tx.UnfinishedOperations(account)
		if err != nil {
			return err
		}
		if len(running) > 0 {
			return errRunning(running)
		}
		state.Rows, err = tx.ExportState(account, s.Tables)
		return err
	})
	return state, err
}

// errRunning names some of what is under way.
func errRunning(running []store.Operation) error {
	const most = 5
	var names []string
	for _, o := range running[:min(len(running), most)] {
		names = append(names, fmt.Sprintf("%s of %s (action %d)", o.Name, o.ResourceID, o.ID))
	}
	if len(running) > most {
		names = append(names, fmt.Sprintf("and %d more", len(running)-most))
	}
	return fmt.Errorf("operations are under way: %s; try again when they have ended (see cistern operations)", strings.Join(names, ", "))
}

// Import gives an account that has nothing what a state has, all of it or
// nothing. IDs and addresses stay what they were.
func (s States) Import(ctx context.Context, account int64, state State) error {
	if err := state.Check(); err != nil {
		return err
	}
	err := s.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(account); err != nil {
			return fmt.Errorf("there is no account %d; see cistern account list", account)
		}
		counts, err := tx.StateCounts(account, s.Tables)
		if err != nil {
			return err
		}
		if len(counts) > 0 {
			return errNotEmpty(account, counts)
		}
		if err := tx.ImportState(account, s.Tables, state.Rows); err != nil {
			return err
		}
		if err := checkRows(state.Rows); err != nil {
			return err
		}
		err = addDefaultVPCs(tx, account)
		if err == nil {
			err = s.Settle(tx)
		}
		return err
	})
	if errors.Is(err, store.ErrUnique) {
		err = fmt.Errorf("something of it is here already: %w", err)
	}
	return err
}

func errNotEmpty(account int64, counts map[string]int64) error {
	var has []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		has = append(has, fmt.Sprintf("%d %s", counts[name], strings.ReplaceAll(name, "_", " ")))
	}
	return fmt.Errorf("account %d has something already: %s; import into one that has nothing, such as of cistern account create",
		account, strings.Join(has, ", "))
}

package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
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
	if state.Version != StateVersion {
		return fmt.Errorf("cistern_state is %d, and this version of cistern reads %d", state.Version, StateVersion)
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
		if err := checkAddresses(state.Rows); err != nil {
			return err
		}
		catalog, err := tx.Catalog()
		if err == nil {
			err = addDefaultVPCs(tx, account, catalog)
		}
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

// checkAddresses finds addresses that are not those of their place: another's
// could have the same.
func checkAddresses(rows store.StateRows) error {
	ranges := map[any]string{}
	for i, v := range rows["vpcs"] {
		prefix, err := netip.ParsePrefix(fmt.Sprint(v["ip_range"]))
		if err != nil {
			return fmt.Errorf("vpcs[%d].ip_range: %w", i, err)
		}
		first, last := cloud.RangeBounds(prefix)
		if v["first_address"] != first || v["last_address"] != last {
			return fmt.Errorf("vpcs[%d]: first_address and last_address of %s are %d and %d", i, prefix, first, last)
		}
		ranges[v["id"]] = prefix.String()
	}
	for i, d := range rows["droplets"] {
		private, err := cloud.PrivateIPv4(ranges[d["vpc_id"]], d["private_host"].(int64))
		if err != nil {
			return fmt.Errorf("droplets[%d].vpc_id: %w", i, err)
		}
		public := ""
		if host, has := d["public_host"].(int64); has {
			public = cloud.PublicIPv4(host)
		}
		for column, want := range map[string]string{"vpc_range": ranges[d["vpc_id"]], "private_ipv4": private, "public_ipv4": public} {
			if d[column] != want {
				return fmt.Errorf("droplets[%d].%s: it is %q, and has to be %q at its place", i, column, d[column], want)
			}
		}
	}
	for i, r := range rows["reserved_ips"] {
		if want := cloud.ReservedIPv4(r["host"].(int64)); r["ip"] != want {
			return fmt.Errorf("reserved_ips[%d].ip: it is %q, and has to be %q at its place", i, r["ip"], want)
		}
	}
	return nil
}

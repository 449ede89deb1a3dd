package control_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
	"github.com/cistern-cloud/cistern/internal/store"
)

// sight is a cloud whose operations stand as a test says.
type sight struct {
	t     *testing.T
	db    *store.DB
	plane *control.Plane
}

func eachSight(t *testing.T, test func(s sight)) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		raw := databasetest.Open(t, c)
		for _, m := range []database.Migrations{store.Migrations(), sim.Migrations()} {
			if _, err := raw.Migrate(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		db := store.New(raw)
		engine, err := sim.Open(t.Context(), raw, sim.Options{Clock: cloud.RealClock{}})
		if err != nil {
			t.Fatal(err)
		}
		plane, err := control.New(t.Context(), control.Config{Store: db, Engine: engine, Catalog: cloud.DefaultCatalog(), Owner: "test"})
		if err != nil {
			t.Fatal(err)
		}
		s := sight{t, db, plane}
		s.write(func(tx *store.Tx) error {
			for _, id := range []int64{1, 2} {
				if err := tx.AddAccount(cloud.Account{ID: id, UUID: fmt.Sprint(id), Email: fmt.Sprint(id), CreatedAt: tx.Now}); err != nil {
					return err
				}
			}
			return nil
		})
		test(s)
	})
}

func (s sight) write(fn func(*store.Tx) error) {
	s.t.Helper()
	if err := s.db.Write(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

// put makes an operation stand in a certain way. It is due in an hour, so that
// only those that are made due are claimed.
func (s sight) put(account, id int64, plan string, shape func(*store.Operation)) {
	s.t.Helper()
	s.write(func(tx *store.Tx) error {
		action := cloud.Action{
			ID: id, Account: account, Type: cloud.ActionCreate, ResourceType: cloud.KindDroplet,
			ResourceID: cloud.FormatID(id), StartedAt: tx.Now.Add(time.Duration(id) * time.Microsecond),
		}
		if err := tx.AddOperation(store.Operation{Action: action, Name: plan, Args: "{}"}); err != nil {
			return err
		}
		o, err := tx.Operation(id)
		if err != nil {
			return err
		}
		o.RunAt = tx.Now.Add(time.Hour)
		if shape != nil {
			shape(&o)
		}
		_, err = tx.SaveOperation(o, false)
		return err
	})
}

// claim leases what is due.
func (s sight) claim(plan string) {
	s.t.Helper()
	s.write(func(tx *store.Tx) error {
		now := time.Now()
		_, err := tx.ClaimOperations(store.Claim{Owner: "test", Now: now, Until: now.Add(time.Minute), Names: []string{plan}, Most: 9})
		return err
	})
}

// list returns the operations in a state by ID.
func (s sight) list(account int64, state cloud.OperationState) ([]cloud.Operation, []int64) {
	s.t.Helper()
	operations, total, err := s.plane.Operations(s.t.Context(), cloud.Actor{Account: account}, state, cloud.Page{Limit: 100})
	if err != nil || total != int64(len(operations)) {
		s.t.Fatalf("%s: %d of %d, %v", state, len(operations), total, err)
	}
	ids := []int64{}
	for _, o := range operations {
		ids = append(ids, o.ID)
	}
	return operations, ids
}

// putOneOfEach puts operations of account 1 in every state, the IDs saying
// which, and one of account 2.
func (s sight) putOneOfEach() {
	const plan = "droplet.create"
	past := func(o *store.Operation) time.Time { return o.StartedAt.Add(-time.Hour) }
	s.put(1, 11, plan, func(o *store.Operation) { o.RunAt = past(o) })
	s.claim(plan) // 11 runs
	s.put(1, 21, plan, nil)
	s.put(1, 22, plan, func(o *store.Operation) { o.WaitsFor = 11 })
	s.put(1, 31, plan, func(o *store.Operation) {
		o.Step, o.Attempt, o.FailingSince, o.Error = "start", 3, past(o), "no host\nstack"
	})
	s.put(1, 41, plan, func(o *store.Operation) { o.Undoing, o.Error = true, "no host" })
	s.put(1, 51, plan, func(o *store.Operation) { o.Undoing, o.Error, o.Attempt = true, "no host", 2 })
	s.put(1, 52, "from.the.future", nil)
	for _, id := range []int64{61, 62} {
		s.put(1, id, plan, nil)
		s.finish(id, cloud.Errored)
	}
	s.put(1, 71, plan, nil)
	s.finish(71, cloud.Completed)
	s.put(2, 81, plan, nil)
}

func (s sight) finish(id int64, status cloud.ActionStatus) {
	s.t.Helper()
	s.write(func(tx *store.Tx) error {
		o, err := tx.Operation(id)
		if err != nil {
			return err
		}
		_, err = tx.FinishOperation(o, status)
		return err
	})
}

func TestOperationsRefuseUnknownStates(t *testing.T) {
	eachSight(t, func(s sight) {
		for _, state := range []cloud.OperationState{"", "completed", "RUNNING"} {
			_, _, err := s.plane.Operations(s.t.Context(), cloud.Actor{Account: 1}, state, cloud.Page{})
			if cloud.CodeOf(err) != cloud.CodeInvalid {
				s.t.Errorf("%q: %v", state, err)
			}
		}
	})
}

// An operation is in exactly one state, and another account's in none.
func TestOperationsByState(t *testing.T) {
	eachSight(t, func(s sight) {
		s.putOneOfEach()
		for state, want := range map[cloud.OperationState][]int64{
			cloud.OperationRunning:    {11},
			cloud.OperationWaiting:    {21, 22},
			cloud.OperationRetrying:   {31},
			cloud.OperationUndoing:    {41},
			cloud.OperationStuck:      {51, 52},
			cloud.OperationErrored:    {62, 61},
			cloud.OperationUnfinished: {11, 21, 22, 31, 41, 51, 52},
		} {
			if _, ids := s.list(1, state); !slices.Equal(ids, want) {
				s.t.Errorf("%s: %v, want %v", state, ids, want)
			}
		}
		if _, ids := s.list(2, cloud.OperationUnfinished); !slices.Equal(ids, []int64{81}) {
			s.t.Errorf("account 2 sees %v", ids)
		}
	})
}

// What is shown of an operation means something in its state.
func TestOperationsShowWhatCounts(t *testing.T) {
	eachSight(t, func(s sight) {
		s.putOneOfEach()
		all, _ := s.list(1, cloud.OperationUnfinished)
		byID := map[int64]cloud.Operation{}
		for _, o := range all {
			byID[o.ID] = o
		}
		for id, nextRun := range map[int64]bool{11: false, 21: true, 22: false, 31: true, 41: true, 51: true, 52: false} {
			if byID[id].NextRun.IsZero() == nextRun {
				s.t.Errorf("%d runs next at %v", id, byID[id].NextRun)
			}
		}
		if byID[22].WaitsFor != 11 {
			s.t.Errorf("22 waits for %d", byID[22].WaitsFor)
		}
		if o := byID[31]; o.Error != "no host" || o.Attempts != 3 || o.FailingSince.IsZero() || o.Step != "start" {
			s.t.Errorf("31 is %+v", o)
		}
	})
}

func TestTotalsCountAllAccounts(t *testing.T) {
	eachSight(t, func(s sight) {
		s.putOneOfEach()
		totals, err := s.plane.Totals(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		got := map[string]int64{}
		for _, c := range totals.Operations {
			got[c.Plan+" "+string(c.State)] = c.Count
			if c.Oldest.IsZero() {
				s.t.Errorf("%+v has no oldest", c)
			}
		}
		want := map[string]int64{
			"droplet.create running": 1, "droplet.create waiting": 3, "droplet.create retrying": 1,
			"droplet.create undoing": 1, "droplet.create stuck": 1, "from.the.future stuck": 1,
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			s.t.Errorf("totals %v, want %v", got, want)
		}
		if n, ok := totals.Resources["droplet"]; !ok || n != 0 {
			s.t.Errorf("resources %v", totals.Resources)
		}
	})
}

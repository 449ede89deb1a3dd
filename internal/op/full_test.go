package op_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// fullDisk is what steps of these tests work on: a disk that may be full.
type fullDisk struct {
	mu   sync.Mutex
	full bool
	now  time.Time
}

func (d *fullDisk) set(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

func (d *fullDisk) err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return fmt.Errorf("write: %w", store.ErrFull)
	}
	return nil
}

func (d *fullDisk) Now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *fullDisk) advance(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

var errFullRefused = errors.New("refused")

// The steps of each plan meet the disk in one phase.
var fullPlans = map[op.Phase]*op.Plan[*fullDisk, struct{}]{
	op.Do: op.Define("full.do", op.Step[*fullDisk, struct{}]{
		Name: "work", Do: func(d *fullDisk, _ context.Context, _ *op.Run[struct{}]) error { return d.err() },
	}),
	op.Save: op.Define("full.save", op.Step[*fullDisk, struct{}]{
		Name: "work", Save: func(d *fullDisk, _ *store.Tx, _ *op.Run[struct{}]) error { return d.err() },
	}),
	op.Undo: op.Define("full.undo", op.Step[*fullDisk, struct{}]{
		Name: "work",
		Do:   func(*fullDisk, context.Context, *op.Run[struct{}]) error { return op.Final(errFullRefused) },
		Undo: func(d *fullDisk, _ context.Context, _ *op.Run[struct{}]) error { return d.err() },
	}),
}

// A full disk is no failure of the operations that meet it: they wait, longer
// than any failure would be borne, and go on when there is space.
func TestOperationsOutwaitAFullDisk(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		disk := &fullDisk{full: true, now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
		c.Now = disk.Now
		raw := databasetest.Open(t, c)
		if _, err := raw.Migrate(t.Context(), store.Migrations()); err != nil {
			t.Fatal(err)
		}
		db := store.New(raw)
		runner := op.NewRunner(db, disk, op.Options{Owner: "test"}, fullPlans[op.Do], fullPlans[op.Save], fullPlans[op.Undo])
		ids := beginFull(t, db, runner)
		for range 100 {
			if n, err := runner.RunDue(t.Context()); err != nil || n != len(ids) {
				t.Fatalf("%d operations ran, %v; want each once", n, err)
			}
			disk.advance(time.Minute)
		}
		for phase, id := range ids {
			if o := fullOperation(t, db, id); o.Status != cloud.InProgress || o.Attempt != 0 {
				t.Errorf("%s: %s after %d attempts; want it to wait without counting", phase, o.Status, o.Attempt)
			}
		}
		disk.set(false)
		if _, err := runner.RunDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		for phase, id := range ids {
			o, want := fullOperation(t, db, id), cloud.Completed
			if phase == op.Undo {
				want = cloud.Errored
			}
			if o.Status != want || want == cloud.Errored && o.Error != errFullRefused.Error() {
				t.Errorf("%s: %s, %q; want %s", phase, o.Status, o.Error, want)
			}
		}
	})
}

// beginFull begins an operation of each plan.
func beginFull(t *testing.T, db *store.DB, runner *op.Runner[*fullDisk]) map[op.Phase]int64 {
	t.Helper()
	ids := map[op.Phase]int64{}
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		if err := tx.AddAccount(cloud.Account{ID: 1, UUID: "u", Email: "e"}); err != nil {
			return err
		}
		for i, phase := range []op.Phase{op.Do, op.Save, op.Undo} {
			ids[phase] = int64(i + 1)
			n := op.New{ID: ids[phase], Account: 1, Type: cloud.ActionCreate}
			if _, err := fullPlans[phase].Begin(tx, runner.Notify, n, struct{}{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func fullOperation(t *testing.T, db *store.DB, id int64) (o store.Operation) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *store.Tx) (err error) {
		o, err = tx.Operation(id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

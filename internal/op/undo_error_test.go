package op_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// While an operation cannot be taken back, both are to be seen: why it failed,
// and why it is still there.
func TestUndoErrorIsKeptBesideTheReason(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		raw := databasetest.Open(t, c)
		if _, err := raw.Migrate(t.Context(), store.Migrations()); err != nil {
			t.Fatal(err)
		}
		db := store.New(raw)
		plan := op.Define("test.stubborn", op.Step[struct{}, struct{}]{
			Name: "only",
			Do:   func(struct{}, context.Context, *op.Run[struct{}]) error { return op.Final(errors.New("no disk")) },
			Undo: func(struct{}, context.Context, *op.Run[struct{}]) error { return errors.New("no network") },
		})
		runner := op.NewRunner(db, struct{}{}, op.Options{Owner: "test"}, plan)
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			if err := tx.AddAccount(cloud.Account{ID: 1, CreatedAt: tx.Now}); err != nil {
				return err
			}
			_, err := plan.Begin(tx, runner.Notify, op.New{ID: 5, Account: 1, Type: cloud.ActionCreate}, struct{}{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := runner.RunDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		var stuck []cloud.Operation
		err = db.Read(t.Context(), func(tx *store.Tx) (err error) {
			stuck, _, err = tx.Operations(store.OperationFilter{
				Account: 1, State: cloud.OperationStuck, Known: runner.Plans(), Now: time.Now(),
			}, cloud.Page{})
			return err
		})
		if err != nil || len(stuck) != 1 {
			t.Fatalf("stuck: %+v, %v", stuck, err)
		}
		if o := stuck[0]; o.Error != "no disk" || o.UndoError != "no network" || o.Attempts < 1 || !o.Undoing {
			t.Errorf("it stands as %+v", o)
		}
	})
}

package database_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
)

// Every write that succeeded is in one observed commit, and no other.
func TestObserveCommitsCountsWhatWasWritten(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		db := databasetest.Open(t, c)
		var commits, writes atomic.Int64
		db.ObserveCommits(func(n int) { commits.Add(1); writes.Add(int64(n)) })
		refused := errors.New("refused")
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				err := db.Write(t.Context(), func(*database.Tx) error {
					if i%4 == 0 {
						return refused
					}
					return nil
				})
				if (i%4 == 0) != errors.Is(err, refused) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if writes.Load() != 30 || commits.Load() < 1 || commits.Load() > 30 {
			t.Errorf("%d writes in %d commits, want 30 writes", writes.Load(), commits.Load())
		}
	})
}

// Every statement is observed, with the context of whoever asked for it.
func TestObserveStatements(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		c.Twice = false
		db := databasetest.Open(t, c)
		type asker struct{}
		ctx := context.WithValue(t.Context(), asker{}, true)
		var mu sync.Mutex
		var seen []string
		db.ObserveStatements(func(ctx context.Context, statement string) {
			mu.Lock()
			defer mu.Unlock()
			if ctx.Value(asker{}) != nil {
				seen = append(seen, statement)
			}
		})
		ask := func(tx *database.Tx) error {
			_, err := database.One(tx, database.Value[int64], "SELECT 1")
			return err
		}
		change := func(tx *database.Tx) error {
			_, err := tx.Exec("CREATE TABLE observed (id BIGINT NOT NULL PRIMARY KEY)")
			return err
		}
		for _, err := range []error{db.Peek(ctx, ask), db.Read(ctx, ask), db.Write(ctx, change), db.Read(t.Context(), ask)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"SELECT 1", "SELECT 1", "CREATE TABLE observed (id BIGINT NOT NULL PRIMARY KEY)"}
		if !slices.Equal(seen, want) {
			t.Errorf("got %q, want %q", seen, want)
		}
	})
}

func TestSizes(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		db := databasetest.Open(t, c)
		err := db.Write(t.Context(), func(tx *database.Tx) error {
			_, err := tx.Exec("CREATE TABLE IF NOT EXISTS things (id BIGINT NOT NULL PRIMARY KEY)")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		sizes, err := db.Sizes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, has := sizes["wal"]; sizes["data"] <= 0 || has == db.Postgres() {
			t.Errorf("sizes %v", sizes)
		}
	})
}

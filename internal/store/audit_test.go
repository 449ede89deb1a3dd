package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/store"
)

func eachStore(t *testing.T, test func(t *testing.T, db *store.DB)) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		db := databasetest.Open(t, c)
		if _, err := db.Migrate(t.Context(), store.Migrations()); err != nil {
			t.Fatal(err)
		}
		test(t, store.New(db))
	})
}

func auditTrail(t *testing.T, db *store.DB, f cloud.AuditFilter) (entries []cloud.AuditEntry) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *store.Tx) (err error) {
		entries, err = tx.AuditAfter(cloud.AuditEntry{}, f, 100)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func addAccount(tx *store.Tx, id int64) error {
	return tx.AddAccount(cloud.Account{ID: id, UUID: fmt.Sprint(id), Email: fmt.Sprint(id), CreatedAt: tx.Now})
}

// What is rolled back was not done, so it is not in the trail.
func TestAuditIsRolledBackWithItsChange(t *testing.T) {
	eachStore(t, func(t *testing.T, db *store.DB) {
		ctx, audit := store.WithAudit(t.Context(), cloud.AuditEntry{At: db.Now(), RequestID: "one"})
		refused := errors.New("refused")
		if err := db.Write(ctx, func(*store.Tx) error { return refused }); !errors.Is(err, refused) {
			t.Fatal(err)
		}
		if trail := auditTrail(t, db, cloud.AuditFilter{}); len(trail) != 0 || audit.Recorded() != nil {
			t.Errorf("recorded %v", trail)
		}
	})
}

func TestAuditCommitsWithItsChange(t *testing.T) {
	eachStore(t, func(t *testing.T, db *store.DB) {
		want := cloud.AuditEntry{
			At: db.Now(), RequestID: "one", Account: 7, Token: 8, TokenName: "ci", Remote: "192.0.2.1", Forwarded: "198.51.100.1",
			Method: "POST", Route: "/v2/things", Path: "/v2/things",
		}
		ctx, audit := store.WithAudit(t.Context(), want)
		err := db.Write(ctx, func(tx *store.Tx) error {
			if err := addAccount(tx, 7); err != nil {
				return err
			}
			for id := range int64(2) {
				action := cloud.Action{ID: 50 + id, Account: 7, ResourceType: cloud.KindDroplet, ResourceID: "9", StartedAt: tx.Now}
				if err := tx.AddOperation(store.Operation{Action: action, Name: "a.plan", Args: "{}"}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want.Action, want.About = 50, cloud.Ref{Kind: cloud.KindDroplet, ID: "9"}
		if got := audit.Recorded(); got == nil || *got != want {
			t.Errorf("recorded %+v, want %+v", got, want)
		}
		if trail := auditTrail(t, db, cloud.AuditFilter{}); len(trail) != 1 || trail[0] != want {
			t.Errorf("the trail is %+v, want %+v", trail, want)
		}
	})
}

// A request is one entry, however many transactions it takes.
func TestAuditHasOneEntryForEachRequest(t *testing.T) {
	eachStore(t, func(t *testing.T, db *store.DB) {
		ctx, _ := store.WithAudit(t.Context(), cloud.AuditEntry{At: db.Now(), RequestID: "one"})
		for range 3 {
			if err := db.Write(ctx, func(*store.Tx) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if trail := auditTrail(t, db, cloud.AuditFilter{}); len(trail) != 1 {
			t.Errorf("%d entries", len(trail))
		}
	})
}

// addAudit adds an entry at each second from start on, of accounts 1 and 2 in
// turn.
func addAudit(ctx context.Context, db *store.DB, start time.Time, n int) error {
	return db.Write(ctx, func(tx *store.Tx) error {
		for i := range n {
			e := cloud.AuditEntry{At: start.Add(time.Duration(i) * time.Second), RequestID: fmt.Sprint("r", i), Account: int64(1 + i%2)}
			if err := tx.AddAudit(e); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestAuditFilters(t *testing.T) {
	eachStore(t, func(t *testing.T, db *store.DB) {
		start := db.Now().Truncate(time.Second)
		if err := addAudit(t.Context(), db, start, 10); err != nil {
			t.Fatal(err)
		}
		for name, test := range map[string]struct {
			filter cloud.AuditFilter
			want   int
		}{
			"all":                 {cloud.AuditFilter{}, 10},
			"since":               {cloud.AuditFilter{Since: start.Add(4 * time.Second)}, 6},
			"since, after all":    {cloud.AuditFilter{Since: start.Add(time.Hour)}, 0},
			"account":             {cloud.AuditFilter{Account: 2}, 5},
			"account, since":      {cloud.AuditFilter{Account: 1, Since: start.Add(4 * time.Second)}, 3},
			"account without any": {cloud.AuditFilter{Account: 3}, 0},
		} {
			if got := auditTrail(t, db, test.filter); len(got) != test.want {
				t.Errorf("%s: %d entries, want %d", name, len(got), test.want)
			}
		}
	})
}

func TestAuditAfterGoesOnWhereItStopped(t *testing.T) {
	eachStore(t, func(t *testing.T, db *store.DB) {
		if err := addAudit(t.Context(), db, db.Now(), 7); err != nil {
			t.Fatal(err)
		}
		var seen []string
		var last cloud.AuditEntry
		for range 4 {
			err := db.Read(t.Context(), func(tx *store.Tx) error {
				entries, err := tx.AuditAfter(last, cloud.AuditFilter{}, 3)
				for _, e := range entries {
					seen, last = append(seen, e.RequestID), e
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if got, want := fmt.Sprint(seen), "[r0 r1 r2 r3 r4 r5 r6]"; got != want {
			t.Errorf("saw %s, want %s", got, want)
		}
	})
}

func TestDeleteAuditBeforeDeletesTheOldestUpToItsLimit(t *testing.T) {
	eachStore(t, func(t *testing.T, db *store.DB) {
		start := db.Now()
		if err := addAudit(t.Context(), db, start, 10); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int64{3, 2, 0} {
			var n int64
			err := db.Write(t.Context(), func(tx *store.Tx) (err error) {
				n, err = tx.DeleteAuditBefore(start.Add(5*time.Second), 3)
				return err
			})
			if err != nil || n != want {
				t.Errorf("deleted %d, %v; want %d", n, err, want)
			}
		}
		if trail := auditTrail(t, db, cloud.AuditFilter{}); len(trail) != 5 || trail[0].RequestID != "r5" {
			t.Errorf("left %+v", trail)
		}
	})
}

package database_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
)

var errRefused = errors.New("refused")

func TestWriteTakesBackWhatFails(t *testing.T) {
	tests := map[string]struct {
		fn    func(*database.Tx) error
		check func(error) bool
	}{
		"its function fails": {
			func(t *database.Tx) error { return errors.Join(addNote(t, 1, "note"), errRefused) },
			func(err error) bool { return errors.Is(err, errRefused) },
		},
		"its function panics": {
			func(t *database.Tx) error { _ = addNote(t, 1, "note"); panic("oh no") },
			func(err error) bool { return err != nil && strings.Contains(err.Error(), "oh no") },
		},
		"a driver error is returned": {
			func(t *database.Tx) error { return errors.Join(addNote(t, 1, "note"), addNote(t, 1, "again")) },
			func(err error) bool { return errors.Is(err, database.ErrUnique) },
		},
		"a driver error is overlooked": {
			func(t *database.Tx) error {
				_, _ = addNote(t, 1, "note"), addNote(t, 1, "again")
				return nil
			},
			func(err error) bool { return errors.Is(err, database.ErrUnique) },
		},
		"a broken query is overlooked": {
			func(t *database.Tx) error {
				_ = addNote(t, 1, "note")
				_, _ = database.All(t, database.Value[int64], "SELECT nothing FROM nowhere")
				return nil
			},
			func(err error) bool { return err != nil },
		},
	}
	each(t, func(t *testing.T, db *database.DB) {
		for name, test := range tests {
			committed := false
			err := db.Write(t.Context(), func(t *database.Tx) error {
				t.OnCommit(func() { committed = true })
				return test.fn(t)
			})
			if !test.check(err) {
				t.Errorf("%s: got %v", name, err)
			}
			if committed {
				t.Errorf("%s: OnCommit ran", name)
			}
			wantIDs(t, db)
		}
		mustAdd(t, db, 1) // the database still works
	})
}

func TestUniqueViolations(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		mustAdd(t, db, 1)
		for name, query := range map[string]string{
			"primary key":   "INSERT INTO notes (id, text) VALUES (1, 'other')",
			"unique column": "INSERT INTO notes (id, text, label) VALUES (2, 'note', 'a'), (3, 'note', 'a')",
		} {
			err := db.Write(t.Context(), func(t *database.Tx) error {
				_, err := t.Exec(query)
				return err
			})
			if !errors.Is(err, database.ErrUnique) {
				t.Errorf("%s: got %v, want %v", name, err, database.ErrUnique)
			}
		}
		err := db.Write(t.Context(), func(t *database.Tx) error {
			_, err := t.Exec("INSERT INTO notes (id, text) VALUES (4, NULL)")
			return err
		})
		if err == nil || errors.Is(err, database.ErrUnique) {
			t.Errorf("NULL: got %v, want another error than %v", err, database.ErrUnique)
		}
		wantIDs(t, db, 1)
	})
}

// A request that is cancelled midway does not tear its transaction apart; one
// that was cancelled before does not begin.
func TestWriteOutlivesItsRequest(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Write(ctx, func(t *database.Tx) error {
			if err := addNote(t, 1, "note"); err != nil {
				return err
			}
			cancel()
			return addNote(t, 2, "note")
		})
		if err != nil {
			t.Errorf("cancelled midway: %v", err)
		}
		err = db.Write(ctx, func(t *database.Tx) error { return addNote(t, 3, "note") })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before: got %v, want %v", err, context.Canceled)
		}
		wantIDs(t, db, 1, 2)
	})
}

func TestTwiceRehearsesWhatIsWritten(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		for _, twice := range []bool{true, false} {
			c.Twice = twice
			db := databasetest.Open(t, c)
			if _, err := db.Migrate(t.Context(), notes(1)); err != nil {
				t.Fatal(err)
			}
			runs, want := int64(0), map[bool]int64{true: 2, false: 1}[twice]
			err := db.Write(t.Context(), func(t *database.Tx) error {
				runs++
				if _, err := t.Exec("DELETE FROM notes"); err != nil {
					return err
				}
				return addNote(t, runs, "note") // a second run shows in what is kept
			})
			if err != nil || runs != want {
				t.Errorf("twice %t: ran %d times, %v; want %d", twice, runs, err, want)
			}
			wantIDs(t, db, want)
		}
	})
}

// What a rehearsal fails with is forgotten; the real run tells.
func TestTwiceForgetsWhatTheRehearsalFailedWith(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		runs := 0
		err := db.Write(t.Context(), func(t *database.Tx) error {
			runs++
			if runs == 1 {
				_, _ = addNote(t, 1, "note"), addNote(t, 1, "again")
				panic("in rehearsal")
			}
			return addNote(t, 2, "note")
		})
		if err != nil {
			t.Error(err)
		}
		wantIDs(t, db, 2)
	})
}

func TestOnCommitRunsOnceAndAfterwards(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		seen := 0
		err := db.Write(t.Context(), func(tx *database.Tx) error {
			tx.OnCommit(func() {
				seen++
				wantIDs(t, db, 1) // it is committed, and another connection reads it
			})
			err := addNote(tx, 1, "note")
			if seen != 0 {
				t.Error("OnCommit ran before the commit")
			}
			return err
		})
		if err != nil || seen != 1 {
			t.Errorf("OnCommit ran %d times, %v", seen, err)
		}
	})
}

// Guarded writers that meet on one row each see what the other left.
func TestWritersDoNotLoseEachOthersChanges(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		mustAdd(t, db, 0)
		const writers = 8
		failed := make(chan error, writers)
		for range writers {
			go func() { failed <- increment(t.Context(), db) }()
		}
		for range writers {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
		wantIDs(t, db, writers)
	})
}

func increment(ctx context.Context, db *database.DB) error {
	return db.Write(ctx, func(t *database.Tx) error {
		id, err := database.One(t, database.Value[int64], "SELECT id FROM notes"+t.ForUpdate())
		if errors.Is(err, database.ErrNoRows) {
			return errRefused
		}
		if err != nil {
			return err
		}
		n, err := t.Exec("UPDATE notes SET id = $1 WHERE id = $2", id+1, id)
		if err == nil && n != 1 {
			return errRefused
		}
		return err
	})
}

// PostgreSQL gives up one of two transactions that wait for each other; Write
// runs that one again and nobody hears of it. SQLite's writers queue instead.
func TestDeadlocksAreTriedAgain(t *testing.T) {
	c := databasetest.Config(t, "postgres")
	c.Twice = false
	db := openNotes(t, c)
	mustAdd(t, db, 1, 2)
	failed := make(chan error, 2)
	for _, order := range [][]int64{{1, 2}, {2, 1}} {
		go func() {
			failed <- db.Write(t.Context(), func(t *database.Tx) error {
				for _, id := range order {
					if _, err := t.Exec("UPDATE notes SET text = 'new' WHERE id = $1", id); err != nil {
						return err
					}
					time.Sleep(50 * time.Millisecond) // long enough for both to hold one row
				}
				return nil
			})
		}()
	}
	for range 2 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// A transaction's time is read back as it was written.
func TestNowSurvivesTheDatabase(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		now := time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.FixedZone("east", 3600))
		c.Now = func() time.Time { return now }
		db := openNotes(t, c)
		err := db.Write(t.Context(), func(tx *database.Tx) error {
			if tx.Now.Location() != time.UTC || !tx.Now.Equal(time.UnixMicro(now.UnixMicro())) {
				t.Errorf("now is %s, want %s in UTC and whole microseconds", tx.Now, now)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A transaction that PostgreSQL gives up each time says that the database is
// busy: that is nothing that was wrong with what was asked.
func TestDeadlocksWithoutEnd(t *testing.T) {
	db := openNotes(t, databasetest.Config(t, "postgres"))
	err := db.Write(t.Context(), func(t *database.Tx) error {
		_, err := t.Exec(`DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$`)
		return err
	})
	if !errors.Is(err, database.ErrBusy) || !database.IsOutage(err) {
		t.Errorf("got %v", err)
	}
}

package database_test

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
)

// each runs a test on every kind of database, with one table in it.
func each(t *testing.T, test func(t *testing.T, db *database.DB)) {
	databasetest.Each(t, func(t *testing.T, c database.Config) { test(t, openNotes(t, c)) })
}

func openNotes(t testing.TB, c database.Config) *database.DB {
	t.Helper()
	db := databasetest.Open(t, c)
	if n, err := db.Migrate(t.Context(), notes(1)); err != nil || n != 1 {
		t.Fatalf("%d files ran, %v", n, err)
	}
	return db
}

func addNote(t *database.Tx, id int64, text string) error {
	_, err := t.Exec("INSERT INTO notes (id, text) VALUES ($1, $2)", id, text)
	return err
}

// mustAdd commits notes of the given IDs.
func mustAdd(t *testing.T, db *database.DB, ids ...int64) {
	t.Helper()
	err := db.Write(t.Context(), func(t *database.Tx) error {
		for _, id := range ids {
			if err := addNote(t, id, "note"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readIDs(t *database.Tx) ([]int64, error) {
	return database.All(t, database.Value[int64], "SELECT id FROM notes ORDER BY id")
}

// wantIDs checks which notes are committed.
func wantIDs(t *testing.T, db *database.DB, want ...int64) {
	t.Helper()
	var got []int64
	err := db.Read(t.Context(), func(t *database.Tx) (err error) {
		got, err = readIDs(t)
		return err
	})
	if want == nil {
		want = []int64{}
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("notes %v, %v; want %v", got, err, want)
	}
}

func TestOpenRefusals(t *testing.T) {
	for name, c := range map[string]database.Config{
		"a folder that is not there": {Path: filepath.Join(t.TempDir(), "none", "test.db")},
		"a server that is not there": {URL: "postgres://postgres@127.0.0.1:1/none?connect_timeout=1"},
		"a URL that is none":         {URL: "postgres://%%"},
	} {
		db, err := database.Open(t.Context(), c)
		if err == nil {
			db.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		if !strings.HasPrefix(err.Error(), "open ") {
			t.Errorf("%s: the error does not say what was tried: %v", name, err)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error has several lines: %v", name, err)
		}
	}
	_, err := database.Open(t.Context(), database.Config{URL: "postgres://postgres@localhost:1/none"})
	if want := "open the database: no PostgreSQL at localhost port 1: connect: connection refused"; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// A server that refuses is told apart from one that is not there.
func TestOpenRefusedByPostgres(t *testing.T) {
	u, err := url.Parse(databasetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/no-such-database"
	_, err = database.Open(t.Context(), database.Config{URL: u.String()})
	if err == nil || !strings.Contains(err.Error(), `refuses user cistern: database "no-such-database" does not exist`) {
		t.Errorf("got %v", err)
	}
}

func TestOneAndAll(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		mustAdd(t, db, 1, 2)
		err := db.Read(t.Context(), func(tx *database.Tx) error {
			if _, err := database.One(tx, database.Value[string], "SELECT text FROM notes WHERE id = $1", 9); !errors.Is(err, database.ErrNoRows) {
				t.Errorf("no row: got %v", err)
			}
			if all, err := database.All(tx, database.Value[int64], "SELECT id FROM notes WHERE id > $1", 9); err != nil || all == nil || len(all) != 0 {
				t.Errorf("no rows: %v, %v; want an empty slice", all, err)
			}
			if id, err := database.One(tx, database.Value[int64], "SELECT id FROM notes ORDER BY id DESC"); err != nil || id != 2 {
				t.Errorf("the first of two rows: %d, %v", id, err)
			}
			if all, err := readIDs(tx); err != nil || !reflect.DeepEqual(all, []int64{1, 2}) {
				t.Errorf("all rows: %v, %v", all, err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("a missing row made the whole read fail: %v", err)
		}
	})
}

func TestOneFailsOnWhatItCannotScan(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		mustAdd(t, db, 1)
		err := db.Read(t.Context(), func(t *database.Tx) error {
			_, err := database.One(t, database.Value[int64], "SELECT text FROM notes")
			return err
		})
		if err == nil || errors.Is(err, database.ErrNoRows) {
			t.Errorf("got %v, want an error of the scan", err)
		}
	})
}

// A read sees one instant, whatever is committed while it runs.
func TestReadIsASnapshot(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		mustAdd(t, db, 1)
		err := db.Read(t.Context(), func(tx *database.Tx) error {
			before, err := readIDs(tx)
			if err != nil {
				return err
			}
			mustAdd(t, db, int64(100+len(before)))
			after, err := readIDs(tx)
			if !reflect.DeepEqual(before, after) {
				t.Errorf("read %v, then %v", before, after)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		wantIDs(t, db, 1, 101)
	})
}

func TestReadRefusesToWrite(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		err := db.Read(t.Context(), func(t *database.Tx) error { return addNote(t, 1, "note") })
		if err == nil {
			t.Error("a read has written")
		}
		wantIDs(t, db)
	})
}

func TestReadEndsWithItsRequest(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Read(ctx, func(t *database.Tx) error {
			cancel()
			_, err := readIDs(t)
			return err
		})
		if err == nil {
			t.Error("a cancelled read went on")
		}
		wantIDs(t, db)
	})
}

// More readers and writers than there are connections must neither wait for
// each other in a circle nor mix up the statements they share.
func TestManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		const writers, readers, rounds = 4, 32, 10
		var all sync.WaitGroup
		for w := range int64(writers) {
			all.Go(func() {
				for i := range int64(rounds) {
					mustAddAsync(t, db, w*rounds+i)
				}
			})
		}
		for range readers {
			all.Go(func() {
				for i := range int64(rounds) {
					readOne(t, db, i)
				}
			})
		}
		all.Wait()
		want := make([]int64, writers*rounds)
		for i := range want {
			want[i] = int64(i)
		}
		wantIDs(t, db, want...)
	})
}

func mustAddAsync(t *testing.T, db *database.DB, id int64) {
	err := db.Write(t.Context(), func(t *database.Tx) error { return addNote(t, id, "note") })
	if err != nil {
		t.Errorf("note %d: %v", id, err)
	}
}

// readOne runs a few queries, some of which no one has run before.
func readOne(t *testing.T, db *database.DB, id int64) {
	err := db.Read(t.Context(), func(tx *database.Tx) error {
		if _, err := readIDs(tx); err != nil {
			return err
		}
		query := "SELECT id FROM notes WHERE id = $1" + strings.Repeat(" ", int(id))
		got, err := database.One(tx, database.Value[int64], query, id)
		if errors.Is(err, database.ErrNoRows) {
			return nil // not written yet
		}
		if err == nil && got != id {
			t.Errorf("asked for note %d, got %d", id, got)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

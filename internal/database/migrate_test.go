package database_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
)

// notes is a schema of the given number of files.
func notes(files int) database.Migrations {
	m := fstest.MapFS{"0001_notes.sql": {Data: []byte(
		"-- +goose Up\nCREATE TABLE notes (id BIGINT NOT NULL PRIMARY KEY, text TEXT NOT NULL, label TEXT NULL UNIQUE);\n")}}
	for i := 2; i <= files; i++ {
		m[fmt.Sprintf("%04d_more.sql", i)] = &fstest.MapFile{Data: fmt.Appendf(nil,
			"-- +goose Up\nALTER TABLE notes ADD COLUMN extra%d BIGINT NOT NULL DEFAULT 0;\n", i)}
	}
	return database.Migrations{Files: m, Table: "notes_schema"}
}

func TestMigrateRefusesANewerSchema(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		if n, err := db.Migrate(t.Context(), notes(3)); err != nil || n != 2 {
			t.Fatalf("%d files ran, %v; want 2", n, err)
		}
		if n, err := db.Migrate(t.Context(), notes(2)); !errors.Is(err, database.ErrNewer) {
			t.Errorf("migrate: %d, %v; want %v", n, err, database.ErrNewer)
		}
		if n, err := db.Pending(t.Context(), notes(2)); !errors.Is(err, database.ErrNewer) {
			t.Errorf("pending: %d, %v; want %v", n, err, database.ErrNewer)
		}
	})
}

func TestMigrateRunsEachFileOnce(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		db := databasetest.Open(t, c)
		for _, step := range []struct{ files, pending, ran int }{{1, 1, 1}, {1, 0, 0}, {3, 2, 2}, {3, 0, 0}} {
			if n, err := db.Pending(t.Context(), notes(step.files)); err != nil || n != step.pending {
				t.Errorf("%d of %d files are pending, %v; want %d", n, step.files, err, step.pending)
			}
			if n, err := db.Migrate(t.Context(), notes(step.files)); err != nil || n != step.ran {
				t.Errorf("%d of %d files ran, %v; want %d", n, step.files, err, step.ran)
			}
		}
	})
}

// Each part of the program has a schema of its own in one database.
func TestMigrateKeepsSchemasApart(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		other := database.Migrations{Table: "other_schema", Files: fstest.MapFS{
			"0001_other.sql": {Data: []byte("-- +goose Up\nCREATE TABLE other (id BIGINT NOT NULL PRIMARY KEY);\n")},
		}}
		if n, err := db.Migrate(t.Context(), other); err != nil || n != 1 {
			t.Errorf("%d files ran, %v; want 1", n, err)
		}
		mustAdd(t, db, 1)
	})
}

// A file that fails leaves nothing of itself, and those before it stay.
func TestMigrateStopsAtABrokenFile(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB) {
		broken := notes(3)
		broken.Files.(fstest.MapFS)["0003_more.sql"].Data = []byte(
			"-- +goose Up\nCREATE TABLE half (id BIGINT);\nCREATE nonsense;\n")
		if n, err := db.Migrate(t.Context(), broken); err == nil {
			t.Errorf("%d files ran", n)
		}
		if n, err := db.Pending(t.Context(), notes(3)); err != nil || n != 1 {
			t.Errorf("%d files are pending, %v; want 1", n, err)
		}
		if n, err := db.Migrate(t.Context(), notes(3)); err != nil || n != 1 {
			t.Errorf("%d files ran, %v; want 1", n, err)
		}
	})
}

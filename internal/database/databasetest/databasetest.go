// Package databasetest gives tests real databases of their own: a SQLite file,
// and a PostgreSQL schema where a server is named.
package databasetest

import (
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
)

// Kinds lists the databases that tests run on.
var Kinds = []string{"sqlite", "postgres"}

// Each runs a test on every kind of database, each time with an empty one.
func Each(t *testing.T, test func(t *testing.T, c database.Config)) {
	t.Helper()
	for _, kind := range Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, Config(t, kind))
		})
	}
}

// Config names an empty database of one kind, gone with the test. Its writes
// run twice, to show that they may.
func Config(t testing.TB, kind string) database.Config {
	t.Helper()
	c := database.Config{Now: time.Now, Twice: true, Unsafe: true}
	if kind == "postgres" {
		c.URL = Postgres(t)
	} else {
		c.Path = filepath.Join(t.TempDir(), "test.db")
	}
	return c
}

// Open opens the database that c names for the length of the test.
func Open(t testing.TB, c database.Config) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Postgres makes an empty schema on the server that CISTERN_TEST_POSTGRES
// names, drops it with the test, and returns a URL that uses it. Without the
// variable the test is skipped.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv("CISTERN_TEST_POSTGRES")
	if server == "" {
		t.Skip("PostgreSQL: CISTERN_TEST_POSTGRES names no server")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("CISTERN_TEST_POSTGRES: %v", err)
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	schema := "test_" + strings.ToLower(rand.Text())
	if _, err := admin.Exec("CREATE SCHEMA " + schema); err != nil {
		t.Fatalf("CISTERN_TEST_POSTGRES: %v", err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec("DROP SCHEMA " + schema + " CASCADE"); err != nil {
			t.Errorf("drop the test's schema: %v", err)
		}
		admin.Close()
	})
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

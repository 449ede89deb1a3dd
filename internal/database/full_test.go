package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	sqlite3 "modernc.org/sqlite/lib"
)

// A database without space refuses what needs more, reads on, and takes writes
// again as soon as there is space, on the same connections.
func TestFullDatabaseReadsOnAndRecovers(t *testing.T) {
	db := openGrouped(t)
	if err := db.Write(t.Context(), addName("kept")); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		t.Helper()
		if err := db.group.session.do(fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // which means: no more than there are
	large := strings.Repeat("x", 1<<16)
	for i, err := range together(t, db, addName("a"+large), addName("small"), addName("b"+large)) {
		if full := i != 1; full != errors.Is(err, ErrFull) || !full && err != nil {
			t.Errorf("write %d: %v; want it full: %t", i, err, full)
		}
	}
	if got := names(t, db); got != "kept small" {
		t.Errorf("kept: %s", got)
	}
	limit(1 << 20)
	if err := db.Write(t.Context(), addName("a"+large)); err != nil {
		t.Errorf("with space again: %v", err)
	}
}

func TestOutagesAreToldApart(t *testing.T) {
	tests := []struct {
		err  error
		want error
	}{
		{&pgconn.PgError{Code: "53100"}, ErrFull},
		{&pgconn.PgError{Code: "57P01"}, ErrDown},
		{&pgconn.PgError{Code: "08006"}, ErrDown},
		{&pgconn.ConnectError{}, ErrDown},
		{driver.ErrBadConn, ErrDown},
	}
	for _, test := range tests {
		if err := translate(test.err); !errors.Is(err, test.want) || !IsOutage(err) {
			t.Errorf("%T: %v, want an outage: %v", test.err, errors.Is(err, test.want), test.want)
		}
	}
	codes := map[int]error{
		sqlite3.SQLITE_FULL: ErrFull, sqlite3.SQLITE_IOERR_WRITE: ErrFull, sqlite3.SQLITE_IOERR_SHMSIZE: ErrFull,
		sqlite3.SQLITE_BUSY: ErrBusy, sqlite3.SQLITE_IOERR_READ: nil, sqlite3.SQLITE_CORRUPT: nil,
	}
	for code, want := range codes {
		if got := sqliteKind(code); !errors.Is(got, want) {
			t.Errorf("SQLite's %d is %v, want %v", code, got, want)
		}
	}
	for _, err := range []error{&pgconn.PgError{Code: "23505"}, &pgconn.PgError{Code: "22P02"}, context.Canceled, ErrNoRows} {
		if IsOutage(translate(err)) {
			t.Errorf("%v is taken for an outage", err)
		}
	}
}

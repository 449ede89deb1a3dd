package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors of a driver that callers tell apart. This is the only file that
// knows the drivers' own codes.
var (
	// ErrUnique is a row that would repeat a unique value.
	ErrUnique = errors.New("the value is already there")
	// ErrFull is a database that has no room left to write.
	ErrFull = errors.New("the database has no space left")
	// ErrBusy is a database locked by somebody else for too long, or one that
	// gave a transaction up for another each time it was tried.
	ErrBusy = errors.New("the database is busy")
	// ErrDown is a server that cannot be reached or is about to stop.
	ErrDown = errors.New("the database does not answer")

	errAgain = errors.New("the transaction was given up")
)

// translate wraps a driver's error so that errors.Is finds its kind.
func translate(err error) error {
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, explain(err))
	}
	return err
}

// explain says in a sentence why PostgreSQL could not be reached. The driver
// says it on several lines, once for each address of the host.
func explain(err error) error {
	e, is := errors.AsType[*pgconn.ConnectError](err)
	if !is || e.Config == nil {
		return err
	}
	at := fmt.Sprintf("%s port %d", e.Config.Host, e.Config.Port)
	if strings.HasPrefix(e.Config.Host, "/") {
		at = e.Config.Host // a folder with a socket
	}
	if refusal, is := errors.AsType[*pgconn.PgError](err); is {
		return &explained{fmt.Sprintf("PostgreSQL at %s refuses user %s: %s", at, e.Config.User, refusal.Message), err}
	}
	reason := "it cannot be reached"
	if dial, is := errors.AsType[*net.OpError](err); is {
		reason = dial.Err.Error()
	}
	if lookup, is := errors.AsType[*net.DNSError](err); is {
		reason = lookup.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		reason = "it does not answer in time"
	}
	return &explained{fmt.Sprintf("no PostgreSQL at %s: %s", at, reason), err}
}

// explained is an error in other words.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// IsOutage reports whether err says something of the database's state alone: the
// same call succeeds once there is space again, or the server is back.
func IsOutage(err error) bool {
	return errors.Is(err, ErrFull) || errors.Is(err, ErrBusy) || errors.Is(err, ErrDown)
}

func kindOf(err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return sqliteKind(e.Code())
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return postgresKind(e.Code)
	}
	_, refused := errors.AsType[*pgconn.ConnectError](err)
	_, broken := errors.AsType[*net.OpError](err)
	if refused || broken || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrDown
	}
	return nil
}

func sqliteKind(code int) error {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return ErrUnique
	case sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE:
		return ErrFull // a quota that is used up, and no room for the WAL's index
	}
	switch code & 0xff { // the low byte is the primary code
	case sqlite3.SQLITE_FULL:
		return ErrFull
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return ErrBusy
	}
	return nil
}

func postgresKind(code string) error {
	switch code {
	case "23505": // unique_violation
		return ErrUnique
	case "53100": // disk_full
		return ErrFull
	case "53300", "57P01", "57P02", "57P03": // too_many_connections, shutdowns, cannot_connect_now
		return ErrDown
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return errAgain
	}
	if strings.HasPrefix(code, "08") { // connection_exception
		return ErrDown
	}
	return nil
}

func isRetryable(err error) bool { return errors.Is(err, errAgain) }

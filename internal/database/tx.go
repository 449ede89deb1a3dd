package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Tx is one transaction. It carries the time at which it began, so that all
// that it writes bears the same one.
type Tx struct {
	Now time.Time

	ctx      context.Context // the transaction's life, not the request's
	db       *DB
	conn     connection
	err      error // the first driver error; the transaction is lost with it
	onCommit []func()
}

// connection is what statements run on: a session of SQLite, or a transaction
// or the pool of PostgreSQL, whose driver keeps its own prepared statements.
type connection interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// ErrNoRows is returned by One when there is no row.
var ErrNoRows = sql.ErrNoRows

// writeTries is how often a Write runs again that PostgreSQL gave up for a
// deadlock or a serialization failure.
const writeTries = 8

// Write runs fn in a transaction and commits it. On SQLite several callers
// share one commit. Its contract:
//
//   - fn may run more than once: it assigns, never appends, to what it captures;
//   - statements do not see ctx's cancellation: once begun, it ends by itself;
//   - after a driver error nothing is committed, whatever fn returns;
//   - a panic in fn is returned as an error;
//   - fn does not call Write again, nor anything else that waits;
//   - it returns nil only when the change is on the disk.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !db.postgres {
		return db.group.write(ctx, fn)
	}
	ctx = context.WithoutCancel(ctx)
	for try := 1; ; try++ {
		err := db.writePostgres(ctx, fn)
		if !isRetryable(err) {
			return err
		}
		if try == writeTries {
			return fmt.Errorf("%w: %w", ErrBusy, err)
		}
		time.Sleep(time.Duration(try) * time.Millisecond)
	}
}

func (db *DB) writePostgres(ctx context.Context, fn func(*Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return translate(err)
	}
	defer tx.Rollback()
	t := db.newTx(ctx, tx)
	if err := t.perform(fn); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return translate(err)
	}
	db.committed(1)
	for _, f := range t.onCommit {
		f()
	}
	return nil
}

// Read runs fn on one snapshot of the database: everything that fn reads was
// true at the same instant.
func (db *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	if !db.postgres {
		return db.sessions.snapshot(ctx, func(s *session) error { return db.newTx(ctx, s).run(fn) })
	}
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return translate(err)
	}
	defer tx.Rollback()
	return db.newTx(ctx, tx).run(fn)
}

// Peek runs fn, which reads with one statement only: that is a snapshot by
// itself, and cheaper than a transaction around it.
func (db *DB) Peek(ctx context.Context, fn func(*Tx) error) error {
	if !db.postgres {
		return db.sessions.use(ctx, func(s *session) error { return db.newTx(ctx, s).run(fn) })
	}
	return db.newTx(ctx, db.read).run(fn)
}

func (db *DB) newTx(ctx context.Context, conn connection) *Tx {
	return &Tx{Now: db.Now(), ctx: ctx, db: db, conn: conn}
}

// perform runs fn, after a rehearsal if the database was opened for that.
func (t *Tx) perform(fn func(*Tx) error) error {
	if t.db.twice {
		if err := t.rehearse(fn); err != nil {
			return err
		}
	}
	return t.run(fn)
}

// run calls fn and turns what it panics with, and any driver error it may have
// overlooked, into its error.
func (t *Tx) run(fn func(*Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a transaction: %v\n%s", p, debug.Stack())
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	return t.err
}

// rehearse runs fn and takes back what it did.
func (t *Tx) rehearse(fn func(*Tx) error) error {
	if _, err := t.conn.ExecContext(t.ctx, "SAVEPOINT rehearsal"); err != nil {
		return translate(err)
	}
	_ = t.run(fn) // the real run tells
	t.err, t.onCommit = nil, nil
	if _, err := t.conn.ExecContext(t.ctx, "ROLLBACK TO SAVEPOINT rehearsal"); err != nil {
		return translate(err)
	}
	return nil
}

// OnCommit calls f after the transaction is committed, and not otherwise.
func (t *Tx) OnCommit(f func()) { t.onCommit = append(t.onCommit, f) }

// Exec runs a statement and returns how many rows it changed.
func (t *Tx) Exec(query string, args ...any) (int64, error) {
	t.begins(query)
	res, err := t.conn.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, t.fail(err)
	}
	n, err := res.RowsAffected()
	return n, t.fail(err)
}

// fail keeps the first driver error, since the transaction cannot be trusted
// after it.
func (t *Tx) fail(err error) error {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return err
	}
	err = translate(err)
	if t.err == nil {
		t.err = err
	}
	return err
}

// Scanner is one row.
type Scanner interface {
	Scan(dest ...any) error
}

// One reads one row, or fails with ErrNoRows.
func One[T any](t *Tx, scan func(Scanner) (T, error), query string, args ...any) (T, error) {
	all, err := each(t, []T{}, scan, 1, query, args)
	if err == nil && len(all) == 0 {
		err = ErrNoRows
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return all[0], nil
}

// All reads every row. The slice is never nil.
func All[T any](t *Tx, scan func(Scanner) (T, error), query string, args ...any) ([]T, error) {
	return each(t, []T{}, scan, -1, query, args)
}

// AllOf reads every row, of which there are n or a few more or less.
func AllOf[T any](t *Tx, n int64, scan func(Scanner) (T, error), query string, args ...any) ([]T, error) {
	return each(t, make([]T, 0, min(n, maxRoom)), scan, -1, query, args)
}

// maxRoom bounds how many rows room is made for before they are there.
const maxRoom = 1024

func each[T any](t *Tx, all []T, scan func(Scanner) (T, error), most int, query string, args []any) ([]T, error) {
	t.begins(query)
	rows, err := t.conn.QueryContext(t.ctx, query, args...)
	if err != nil {
		return nil, t.fail(err)
	}
	defer rows.Close()
	for len(all) != most && rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, t.fail(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, t.fail(err)
	}
	return all, t.fail(rows.Close())
}

// Value is the scan function of queries with one column.
func Value[T any](row Scanner) (T, error) {
	var v T
	err := row.Scan(&v)
	return v, err
}

// ForUpdate ends a SELECT whose rows are about to be changed: PostgreSQL locks
// them; SQLite has one writer, which holds everything already.
func (t *Tx) ForUpdate() string {
	if t.db.postgres {
		return " FOR UPDATE"
	}
	return ""
}

// ForTurn is ForUpdate for a row whose lock others wait for, but which rows that
// refer to it may still be added to: foreign keys do not wait for it.
func (t *Tx) ForTurn() string {
	if t.db.postgres {
		return " FOR NO KEY UPDATE"
	}
	return ""
}

// ForShare ends a SELECT whose rows must stay as they are until the transaction
// has written down what it concludes from them.
func (t *Tx) ForShare() string {
	if t.db.postgres {
		return " FOR SHARE"
	}
	return ""
}

// SkipLocked is ForUpdate that passes over rows somebody else has locked.
func (t *Tx) SkipLocked() string {
	if t.db.postgres {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

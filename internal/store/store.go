// Package store holds all SQL of the cloud. Its methods on Tx read and write
// rows and decide nothing: the rules are in cloud and control.
package store

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations is the schema of the cloud.
func Migrations() database.Migrations {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return database.Migrations{Files: files, Table: "cistern_schema"}
}

// DB is the cloud's store.
type DB struct {
	db   *database.DB
	ids  *counters
	base atomic.Pointer[baseImages]
	// firewalls is called when Droplets have to get other rules.
	firewalls atomic.Pointer[func()]
}

// New makes a store of a database whose schema is up to date.
func New(db *database.DB) *DB { return &DB{db: db, ids: newCounters(db)} }

// ErrUnique is what adding something fails with that there is already, where
// that is not reported otherwise.
var ErrUnique = database.ErrUnique

// ErrFull is what writing fails with while the disk has no space left.
var ErrFull = database.ErrFull

// IsOutage reports whether err says something of the store's state alone, and
// nothing of what was asked of it: the same works again once the store does.
func IsOutage(err error) bool { return database.IsOutage(err) }

// explain gives an outage the words that callers of the API read.
func explain(err error) error {
	switch {
	case errors.Is(err, database.ErrFull):
		return fmt.Errorf("%w: %w", cloud.Errorf(cloud.CodeUnavailable,
			"The server's disk is full; until there is space again, it answers only what needs no writing."), err)
	case database.IsOutage(err):
		return fmt.Errorf("%w: %w", cloud.Errorf(cloud.CodeUnavailable,
			"The server's database does not answer at the moment. Try again soon."), err)
	}
	return err
}

// Tx is one transaction on the store.
type Tx struct {
	// Now is when the transaction began: the time of all that it writes.
	Now time.Time

	t         *database.Tx
	base      baseImages
	firewalls *func()
	// began is the first operation that was added in it, for the audit trail.
	began cloud.Action
}

// WithDatabase runs f in the transaction: on tables that are not the cloud's, but
// have to change with them.
func (tx *Tx) WithDatabase(f func(*database.Tx) error) error { return f(tx.t) }

// OnCommit calls f once the transaction is committed, and not otherwise.
func (tx *Tx) OnCommit(f func()) { tx.t.OnCommit(f) }

func (db *DB) tx(t *database.Tx) *Tx {
	tx := &Tx{Now: t.Now, t: t, firewalls: db.firewalls.Load()}
	if base := db.base.Load(); base != nil {
		tx.base = *base
	}
	return tx
}

// Write runs fn in a transaction; see database.DB.Write for its contract: fn
// may run twice and has no side effects. What a request changes is in the audit
// trail with the same commit.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	audit := auditOf(ctx)
	return explain(db.db.Write(ctx, func(t *database.Tx) error {
		tx := db.tx(t)
		if err := fn(tx); err != nil {
			return err
		}
		return audit.record(tx)
	}))
}

// Read runs fn on one snapshot.
func (db *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	return explain(db.db.Read(ctx, func(t *database.Tx) error { return fn(db.tx(t)) }))
}

// Background marks what is written under a context as work that nobody waits
// for at this moment, so that requests go first.
func Background(ctx context.Context) context.Context { return database.Background(ctx) }

// Peek runs fn, which reads with one statement only.
func (db *DB) Peek(ctx context.Context, fn func(*Tx) error) error {
	return explain(db.db.Peek(ctx, func(t *database.Tx) error { return fn(db.tx(t)) }))
}

// noLimit is how both databases are told that there is none.
const noLimit = 1 << 62

func limit(p cloud.Page) int64 {
	if p.Limit == 0 {
		return noLimit
	}
	return p.Limit
}

// found makes a missing row the API's 404.
func found[T any](v T, err error) (T, error) {
	if errors.Is(err, database.ErrNoRows) {
		return v, cloud.NotFound()
	}
	return v, err
}

// exists makes a change of no row the API's 404.
func exists(n int64, err error) error {
	if err == nil && n == 0 {
		return cloud.NotFound()
	}
	return err
}

// micros is how a time is kept.
func micros(t time.Time) int64 { return t.UnixMicro() }

// optional is how a time that may be missing is kept: zero as NULL.
func optional(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// moment scans a time that is never missing.
type moment struct{ t *time.Time }

// Scan reads microseconds; NULL is the zero time.
func (m moment) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*m.t = time.Time{}
	case int64:
		*m.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time of type %T", v)
	}
	return nil
}

// list scans a JSON array.
type list[T any] struct{ s *[]T }

// Scan reads JSON text.
func (l list[T]) Scan(v any) error {
	switch v := v.(type) {
	case string:
		return json.Unmarshal([]byte(v), l.s)
	case []byte:
		return json.Unmarshal(v, l.s)
	}
	return fmt.Errorf("a JSON list of type %T", v)
}

// jsonText is how structured values are kept.
func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only plain data is kept
	}
	return string(text)
}

// filter collects the conditions of a list that is asked for in several ways.
type filter struct {
	conditions []string
	args       []any
}

// add appends a condition, whose every ? becomes the place of the next
// argument.
func (f *filter) add(condition string, args ...any) {
	for _, arg := range args {
		f.args = append(f.args, arg)
		condition = strings.Replace(condition, "?", f.place(), 1)
	}
	f.conditions = append(f.conditions, condition)
}

// addIn appends a condition on a list that is not empty, such as "name IN".
func addIn[T any](f *filter, condition string, values []T) {
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	f.add(condition+` (?`+strings.Repeat(`, ?`, len(values)-1)+`)`, args...)
}

func (f *filter) place() string { return "$" + strconv.Itoa(len(f.args)) }

func (f *filter) where() string { return " WHERE " + strings.Join(f.conditions, " AND ") }

// page reads one page of a list and counts the whole of it.
func page[T any](tx *Tx, scan func(database.Scanner) (T, error), f filter, what, from, order string, p cloud.Page) ([]T, int64, error) {
	total, err := database.One(tx.t, database.Value[int64], "SELECT COUNT(*)"+from+f.where(), f.args...)
	if err != nil {
		return nil, 0, err
	}
	query := what + from + f.where() + order
	f.args = append(f.args, limit(p))
	query += " LIMIT " + f.place()
	f.args = append(f.args, p.Offset)
	query += " OFFSET " + f.place()
	rows, err := database.AllOf(tx.t, max(0, min(limit(p), total-p.Offset)), scan, query, f.args...)
	return rows, total, err
}

// words splits what string_agg joined.
func words(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(text, ",")
}

// sorted splits what string_agg joined and orders it here, as the order of text
// differs between databases.
func sorted(text string) []string {
	list := words(text)
	slices.Sort(list)
	return list
}

// Now is the cloud's time.
func (db *DB) Now() time.Time { return db.db.Now() }

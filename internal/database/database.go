// Package database opens SQLite and PostgreSQL, runs transactions on both with
// one contract, and translates their errors. It knows no tables: the store and
// the simulated hypervisor keep theirs in it, each in its own transactions.
package database

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// Config says which database to open: a SQLite file, or a PostgreSQL URL.
type Config struct {
	// Path is the SQLite file. It is made when it is not there.
	Path string
	// URL is a postgres:// URL; it takes the place of Path.
	URL string
	// Unsafe leaves out SQLite's fsync, for data that nobody will miss.
	Unsafe bool
	// Now is the clock whose time a transaction carries.
	Now func() time.Time
	// Twice runs every Write's function a second time after taking back the
	// first, to show that it bears being repeated. For tests.
	Twice bool
}

// readers is how many connections read at once beside SQLite's one writer.
const readers = 8

// DB is an open database.
type DB struct {
	postgres bool
	read     *sql.DB
	write    *sql.DB
	now      func() time.Time
	twice    bool

	group    *group    // SQLite's writer
	sessions *sessions // SQLite's readers

	path     string // of SQLite's file
	observer atomic.Pointer[func(writes int)]
	watcher  atomic.Pointer[func(ctx context.Context, statement string)]
}

// Open opens a database and checks that it answers.
func Open(ctx context.Context, c Config) (*DB, error) {
	db := &DB{now: c.Now, twice: c.Twice, postgres: c.URL != "", path: c.Path}
	if db.now == nil {
		db.now = time.Now
	}
	var err error
	if db.postgres {
		err = db.openPostgres(c.URL)
	} else {
		err = db.openSQLite(c)
	}
	if err != nil {
		return nil, err
	}
	if err := db.start(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("open the database: %w", explain(err))
	}
	return db, nil
}

// start checks that the database answers and makes it ready to write.
func (db *DB) start(ctx context.Context) (err error) {
	if db.postgres {
		return db.write.PingContext(ctx)
	}
	db.sessions = newSessions(db.read, readers)
	db.group, err = startGroup(ctx, db)
	return err
}

func (db *DB) openPostgres(dsn string) error {
	pool, err := sql.Open("pgx", dsn)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	pool.SetMaxOpenConns(24)
	pool.SetMaxIdleConns(24)
	db.read, db.write = pool, pool
	return nil
}

// openSQLite opens one connection that writes and several that read, so that
// readers never wait and writers queue in one place instead of meeting as
// SQLITE_BUSY.
func (db *DB) openSQLite(c Config) error {
	synchronous := "FULL"
	if c.Unsafe {
		synchronous = "OFF"
	}
	dsn := func(extra ...string) string {
		q := url.Values{"_pragma": append([]string{
			// First, so that switching to WAL waits for another process too.
			"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")", "foreign_keys(1)",
			// What a member of a group may have to take back is kept in memory: in a temporary file it cost a
			// write for each page.
			"temp_store(MEMORY)",
		}, extra...)}
		return "file:" + (&url.URL{Path: c.Path}).EscapedPath() + "?_txlock=immediate&" + q.Encode()
	}
	var err error
	if db.write, err = sql.Open("sqlite", dsn()); err != nil {
		return fmt.Errorf("open %s: %w", c.Path, err)
	}
	db.write.SetMaxOpenConns(2) // the group's, and one to migrate with
	if db.read, err = sql.Open("sqlite", dsn("query_only(1)")); err != nil {
		db.write.Close()
		return fmt.Errorf("open %s: %w", c.Path, err)
	}
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers)
	return nil
}

// Close closes every connection.
func (db *DB) Close() error {
	if db.group != nil {
		_ = db.group.close() // its session goes with the pool
		db.sessions.close()
	}
	err := db.write.Close()
	if db.read != db.write && db.read != nil {
		if e := db.read.Close(); err == nil {
			err = e
		}
	}
	return err
}

// Postgres reports whether this is PostgreSQL rather than SQLite.
func (db *DB) Postgres() bool { return db.postgres }

// Now is the time that a transaction would carry if it began now.
func (db *DB) Now() time.Time { return db.now().UTC().Truncate(time.Microsecond) }

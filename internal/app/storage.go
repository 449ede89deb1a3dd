package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
	"github.com/cistern-cloud/cistern/internal/store"
)

// databaseFile is the SQLite file in a data folder.
const databaseFile = "cistern.db"

// schemas are all tables of the program, each part with its own.
func schemas() []database.Migrations {
	return []database.Migrations{store.Migrations(), sim.Migrations()}
}

// opened is storage in use.
type opened struct {
	Storage
	db *database.DB
	// clock is the cloud's: the database carries its time.
	clock *sim.MovableClock
	// folder is where files beside the database go.
	folder string
	// release gives up the folder, and removes it if nothing is kept.
	release func()
}

func newOpened(s Storage) *opened {
	return &opened{Storage: s, clock: sim.NewMovableClock(time.Now), folder: s.Data, release: func() {}}
}

func (o *opened) Close() error {
	err := o.db.Close()
	o.release()
	return err
}

// openToServe opens the storage for a server: alone in its folder, made if it
// is not there, its schema up to date, and of one engine.
func openToServe(ctx context.Context, s Storage, engine string) (*opened, error) {
	o := newOpened(s)
	var err error
	switch {
	case s.Ephemeral:
		if o.folder, err = os.MkdirTemp("", "cistern-"); err != nil {
			return nil, err
		}
		o.release = func() { _ = os.RemoveAll(o.folder) }
	case s.Database != "":
		o.folder = DefaultData()
	default:
		if o.release, err = lockFolder(s.Data); err != nil {
			return nil, err
		}
		if err := claim(s.Data, engine); err != nil {
			o.release()
			return nil, err
		}
	}
	if err := o.prefill(ctx); err != nil {
		o.release()
		return nil, err
	}
	if o.db, err = database.Open(ctx, o.config()); err != nil {
		o.release()
		return nil, err
	}
	if _, err := migrate(ctx, o.db); err != nil {
		o.Close()
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	if err := o.clock.Restore(ctx, o.db); err != nil {
		o.Close()
		return nil, fmt.Errorf("read the clock: %w", err)
	}
	return o, nil
}

// file is where a file beside the database goes. A PostgreSQL database has no
// folder, so its files are named after it in the default one.
func (o *opened) file(name string) string {
	if o.Database == "" {
		return filepath.Join(o.folder, name)
	}
	prefix := "postgres"
	if u, err := url.Parse(o.Database); err == nil {
		prefix = strings.Trim(u.Hostname()+"-"+strings.Trim(u.Path, "/"), "-")
	}
	return filepath.Join(o.folder, strings.ReplaceAll(prefix, "/", "_")+"."+name)
}

func (o *opened) config() database.Config {
	if o.Database != "" {
		return database.Config{URL: o.Database, Now: o.clock.Now}
	}
	return database.Config{Path: filepath.Join(o.folder, databaseFile), Unsafe: o.Ephemeral, Now: o.clock.Now}
}

// openBeside opens the storage for a command that may run beside a server. It
// makes nothing: what is not there is an error that says what would make it.
func openBeside(ctx context.Context, s Storage) (*opened, error) {
	s, err := s.check()
	if err != nil {
		return nil, err
	}
	if s.Ephemeral {
		return nil, errors.New("an ephemeral server keeps its state to itself, so this cannot reach it; give it a token with cistern serve --ephemeral --token TOKEN, and state with --seed FILE")
	}
	o := newOpened(s)
	if s.Database == "" {
		if _, err := os.Stat(filepath.Join(s.Data, databaseFile)); err != nil {
			return nil, fmt.Errorf("there is no Cistern in %s; start one with cistern serve, or name its folder with --data (an ephemeral server cannot be reached)", s.Data)
		}
	}
	if o.db, err = database.Open(ctx, o.config()); err != nil {
		return nil, err
	}
	return o, nil
}

// migrate brings every schema up to date and returns how many files ran.
func migrate(ctx context.Context, db *database.DB) (int, error) {
	total := 0
	for _, schema := range schemas() {
		n, err := db.Migrate(ctx, schema)
		total += n
		if err != nil {
			return total, explainNewer(err)
		}
	}
	return total, nil
}

// pending returns how many files have not run yet.
func pending(ctx context.Context, db *database.DB) (int, error) {
	total := 0
	for _, schema := range schemas() {
		n, err := db.Pending(ctx, schema)
		total += n
		if err != nil {
			return total, explainNewer(err)
		}
	}
	return total, nil
}

// files returns how many files make the schema from nothing.
func files() (n int) {
	for _, schema := range schemas() {
		sources, err := fs.Glob(schema.Files, "*.sql")
		if err == nil { // the pattern is good
			n += len(sources)
		}
	}
	return n
}

func explainNewer(err error) error {
	if errors.Is(err, database.ErrNewer) {
		return fmt.Errorf("%w; use that version or a later one of cistern", err)
	}
	return err
}

// lockFolder makes a data folder and takes it for this process alone.
func lockFolder(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	path := filepath.Join(dir, "lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close()
		return nil, fmt.Errorf("another cistern%s serves %s; stop it, or use another folder with --data", holder(path), dir)
	}
	// The lock is what counts; the number is for the message above.
	_ = file.Truncate(0)
	_, _ = file.WriteAt([]byte(fmt.Sprintln(os.Getpid())), 0)
	return func() { file.Close() }, nil
}

func holder(path string) string {
	pid, err := os.ReadFile(path)
	if err != nil || strings.TrimSpace(string(pid)) == "" {
		return ""
	}
	return " (process " + strings.TrimSpace(string(pid)) + ")"
}

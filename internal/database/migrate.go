package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	goosedb "github.com/pressly/goose/v3/database"
)

// ErrNewer is a database whose schema a later version has made.
var ErrNewer = errors.New("the database was made by a newer version")

// Migrations is a set of SQL files and the table that remembers which of them
// have run. Each part of the program that has tables has a set of its own.
type Migrations struct {
	Files fs.FS
	Table string
}

// Migrate brings the schema up to date and returns how many files ran. A
// schema newer than the files is refused with ErrNewer.
func (db *DB) Migrate(ctx context.Context, m Migrations) (int, error) {
	provider, err := db.migrator(m)
	if err != nil {
		return 0, err
	}
	if err := checkNewer(ctx, provider); err != nil {
		return 0, err
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return len(done), fmt.Errorf("migrate: %w", err)
	}
	return len(done), nil
}

// Pending returns how many files have not run yet, or ErrNewer.
func (db *DB) Pending(ctx context.Context, m Migrations) (int, error) {
	provider, err := db.migrator(m)
	if err != nil {
		return 0, err
	}
	if err := checkNewer(ctx, provider); err != nil {
		return 0, err
	}
	status, err := provider.Status(ctx)
	if err != nil {
		return 0, fmt.Errorf("migrate: %w", err)
	}
	pending := 0
	for _, s := range status {
		if s.State == goose.StatePending {
			pending++
		}
	}
	return pending, nil
}

func (db *DB) migrator(m Migrations) (*goose.Provider, error) {
	dialect := goosedb.DialectSQLite3
	if db.postgres {
		dialect = goosedb.DialectPostgres
	}
	store, err := goosedb.NewStore(dialect, m.Table)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	provider, err := goose.NewProvider("", db.write, m.Files, goose.WithStore(store), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	return provider, nil
}

func checkNewer(ctx context.Context, provider *goose.Provider) error {
	current, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	sources := provider.ListSources()
	newest := sources[len(sources)-1].Version
	if current > newest {
		return fmt.Errorf("%w (schema %d, this one knows %d)", ErrNewer, current, newest)
	}
	return nil
}

package qemu

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

//go:embed migrations/*.sql
var migrations embed.FS

func schema() database.Migrations {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return database.Migrations{Files: files, Table: "qemu_schema"}
}

// kind is one kind of things that the engine keeps.
type kind string

const (
	machines  kind = "machine"
	volumes   kind = "volume"
	images    kind = "image"
	snapshots kind = "snapshot" // of volumes
	peerings  kind = "peering"
)

// read reads one thing, or fails with ErrNotFound.
func read[T any](t *database.Tx, k kind, id string) (v T, err error) {
	data, err := database.One(t, database.Value[string],
		"SELECT data FROM things WHERE kind = $1 AND id = $2 AND NOT destroyed", string(k), id)
	if errors.Is(err, database.ErrNoRows) {
		return v, engine.ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal([]byte(data), &v)
	}
	return v, err
}

// all reads every thing of a kind; those of one owner only if it is not empty.
func all[T any](t *database.Tx, k kind, owner string) ([]T, error) {
	return database.All(t, func(row database.Scanner) (v T, err error) {
		var data string
		if err := row.Scan(&data); err != nil {
			return v, err
		}
		return v, json.Unmarshal([]byte(data), &v)
	}, `SELECT data FROM things WHERE kind = $1 AND ($2 = '' OR owner = $2) AND NOT destroyed ORDER BY id`, string(k), owner)
}

// save writes one thing, unless it was destroyed.
func save(t *database.Tx, k kind, id, owner string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	n, err := t.Exec(`INSERT INTO things (kind, id, owner, destroyed, data) VALUES ($1, $2, $3, FALSE, $4)
		ON CONFLICT (kind, id) DO UPDATE SET owner = $3, data = $4 WHERE NOT things.destroyed`,
		string(k), id, owner, string(data))
	if err == nil && n == 0 {
		err = engine.ErrGone
	}
	return err
}

// bury leaves a tombstone, whether the thing was there or not.
func bury(t *database.Tx, k kind, id string) error {
	_, err := t.Exec(`INSERT INTO things (kind, id, owner, destroyed, data) VALUES ($1, $2, '', TRUE, '')
		ON CONFLICT (kind, id) DO UPDATE SET owner = '', destroyed = TRUE, data = ''`, string(k), id)
	return err
}

// exists reports whether a thing is there, or fails with ErrGone when it was.
func exists(t *database.Tx, k kind, id string) (bool, error) {
	destroyed, err := database.One(t, database.Value[bool],
		"SELECT destroyed FROM things WHERE kind = $1 AND id = $2", string(k), id)
	switch {
	case errors.Is(err, database.ErrNoRows):
		return false, nil
	case err == nil && destroyed:
		return false, engine.ErrGone
	}
	return err == nil, err
}

// look reads one thing outside a change.
func look[T any](ctx context.Context, e *Engine, k kind, id string) (v T, err error) {
	err = e.db.Peek(ctx, func(t *database.Tx) (err error) {
		v, err = read[T](t, k, id)
		return err
	})
	return v, err
}

// isThere is exists outside a change.
func (e *Engine) isThere(ctx context.Context, k kind, id string) (there bool, err error) {
	err = e.db.Peek(ctx, func(t *database.Tx) (err error) {
		there, err = exists(t, k, id)
		return err
	})
	return there, err
}

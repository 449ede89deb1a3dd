package database

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// ObserveCommits makes f be called after each commit, with how many writes it
// had. It is called where the next writes wait, so it has to be quick.
func (db *DB) ObserveCommits(f func(writes int)) { db.observer.Store(&f) }

// ObserveStatements makes f be called before each statement, with the context
// of what asked for it, so that what one request costs can be told from what
// else goes on.
func (db *DB) ObserveStatements(f func(ctx context.Context, statement string)) { db.watcher.Store(&f) }

func (t *Tx) begins(statement string) {
	if f := t.db.watcher.Load(); f != nil {
		(*f)(t.ctx, statement)
	}
}

func (db *DB) committed(writes int) {
	if f := db.observer.Load(); f != nil && writes > 0 {
		(*f)(writes)
	}
}

// committed tells of a commit that these shared: what failed alone was not in
// it.
func (g *group) committed(members []*pendingWrite) {
	writes := 0
	for _, w := range members {
		if w.err == nil {
			writes++
		}
	}
	g.db.committed(writes)
}

// Sizes returns how many bytes the database takes: of SQLite the file and the
// log beside it, of PostgreSQL all in the database that the URL names.
func (db *DB) Sizes(ctx context.Context) (map[string]int64, error) {
	if db.postgres {
		return db.postgresSizes(ctx)
	}
	sizes := map[string]int64{}
	for part, path := range map[string]string{"data": db.path, "wal": db.path + "-wal"} {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) { // the log goes when nobody has it open
			continue
		}
		if err != nil {
			return nil, err
		}
		sizes[part] = info.Size()
	}
	return sizes, nil
}

func (db *DB) postgresSizes(ctx context.Context) (map[string]int64, error) {
	var size int64
	err := db.Read(ctx, func(t *Tx) (err error) {
		size, err = One(t, Value[int64], "SELECT pg_database_size(current_database())")
		return err
	})
	return map[string]int64{"data": size}, err
}

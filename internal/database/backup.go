package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
)

// Backup copies a SQLite database into a file that is not there or is empty,
// as it is at one instant, while others read and write. The copy has nothing
// beside it, as a database in use has.
func (db *DB) Backup(ctx context.Context, path string) error {
	if db.postgres {
		return errors.New("PostgreSQL is backed up with its own tools")
	}
	// On the pool of the writer, since readers may not even write elsewhere; it
	// has a connection to spare, and the copy reads a snapshot, so nobody waits.
	if _, err := db.write.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return translate(err)
	}
	return nil
}

// CheckFile reports whether a file is a SQLite database that is whole.
func CheckFile(ctx context.Context, path string) error {
	file, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro")
	if err != nil {
		return err
	}
	defer file.Close()
	var verdict string
	if err := file.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	if verdict != "ok" {
		return fmt.Errorf("check %s: %s", path, verdict)
	}
	return nil
}

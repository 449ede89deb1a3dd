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

	"github.com/cistern-cloud/cistern/internal/database"
)

// Backup copies the state into a file, also while a server runs on it, and
// returns the copy's size. A file that is there stays as it is unless force is
// set, and until the copy is complete and found whole.
func Backup(ctx context.Context, s Storage, path string, force bool) (size int64, err error) {
	if s, err = s.check(); err != nil {
		return 0, err
	}
	switch {
	case s.Ephemeral:
		return 0, errors.New("an ephemeral server keeps nothing, so there is nothing to back up")
	case s.Database != "":
		return 0, fmt.Errorf("the state is in PostgreSQL; back it up with its own tools:\n\n  %s", dumpCommand(s.Database, path))
	}
	if err := checkTarget(s, path, force); err != nil {
		return 0, err
	}
	o, err := openBeside(ctx, s)
	if err != nil {
		return 0, err
	}
	defer o.Close()
	return copyTo(ctx, o.db, path)
}

// checkTarget refuses a file that is there, and the state's own files.
func checkTarget(s Storage, path string, force bool) error {
	target, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	own, err := filepath.Abs(filepath.Join(s.Data, databaseFile))
	if err != nil {
		return err
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} { // what SQLite keeps beside a database
		if target == own+suffix || sameFile(target, own+suffix) {
			return fmt.Errorf("%s is the state itself; name another file", path)
		}
	}
	if _, err := os.Lstat(path); err == nil && !force {
		return fmt.Errorf("%s is there already; name another file, or overwrite it with --force", path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// copyTo makes the copy under another name beside its place, so that what bears
// the name is whole, and on the disk.
func copyTo(ctx context.Context, db *database.DB, path string) (size int64, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // its owner's alone
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(file.Name()) }() // once it has its own name, there is nothing to remove
	defer file.Close()
	if err := db.Backup(ctx, file.Name()); err != nil {
		return 0, err
	}
	if err := database.CheckFile(ctx, file.Name()); err != nil {
		return 0, err
	}
	if err := file.Sync(); err != nil {
		return 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return 0, err
	}
	return info.Size(), syncFolder(filepath.Dir(path))
}

// syncFolder makes a new name in a folder outlive a power cut.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// dumpCommand is the command that backs up a PostgreSQL database, without a
// password: pg_dump asks for one, or takes it from PGPASSWORD.
func dumpCommand(database, path string) string {
	u, err := url.Parse(database)
	if err != nil {
		return "pg_dump --format=custom --file=" + quoted(path)
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	schema := ""
	q := u.Query()
	if name := q.Get("search_path"); name != "" { // which pg_dump does not take in a URL
		schema = " --schema=" + quoted(name)
		q.Del("search_path")
		u.RawQuery = q.Encode()
	}
	return "pg_dump --format=custom --no-owner" + schema + " --file=" + quoted(path) + " " + quoted(u.String())
}

// quoted writes a word for a shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

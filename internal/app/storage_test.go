package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/control"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
)

func TestSecondServerIsRefused(t *testing.T) {
	dir := t.TempDir()
	o, _ := opening(t, Storage{Data: dir})
	_, err := openToServe(t.Context(), Storage{Data: dir}, engineSim)
	if err == nil || !strings.Contains(err.Error(), "serves "+dir+"; stop it, or use another folder with --data") {
		t.Errorf("two servers on one folder: %v", err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	opening(t, Storage{Data: dir})
}

// A data folder that cannot be made is told as such.
func TestDataFolderThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := openToServe(t.Context(), Storage{Data: dir}, engineSim); err == nil || !strings.HasPrefix(err.Error(), "--data: ") {
			t.Errorf("--data %s: %v", dir, err)
		}
	}
}

// What is ephemeral is gone when it is closed.
func TestEphemeralIsRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	o, _ := opening(t, Storage{Ephemeral: true})
	if _, err := os.Stat(filepath.Join(o.folder, databaseFile)); err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

// The commands beside a server see what it sees, and make nothing themselves.
func TestBesideAServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	names := func() (names []string, err error) {
		err = WithAccounts(t.Context(), Storage{Data: dir}, func(accounts control.Accounts) error {
			all, err := accounts.List(t.Context())
			for _, a := range all {
				names = append(names, a.Name)
			}
			return err
		})
		return names, err
	}
	if _, err := names(); err == nil || !strings.Contains(err.Error(), "there is no Cistern in "+dir) {
		t.Errorf("before any server: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a look has made the folder: %v", err)
	}
	o, accounts := opening(t, Storage{Data: dir})
	firstOrFail(t, accounts, o, "")
	if got, err := names(); err != nil || len(got) != 1 || got[0] != "My Cistern" {
		t.Errorf("the accounts are %v, %v", got, err)
	}
}

// The schema is brought up to date by a start and by `migrate`, and a newer one
// is refused by all.
func TestSchemas(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		s := Storage{Database: c.URL}
		if c.URL == "" {
			s.Data = filepath.Dir(c.Path)
			if err := os.WriteFile(filepath.Join(s.Data, databaseFile), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		nothing := func(control.Accounts) error { return nil }
		if err := WithAccounts(t.Context(), s, nothing); err == nil || !strings.Contains(err.Error(), "there is no Cistern yet; start one with cistern serve") {
			t.Errorf("an empty database: %v", err)
		}
		if n, err := Migrate(t.Context(), s); err != nil || n == 0 {
			t.Errorf("migrate: %d steps, %v", n, err)
		}
		if n, err := Migrate(t.Context(), s); err != nil || n != 0 {
			t.Errorf("migrate once more: %d steps, %v", n, err)
		}
		if err := WithAccounts(t.Context(), s, nothing); err != nil {
			t.Error(err)
		}
		makeNewer(t, s)
		serve := func(ctx context.Context) error {
			o, err := openToServe(ctx, s, engineSim)
			if err == nil {
				o.Close()
			}
			return err
		}
		_, migrating := Migrate(t.Context(), s)
		for what, err := range map[string]error{
			"serve": serve(t.Context()), "migrate": migrating, "accounts": WithAccounts(t.Context(), s, nothing),
		} {
			if !errors.Is(err, database.ErrNewer) || !strings.HasSuffix(err.Error(), "use that version or a later one of cistern") {
				t.Errorf("%s on a newer schema: %v", what, err)
			}
		}
	})
}

func makeNewer(t *testing.T, s Storage) {
	t.Helper()
	o, err := openBeside(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	err = o.db.Write(t.Context(), func(tx *database.Tx) error {
		_, err := tx.Exec(`INSERT INTO sim_schema (version_id, is_applied) VALUES (9999, true)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

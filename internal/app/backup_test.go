package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/database"
)

// A server that starts on a backup has what was there: resources, tokens, and
// operations that were under way, which go on.
func TestBackupIsRestoredByStartingOnIt(t *testing.T) {
	live, restored := t.TempDir(), t.TempDir()
	s := serveCare(t, live)
	s.holdUp()
	path := filepath.Join(restored, databaseFile)
	size, err := Backup(t.Context(), Storage{Data: live}, path, false)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() != size || info.Mode() != 0o600 {
		t.Errorf("%v, %v; want %d bytes for the owner alone", info, err, size)
	}
	s.stop()
	s = serveCare(t, restored)
	s.until("/v2/droplets", `"status":"new"`)
	s.letGo()
	s.until("/v2/droplets", `"status":"active"`)
	s.until("/v2/actions", `"status":"completed"`)
}

func TestBackupRefusals(t *testing.T) {
	data, empty := t.TempDir(), t.TempDir()
	serveCare(t, data).stop()
	taken := filepath.Join(t.TempDir(), "taken.db")
	if err := os.WriteFile(taken, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(filepath.Join(data, databaseFile), link); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		storage Storage
		path    string
		force   bool
		want    string
	}{
		{"a file that is there", Storage{Data: data}, taken, false, "is there already"},
		{"the state itself", Storage{Data: data}, filepath.Join(data, databaseFile), true, "is the state itself"},
		{"its log", Storage{Data: data}, filepath.Join(data, databaseFile+"-wal"), true, "is the state itself"},
		{"the state by another name", Storage{Data: data}, link, true, "is the state itself"},
		{"a folder that is not there", Storage{Data: data}, filepath.Join(empty, "none", "b.db"), false, "no such file"},
		{"no state", Storage{Data: empty}, filepath.Join(empty, "b.db"), false, "there is no Cistern in"},
		{"a folder in its place", Storage{Data: data}, empty, true, "exist"},
		{"nothing kept", Storage{Ephemeral: true}, "b.db", false, "keeps nothing"},
		{
			"PostgreSQL", Storage{Database: "postgres://ann:secret@db/cloud?search_path=mine&sslmode=disable"}, "it's.db", false,
			`pg_dump --format=custom --no-owner --schema='mine' --file='it'\''s.db' 'postgres://ann@db/cloud?sslmode=disable'`,
		},
	}
	for _, test := range tests {
		_, err := Backup(t.Context(), test.storage, test.path, test.force)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", test.name, err, test.want)
		}
	}
	if kept, err := os.ReadFile(taken); err != nil || string(kept) != "kept" {
		t.Errorf("the file that was there: %q, %v", kept, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(empty), "*", ".*.db.*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBackupOverwritesIfForced(t *testing.T) {
	data, path := t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
	serveCare(t, data).stop()
	if err := os.WriteFile(path, []byte("of old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), Storage{Data: data}, path, true); err != nil {
		t.Fatal(err)
	}
	if err := database.CheckFile(t.Context(), path); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v; want it for the owner alone", info, err)
	}
}

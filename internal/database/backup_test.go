package database_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
)

// A copy that is made while others write has whole transactions only.
func TestBackupIsOneInstant(t *testing.T) {
	db := openNotes(t, databasetest.Config(t, "sqlite"))
	ctx, stop := context.WithCancel(t.Context())
	begun := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for id := int64(1); ctx.Err() == nil; id += 2 {
			err := db.Write(context.Background(), func(tx *database.Tx) error {
				if err := addNote(tx, id, "first of two"); err != nil {
					return err
				}
				return addNote(tx, id+1, "second of two")
			})
			if err != nil {
				t.Error(err)
				return
			}
			if id == 1 {
				close(begun)
			}
		}
	})
	<-begun
	path := filepath.Join(t.TempDir(), "copy?.db")
	err := db.Backup(t.Context(), path)
	stop()
	writing.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := database.CheckFile(t.Context(), path); err != nil {
		t.Error(err)
	}
	if beside, _ := filepath.Glob(path + "-*"); len(beside) > 0 {
		t.Errorf("beside the copy: %v", beside)
	}
	restored := databasetest.Open(t, database.Config{Path: path})
	mustAdd(t, restored, 1<<40)
	var ids []int64
	if err := restored.Read(t.Context(), func(tx *database.Tx) (err error) { ids, err = readIDs(tx); return err }); err != nil {
		t.Fatal(err)
	}
	if len(ids) < 3 || len(ids)%2 != 1 {
		t.Errorf("%d notes in the copy, with one added; want pairs", len(ids))
	}
}

func TestBackupRefusals(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		db := openNotes(t, c)
		path := filepath.Join(t.TempDir(), "copy.db")
		if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := db.Backup(t.Context(), path); err == nil {
			t.Error("it was overwritten, or PostgreSQL backed up")
		}
	})
}

func TestCheckFileFindsDamage(t *testing.T) {
	db := openNotes(t, databasetest.Config(t, "sqlite"))
	for id := range int64(300) {
		mustAdd(t, db, id)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := db.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	scribbled := append([]byte{}, whole...)
	for i := 4096; i < len(scribbled); i++ {
		scribbled[i] = 0xff
	}
	for name, content := range map[string][]byte{
		"cut short": whole[:len(whole)/2], "scribbled over": scribbled, "something else": []byte("no database at all"),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := database.CheckFile(t.Context(), path); err == nil {
			t.Errorf("%s: taken for whole", name)
		}
	}
	if err := database.CheckFile(t.Context(), path+".none"); err == nil {
		t.Error("a file that is not there: taken for whole")
	}
}

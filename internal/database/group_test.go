package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// openGrouped opens an empty SQLite database with a table of names.
func openGrouped(t *testing.T) *DB {
	t.Helper()
	db, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "test.db"), Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	err = db.Write(t.Context(), func(tx *Tx) error {
		_, err := tx.Exec("CREATE TABLE names (name TEXT NOT NULL PRIMARY KEY)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func addName(name string) func(*Tx) error {
	return func(tx *Tx) error {
		_, err := tx.Exec("INSERT INTO names (name) VALUES ($1)", name)
		return err
	}
}

func names(t *testing.T, db *DB) string {
	t.Helper()
	var all []string
	err := db.Read(t.Context(), func(tx *Tx) (err error) {
		all, err = All(tx, Value[string], "SELECT name FROM names ORDER BY name")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// together makes writes share one group: the first holds the group up until
// all are queued. It returns their errors in order.
func together(t *testing.T, db *DB, writes ...func(*Tx) error) []error {
	t.Helper()
	db.group.longest = time.Hour // however slow the machine is
	hold, held := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	var once sync.Once
	all.Go(func() {
		_ = db.Write(context.Background(), func(*Tx) error {
			once.Do(func() { close(held); <-hold })
			return nil
		})
	})
	<-held
	errs := make([]error, len(writes))
	for i, fn := range writes {
		before := len(db.group.queue)
		all.Go(func() { errs[i] = db.Write(context.Background(), fn) })
		for len(db.group.queue) == before { // in order
			runtime.Gosched()
		}
	}
	close(hold)
	all.Wait()
	return errs
}

func TestGroupMembersFailAlone(t *testing.T) {
	db := openGrouped(t)
	commits := 0
	db.group.beforeCommit = func() { commits++ }
	refused := errors.New("refused")
	errs := together(t, db,
		addName("first"),
		func(tx *Tx) error { _ = addName("taken back")(tx); return refused },
		func(tx *Tx) error { _ = addName("panicked")(tx); panic("no") },
		addName("first"), // a driver error: it is there
		func(tx *Tx) error { _ = addName("first")(tx); return nil }, // the same, overlooked
		addName("last"),
	)
	if commits != 1 {
		t.Errorf("%d commits, want 1 for all", commits)
	}
	for i, want := range []string{"<nil>", "refused", "panic in a transaction: no", "already there", "already there", "<nil>"} {
		if got := fmt.Sprint(errs[i]); !strings.Contains(got, want) {
			t.Errorf("write %d: %v, want %s", i, got, want)
		}
	}
	if got := names(t, db); got != "first last" {
		t.Errorf("kept: %s", got)
	}
}

// When SQLite gives up the whole transaction, nobody pays for it but the one
// whose fault it was.
func TestGroupRunsAgainOneByOneWhenTheTransactionDies(t *testing.T) {
	db := openGrouped(t)
	runs := 0
	errs := together(t, db,
		func(tx *Tx) error { runs++; return addName("before")(tx) },
		func(tx *Tx) error { _, err := tx.Exec("ROLLBACK"); return err },
		addName("after"),
	)
	if errs[0] != nil || errs[2] != nil {
		t.Errorf("the others failed: %v, %v", errs[0], errs[2])
	}
	if got := names(t, db); got != "after before" {
		t.Errorf("kept: %s", got)
	}
	if runs != 2 {
		t.Errorf("ran %d times, want 2", runs)
	}
}

// A commit that fails, as on a full disk, is everybody's failure and nobody's
// success.
func TestGroupCommitThatFails(t *testing.T) {
	db := openGrouped(t)
	err := db.Write(t.Context(), func(tx *Tx) error {
		_, err := tx.Exec("PRAGMA max_page_count = 8")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 20_000)
	errs := together(t, db, addName("small"), addName(big+"1"), addName(big+"2"), addName(big+"3"))
	if errs[0] != nil {
		t.Errorf("the small one: %v", errs[0])
	}
	full := 0
	for _, err := range errs[1:] {
		if errors.Is(err, ErrFull) {
			full++
		} else if err != nil {
			t.Error(err)
		}
	}
	if full == 0 {
		t.Error("nothing was too much")
	}
	kept := len(strings.Fields(names(t, db)))
	if want := len(errs) - full; kept != want {
		t.Errorf("%d kept, %d acknowledged", kept, want)
	}
}

func TestGroupForgetsWhoGaveUpWaiting(t *testing.T) {
	db := openGrouped(t)
	hold, held := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = db.Write(context.Background(), func(*Tx) error { close(held); <-hold; return nil })
	})
	<-held
	ctx, cancel := context.WithCancel(context.Background())
	gaveUp := make(chan error)
	go func() { gaveUp <- db.Write(ctx, addName("late")) }()
	for len(db.group.queue) == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("gave up with %v", err)
	}
	close(hold)
	all.Wait()
	if got := names(t, db); got != "" {
		t.Errorf("kept: %s", got)
	}
}

// A write that keeps the group busy does not keep the others out for ever: the
// group ends and the next begins.
func TestGroupIsFair(t *testing.T) {
	db := openGrouped(t)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					if err := db.Write(context.Background(), addName(fmt.Sprintf("%d-%d", i, n))); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for i := range 100 {
		if err := db.Write(t.Context(), addName(fmt.Sprint("late-", i))); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	all.Wait()
}

// Requests go before the background, of which one gets its turn after every
// few of them, and all the rest when no request is left.
func TestGroupTakesRequestsFirst(t *testing.T) {
	db := openGrouped(t)
	db.group.longest = time.Hour
	hold, held := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	var once sync.Once
	all.Go(func() {
		_ = db.Write(context.Background(), func(*Tx) error {
			once.Do(func() { close(held); <-hold })
			return nil
		})
	})
	<-held
	ran := ""
	write := func(ctx context.Context, name string, queue chan *pendingWrite) {
		before := len(queue)
		all.Go(func() {
			if err := db.Write(ctx, func(*Tx) error { ran += name; return nil }); err != nil {
				t.Error(err)
			}
		})
		for len(queue) == before { // in order
			runtime.Gosched()
		}
	}
	for range 6 {
		write(Background(context.Background()), "b", db.group.later)
	}
	for range 9 {
		write(context.Background(), "r", db.group.queue)
	}
	close(hold)
	all.Wait()
	if want := "brrrrbrrrrbrbbb"; ran != want { // the one that held them up counts
		t.Errorf("ran %s, want %s", ran, want)
	}
}

func TestGroupCloseRefusesWhatWaits(t *testing.T) {
	db := openGrouped(t)
	db.Close()
	if err := db.Write(t.Context(), addName("late")); !errors.Is(err, errClosed) {
		t.Errorf("after the close: %v", err)
	}
}

// Nothing is acknowledged before it is committed: the process is cut off right
// before the commit, and what was acknowledged by then is what is there.
func TestGroupAcknowledgesNothingBeforeItsCommit(t *testing.T) {
	if path := os.Getenv("CISTERN_TEST_CUT"); path != "" {
		cutBeforeCommit(path)
		return
	}
	path := filepath.Join(t.TempDir(), "test.db")
	cmd := exec.Command(os.Args[0], "-test.run=^TestGroupAcknowledgesNothingBeforeItsCommit$")
	cmd.Env = append(os.Environ(), "CISTERN_TEST_CUT="+path)
	out, err := cmd.Output()
	if err == nil || cmd.ProcessState.ExitCode() != 3 {
		t.Fatalf("the process was not cut off: %v\n%s", err, out)
	}
	db, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	acknowledged := strings.Join(strings.Fields(string(out)), " ")
	if got := names(t, db); got != acknowledged || got != "a b" {
		t.Errorf("there is %q, acknowledged was %q", got, acknowledged)
	}
}

// cutBeforeCommit acknowledges two writes and dies with a third run and not
// committed.
func cutBeforeCommit(path string) {
	db, err := Open(context.Background(), Config{Path: path})
	if err != nil {
		panic(err)
	}
	write := func(name string, fn func(*Tx) error) {
		if err := db.Write(context.Background(), fn); err != nil {
			panic(err)
		}
		fmt.Println(name)
	}
	write("", func(tx *Tx) error {
		_, err := tx.Exec("CREATE TABLE names (name TEXT NOT NULL PRIMARY KEY)")
		return err
	})
	write("a", addName("a"))
	write("b", addName("b"))
	db.group.beforeCommit = func() { os.Exit(3) }
	write("c", addName("c"))
}

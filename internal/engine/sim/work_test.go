package sim_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

func TestWorkNeedsAKey(t *testing.T) {
	each(t, "0", func(l *lab) {
		if p, err := l.create(engine.Work{}, "1"); !engine.IsFinal(err) {
			l.Errorf("%+v, %v; want a final error", p, err)
		}
	})
}

func TestGoneIsRefusedWithoutWaiting(t *testing.T) {
	each(t, "real", func(l *lab) {
		w := l.work()
		destroy := func() (engine.Progress, error) { return l.DestroyMachine(l.Context(), w, ref("1")) }
		if p, err := destroy(); err != nil || p.Done {
			l.Fatalf("%+v, %v; want pending", p, err)
		}
		l.clock.advance(time.Minute)
		l.must(destroy())
		if p, err := l.create(l.work(), "1"); !errors.Is(err, engine.ErrGone) {
			l.Errorf("%+v, %v; want %v", p, err, engine.ErrGone)
		}
	})
}

// Work that a crash cut off goes on with the time it has already waited.
func TestWorkWaitsOnAfterACrash(t *testing.T) {
	each(t, "real", func(l *lab) {
		w := l.work()
		l.pending(w, 0, 20*time.Second)
		l.clock.advance(15 * time.Second)
		l.reopen()
		l.pending(w, 75, 5*time.Second)
		l.clock.advance(5 * time.Second)
		l.must(l.create(w, "1"))
	})
}

// A failed attempt leaves no effect and may be tried again under its key.
func TestWorkMayBeTriedAgain(t *testing.T) {
	each(t, "0", func(l *lab) {
		w := l.work()
		if _, err := l.start(w, "1"); !errors.Is(err, engine.ErrNotFound) {
			l.Errorf("got %v, want %v", err, engine.ErrNotFound)
		}
		l.must(l.create(l.work(), "1"))
		l.must(l.start(w, "1"))
	})
}

// An undo that is refused still takes its work back.
func TestWorkStaysUndoneWhenItsUndoFails(t *testing.T) {
	each(t, "0", func(l *lab) {
		l.must(l.create(l.work(), "1"))
		l.must(l.volume(l.work(), "v", ""))
		l.must(l.AttachVolume(l.Context(), l.work(), ref("v"), ref("1")))
		w := engine.Work{Key: "create"}
		if _, err := l.DeleteVolume(l.Context(), engine.Work{Key: w.Key, Undo: true}, ref("v")); !engine.IsFinal(err) {
			l.Errorf("got %v, want a final error", err)
		}
		if _, err := l.volume(w, "v", ""); !errors.Is(err, engine.ErrUndone) {
			l.Errorf("got %v, want %v", err, engine.ErrUndone)
		}
	})
}

func TestPruneForgetsOldWork(t *testing.T) {
	each(t, "50ms", func(l *lab) {
		for _, key := range []string{"old", "new"} {
			w := engine.Work{Key: key}
			if p, err := l.volume(w, "v-"+key, ""); err != nil || p.Done {
				l.Fatalf("%+v, %v; want pending", p, err)
			}
			l.clock.advance(time.Second)
			l.must(l.volume(w, "v-"+key, ""))
		}
		undo := engine.Work{Key: "back", Undo: true}
		if _, err := l.DestroyMachine(l.Context(), undo, ref("2")); err != nil {
			l.Fatal(err)
		}
		l.clock.advance(time.Second)
		l.must(l.DestroyMachine(l.Context(), undo, ref("2")))
		l.pending(engine.Work{Key: "waits"}, 0, 50*time.Millisecond)
		for key, by := range map[string]time.Duration{"old": 25, "back": 25, "back/undo": 25, "new": 23} {
			l.age(key, by*time.Hour)
		}
		l.reopen()
		if got := l.keysKept(); len(got) != 2 || got[0] != "new" || got[1] != "waits" {
			l.Errorf("kept %v, want new and waits", got)
		}
	})
}

// age makes work appear to have been done earlier.
func (l *lab) age(key string, by time.Duration) {
	l.Helper()
	err := l.db.Write(l.Context(), func(t *database.Tx) error {
		_, err := t.Exec("UPDATE sim_work SET settled_at = $1 WHERE key = $2 AND settled_at > 0", time.Now().Add(-by).UnixMicro(), key)
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
}

func (l *lab) keysKept() (keys []string) {
	l.Helper()
	err := l.db.Read(l.Context(), func(t *database.Tx) (err error) {
		keys, err = database.All(t, database.Value[string], "SELECT key FROM sim_work ORDER BY key")
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
	return keys
}

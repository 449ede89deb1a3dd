package sim

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// work is one keyed piece of work as the world remembers it. What takes a key
// back is a piece of work too, with a key of its own.
type work struct {
	key        string
	asked, due time.Time
	done       bool
	undone     bool
	// delayed holds the faults that delayed the work; true when the fault has
	// still to make it fail.
	delayed map[int64]bool
	// waitsLonger says that a fault has delayed it just now.
	waitsLonger bool
	size        float64
	host        string
	failure     string
	settled     int64
	// faults is how many faults there are for the account and the operation.
	faults int64
}

// shortestWait is the least that a pending answer asks to wait. There is no
// most: the simulation knows when work is due, so nobody needs to ask before.
const shortestWait = 10 * time.Millisecond

// take records that the work is asked for and reads what is known of it. On
// PostgreSQL it also locks the row, so that calls with one key queue here.
func take(t *database.Tx, c call, now time.Time) (*work, error) {
	if c.work.Undo {
		if err := takeBack(t, c.work.Key, now); err != nil {
			return nil, err
		}
	}
	return database.One(t, scanWork(c.key()), `
		INSERT INTO sim_work (key, verb, asked_at, due_at, done, undone,
			delayed, size_gigabytes, host, error, settled_at)
		VALUES ($3, $2, $4, $5, FALSE, FALSE, '{}', 0, '', '', 0)
		ON CONFLICT (key) DO UPDATE SET verb = excluded.verb
		RETURNING `+workColumns,
		c.account, c.operation, c.key(), now.UnixMicro(), now.Add(c.takes).UnixMicro())
}

// workColumns reads work along with how many faults it may have to meet: of
// the account $1, for the operation $2.
const workColumns = `asked_at, due_at, done, undone, delayed, size_gigabytes, host, error, settled_at,
	(SELECT COUNT(*) FROM sim_faults WHERE account = $1 AND operation = $2)`

// known reads work without recording that it is asked for.
func known(t *database.Tx, c call) (*work, error) {
	return database.One(t, scanWork(c.key()), "SELECT "+workColumns+" FROM sim_work WHERE key = $3",
		c.account, c.operation, c.key())
}

// takeBack marks a key as undone, whether it was ever asked for or not. It
// stays so even if the undo itself has to wait or fails: whoever takes work
// back does not want it any more.
func takeBack(t *database.Tx, key string, now time.Time) error {
	_, err := t.Exec(`
		INSERT INTO sim_work (key, verb, asked_at, due_at, done, undone,
			delayed, size_gigabytes, host, error, settled_at)
		VALUES ($1, '', $2, $2, FALSE, TRUE, '{}', 0, '', '', $3)
		ON CONFLICT (key) DO UPDATE SET undone = TRUE, settled_at = excluded.settled_at`,
		key, now.UnixMicro(), time.Now().UnixMicro())
	return err
}

func scanWork(key string) func(database.Scanner) (*work, error) {
	return func(row database.Scanner) (*work, error) {
		w := &work{key: key}
		var asked, due int64
		var delayed string
		err := row.Scan(&asked, &due, &w.done, &w.undone, &delayed, &w.size, &w.host, &w.failure, &w.settled, &w.faults)
		if err != nil {
			return nil, err
		}
		w.asked, w.due = time.UnixMicro(asked).UTC(), time.UnixMicro(due).UTC()
		return w, json.Unmarshal([]byte(delayed), &w.delayed)
	}
}

func (w *work) save(t *database.Tx) error {
	delayed, err := json.Marshal(w.delayed)
	if err != nil {
		return err
	}
	_, err = t.Exec(`
		UPDATE sim_work SET due_at = $2, done = $3, delayed = $4, size_gigabytes = $5, host = $6,
			error = $7, settled_at = $8
		WHERE key = $1`,
		w.key, w.due.UnixMicro(), w.done, string(delayed), w.size, w.host, w.failure, w.settled)
	return err
}

// saveDelay saves pending work if there is anything to save.
func (w *work) saveDelay(t *database.Tx) error {
	if !w.waitsLonger {
		return nil
	}
	return w.save(t)
}

// settle notes that nobody may come back for this work. Real time is used, as
// a cloud's clock that leaps must not make the world forget.
func (w *work) settle() { w.settled = time.Now().UnixMicro() }

// progress is the answer of finished work, the same however often it is asked.
func (w *work) progress() engine.Progress {
	return engine.Progress{Done: true, Percent: 100, SizeGigabytes: w.size, Host: w.host}
}

func (w *work) pending(now time.Time) engine.Progress {
	left, whole := w.due.Sub(now), w.due.Sub(w.asked)
	percent := 0
	if whole > 0 {
		percent = min(99, max(0, int(100*(whole-left)/whole)))
	}
	return engine.Progress{Percent: percent, After: max(shortestWait, left)}
}

// How long finished work is remembered, and how much is forgotten at once, so
// that no transaction is long.
const (
	remembered = 24 * time.Hour
	pruneBatch = 2000
)

// Prune forgets work that was done, undone or failed more than a day ago.
// Until then a repeated call gets the same answer.
func (e *Engine) Prune(ctx context.Context) error {
	before := time.Now().Add(-remembered).UnixMicro()
	for {
		old, err := e.hasWorkBefore(ctx, before)
		if err != nil || !old {
			return err
		}
		err = e.db.Write(ctx, func(t *database.Tx) (err error) {
			_, err = t.Exec(`
				DELETE FROM sim_work WHERE key IN (
					SELECT key FROM sim_work WHERE settled_at > 0 AND settled_at < $1
					ORDER BY settled_at LIMIT $2)`, before, int64(pruneBatch))
			return err
		})
		if err != nil {
			return err
		}
	}
}

// hasWorkBefore looks before anything is written: most passes find nothing.
func (e *Engine) hasWorkBefore(ctx context.Context, before int64) (old bool, err error) {
	err = e.db.Read(ctx, func(t *database.Tx) (err error) {
		old, err = database.One(t, database.Value[bool],
			"SELECT EXISTS (SELECT 1 FROM sim_work WHERE settled_at > 0 AND settled_at < $1)", before)
		return err
	})
	return old, err
}

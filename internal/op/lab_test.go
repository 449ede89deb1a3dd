package op

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/logtest"
	"github.com/cistern-cloud/cistern/internal/store"
)

// lab is a store for operations with a clock that stands until it is advanced.
// Steps work on the lab itself: they write down that they ran.
type lab struct {
	*testing.T
	db    *database.DB
	store *store.DB
	log   logtest.Buffer

	mu    sync.Mutex
	now   time.Time
	ran   []string
	holds []cloud.Ref // what begin holds
}

type args struct{ N int }

const account = 7

func eachLab(t *testing.T, test func(l *lab)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, c database.Config) { test(newLab(t, c)) })
}

// labStart is when every test begins.
var labStart = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func newLab(t *testing.T, c database.Config) *lab {
	t.Helper()
	l := &lab{T: t, now: labStart}
	c.Now = l.Now
	l.db = databasetest.Open(t, c)
	if _, err := l.db.Migrate(t.Context(), store.Migrations()); err != nil {
		t.Fatal(err)
	}
	l.store = store.New(l.db)
	l.write(func(tx *store.Tx) error {
		return tx.AddAccount(cloud.Account{ID: account, UUID: "u", Name: "n", Email: "e", CreatedAt: tx.Now})
	})
	return l
}

func (l *lab) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func (l *lab) advance(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
}

// note writes down that something ran.
func (l *lab) note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ran = append(l.ran, what)
}

// notes is what ran so far.
func (l *lab) notes() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprint(l.ran)
}

func (l *lab) wantNotes(want string) {
	l.Helper()
	if got := l.notes(); got != want {
		l.Errorf("ran %s, want %s", got, want)
	}
}

func (l *lab) write(fn func(tx *store.Tx) error) {
	l.Helper()
	if err := l.store.Write(l.Context(), fn); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) exec(query string, values ...any) {
	l.Helper()
	err := l.db.Write(l.Context(), func(t *database.Tx) error {
		_, err := t.Exec(query, values...)
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
}

func (l *lab) runner(owner string, plans ...Runnable[*lab]) *Runner[*lab] {
	log := slog.New(slog.NewTextHandler(&l.log, nil))
	return NewRunner(l.store, l, Options{Log: log, Owner: owner}, plans...)
}

// begin queues an operation.
func (l *lab) begin(r *Runner[*lab], p *Plan[*lab, args], id int64) {
	l.Helper()
	l.write(func(tx *store.Tx) error {
		_, err := p.Begin(tx, r.Notify, New{
			ID: id, Account: account, Type: "test", About: cloud.Ref{Kind: cloud.KindDroplet, ID: "1"}, Holds: l.holds,
		}, args{N: int(id)})
		return err
	})
}

// run carries out all that is due and returns how an operation stands then.
func (l *lab) run(r *Runner[*lab], id int64) store.Operation {
	l.Helper()
	if _, err := r.RunDue(l.Context()); err != nil {
		l.Fatal(err)
	}
	return l.operation(id)
}

func (l *lab) operation(id int64) (o store.Operation) {
	l.Helper()
	err := l.store.Read(l.Context(), func(tx *store.Tx) (err error) {
		o, err = tx.Operation(id)
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
	return o
}

func (l *lab) wantEnd(o store.Operation, status cloud.ActionStatus, message string) {
	l.Helper()
	if o.Status != status || o.Error != message || o.CompletedAt.IsZero() == (status != cloud.InProgress) {
		l.Errorf("it is %s (%q), want %s (%q)", o.Status, o.Error, status, message)
	}
	var held int64
	err := l.db.Read(l.Context(), func(t *database.Tx) (err error) {
		held, err = database.One(t, database.Value[int64], "SELECT COUNT(*) FROM action_holds WHERE action_id = $1", o.ID)
		return err
	})
	if err != nil || status != cloud.InProgress && held > 0 {
		l.Errorf("it has ended and holds %d things: %v", held, err)
	}
}

// step is a step that notes its phases by its name and does what do says.
func step(name string, do func(l *lab, run *Run[args]) error) Step[*lab, args] {
	return Step[*lab, args]{
		Name: name,
		Do: func(l *lab, _ context.Context, run *Run[args]) error {
			l.note(name)
			if do == nil {
				return nil
			}
			return do(l, run)
		},
		Undo: func(l *lab, _ context.Context, _ *Run[args]) error {
			l.note("-" + name)
			return nil
		},
	}
}

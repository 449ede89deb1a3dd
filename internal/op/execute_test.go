package op

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/store"
)

var errBroken = errors.New("broken")

// A step that keeps failing is tried ten times, each time after twice as long,
// and then everything is undone in the opposite order.
func TestFailingStepIsGivenUp(t *testing.T) {
	plan := Define("plan", step("a", nil), step("b", func(*lab, *Run[args]) error { return errBroken }))
	eachLab(t, func(l *lab) {
		r := l.runner("one", plan)
		l.begin(r, plan, 1)
		for n := int64(1); n < maxAttempts; n++ {
			o := l.run(r, 1)
			wait := 100 * time.Millisecond << (n - 1)
			if o.Status != cloud.InProgress || o.Attempt != n || o.Error != "broken" || !o.RunAt.Equal(l.Now().Add(wait)) {
				l.Fatalf("after %d failures: %+v at %s, want another try in %s", n, o, l.Now(), wait)
			}
			l.advance(wait - time.Microsecond)
			if after := l.run(r, 1); after.Lease != o.Lease {
				l.Fatal("it was tried too early")
			}
			l.advance(time.Microsecond)
		}
		l.wantEnd(l.run(r, 1), cloud.Errored, "broken")
		l.wantNotes("[a" + strings.Repeat(" b", 10) + " -b -a]")
	})
}

// Fifteen minutes of failures are enough, however few they were.
func TestStepIsGivenUpAfterAQuarterOfAnHour(t *testing.T) {
	plan := Define("plan", step("a", func(*lab, *Run[args]) error { return errBroken }))
	eachLab(t, func(l *lab) {
		r := l.runner("one", plan)
		l.begin(r, plan, 1)
		l.run(r, 1)
		l.advance(maxFailing - time.Microsecond)
		if o := l.run(r, 1); o.Status != cloud.InProgress {
			l.Errorf("given up too early: %+v", o)
		}
		l.advance(time.Minute)
		l.wantEnd(l.run(r, 1), cloud.Errored, "broken")
		l.wantNotes("[a a a -a]")
	})
}

// Failures are counted in a row: each step has all its tries.
func TestEachStepHasItsOwnTries(t *testing.T) {
	nineTimes := func(name string) Step[*lab, args] {
		return step(name, func(l *lab, run *Run[args]) error {
			n := strings.Count(l.notes(), name)
			if run.LastTry != (n == maxAttempts) {
				l.Errorf("try %d of %s is the last: %t", n, name, run.LastTry)
			}
			if n < maxAttempts {
				return errBroken
			}
			return nil
		})
	}
	plan := Define("plan", nineTimes("a"), nineTimes("b"))
	eachLab(t, func(l *lab) {
		r := l.runner("one", plan)
		l.begin(r, plan, 1)
		for range 2 * maxAttempts {
			l.run(r, 1)
			l.advance(time.Minute)
		}
		l.wantEnd(l.run(r, 1), cloud.Completed, "")
	})
}

// What a step returns says what happens next.
func TestOutcomes(t *testing.T) {
	tests := []struct {
		name    string
		do      func(l *lab, run *Run[args]) error
		wait    time.Duration // until it is due again
		attempt int64
		status  cloud.ActionStatus
		message string
	}{
		{"final", func(*lab, *Run[args]) error { return Final(errBroken) }, 0, 0, cloud.Errored, "broken"},
		{"panic", func(*lab, *Run[args]) error { panic("oh") }, 100 * time.Millisecond, 1, cloud.InProgress, "panic: oh"},
		{"again", func(*lab, *Run[args]) error { return Again(time.Second) }, time.Second, 0, cloud.InProgress, ""},
		{"again at once", func(*lab, *Run[args]) error { return Again(0) }, time.Millisecond, 0, cloud.InProgress, ""},
		{"error", func(*lab, *Run[args]) error { return errBroken }, 100 * time.Millisecond, 1, cloud.InProgress, "broken"},
		{"nil", func(*lab, *Run[args]) error { return nil }, 0, 0, cloud.Completed, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plan := Define("plan", step("a", test.do))
			eachLab(t, func(l *lab) {
				l.holds = []cloud.Ref{{Kind: cloud.KindDroplet, ID: "1"}}
				r := l.runner("one", plan)
				l.begin(r, plan, 1)
				o := l.run(r, 1)
				message, _, _ := strings.Cut(o.Error, "\n")
				o.Error = message
				l.wantEnd(o, test.status, test.message)
				if test.wait > 0 && (o.Attempt != test.attempt || !o.RunAt.Equal(l.Now().Add(test.wait))) {
					l.Errorf("attempt %d, due in %s; want %d, %s", o.Attempt, o.RunAt.Sub(l.Now()), test.attempt, test.wait)
				}
			})
		})
	}
}

// What waits for another operation is due the moment that one ends.
func TestWaitForWakesUp(t *testing.T) {
	waits := Define("waits", step("a", func(l *lab, _ *Run[args]) error {
		if l.operation(1).Status == cloud.InProgress {
			return WaitFor(1)
		}
		return nil
	}))
	other := Define("other", step("b", func(l *lab, _ *Run[args]) error {
		if strings.Count(l.notes(), "b") < 2 {
			return Again(time.Second)
		}
		return nil
	}))
	eachLab(t, func(l *lab) {
		r := l.runner("one", waits, other)
		l.begin(r, other, 1)
		l.begin(r, waits, 2)
		l.begin(r, waits, 3)
		if o := l.run(r, 2); o.WaitsFor != 1 || !o.RunAt.Equal(l.Now().Add(waitCheck)) || o.Attempt != 0 {
			l.Fatalf("got %+v", o)
		}
		l.advance(time.Second)
		l.wantEnd(l.run(r, 1), cloud.Completed, "")
		l.wantEnd(l.operation(2), cloud.Completed, "")
		l.wantEnd(l.operation(3), cloud.Completed, "")
		l.wantNotes("[b a a b a a]")
	})
}

// Where writers work side by side, the end of the other may fall between a look
// at it and the note of who waits: it must wake that one all the same.
func TestWaitForIsWokenByAnEndBeside(t *testing.T) {
	plan := Define("plan", step("a", nil))
	c := databasetest.Config(t, "postgres")
	c.Twice = false // the end comes once
	l := newLab(t, c)
	r := l.runner("one", plan)
	l.begin(r, plan, 1)
	l.begin(r, plan, 2)
	ended := make(chan error, 1)
	finish := func() {
		go func() {
			ended <- l.store.Write(context.WithoutCancel(t.Context()), func(tx *store.Tx) error {
				return fenced(tx.FinishOperation(store.Operation{Action: cloud.Action{ID: 1}}, cloud.Completed))
			})
		}()
		for len(ended) == 0 && !l.blocked() {
			runtime.Gosched()
		}
	}
	row := l.operation(2)
	l.write(func(tx *store.Tx) error {
		if err := waitFor(tx, &row, 1); err != nil {
			return err
		}
		finish()
		return fenced(tx.SaveOperation(row, false))
	})
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if o := l.operation(2); o.WaitsFor != 0 || !o.RunAt.Equal(l.Now()) {
		t.Errorf("it waits for %d, due in %s", o.WaitsFor, o.RunAt.Sub(l.Now()))
	}
}

// blocked reports whether a transaction on PostgreSQL that works on operations
// waits for another.
func (l *lab) blocked() (is bool) {
	err := l.db.Peek(l.Context(), func(t *database.Tx) (err error) {
		is, err = database.One(t, database.Value[bool], `SELECT EXISTS (SELECT 1 FROM pg_locks w
			JOIN pg_locks r ON r.pid = w.pid WHERE NOT w.granted AND r.relation = 'actions'::regclass)`)
		return err
	})
	if err != nil {
		l.Error(err)
	}
	return is || err != nil
}

// An operation that waits for one that has ended, or is unknown, is due at once
// and does not wait for ever.
func TestWaitForWhatHasEnded(t *testing.T) {
	plan := Define("plan", step("a", func(l *lab, _ *Run[args]) error {
		if strings.Count(l.notes(), "a") < 2 {
			return WaitFor(99)
		}
		return nil
	}))
	eachLab(t, func(l *lab) {
		r := l.runner("one", plan)
		l.begin(r, plan, 1)
		l.wantEnd(l.run(r, 1), cloud.Completed, "")
	})
}

// An operation that is asked to stop does so before its next step, and takes
// back every step that it may have done, written down or not.
func TestCancel(t *testing.T) {
	later := func(l *lab, _ *Run[args]) error { return Again(time.Hour) }
	tests := []struct {
		name   string
		plan   *Plan[*lab, args]
		before bool // asked to stop before it began
		status cloud.ActionStatus
		ran    string
	}{
		{"not begun", Define("plan", step("a", nil), step("b", nil)), true, cloud.Errored, "[-b -a]"},
		{"in its first step", Define("plan", saved(step("a", later)), step("b", nil)), false, cloud.Errored, "[a -a]"},
		{"in its second step", Define("plan", saved(step("a", nil)), saved(step("b", later)), step("c", nil)), false, cloud.Errored, "[a b -b -a]"},
		{"with steps that are not written down", Define("plan", step("a", nil), step("b", later), step("c", nil)), false, cloud.Errored, "[a b -c -b -a]"},
		{"that cannot be stopped", Define("plan", step("a", later)).Unstoppable(), false, cloud.InProgress, "[a a]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			eachLab(t, func(l *lab) {
				r := l.runner("one", test.plan)
				l.begin(r, test.plan, 1)
				if !test.before {
					l.run(r, 1)
				}
				l.write(func(tx *store.Tx) error { return tx.CancelOperation(1) })
				message := ""
				if test.status == cloud.Errored {
					message = "cancelled"
				}
				l.wantEnd(l.run(r, 1), test.status, message)
				l.wantNotes(test.ran)
			})
		})
	}
}

// One that is asked to stop while its step runs sees that when the step has put
// it down, and not when it would have gone on by itself.
func TestCancelWhileAStepRuns(t *testing.T) {
	plan := Define("plan", step("a", func(l *lab, run *Run[args]) error {
		l.write(func(tx *store.Tx) error { return tx.CancelOperation(run.ID) })
		return Again(time.Hour)
	}))
	eachLab(t, func(l *lab) {
		r := l.runner("one", plan)
		l.begin(r, plan, 1)
		l.wantEnd(l.run(r, 1), cloud.Errored, Cancelled)
		l.wantNotes("[a -a]")
	})
}

// One that cannot be stopped is called once more for it, and then keeps to its
// own time.
func TestCancelWhileAnUnstoppableStepRuns(t *testing.T) {
	plan := Define("plan", step("a", func(l *lab, run *Run[args]) error {
		l.write(func(tx *store.Tx) error { return tx.CancelOperation(run.ID) })
		return Again(time.Hour)
	})).Unstoppable()
	eachLab(t, func(l *lab) {
		r := l.runner("one", plan)
		l.begin(r, plan, 1)
		l.wantEnd(l.run(r, 1), cloud.InProgress, "")
		l.wantNotes("[a a]")
	})
}

// saved gives a step a Save, so that its end is written down.
func saved(s Step[*lab, args]) Step[*lab, args] {
	s.Save = func(*lab, *store.Tx, *Run[args]) error { return nil }
	return s
}

// What cannot be taken back is tried often, whether the failure is said to be
// final or not, and then left and said; the other undos run all the same.
func TestUndoThatFails(t *testing.T) {
	stuck := step("b", func(*lab, *Run[args]) error { return Final(errBroken) })
	stuck.Undo = func(l *lab, _ context.Context, _ *Run[args]) error {
		l.note("-b")
		if strings.Count(l.notes(), "-b")%2 == 0 {
			return Final(errors.New("stuck"))
		}
		return errors.New("stuck")
	}
	plan := Define("plan", step("a", nil), stuck)
	eachLab(t, func(l *lab) {
		r := l.runner("one", plan)
		l.begin(r, plan, 1)
		for range maxAttempts - 1 {
			if o := l.run(r, 1); o.Status != cloud.InProgress || !o.Undoing || o.Error != "broken" {
				l.Fatalf("got %+v", o)
			}
			l.advance(time.Minute)
		}
		l.wantEnd(l.run(r, 1), cloud.Errored, "broken (and what was begun could not be taken back: stuck)")
		l.wantNotes("[a b" + strings.Repeat(" -b", maxAttempts) + " -a]")
	})
}

// Work that takes hours may hiccup now and then. Work that fails each time it
// was begun is given up all the same.
func TestFailuresBetweenWaits(t *testing.T) {
	hiccup := func(every, times int) *Plan[*lab, args] {
		return Define("plan", step("a", func(l *lab, _ *Run[args]) error {
			switch n := strings.Count(l.notes(), "a"); {
			case n > every*times:
				return nil
			case n%every == 0:
				return errBroken
			}
			return Again(time.Hour)
		}))
	}
	for name, test := range map[string]struct {
		plan   *Plan[*lab, args]
		status cloud.ActionStatus
		error  string
	}{
		"few":    {hiccup(3, maxAttempts-1), cloud.Completed, ""},
		"many":   {hiccup(3, maxAttempts), cloud.Errored, "broken"},
		"no end": {hiccup(2, 1000), cloud.Errored, "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			eachLab(t, func(l *lab) {
				r := l.runner("one", test.plan)
				l.begin(r, test.plan, 1)
				for range 4 * maxAttempts {
					l.run(r, 1)
					l.advance(time.Hour)
				}
				l.wantEnd(l.operation(1), test.status, test.error)
			})
		})
	}
}

// An operation whose end cannot be recorded is not tried for ever, and its undo
// is not repeated for it: it ends without, says so, and what it held is free.
func TestEndThatCannotBeRecorded(t *testing.T) {
	for name, fail := range map[string]func() error{
		"an error": func() error { return errors.New("no such row") },
		"a panic":  func() error { panic("no such row") },
	} {
		t.Run(name, func(t *testing.T) {
			eachLab(t, func(l *lab) {
				records := false
				plan := Define("plan", step("a", func(*lab, *Run[args]) error { return Final(errBroken) })).
					Failed(func(*lab, *store.Tx, *Run[args]) error {
						if records {
							return nil
						}
						return fail()
					})
				l.holds = []cloud.Ref{{Kind: cloud.KindDroplet, ID: "1"}}
				r := l.runner("one", plan)
				l.begin(r, plan, 1)
				for n := int64(1); n < maxAttempts; n++ {
					if o := l.run(r, 1); o.Status != cloud.InProgress || o.Attempt != n || o.Error != "broken" {
						l.Fatalf("after %d tries: %+v", n, o)
					}
					l.advance(time.Minute)
				}
				o := l.run(r, 1)
				message, _, _ := strings.Cut(o.Error, "\n")
				if !strings.HasPrefix(message, "broken (and its end could not be recorded: ") || !strings.Contains(message, "no such row") {
					l.Errorf("it says %q", message)
				}
				l.wantEnd(o, cloud.Errored, o.Error)
				l.wantNotes("[a -a]")

				l.begin(r, plan, 2)
				l.run(r, 2)
				records = true
				l.advance(time.Minute)
				l.wantEnd(l.run(r, 2), cloud.Errored, "broken")
			})
		})
	}
}

// What an older or broken row says that cannot be followed ends as errored, and
// what it held is free.
func TestRowsThatCannotBeFollowed(t *testing.T) {
	tests := []struct{ name, change, message string }{
		{"a step that is gone", `UPDATE actions SET step = 'former'`, `plan has no step "former"`},
		{"arguments", `UPDATE actions SET args = '{'`, "its stored arguments: unexpected end of JSON input"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plan := Define("plan", step("a", nil)).Failed(func(l *lab, _ *store.Tx, run *Run[args]) error {
				l.note("failed: " + run.Err)
				return nil
			})
			eachLab(t, func(l *lab) {
				l.holds = []cloud.Ref{{Kind: cloud.KindDroplet, ID: "1"}}
				r := l.runner("one", plan)
				l.begin(r, plan, 1)
				l.exec(test.change)
				l.wantEnd(l.run(r, 1), cloud.Errored, test.message)
				if want := "failed: " + test.message; !strings.Contains(l.notes(), want) {
					l.Errorf("%s lacks %q", l.notes(), want)
				}
			})
		})
	}
}

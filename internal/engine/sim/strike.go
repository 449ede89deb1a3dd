package sim

import (
	"slices"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// meetFaults lets every fault that matches delay the work, once each, and then
// returns the error of the first that makes it fail, if it is due.
func (w *work) meetFaults(t *database.Tx, c call, now time.Time) (failure, err error) {
	faults, err := matching(t, c)
	if err != nil {
		return nil, err
	}
	for _, f := range faults {
		if err := w.delay(t, f, now); err != nil {
			return nil, err
		}
	}
	if now.Before(w.due) {
		return nil, nil
	}
	for _, f := range faults {
		if strikes, err := w.struckBy(t, f); err != nil || strikes {
			return f.failure(), err
		}
	}
	return nil, nil
}

// matching reads the faults that name something of the call, and locks them:
// two calls at once must not both take the last strike of one.
func matching(t *database.Tx, c call) ([]*fault, error) {
	faults, err := database.All(t, scanFault, selectFaults+
		" WHERE account = $1 AND operation = $2 ORDER BY id"+t.ForUpdate(), c.account, c.operation)
	if err != nil {
		return nil, err
	}
	names := c.names
	if c.more != nil {
		more, err := c.more(t)
		if err != nil {
			return nil, err
		}
		names = slices.Concat(names, more)
	}
	return slices.DeleteFunc(faults, func(f *fault) bool {
		return f.Resource != "*" && !slices.Contains(names, f.Resource)
	}), nil
}

// delay makes the work wait for a fault that has not delayed it yet. The hit
// that this counts pays for the fault's error too, when it has one.
func (w *work) delay(t *database.Tx, f *fault, now time.Time) error {
	if _, already := w.delayed[f.ID]; already || f.Delay == 0 || f.usedUp() {
		return nil
	}
	w.delayed[f.ID], w.waitsLonger = f.Error != "", true
	if w.due.Before(now) {
		w.due = now
	}
	w.due = w.due.Add(f.Delay)
	return f.hit(t)
}

// struckBy reports whether a fault makes an attempt fail.
func (w *work) struckBy(t *database.Tx, f *fault) (bool, error) {
	if w.delayed[f.ID] {
		w.delayed[f.ID] = false
		return true, nil
	}
	if f.Error == "" || f.usedUp() {
		return false, nil
	}
	return true, f.hit(t)
}

// fault is one row of sim_faults.
type fault struct{ engine.Fault }

func (f *fault) usedUp() bool { return f.Times > 0 && f.Hits >= f.Times }

func (f *fault) failure() error {
	return &engine.Error{Message: f.Error, Transient: f.Transient}
}

func (f *fault) hit(t *database.Tx) error {
	f.Hits++
	_, err := t.Exec("UPDATE sim_faults SET hits = hits + 1 WHERE id = $1", f.ID)
	return err
}

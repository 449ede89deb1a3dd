package control

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Operations lists the account's durable operations in a state.
func (p *Plane) Operations(ctx context.Context, who cloud.Actor, state cloud.OperationState, page cloud.Page) (operations []cloud.Operation, total int64, err error) {
	if !slices.Contains(cloud.OperationStates, state) {
		return nil, 0, cloud.Invalid("state must be one of %s", stateNames())
	}
	known := p.runner.Plans()
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		operations, total, err = tx.Operations(store.OperationFilter{
			Account: who.Account, State: state, Known: known, Now: time.Now(),
		}, page)
		return err
	})
	for i := range operations {
		tidyOperation(&operations[i], known)
	}
	return operations, total, err
}

// tidyOperation leaves out what the row has from before and no longer means
// anything.
func tidyOperation(o *cloud.Operation, known []string) {
	o.Error, o.UndoError = firstLine(o.Error), firstLine(o.UndoError)
	if !o.Undoing || o.Attempts == 0 {
		o.UndoError = ""
	}
	ended := o.State == cloud.OperationErrored
	if ended || o.State == cloud.OperationRunning {
		o.WaitsFor = 0
	}
	if ended || o.State == cloud.OperationRunning || o.WaitsFor != 0 || !slices.Contains(known, o.Plan) {
		o.NextRun = time.Time{}
	}
}

// firstLine cuts off the stack that the error of a panic goes on with.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func stateNames() string {
	words := make([]string, len(cloud.OperationStates))
	for i, s := range cloud.OperationStates {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

// Totals is how much there is in the whole cloud, for those who run it.
type Totals struct {
	Operations []cloud.OperationCount
	Resources  map[string]int64
}

// Totals counts unfinished operations and resources of all accounts at one
// instant.
func (p *Plane) Totals(ctx context.Context) (t Totals, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if t.Operations, err = tx.CountOperations(p.runner.Plans(), time.Now()); err != nil {
			return err
		}
		t.Resources, err = tx.CountResources()
		return err
	})
	return t, err
}

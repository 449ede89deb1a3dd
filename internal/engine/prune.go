package engine

import "context"

// Pruner is an Engine that remembers finished work and can forget what is old.
// A pass that finds nothing old writes nothing.
type Pruner interface {
	Prune(ctx context.Context) error
}

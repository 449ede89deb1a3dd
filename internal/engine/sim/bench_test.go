package sim_test

import (
	"fmt"
	"testing"

	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
)

// BenchmarkCreateMachine is one call after another, as one operation makes
// them, without what the disk takes.
func BenchmarkCreateMachine(b *testing.B) {
	for _, kind := range databasetest.Kinds {
		b.Run(kind, func(b *testing.B) {
			c := databasetest.Config(b, kind)
			c.Twice = false
			e, err := sim.Open(b.Context(), databasetest.Open(b, c), sim.Options{})
			if err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				id := fmt.Sprint(i)
				p, err := e.CreateMachine(b.Context(), engine.Work{Key: id}, machine(id))
				if err != nil || !p.Done {
					b.Fatal(p, err)
				}
			}
		})
	}
}

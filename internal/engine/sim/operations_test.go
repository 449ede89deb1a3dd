package sim

import (
	"testing"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// An operation that is missing here would take no time on a "real" cloud.
func TestEveryOperationHasARealLatency(t *testing.T) {
	for _, operation := range engine.Operations {
		if realLatencies[operation] <= 0 {
			t.Errorf("%s has none", operation)
		}
	}
	if len(realLatencies) != len(engine.Operations) {
		t.Errorf("%d latencies for %d operations", len(realLatencies), len(engine.Operations))
	}
}

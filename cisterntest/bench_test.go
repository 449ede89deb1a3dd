package cisterntest_test

import (
	"testing"

	"github.com/cistern-cloud/cistern/cisterntest"
)

// once is a test that ends when it is told to.
type once struct {
	testing.TB
	cleanup []func()
}

func (o *once) Cleanup(f func()) { o.cleanup = append(o.cleanup, f) }

func (o *once) end() {
	for _, f := range o.cleanup {
		f()
	}
}

// What a test waits for a server of its own. Its end is not counted.
func BenchmarkNew(b *testing.B) {
	for range b.N {
		t := &once{TB: b}
		cisterntest.New(t)
		b.StopTimer()
		t.end()
		b.StartTimer()
	}
}

package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

func TestMeasure(t *testing.T) {
	failed := errors.New("failed")
	work := func(total int64) func(context.Context, func(done, total int64)) error {
		return func(_ context.Context, tell func(done, total int64)) error {
			tell(5_000_000, total)
			return failed
		}
	}
	for name, test := range map[string]struct {
		asks  bool
		total int64
		want  string
	}{
		"elsewhere": {false, 10_000_000, ""},
		"terminal":  {true, 10_000_000, " 50%"},
		"no total":  {true, 0, "5.0 MB"},
	} {
		var out bytes.Buffer
		err := screen{out: &out, asks: test.asks}.measure(t.Context(), work(test.total))
		if !errors.Is(err, failed) || !strings.Contains(out.String(), test.want) || !test.asks && out.Len() > 0 {
			t.Errorf("%s: %q, %v", name, out.String(), err)
		}
	}
}

package main

import (
	"fmt"
	"strings"
	"testing"
)

// events spells lines of "go test -json" as "action test output".
func events(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		action, rest, _ := strings.Cut(line, " ")
		test, output, _ := strings.Cut(rest, " ")
		if action == "output" {
			output += "\n"
		}
		fmt.Fprintf(&b, `{"Action":%q,"Package":"p","Test":%q,"Output":%q}`+"\n", action, test, output)
	}
	return b.String()
}

func TestSummary(t *testing.T) {
	skipped := func(why string) string {
		return events("run A", "output A     a_test.go:3: "+why, "skip A", "pass")
	}
	tests := []struct {
		name   string
		strict bool
		in     string
		counts [3]int // Passed, failed, skipped.
		prints string
	}{
		{"a package that ends too early", false, events("output  cannot start", "fail"), [3]int{0, 1, 0}, "cannot start"},
		{"a test that does not end", false, events("run A", "output A killed", "fail"), [3]int{0, 1, 0}, "killed"},
		{"a failure within", false, events("run A", "run A/x", "output A/x why", "fail A/x", "fail A", "fail"), [3]int{0, 1, 0}, "why"},
		{"a failure beside", false, events("run A", "run A/x", "pass A/x", "output A why", "fail A", "fail"), [3]int{1, 1, 0}, "why"},
		{"a skip", false, skipped("no server"), [3]int{0, 0, 1}, "skip  p A: no server"},
		{"a skip that must not be", true, skipped("no server"), [3]int{0, 1, 0}, "a failure here: no server"},
		{"a skip that may be", true, skipped("not applicable: no sockets"), [3]int{0, 0, 1}, "no sockets"},
		{"success", true, events("run A", "run A/x", "pass A/x", "pass A", "run B", "pass B", "pass"), [3]int{2, 0, 0}, "pass  p"},
		{"no events", false, "go: no modules\n", [3]int{}, "go: no modules"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			s := newSummary(&out, test.strict)
			for line := range strings.Lines(test.in) {
				s.line([]byte(strings.TrimSuffix(line, "\n")))
			}
			if got := [3]int{s.passed, s.failed, s.skipped}; got != test.counts {
				t.Errorf("passed, failed, skipped: got %v, want %v", got, test.counts)
			}
			if !strings.Contains(out.String(), test.prints) {
				t.Errorf("%q does not contain %q", out.String(), test.prints)
			}
		})
	}
}

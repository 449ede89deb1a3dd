// Testsummary runs "go test -json" with its arguments and prints what a person
// wants to read: a line per package, the whole output of each failing test,
// each skipped test with its reason, and last the counts. With CI=true a skip
// is a failure, unless its reason begins with "not applicable".
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	// An interrupt ends go test, which gets it too; the counts still follow.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM)

	s := newSummary(os.Stdout, os.Getenv("CI") == "true")
	for reason := range strings.Lines(os.Getenv("CISTERN_TEST_MISSING")) {
		s.skip("set up", strings.TrimSpace(reason))
	}
	if err := run(s, os.Args[1:]); err != nil && s.failed == 0 {
		s.fail("go test", err.Error()+"\n")
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	if s.failed > 0 {
		os.Exit(1)
	}
}

// run gives every line that go test prints to the summary.
func run(s *summary, args []string) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<24) // An event is a few kilobytes at most.
	for lines.Scan() {
		s.line(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return cmd.Wait()
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"regexp"
	"strings"
)

// event is a line of "go test -json", as "go doc test2json" describes it.
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// key names a test; without a name, its package or a build.
type key struct{ pkg, name string }

// test is what is known of a test, package or build that has not ended.
type test struct {
	output strings.Builder
	parent bool // There are tests in it,
	failed bool // and one of them failed.
}

type summary struct {
	out                     io.Writer
	strict                  bool // A skip is a failure.
	passed, failed, skipped int
	running                 map[key]*test
}

func newSummary(out io.Writer, strict bool) *summary {
	return &summary{out: out, strict: strict, running: map[key]*test{}}
}

// line takes a line of go test's output; what is no event is passed on.
func (s *summary) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		fmt.Fprintf(s.out, "%s\n", line)
		return
	}
	switch e.Action {
	case "build-output":
		s.test(e.ImportPath, "").output.WriteString(e.Output)
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") { // RUN, PAUSE, CONT, NAME
			s.test(e.Package, e.Test).output.WriteString(e.Output)
		}
	case "run":
		s.test(e.Package, e.Test)
		for parent := range s.around(e.Package, e.Test) {
			parent.parent = true
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(e)
		}
	}
}

func (s *summary) test(pkg, name string) *test {
	k := key{pkg, name}
	if s.running[k] == nil {
		s.running[k] = &test{}
	}
	return s.running[k]
}

// around visits what a test is part of: the package, and the tests around it.
func (s *summary) around(pkg, name string) iter.Seq[*test] {
	return func(yield func(*test) bool) {
		more := yield(s.test(pkg, ""))
		for i := 0; more && i < len(name); i++ {
			if name[i] == '/' {
				more = yield(s.test(pkg, name[:i]))
			}
		}
	}
}

// endTest counts a test. One that has tests in it is counted through them,
// unless it failed by itself.
func (s *summary) endTest(e event) {
	t, name := s.test(e.Package, e.Test), e.Package+" "+e.Test
	delete(s.running, key{e.Package, e.Test})
	switch {
	case e.Action == "fail" && t.failed:
		if strings.Count(t.output.String(), "\n") > 1 { // More than the verdict.
			fmt.Fprint(s.out, t.output.String())
		}
	case e.Action == "fail":
		for parent := range s.around(e.Package, e.Test) {
			parent.failed = true
		}
		s.fail(name, t.output.String())
	case e.Action == "skip":
		s.skip(name, reason(t.output.String()))
	case !t.parent:
		s.passed++
	}
}

// endPackage prints a package's line. A package that fails without a failing
// test did not build, or ended before its tests did.
func (s *summary) endPackage(e event) {
	p := s.test(e.Package, "")
	delete(s.running, key{e.Package, ""})
	if e.Action == "skip" { // It has no tests.
		return
	}
	for k, t := range s.running {
		if k.pkg == e.Package && !t.parent {
			s.fail(k.pkg+" "+k.name+" (did not end)", t.output.String())
			p.failed = true
		}
	}
	maps.DeleteFunc(s.running, func(k key, _ *test) bool { return k.pkg == e.Package })
	if e.Action == "fail" && !p.failed {
		s.fail(e.Package, s.test(e.FailedBuild, "").output.String()+p.output.String())
	}
	fmt.Fprintf(s.out, "%-5s %s (%.1f s)\n", e.Action, e.Package, e.Elapsed)
}

func (s *summary) fail(name, output string) {
	s.failed++
	fmt.Fprintf(s.out, "\nFAIL  %s\n%s", name, output)
}

func (s *summary) skip(name, reason string) {
	if s.strict && !strings.HasPrefix(reason, "not applicable") {
		s.fail(name, "skipped, which is a failure here: "+reason+"\n")
		return
	}
	s.skipped++
	fmt.Fprintf(s.out, "skip  %s: %s\n", name, reason)
}

var logged = regexp.MustCompile(`(?m)^ *[^ :]+\.go:\d+: (.*)$`)

// reason is the last thing that a skipped test logged.
func reason(output string) string {
	logs := logged.FindAllStringSubmatch(output, -1)
	if len(logs) == 0 {
		return "no reason given"
	}
	return logs[len(logs)-1][1]
}

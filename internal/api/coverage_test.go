package api_test

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// coverageGolden lists the contract's operations, each with a test that has it
// succeed and one that has it refuse, in answers that fit the contract. A run
// of all tests with -update writes it.
const coverageGolden = "testdata/coverage.golden"

// The two kinds of answer that every operation must have given.
const (
	succeeded = "success"
	refused   = "error"
)

// covered is what the contract describes and an answer fitted: for each
// operation and kind of answer the statuses and the tests that saw them.
var covered = struct {
	sync.Mutex
	by map[string]map[string]map[witness]bool
}{by: map[string]map[string]map[witness]bool{}}

// witness is a test that saw a status.
type witness struct {
	status int
	test   string
}

func (w witness) String() string { return fmt.Sprint(w.status, " ", w.test) }

// noteCovered remembers an answer that fits the contract. A status that the
// contract does not describe for the operation is none: nothing was compared.
func (c *contract) noteCovered(t *testing.T, req *http.Request, status int) {
	route, _, err := c.router.FindRoute(cleaned(req))
	if err != nil || route.Operation.Responses.Status(status) == nil && route.Operation.Responses.Default() == nil {
		return
	}
	kind := succeeded
	if status >= http.StatusBadRequest {
		kind = refused
	}
	test, _, _ := strings.Cut(t.Name(), "/")
	operation := req.Method + " " + route.Path
	covered.Lock()
	defer covered.Unlock()
	if covered.by[operation] == nil {
		covered.by[operation] = map[string]map[witness]bool{succeeded: {}, refused: {}}
	}
	covered.by[operation][kind][witness{status, test}] = true
}

// common orders statuses by how little they say of the operation: a missing
// token, too large a body and a broken engine are refused alike everywhere.
func common(status int) int {
	switch status {
	case http.StatusUnauthorized, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusInternalServerError:
		return 2
	case http.StatusForbidden:
		return 1
	}
	return 0
}

// sweeping is how many operations a test may see before it is taken for one
// that goes through all routes, and says less than one about a family.
const sweeping = 25

// breadths counts the operations that each test saw.
func breadths() map[string]int {
	seen := map[string]map[string]bool{}
	for operation, kinds := range covered.by {
		for _, witnesses := range kinds {
			for w := range witnesses {
				if seen[w.test] == nil {
					seen[w.test] = map[string]bool{}
				}
				seen[w.test][operation] = true
			}
		}
	}
	counts := map[string]int{}
	for test, operations := range seen {
		counts[test] = len(operations)
	}
	return counts
}

// best is the same witness in every run, whichever test was first: of those
// that say the most, the first by name.
func best(all map[witness]bool, breadth map[string]int) (first witness, ok bool) {
	rank := func(w witness) int {
		if breadth[w.test] > sweeping {
			return 2*common(w.status) + 1
		}
		return 2 * common(w.status)
	}
	for w := range all {
		if !ok || cmp.Or(cmp.Compare(rank(w), rank(first)), cmp.Compare(w.test, first.test), cmp.Compare(w.status, first.status)) < 0 {
			first, ok = w, true
		}
	}
	return first, ok
}

// reportCoverage fails a run of all tests in which an operation of the contract
// did not succeed or was not refused, or the golden file says anything that is
// not so any more. Tests that come to it later do not change the file.
func reportCoverage() (code int) {
	c, _ := theContract()
	if c == nil {
		return 0
	}
	complain := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "FAIL: "+format+"\n", args...)
		code = 1
	}
	golden := map[string]bool{}
	if !*update {
		text, err := os.ReadFile(coverageGolden)
		if err != nil {
			complain("%v", err)
		}
		for line := range strings.Lines(string(text)) {
			golden[strings.Join(strings.Fields(line), " ")] = true
		}
	}
	lines, breadth := []string{}, breadths()
	for _, operation := range contractOperations(c) {
		for _, kind := range []string{succeeded, refused} {
			first, ok := best(covered.by[operation][kind], breadth)
			switch {
			case !ok:
				complain("no test saw an answer of %s (%s) that fits the contract; add one", operation, kind)
			case !*update && !claim(golden, operation, kind):
				complain("%s does not have %s (%s), or has a test that did not see it; write it with -update", coverageGolden, operation, kind)
			}
			lines = append(lines, coverageLine(operation, kind, first))
		}
	}
	for line := range golden {
		complain("%s has what no test bears out: %s", coverageGolden, line)
	}
	if *update && code == 0 {
		if err := os.WriteFile(coverageGolden, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			complain("%v", err)
		}
	}
	return code
}

// claim takes from the golden lines the one that a witness of this run bears
// out.
func claim(golden map[string]bool, operation, kind string) bool {
	for w := range covered.by[operation][kind] {
		line := strings.Join(strings.Fields(coverageLine(operation, kind, w)), " ")
		if golden[line] {
			delete(golden, line)
			return true
		}
	}
	return false
}

func coverageLine(operation, kind string, w witness) string {
	method, path, _ := strings.Cut(operation, " ")
	return fmt.Sprintf("%-6s %-85s %-7s %s", method, path, kind, w)
}

// contractOperations lists the contract's operations by path and method.
func contractOperations(c *contract) []string {
	all := []string{}
	for path, item := range c.doc.Paths.Map() {
		for method := range item.Operations() {
			all = append(all, method+" "+path)
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		methodA, pathA, _ := strings.Cut(a, " ")
		methodB, pathB, _ := strings.Cut(b, " ")
		return cmp.Or(cmp.Compare(pathA, pathB), cmp.Compare(methodA, methodB))
	})
	return all
}

package api_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/api"
	"github.com/cistern-cloud/cistern/internal/cloud"
)

const routesGolden = "testdata/routes.golden"

func routeLine(r api.Route) string {
	scopes := cloud.Scopes(r.Scopes).String()
	switch {
	case r.Open:
		scopes = "open to all"
	case r.Unbuilt:
		scopes = "not built"
	}
	return fmt.Sprintf("%-6s %-85s %s", r.Method, r.Pattern, scopes)
}

// The golden file shows every route with what a token needs for it, so that a
// change of either is seen. `go test ./internal/api -run Golden -update`
// writes it.
func TestRoutesGolden(t *testing.T) {
	lines := []string{}
	for _, r := range api.Routes() {
		lines = append(lines, routeLine(r))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[7:]+a[:7], b[7:]+b[:7]) })
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(routesGolden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(routesGolden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the routes changed; if that is meant, run with -update (-want +got)\n%s", diff)
	}
}

// openToAll needs no token: it tells nothing of anybody.
var openToAll = []string{"/healthz", "/metrics", "/v2/openapi.json", "/docs"}

// A route without scopes would let every token in.
func TestEveryRouteHasScopes(t *testing.T) {
	known := append(cloud.AllScopes(), cloud.FullAccess)
	for _, r := range api.Routes() {
		if len(r.Scopes) == 0 && !r.Open && !r.Unbuilt && r.Pattern != "/v2/1-clicks" {
			t.Errorf("%s %s has no scopes", r.Method, r.Pattern)
		}
		for _, scope := range r.Scopes {
			if !slices.Contains(known, scope) {
				t.Errorf("%s %s needs %s, which no token can have", r.Method, r.Pattern, scope)
			}
		}
		// /metrics asks for a token itself, unless the request is local.
		if r.Open && !slices.Contains(openToAll, r.Pattern) {
			t.Errorf("%s %s is open to all", r.Method, r.Pattern)
		}
	}
}

// legacyScopes are of an older kind of token that Cistern does not have.
var legacyScopes = []string{"api:read", "api:write"}

// beyondContract is what the server answers without the contract having it.
var beyondContract = map[string]string{
	"GET /v2/1-clicks":                     "clients list applications with it",
	"GET /healthz":                         "for whoever watches the server",
	"GET /metrics":                         "for Prometheus",
	"GET /v2/openapi.json":                 "what the server says of itself",
	"GET /docs":                            "a page that shows it",
	"GET /_cistern/operations":             "what runs, waits or is stuck",
	"GET /_cistern/droplets/{}/access":     "how people get onto their machines",
	"GET /_cistern/droplets/{}/console":    "how people get onto their machines",
	"GET /_cistern/droplets/{}/screenshot": "how people get onto their machines",
	"GET /_sim/clock":                      "the clock is the simulated engine's own",
	"POST /_sim/clock":                     "the clock is the simulated engine's own",
	"GET /_sim/faults":                     "faults are the simulated engine's own",
	"POST /_sim/faults":                    "faults are the simulated engine's own",
	"DELETE /_sim/faults":                  "faults are the simulated engine's own",
	"DELETE /_sim/faults/{}":               "faults are the simulated engine's own",
	"GET /v2/reports/droplet_neighbors":    "DOBOTO asks for it",
	"GET /v2/vpc_peerings":                 "godo, doctl and Terraform use these paths",
	"POST /v2/vpc_peerings":                "godo, doctl and Terraform use these paths",
	"GET /v2/vpc_peerings/{}":              "godo, doctl and Terraform use these paths",
	"PATCH /v2/vpc_peerings/{}":            "godo, doctl and Terraform use these paths",
	"DELETE /v2/vpc_peerings/{}":           "godo, doctl and Terraform use these paths",
	"GET /v2/projects":                     "clients look for the default project",
	"GET /v2/projects/{}":                  "doctl reads the project that a Droplet is to be in",
	"GET /v2/projects/default":             "clients ask which project is the default",
	"GET /v2/projects/{}/resources":        "clients list what is in a project",
	"GET /v2/projects/default/resources":   "clients list what is in a project",
	"POST /v2/projects/{}/resources":       "doctl puts a new Droplet into a project",
	"POST /v2/projects/default/resources":  "Terraform puts back into the default project what it takes out of others",
	"POST /v2/projects":                    "there is one project in each account, and 501 says that there are no others",
	"PUT /v2/projects/{}":                  "projects cannot be changed, and 501 says so",
	"PATCH /v2/projects/{}":                "projects cannot be changed, and 501 says so",
	"DELETE /v2/projects/{}":               "projects cannot be changed, and 501 says so",
	"PUT /v2/tags/{}":                      "DOBOTO renames tags with it",
}

// goesBeyond reports whether a request is one that beyondContract lists.
func goesBeyond(method, path string) bool {
	for listed := range beyondContract {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(listed), `\{\}`, `[^/]+`)
		if regexp.MustCompile("^" + pattern + "$").MatchString(method + " " + path) {
			return true
		}
	}
	return false
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// unnamed is a route without the names of its parameters.
func unnamed(method, pattern string) string {
	return method + " " + parameter.ReplaceAllString(pattern, "{}")
}

// operations lists the contract's operations with their scopes.
func operations(doc *openapi3.T) map[string][]string {
	all := map[string][]string{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			scopes := []string{}
			for _, requirement := range *operation.Security {
				for _, s := range requirement {
					scopes = append(scopes, s...)
				}
			}
			all[unnamed(method, path)] = scopes
		}
	}
	return all
}

// Every operation of the contract is a route, with the contract's scopes or as
// one that is not built, and every route is in the contract or on a short list.
func TestRoutesAreTheContracts(t *testing.T) {
	contracted := operations(wantContract(t).doc)
	unused := map[string]bool{}
	for name := range beyondContract {
		unused[name] = true
	}
	built, unbuilt := 0, 0
	for _, r := range api.Routes() {
		name := unnamed(r.Method, r.Pattern)
		scopes, ok := contracted[name]
		delete(contracted, name)
		switch {
		case !ok && beyondContract[name] == "":
			t.Errorf("%s is not in the contract, nor on the list of what goes beyond it", name)
		case !ok:
			delete(unused, name)
		case r.Unbuilt:
			unbuilt++
		default:
			built++
			checkScopes(t, name, r.Scopes, scopes)
		}
	}
	for name := range contracted {
		t.Errorf("%s is in the contract and not routed", name)
	}
	for name := range unused {
		t.Errorf("%s is on the list of what goes beyond the contract, and is not routed", name)
	}
	if built+unbuilt != 107 {
		t.Errorf("%d built and %d unbuilt operations, want 107 in all", built, unbuilt)
	}
	t.Logf("%d operations of the contract are built, %d are not", built, unbuilt)
}

func checkScopes(t *testing.T, name string, have []cloud.Scope, contracted []string) {
	t.Helper()
	got, want := []string{}, []string{}
	for _, scope := range have {
		got = append(got, string(scope))
	}
	for _, scope := range contracted {
		if !slices.Contains(legacyScopes, scope) {
			want = append(want, scope)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the scopes of %s (-contract +route)\n%s", name, diff)
	}
}

// What is not built says so, to those who have any token at all.
func TestUnbuiltRoutes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t).may("account:read")
		nobody := newClient(t, s, "")
		for _, r := range api.Routes() {
			if !r.Unbuilt {
				continue
			}
			path := parameter.ReplaceAllString(r.Pattern, "1")
			a.do(r.Method, path, nil).refused(http.StatusNotImplemented, cloud.CodeNotImplemented,
				"This server does not have "+r.Method+" "+r.Pattern+" yet.")
			nobody.do(r.Method, path, nil).refused(http.StatusUnauthorized, cloud.CodeUnauthorized, "Unable to authenticate you.")
		}
	})
}

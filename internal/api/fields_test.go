package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/api"
)

// odd is what a client may send for any field, right or wrong.
var odd = map[string]string{
	"null": `null`, "text": `"x"`, "empty": `""`, "zero": `0`, "one": `1`, "negative": `-1`, "fraction": `1.5`,
	"exponent": `1e3`, "huge": `1e400`, "huge negative": `-1e400`, "many digits": strings.Repeat("9", 400),
	"above int64": `9223372036854775808`, "int64": `9223372036854775807`, "least int64": `-9223372036854775808`,
	"infinity": `"Infinity"`, "not a number": `"NaN"`, "true": `true`, "false": `false`, "truth in text": `"True"`,
	"object": `{}`, "full object": `{"id":1,"name":"x"}`, "list": `[]`, "list of null": `[null]`, "list of empty": `[""]`,
	"list of numbers": `[1,-1,1.5,1e400]`, "list of lists": `[[1],["x"]]`, "list of objects": `[{},{"id":null},{"id":[]}]`,
	"list of texts": `["x","x"]`, "huge text": `"` + strings.Repeat("x", 300_000) + `"`,
	"wide text": `"` + strings.Repeat("é", 200) + `"`, "spaces": `"   "`, "quotes": `"'; DROP TABLE droplets; --"`,
	"percent": `"%"`, "line break": `"a\nb"`, "emoji": `"💧"`, "a comma": `"a,b"`,
}

// jsonFields lists the fields of a request body, with those of objects inside
// it as paths of keys.
func jsonFields(t reflect.Type) [][]string {
	var all [][]string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		all = append(all, []string{name})
		inner := t.Field(i).Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			for _, path := range jsonFields(inner) {
				all = append(all, append([]string{name}, path...))
			}
		}
	}
	return all
}

// with is a body with one field set to JSON text.
func with(t *testing.T, body any, path []string, value string) string {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	if fields == nil {
		fields = map[string]json.RawMessage{}
	}
	if len(path) > 1 {
		value = with(t, map[string]any{}, path[1:], value)
	}
	fields[path[0]] = json.RawMessage(value)
	out := []string{}
	for key, v := range fields {
		out = append(out, fmt.Sprintf("%q:%s", key, v)) // as it is: an encoder would refuse some
	}
	return "{" + strings.Join(out, ",") + "}"
}

// Whatever a field of a request is set to, the answer is no server error, and
// it does not take long.
func TestAnyValueInAnyField(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, r := range api.Routes() {
			in := api.RequestBodies[r.Method+" "+r.Pattern]
			if in == nil {
				continue
			}
			t.Run(r.Method+" "+r.Pattern, func(t *testing.T) {
				t.Parallel()
				for _, field := range jsonFields(reflect.TypeOf(in)) {
					tryField(t, s.newAccount(t), r, field)
				}
			})
		}
	})
}

// slow is what no single request takes, even where the tests share a small
// machine with others.
const slow = 10 * time.Second

// tryField sends every odd value for one field.
func tryField(t *testing.T, owner *account, r api.Route, field []string) {
	t.Helper()
	path, body := owner.path(r), owner.exampleBody(r)
	for name, value := range odd {
		start := time.Now()
		got := owner.send(r, path, with(t, body, field, value))
		if took := time.Since(start); took > slow {
			t.Errorf("%s: %s took %s", strings.Join(field, "."), name, took)
		}
		if got.status >= 500 && got.status != 501 {
			t.Errorf("%s: %s: got %d %s", strings.Join(field, "."), name, got.status, got.body)
		}
		if got.status < 300 && r.Method == http.MethodDelete { // it is gone now
			path = owner.path(r)
		}
	}
}

// A list of any length is refused or taken in a time that does not hold others
// up: what is looked up one by one has a limit.
func TestLongLists(t *testing.T) {
	long := func(item string) string { return "[" + strings.Repeat(item+",", 900_000/(len(item)+1)) + item + "]" }
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		droplet := dropletPath(a.droplet("web"), "/destroy_with_associated_resources/selective")
		volume := "/v2/volumes/" + a.volume("data") + "/snapshots"
		for _, test := range []struct{ method, path, field, item string }{
			{"POST", "/v2/droplets", "names", `"web"`},
			{"POST", "/v2/droplets", "ssh_keys", `1`},
			{"POST", "/v2/droplets", "volumes", `"x"`},
			{"POST", "/v2/droplets", "tags", `"web"`},
			{"POST", "/v2/volumes", "tags", `"web"`},
			{"POST", volume, "tags", `"web"`},
			{"DELETE", droplet, "volumes", `"x"`},
		} {
			start := time.Now()
			body := map[string]any{"name": "web", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "size_gigabytes": 1}
			got := a.do(test.method, test.path, with(t, body, []string{test.field}, long(test.item))).is(http.StatusUnprocessableEntity)
			if took := time.Since(start); took > slow {
				t.Errorf("%s: %s took %s", got.request, test.field, took)
			}
		}
	})
}

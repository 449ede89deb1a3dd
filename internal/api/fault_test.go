package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func TestFaultsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		post := func(fields ...any) *answer {
			body := map[string]any{"operation": "machine.stop", "error": "no"}
			for i := 0; i < len(fields); i += 2 {
				body[fields[i].(string)] = fields[i+1]
			}
			return a.post("/_sim/faults", body)
		}
		for _, operation := range []any{nil, "", "machine.explode"} {
			if got := post("operation", operation); got.status != http.StatusUnprocessableEntity {
				t.Errorf("%v: got %d %s", operation, got.status, got.body)
			}
		}
		post("error", nil).invalid("a fault needs an error, a delay, or both")
		post("times", -1).invalid("a fault cannot strike -1 times; 0 is always")
		post("times", "often").invalid(`times must be a whole number, not "often"`)
		post("transient", "perhaps").invalid(`transient must be true or false, not "perhaps"`)
		for _, delay := range []any{"1", "-1s", "soon", "9999999999h"} {
			post("delay", delay).invalid("delay must be a duration such as 30s or 500ms")
		}
		post("delay", 5).invalid("delay must be a string, not number")
		a.may(cloud.AllScopes()...).get("/_sim/faults").forbidden()
		a.get("/_sim/faults").shows("", `{"faults": []}`)
	})
}

func TestFaults(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		made := a.post("/_sim/faults", map[string]any{
			"operation": "machine.stop", "resource": 4711, "error": "no", "transient": "true", "delay": "1m30s", "times": 2,
		}).is(http.StatusCreated)
		id := made.number("fault.id")
		want := fmt.Sprintf(`{"id": %d, "operation": "machine.stop", "resource": "4711", "error": "no", "transient": true,
			"delay": "1m30s", "times": 2, "hits": 0}`, id)
		made.shows("fault", want)
		a.get("/_sim/faults").is(http.StatusOK).shows("", `{"faults": [`+want+`]}`)
		a.post("/_sim/faults", map[string]any{"operation": "image.copy", "error": "no"}).is(http.StatusCreated).
			shows("fault.resource", `"*"`)
		other.get("/_sim/faults").shows("", `{"faults": []}`)
		other.del(fmt.Sprintf("/_sim/faults/%d", id)).notFound()
		other.del("/_sim/faults").empty(http.StatusNoContent)
		a.del(fmt.Sprintf("/_sim/faults/%d", id)).empty(http.StatusNoContent)
		a.del(fmt.Sprintf("/_sim/faults/%d", id)).notFound()
		a.del("/_sim/faults").empty(http.StatusNoContent)
		a.del("/_sim/faults").empty(http.StatusNoContent)
		a.get("/_sim/faults").shows("", `{"faults": []}`)
	})
}

// A fault strikes as often as was asked, in its own account only.
func TestFaultStrikes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		a.fault("machine.stop", "*", "error", "no", "times", 1)
		id, theirs := a.droplet("web"), other.droplet("web")
		if ended := other.act(theirs, "power_off"); ended.Status != cloud.Completed {
			t.Error("it struck another account")
		}
		if ended := a.act(id, "power_off"); ended.Status != cloud.Errored || ended.Error != "no" {
			t.Errorf("got %+v", ended)
		}
		a.get("/_sim/faults").shows("faults.0.hits", `1`)
		if ended := a.act(id, "power_off"); ended.Status != cloud.Completed {
			t.Error("it struck twice")
		}
	})
}

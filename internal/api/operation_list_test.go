package api_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestOperationsRefusals(t *testing.T) {
	eachWatched(t, func(w *watched) {
		for name, test := range map[string]struct {
			method, query, token string
			want                 int
		}{
			"no token":      {http.MethodGet, "", "", http.StatusUnauthorized},
			"unknown token": {http.MethodGet, "", "nobody-knows-this", http.StatusUnauthorized},
			"wrong scope":   {http.MethodGet, "", narrow, http.StatusForbidden},
			"wrong method":  {http.MethodPost, "", fullToken, http.StatusMethodNotAllowed},
			"unknown state": {http.MethodGet, "?state=asleep", fullToken, http.StatusUnprocessableEntity},
		} {
			if out := w.ask(test.method, "/_cistern/operations"+test.query, test.token, ""); out.Code != test.want {
				w.t.Errorf("%s: %d, want %d: %s", name, out.Code, test.want, out.Body)
			}
		}
	})
}

type operationsBody struct {
	Operations []map[string]any
	Links      struct{ Pages map[string]string }
	Meta       struct{ Total int }
}

func TestOperationsOfAnotherAccountAreInvisible(t *testing.T) {
	eachWatched(t, func(w *watched) {
		w.mustAsk(http.StatusAccepted, http.MethodPost, "/v2/droplets", otherToken, newDroplet)
		got := parsed[operationsBody](w.t, w.mustAsk(http.StatusOK, http.MethodGet, "/_cistern/operations", fullToken, ""))
		if got.Meta.Total != 0 || len(got.Operations) != 0 {
			w.t.Errorf("account one sees %v", got)
		}
	})
}

func TestOperationsShowWhatWaits(t *testing.T) {
	eachWatched(t, func(w *watched) {
		w.mustAsk(http.StatusAccepted, http.MethodPost, "/v2/droplets", fullToken, newDroplet)
		got := parsed[operationsBody](w.t, w.mustAsk(http.StatusOK, http.MethodGet, "/_cistern/operations", readToken, ""))
		if got.Meta.Total != 1 || len(got.Operations) != 1 {
			w.t.Fatalf("got %v", got)
		}
		o := got.Operations[0]
		for field, want := range map[string]any{
			"kind": "droplet.create", "state": "waiting", "action_type": "create", "resource_type": "droplet", "region": "nyc3",
			"attempts": 0.0, "undoing": false, "last_error": "", "waits_for": nil, "failing_since": nil, "completed_at": nil,
		} {
			if o[field] != want {
				w.t.Errorf("%s is %v, want %v", field, o[field], want)
			}
		}
		if o["next_run"] == nil {
			w.t.Error("it is not said when it runs")
		}
		if _, has := o["args"]; has {
			w.t.Error("it shows its arguments")
		}
		w.settle()
		got = parsed[operationsBody](w.t, w.mustAsk(http.StatusOK, http.MethodGet, "/_cistern/operations", readToken, ""))
		if got.Meta.Total != 0 {
			w.t.Errorf("when all is done there is %v", got)
		}
	})
}

func TestOperationsShowWhatFailed(t *testing.T) {
	eachWatched(t, func(w *watched) {
		w.mustAsk(http.StatusCreated, http.MethodPost, "/_sim/faults", fullToken, `{"operation":"machine.create","error":"disk is on fire"}`)
		w.mustAsk(http.StatusAccepted, http.MethodPost, "/v2/droplets", fullToken, newDroplet)
		w.settle()
		got := parsed[operationsBody](w.t, w.mustAsk(http.StatusOK, http.MethodGet, "/_cistern/operations?state=errored", fullToken, ""))
		if len(got.Operations) != 1 {
			w.t.Fatalf("got %v", got)
		}
		o := got.Operations[0]
		if message, _ := o["last_error"].(string); !strings.Contains(message, "disk is on fire") {
			w.t.Errorf("last error %q", message)
		}
		if o["completed_at"] == nil || o["next_run"] != nil {
			w.t.Errorf("ended %v, next run %v", o["completed_at"], o["next_run"])
		}
	})
}

func TestOperationsPagesKeepTheFilter(t *testing.T) {
	eachWatched(t, func(w *watched) {
		for range 3 {
			w.mustAsk(http.StatusAccepted, http.MethodPost, "/v2/droplets", fullToken, newDroplet)
		}
		got := parsed[operationsBody](w.t, w.mustAsk(http.StatusOK, http.MethodGet, "/_cistern/operations?state=waiting&per_page=2", fullToken, ""))
		if got.Meta.Total != 3 || len(got.Operations) != 2 {
			w.t.Errorf("got %d of %d", len(got.Operations), got.Meta.Total)
		}
		if next := got.Links.Pages["next"]; !strings.Contains(next, "page=2") || !strings.Contains(next, "state=waiting") {
			w.t.Errorf("next is %q", next)
		}
	})
}

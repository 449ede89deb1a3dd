package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// What changes nothing and was let in is not in the trail.
func TestAuditLeavesOut(t *testing.T) {
	eachWatched(t, func(w *watched) {
		w.mustAsk(http.StatusOK, http.MethodGet, "/v2/droplets", fullToken, "")
		w.mustAsk(http.StatusOK, http.MethodHead, "/v2/droplets", fullToken, "")
		w.mustAsk(http.StatusUnprocessableEntity, http.MethodPost, "/v2/droplets", fullToken, `{"name":""}`)
		w.mustAsk(http.StatusNotFound, http.MethodDelete, "/v2/droplets/123", fullToken, "")
		w.mustAsk(http.StatusNotFound, http.MethodPost, "/made/up", fullToken, "")
		w.mustAsk(http.StatusOK, http.MethodGet, "/healthz", "", "")
		if trail := w.trail(); len(trail) != 0 {
			w.t.Errorf("recorded %+v", trail)
		}
	})
}

// Refusals are recorded with what is known of who asked.
func TestAuditRecordsRefusals(t *testing.T) {
	eachWatched(t, func(w *watched) {
		w.mustAsk(http.StatusUnauthorized, http.MethodGet, "/v2/droplets?token=a-secret", "nobody-knows-this", "")
		w.mustAsk(http.StatusForbidden, http.MethodDelete, "/v2/droplets/123", narrow, "")
		w.mustAsk(http.StatusUnauthorized, "MADEUP", "/made/up", "", "")
		trail := w.trail()
		if len(trail) != 3 {
			w.t.Fatalf("recorded %+v", trail)
		}
		if e := trail[0]; e.Refused != 401 || e.Account != 0 || e.Token != 0 || e.Path != "/v2/droplets" || e.Remote != "192.0.2.1" {
			w.t.Errorf("the first is %+v", e)
		}
		if e := trail[1]; e.Refused != 403 || e.Account == 0 || e.Token == 0 || e.Route != "/v2/droplets/{droplet_id}" {
			w.t.Errorf("the second is %+v", e)
		}
		if e := trail[2]; e.Route != "" || e.Method != "other" {
			w.t.Errorf("the third is %+v", e)
		}
	})
}

// Whoever knocks at the door many times does not fill the disk.
func TestAuditBoundsRefusals(t *testing.T) {
	eachWatched(t, func(w *watched) {
		const knocks = 200
		for range knocks {
			w.ask(http.MethodGet, "/v2/droplets", "", "")
		}
		kept, dropped := int64(len(w.trail())), w.server.RefusalsDropped()
		if kept < 60 || dropped == 0 || kept+dropped != knocks {
			w.t.Errorf("kept %d and dropped %d of %d", kept, dropped, knocks)
		}
	})
}

func TestAuditRecordsWhoDidWhat(t *testing.T) {
	eachWatched(t, func(w *watched) {
		body := w.mustAsk(http.StatusAccepted, http.MethodPost, "/v2/droplets?x=a-secret", fullToken, newDroplet,
			header("X-Forwarded-For", "198.51.100.7\x01"))
		droplet := parsed[struct{ Droplet struct{ ID int64 } }](w.t, body).Droplet.ID
		trail := w.trail()
		if len(trail) != 1 {
			w.t.Fatalf("recorded %+v", trail)
		}
		e := trail[0]
		if e.Action == 0 || e.Account == 0 || e.Token == 0 || e.RequestID == "" || e.At.IsZero() {
			w.t.Errorf("something is missing in %+v", e)
		}
		want := cloud.AuditEntry{
			At: e.At, RequestID: e.RequestID, Account: e.Account, Token: e.Token, TokenName: "of one@example.com",
			Remote: "192.0.2.1", Forwarded: "198.51.100.7\uFFFD", Method: "POST", Route: "/v2/droplets", Path: "/v2/droplets",
			Action: e.Action, About: cloud.Ref{Kind: cloud.KindDroplet, ID: cloud.FormatID(droplet)},
		}
		if e != want {
			w.t.Errorf("recorded %+v, want %+v", e, want)
		}
	})
}

// Changes without an operation are recorded, and those of the engine alone.
func TestAuditRecordsEveryKindOfChange(t *testing.T) {
	eachWatched(t, func(w *watched) {
		w.mustAsk(http.StatusCreated, http.MethodPost, "/_sim/faults", fullToken, `{"operation":"machine.create","error":"no"}`)
		w.mustAsk(http.StatusNoContent, http.MethodDelete, "/_sim/faults", fullToken, "")
		w.mustAsk(http.StatusCreated, http.MethodPost, "/v2/account/keys", fullToken,
			`{"name":"k","public_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl k"}`)
		var got []string
		for _, e := range w.trail() {
			got = append(got, e.Method+" "+e.Route)
		}
		want := "POST /_sim/faults, DELETE /_sim/faults, POST /v2/account/keys"
		if strings.Join(got, ", ") != want {
			w.t.Errorf("recorded %v, want %s", got, want)
		}
	})
}

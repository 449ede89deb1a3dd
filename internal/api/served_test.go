package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// A request is one line, whose level says to whom it matters.
func TestLogLineOfARequest(t *testing.T) {
	eachWatched(t, func(w *watched) {
		w.mustAsk(http.StatusAccepted, http.MethodPost, "/v2/droplets", fullToken, newDroplet)
		w.mustAsk(http.StatusNotFound, http.MethodGet, "/v2/droplets/1", fullToken, "")
		w.mustAsk(http.StatusUnprocessableEntity, http.MethodPost, "/v2/droplets", fullToken, "{}")
		w.mustAsk(http.StatusUnauthorized, http.MethodGet, "/v2/droplets", "", "")
		lines := strings.Split(strings.TrimSpace(w.logs.String()), "\n")
		if len(lines) != 4 {
			w.t.Fatalf("logged %q", lines)
		}
		for i, want := range []struct {
			level  string
			status float64
			has    string
		}{
			{"DEBUG", 202, "request_id account token method route path status duration bytes remote action"},
			{"INFO", 404, "request_id account token method route path status duration bytes remote"},
			{"INFO", 422, "request_id account token method route path status duration bytes remote"},
			{"INFO", 401, "request_id method route path status duration bytes remote"},
		} {
			var line map[string]any
			if err := json.Unmarshal([]byte(lines[i]), &line); err != nil {
				w.t.Fatal(err)
			}
			if line["level"] != want.level || line["status"] != want.status || line["msg"] != "request" {
				w.t.Errorf("%s is not at %s with %v", lines[i], want.level, want.status)
			}
			for field := range strings.FieldsSeq(want.has) {
				if _, has := line[field]; !has {
					w.t.Errorf("%s has no %s", lines[i], field)
				}
			}
			if len(line) != len(strings.Fields(want.has))+3 { // time, level and msg
				w.t.Errorf("%s has more than %s", lines[i], want.has)
			}
		}
	})
}

// Nothing of what a client keeps to itself is in the logs, whatever happens to
// its requests.
func TestLogsHaveNoSecrets(t *testing.T) {
	eachWatched(t, func(w *watched) {
		const userData, wrong, inQuery, basic, cookie = "user-data-secret", "wrong-token-secret", "query-secret", "YmFzaWM6c2VjcmV0", "cookie-secret"
		create := strings.Replace(newDroplet, "{", `{"user_data":"#cloud-config `+userData+`",`, 1)
		w.mustAsk(http.StatusAccepted, http.MethodPost, "/v2/droplets?token="+inQuery, fullToken, create)
		w.settle()
		w.mustAsk(http.StatusCreated, http.MethodPost, "/_sim/faults", fullToken, `{"operation":"machine.create","error":"no","times":1}`)
		w.mustAsk(http.StatusAccepted, http.MethodPost, "/v2/droplets", otherToken, create)
		w.mustAsk(http.StatusAccepted, http.MethodPost, "/v2/droplets", fullToken, create)
		w.settle()
		w.mustAsk(http.StatusBadRequest, http.MethodPost, "/v2/droplets", fullToken, create+"}")
		w.mustAsk(http.StatusUnprocessableEntity, http.MethodPost, "/v2/droplets", fullToken, `{"user_data":"`+userData+`"}`)
		w.mustAsk(http.StatusUnprocessableEntity, http.MethodPost, "/v2/droplets", fullToken, `{"user_data":["`+userData+`"]}`)
		w.mustAsk(http.StatusUnauthorized, http.MethodGet, "/v2/droplets", wrong, "")
		w.mustAsk(http.StatusUnauthorized, http.MethodGet, "/v2/droplets", "", "", header("Authorization", "Basic "+basic))
		w.mustAsk(http.StatusForbidden, http.MethodGet, "/v2/images", narrow, "", header("Cookie", "session="+cookie))
		w.mustAsk(http.StatusOK, http.MethodGet, "/_cistern/operations", readToken, "")

		logs := w.logs.String()
		for _, secret := range []string{fullToken, readToken, otherToken, narrow, userData, wrong, inQuery, basic, cookie} {
			if strings.Contains(logs, secret) {
				w.t.Errorf("the logs have %q", secret)
			}
			for _, e := range w.trail() {
				if text, _ := json.Marshal(e); strings.Contains(string(text), secret) {
					w.t.Errorf("the audit trail has %q in %s", secret, text)
				}
			}
		}
		if !strings.Contains(logs, "droplet.create") {
			w.t.Error("the logs do not say what ran")
		}
	})
}

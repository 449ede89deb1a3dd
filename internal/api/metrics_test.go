package api_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/cistern-cloud/cistern/internal/api"
)

// from makes a request look as if it came from an address.
func from(address, host string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr, r.Host = address, host }
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// Metrics are for who is on this machine, or has full access.
func TestMetricsAccess(t *testing.T) {
	local := from("127.0.0.1:5000", "127.0.0.1:7480")
	eachWatched(t, func(w *watched) {
		for name, test := range map[string]struct {
			want    int
			token   string
			changes []func(*http.Request)
		}{
			"elsewhere, no token":          {http.StatusUnauthorized, "", nil},
			"elsewhere, unknown token":     {http.StatusUnauthorized, "nobody-knows-this", nil},
			"elsewhere, wrong scope":       {http.StatusForbidden, readToken, nil},
			"elsewhere, full access":       {http.StatusOK, fullToken, nil},
			"a proxy here":                 {http.StatusUnauthorized, "", []func(*http.Request){local, header("X-Forwarded-For", "127.0.0.1")}},
			"another kind of proxy here":   {http.StatusUnauthorized, "", []func(*http.Request){local, header("Forwarded", "for=127.0.0.1")}},
			"a proxy here, full access":    {http.StatusOK, fullToken, []func(*http.Request){local, header("X-Forwarded-For", "192.0.2.7")}},
			"a page in a browser here":     {http.StatusUnauthorized, "", []func(*http.Request){local, header("Origin", "https://example.com")}},
			"a name that leads here":       {http.StatusUnauthorized, "", []func(*http.Request){from("127.0.0.1:5000", "example.com:7480")}},
			"here":                         {http.StatusOK, "", []func(*http.Request){local}},
			"here, IPv6":                   {http.StatusOK, "", []func(*http.Request){from("[::1]:5000", "[::1]:7480")}},
			"here, by name":                {http.StatusOK, "", []func(*http.Request){from("127.0.0.1:5000", "localhost:7480")}},
			"here, though the token is no": {http.StatusOK, "nobody-knows-this", []func(*http.Request){local}},
		} {
			if out := w.ask(http.MethodGet, "/metrics", test.token, "", test.changes...); out.Code != test.want {
				w.t.Errorf("%s: %d, want %d", name, out.Code, test.want)
			}
		}
	})
}

// Labels come from closed sets: a client cannot make up new ones.
func TestServedHasNoWordsOfTheClient(t *testing.T) {
	eachWatched(t, func(w *watched) {
		w.ask(http.MethodGet, "/v2/droplets/123456", fullToken, "")
		w.ask(http.MethodGet, "/made/up", fullToken, "")
		w.ask("MADEUP", "/v2/droplets", fullToken, "")
		w.ask(http.MethodGet, "/metrics", fullToken, "")
		var got []api.Served
		for _, s := range w.served {
			if s.Duration <= 0 {
				w.t.Errorf("%s %s took %s", s.Method, s.Route, s.Duration)
			}
			s.Duration = 0
			got = append(got, s)
		}
		want := []api.Served{
			{Method: "GET", Route: "/v2/droplets/{droplet_id}", Status: http.StatusNotFound},
			{Method: "GET", Status: http.StatusNotFound},
			{Method: "other", Status: http.StatusMethodNotAllowed},
			{Method: "GET", Route: "/metrics", Status: http.StatusOK},
		}
		if !slices.Equal(got, want) {
			w.t.Errorf("served %v, want %v", got, want)
		}
	})
}

package api

import (
	"net/http"
	"strings"
	"testing"
)

const page = "https://panel.example.com"

func TestPreflight(t *testing.T) {
	tr := newTransport(t, DefaultRateLimit)
	tests := []struct{ name, target, method, methods string }{
		{"no such path", "/v2/nothing", "DELETE", "DELETE"},
		{"a method that the path does not have", "/v2/account", "POST", "GET, HEAD, OPTIONS"},
		{"a list", "/v2/droplets", "POST", "GET, HEAD, POST, DELETE, OPTIONS"},
		{"a list, by DOBOTO", "/v2//droplets", "POST", "GET, HEAD, POST, DELETE, OPTIONS"},
		{"an object", "/v2/droplets/5", "DELETE", "GET, HEAD, DELETE, OPTIONS"},
		{"an object with a quoted name", "/v2/account/keys/3b%3A16", "PUT", "GET, HEAD, PUT, DELETE, OPTIONS"},
		{"no method but POST", "/v2/droplets/5/destroy_with_associated_resources/retry", "POST", "POST, OPTIONS"},
		{"without a token", "/healthz", "GET", "GET, HEAD, OPTIONS"},
	}
	for _, test := range tests {
		answer := tr.do("OPTIONS", test.target, "", "Authorization", "", "Origin", page,
			"Access-Control-Request-Method", test.method, "Access-Control-Request-Headers", "authorization, x-dangerous")
		want := map[string]string{
			"Access-Control-Allow-Origin":      page,
			"Access-Control-Allow-Methods":     test.methods,
			"Access-Control-Allow-Headers":     "authorization, x-dangerous",
			"Access-Control-Max-Age":           preflightAge,
			"Access-Control-Allow-Credentials": "",
			"Content-Length":                   "",
		}
		for header, value := range want {
			if got := answer.Header.Get(header); got != value {
				t.Errorf("%s: %s is %q, want %q", test.name, header, got, value)
			}
		}
		vary := strings.Join(answer.Header.Values("Vary"), ", ")
		if answer.StatusCode != http.StatusNoContent || vary != "Origin, Access-Control-Request-Method, Access-Control-Request-Headers" {
			t.Errorf("%s: status %d, Vary %q", test.name, answer.StatusCode, vary)
		}
	}
}

func TestOptionsWithoutOrigin(t *testing.T) {
	answer := newTransport(t, DefaultRateLimit).do("OPTIONS", "/v2/volumes", "", "Authorization", "")
	if answer.StatusCode != http.StatusNoContent || answer.Header.Get("Allow") != "GET, HEAD, POST, DELETE, OPTIONS" ||
		answer.Header.Get("Access-Control-Allow-Methods") != "" || answer.Header.Get("x-request-id") == "" {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
}

// Pages read errors as well as answers; a cookie opens nothing.
func TestAnswersToPages(t *testing.T) {
	tr := newTransport(t, RateLimit{Hour: 2, Minute: 2})
	tests := []struct {
		name, target string
		header       []string
		status       int
	}{
		{"no token", "/v2/account", []string{"Authorization", ""}, 401},
		{"a cookie", "/v2/account", []string{"Authorization", "", "Cookie", "token=" + tr.token}, 401},
		{"no such path", "/v2/nothing", nil, 404},
		{"all is well", "/v2/account", nil, 200},
		{"too many", "/v2/account", nil, 429},
	}
	for _, test := range tests {
		h := tr.do("GET", test.target, "", append(test.header, "Origin", page)...)
		if h.StatusCode != test.status || h.Header.Get("Access-Control-Allow-Origin") != page ||
			h.Header.Get("Access-Control-Expose-Headers") != exposed || h.Header.Get("Vary") != "Origin" {
			t.Errorf("%s: %d %v", test.name, h.StatusCode, h.Header)
		}
		if h.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: browsers are told to add cookies", test.name)
		}
	}
	if h := tr.do("GET", "/v2/account", "").Header; h.Get("Access-Control-Allow-Origin") != "" || h.Get("Vary") != "" {
		t.Errorf("without an origin: %v", h)
	}
}

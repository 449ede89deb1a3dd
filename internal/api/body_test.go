package api

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

func TestBodies(t *testing.T) {
	tr := newTransport(t, RateLimit{})
	large := `{"name":"` + strings.Repeat("x", maxBody) + `"}`
	edge := `{"name":"` + strings.Repeat("x", maxBody-11) + `"}`
	tests := []struct {
		name, method, target, body string
		status                     int
	}{
		{"too large", "POST", "/v2/droplets", large, 413},
		{"too large, not read", "POST", "/v2/droplets/5/destroy_with_associated_resources/retry", large, 413},
		{"too large for a GET", "GET", "/v2/account", large, 413},
		{"too large for a DELETE", "DELETE", "/v2/droplets/5", large, 413},
		{"too large for a HEAD", "HEAD", "/v2/account", large, 413},
		{"too large for nothing", "POST", "/v2/nothing", large, 413},
		{"too large for a wrong method", "PUT", "/v2/account", large, 413},
		{"too large for anyone", "GET", "/healthz", large, 413},
		{"as large as it may be", "POST", "/v2/droplets", edge, 422},
		{"null with a GET", "GET", "/v2/account", "null", 200},
		{"null with a DELETE", "DELETE", "/_sim/faults", "null", 204},
	}
	for _, test := range tests {
		if answer := tr.do(test.method, test.target, test.body, "Content-Type", "application/json"); answer.StatusCode != test.status {
			t.Errorf("%s: status %d, want %d", test.name, answer.StatusCode, test.status)
		}
	}
	if answer := tr.do("GET", "/v2/account", large, "Authorization", ""); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("too large without a token: status %d, want 401", answer.StatusCode)
	}
}

func TestBodiesOfUnknownLength(t *testing.T) {
	tr := newTransport(t, RateLimit{})
	large := `{"name":"` + strings.Repeat("x", maxBody) + `"}`
	for status, body := range map[int]*strings.Reader{413: strings.NewReader(large), 422: strings.NewReader("{}")} {
		r := httptest.NewRequest(http.MethodPost, "/v2/droplets", body)
		r.ContentLength = -1
		r.Header.Set("Authorization", "Bearer "+tr.token)
		w := httptest.NewRecorder()
		if tr.ServeHTTP(w, r); w.Code != status {
			t.Errorf("status %d, want %d", w.Code, status)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/v2/droplets", iotest.ErrReader(os.ErrDeadlineExceeded))
	r.Header.Set("Authorization", "Bearer "+tr.token)
	w := httptest.NewRecorder()
	if tr.ServeHTTP(w, r); w.Code != 408 || !strings.Contains(w.Body.String(), "request_timeout") {
		t.Errorf("a body that does not arrive: status %d, %s; want 408", w.Code, w.Body)
	}
}

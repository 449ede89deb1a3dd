package cli

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	answer := http.StatusOK
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" || r.Header.Get("Authorization") != "" {
			t.Errorf("asked for %s with %v", r.URL.Path, r.Header)
		}
		w.WriteHeader(answer)
	})
	plain, encrypted, gone := httptest.NewServer(handler), httptest.NewTLSServer(handler), httptest.NewServer(handler)
	defer plain.Close()
	defer encrypted.Close()
	gone.Close()
	health := func(url string) (string, int) {
		var stdout, stderr strings.Builder
		status := Main([]string{"health", "--api-url", url}, &stdout, &stderr)
		return stdout.String() + stderr.String(), status
	}
	for _, url := range []string{plain.URL, plain.URL + "/", encrypted.URL} {
		if text, status := health(url); status != 0 || text != "ok\n" {
			t.Errorf("%s: %d, %s", url, status, text)
		}
	}
	for _, url := range []string{gone.URL, "nonsense", "http://"} {
		if text, status := health(url); status != 1 || !strings.HasPrefix(text, "cistern: ") {
			t.Errorf("%s: %d, %s", url, status, text)
		}
	}
	answer = http.StatusServiceUnavailable
	if text, status := health(plain.URL); status != 1 || !strings.Contains(text, "503") {
		t.Errorf("%d, %s", status, text)
	}
}

func TestByteSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 397312: "397.3 KB", 5_000_000_000: "5.0 GB"} {
		if got := byteSize(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

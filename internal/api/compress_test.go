package api

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

func TestTakesGzip(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "identity": false, "br": false, "gzip;q=0": false, "gzip; q=0.000": false, "*;q=0": false, "*, gzip;q=0": false,
		"gzip;q=0, *": false, "gzippy": false, "gzip;q=x": false,
		"gzip": true, "GZip": true, "x-gzip": true, "br, gzip": true, "deflate,gzip;q=0.1": true, "*": true, "*;q=0, gzip": true,
	} {
		if got := takesGzip(http.Header{"Accept-Encoding": {value}}); got != want {
			t.Errorf("%q: %t, want %t", value, got, want)
		}
	}
	if !takesGzip(http.Header{"Accept-Encoding": {"br", "gzip"}}) {
		t.Error("the second line is not read")
	}
}

func TestCompression(t *testing.T) {
	tr := newTransport(t, RateLimit{})
	tests := []struct {
		name, method, target, accept string
		status                       int
		gzipped, vary                bool
	}{
		{"an error", "GET", "/v2/nothing", "gzip", 404, false, false},
		{"nothing to compress", "DELETE", "/_sim/faults", "gzip", 204, false, false},
		{"small", "GET", "/v2/account", "gzip", 200, false, false},
		{"not asked for", "GET", "/v2/sizes", "", 200, false, true},
		{"refused", "GET", "/v2/sizes", "gzip;q=0", 200, false, true},
		{"large", "GET", "/v2/sizes", "gzip", 200, true, true},
		{"its headers", "HEAD", "/v2/sizes", "gzip", 200, true, true},
	}
	for _, test := range tests {
		answer := tr.do(test.method, test.target, "", "Accept-Encoding", test.accept)
		gzipped, vary := answer.Header.Get("Content-Encoding") == "gzip", answer.Header.Get("Vary") == "Accept-Encoding"
		if answer.StatusCode != test.status || gzipped != test.gzipped || vary != test.vary {
			t.Errorf("%s: status %d, gzipped %t, vary %t", test.name, answer.StatusCode, gzipped, vary)
		}
	}
}

// What arrives is the same, compressed or not, and its length is right: over a
// real connection, where HEAD has no body.
func TestLengths(t *testing.T) {
	tr := newTransport(t, RateLimit{})
	server := httptest.NewServer(tr)
	defer server.Close()
	ask := func(method, accept string) (*http.Response, []byte) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/v2/sizes?per_page=200", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+tr.token)
		r.Header.Set("Accept-Encoding", accept)
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, body
	}
	_, plain := ask("GET", "identity")
	_, squeezed := ask("GET", "gzip")
	for accept, want := range map[string][]byte{"identity": plain, "gzip": squeezed} {
		for _, method := range []string{"GET", "HEAD"} {
			answer, body := ask(method, accept)
			if answer.Header.Get("Content-Length") != strconv.Itoa(len(want)) {
				t.Errorf("%s, %s: length %q, want %d", method, accept, answer.Header.Get("Content-Length"), len(want))
			}
			if method == "HEAD" && len(body) != 0 {
				t.Errorf("HEAD, %s: a body of %d bytes", accept, len(body))
			}
		}
	}
	reader, err := gzip.NewReader(bytes.NewReader(squeezed))
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(reader); err != nil || !bytes.Equal(unpacked, plain) {
		t.Errorf("%d bytes unpacked, %v; want the %d that were packed", len(unpacked), err, len(plain))
	}
	t.Logf("%d bytes become %d", len(plain), len(squeezed))
}

// The catalogue eight times over is 170 KB of JSON.
func BenchmarkCompress(b *testing.B) {
	tr := newTransport(b, RateLimit{})
	var sizes []*wireSize
	for range 8 {
		sizes = append(sizes, tr.catalogViews().sizesShown...)
	}
	w := httptest.NewRecorder()
	tr.write(w, httptest.NewRequest(http.MethodGet, "/", nil), ok(sizes))
	body := w.Body.Bytes()
	c := compressors.Get().(*compressor)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		c.gzip(body)
	}
	b.ReportMetric(float64(len(body))/float64(c.out.Len()), "ratio")
}

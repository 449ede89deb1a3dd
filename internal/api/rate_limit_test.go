package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func TestParseRateLimit(t *testing.T) {
	for _, text := range []string{
		"", "on", "5000", "5000/h", "250/m", "5000/h,250/h", "5000/h,250/m,1/m", "0/h,250/m", "-1/h,1/m", "5000/h,250/s", "5000/h 250/m",
		"1000001/h,1/m", "99999999999999999999/h,1/m", "off,5000/h", "5000/h,",
	} {
		if limit, err := ParseRateLimit(text); err == nil {
			t.Errorf("%q is read as %v, want an error", text, limit)
		}
	}
	for text, want := range map[string]RateLimit{
		"off": {}, "5000/h,250/m": DefaultRateLimit, "250/m, 5000/h": DefaultRateLimit, "1/h,1/m": {1, 1},
	} {
		if limit, err := ParseRateLimit(text); err != nil || limit != want {
			t.Errorf("%q is read as %v, %v; want %v", text, limit, err, want)
		}
	}
}

// burst takes n requests and returns the last answer.
func burst(l *limiter, token int64, n int) (q quota) {
	for range n {
		q = l.take(token, false)
	}
	return q
}

func TestMinuteLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(DefaultRateLimit)
		if q := burst(l, 1, 250); q.refused || q.remaining != 4750 {
			t.Fatalf("request 250: %+v", q)
		}
		time.Sleep(20500 * time.Millisecond)
		q := l.take(1, false)
		if !q.refused || q.remaining != 0 || q.retry != 39500*time.Millisecond {
			t.Fatalf("request 251: %+v, want refused for 39.5 s", q)
		}
		if q := l.take(2, false); q.refused || q.remaining != 4999 {
			t.Errorf("another token: %+v", q)
		}
		time.Sleep(q.retry - time.Millisecond)
		if q := l.take(1, false); !q.refused {
			t.Errorf("just before the minute is over: %+v", q)
		}
		time.Sleep(time.Millisecond)
		if q := l.take(1, false); q.refused || q.remaining != 4749 {
			t.Errorf("after the minute: %+v; what was refused must not count", q)
		}
	})
}

// Each request counts for an hour from its own time: there is no hour that all
// begin anew in.
func TestHourLimitRolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(RateLimit{Hour: 5, Minute: 5})
		first := time.Now()
		for range 5 {
			l.take(1, false)
			time.Sleep(10 * time.Minute)
		}
		q := l.take(1, false)
		if !q.refused || q.remaining != 0 || q.retry != 0 || !q.reset.Equal(first.Add(time.Hour)) {
			t.Fatalf("request 6: %+v, want refused until an hour after the first", q)
		}
		time.Sleep(time.Until(q.reset))
		if q := l.take(1, false); q.refused || q.remaining != 0 || !q.reset.Equal(first.Add(70*time.Minute)) {
			t.Errorf("at the reset: %+v, want one request let in", q)
		}
		if q := l.take(1, false); !q.refused {
			t.Errorf("right after: %+v, want refused", q)
		}
		time.Sleep(10 * time.Minute)
		if q := l.take(1, false); q.refused {
			t.Errorf("when the second has expired: %+v", q)
		}
	})
}

func TestKeyListingLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(DefaultRateLimit)
		for range 10 {
			if q := l.take(1, true); q.refused {
				t.Fatalf("%+v", q)
			}
		}
		if q := l.take(1, true); !q.refused || q.retry != time.Minute || q.remaining != 0 {
			t.Errorf("listing 11: %+v", q)
		}
		if q := l.take(1, false); q.refused || q.remaining != 4989 {
			t.Errorf("anything else: %+v", q)
		}
		time.Sleep(time.Minute)
		if q := l.take(1, true); q.refused {
			t.Errorf("a minute later: %+v", q)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(RateLimit{Hour: 100, Minute: 100})
		for range 100 * 100 {
			l.take(1, false)
			time.Sleep(time.Second)
		}
		if n := len(l.tokens[1].hour.at); n != 100 {
			t.Errorf("the ring of 100 requests has %d places", n)
		}
		for token := range int64(50) {
			l.take(100+token, false)
		}
		time.Sleep(2 * time.Hour)
		l.take(2, false)
		if n := len(l.tokens); n != 1 {
			t.Errorf("%d tokens are remembered, want only the one in use", n)
		}
	})
}

// The times kept wrap around after 49.7 days.
func TestIdleForWeeks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(RateLimit{Hour: 10, Minute: 3})
		burst(l, 1, 3)
		time.Sleep(1<<32*time.Millisecond - 30*time.Second)
		if q := burst(l, 1, 3); q.refused || q.remaining != 7 {
			t.Errorf("after weeks: %+v, want a new start", q)
		}
		time.Sleep(time.Minute) // over the edge
		if q := l.take(1, false); q.refused || q.remaining != 6 {
			t.Errorf("over the edge: %+v", q)
		}
		if q := burst(l, 1, 3); !q.refused || q.retry != time.Minute {
			t.Errorf("beyond the edge: %+v", q)
		}
	})
}

func TestRateLimitOverHTTP(t *testing.T) {
	tr := newTransport(t, RateLimit{Hour: 50, Minute: 9})
	reader := tr.addToken(t, "account:read")
	tests := []struct {
		name, method, target, body string
		header                     []string
		status                     int
		remaining                  string // "" is none of the three headers
	}{
		{"no token", "GET", "/v2/account", "", []string{"Authorization", ""}, 401, ""},
		{"unknown token", "GET", "/v2/account", "", []string{"Authorization", "Bearer dop_v1_unknown"}, 401, ""},
		{"no token, no such path", "GET", "/v2/nothing", "", []string{"Authorization", ""}, 401, ""},
		{"a route for all", "GET", "/healthz", "", nil, 200, ""},
		{"preflight", "OPTIONS", "/v2/account", "", nil, 204, ""},
		{"wrong scope", "GET", "/v2/droplets", "", []string{"Authorization", "Bearer " + reader}, 403, "49"},
		{"no such path", "GET", "/v2/nothing", "", nil, 404, "49"},
		{"wrong method", "PATCH", "/v2/account", "", nil, 405, "48"},
		{"not text", "GET", "/v2/account?a=%00", "", nil, 400, "47"},
		{"not text in the path", "GET", "/v2/droplets/%00", "", nil, 400, "46"},
		{"invalid", "POST", "/v2/droplets", "{}", nil, 422, "45"},
		{"not found", "GET", "/v2/droplets/1", "", nil, 404, "44"},
		{"head", "HEAD", "/v2/account", "", nil, 200, "43"},
		{"no content", "DELETE", "/_sim/faults", "", nil, 204, "42"},
		{"all is well", "GET", "/v2/account", "", nil, 200, "41"},
		{"one too many", "GET", "/v2/account", "", nil, 429, "0"},
		{"and no such path", "GET", "/v2/nothing", "", nil, 429, "0"},
	}
	for _, test := range tests {
		answer := tr.do(test.method, test.target, test.body, test.header...)
		if answer.StatusCode != test.status || answer.Header.Get("ratelimit-remaining") != test.remaining {
			t.Errorf("%s: status %d, remaining %q; want %d, %q",
				test.name, answer.StatusCode, answer.Header.Get("ratelimit-remaining"), test.status, test.remaining)
		}
		checkRateHeaders(t, test.name, answer, test.remaining != "")
		if (answer.Header.Get("retry-after") != "") != (test.status == 429) {
			t.Errorf("%s: retry-after %q", test.name, answer.Header.Get("retry-after"))
		}
	}
}

func checkRateHeaders(t *testing.T, name string, answer *http.Response, wanted bool) {
	t.Helper()
	if !wanted {
		for _, header := range []string{"ratelimit-limit", "ratelimit-reset"} {
			if answer.Header.Get(header) != "" {
				t.Errorf("%s: %s is told to nobody in particular", name, header)
			}
		}
		return
	}
	reset, _ := strconv.ParseInt(answer.Header.Get("ratelimit-reset"), 10, 64)
	if left := time.Until(time.Unix(reset, 0)); answer.Header.Get("ratelimit-limit") != "50" || left < 55*time.Minute || left > 61*time.Minute {
		t.Errorf("%s: limit %q, reset in %s", name, answer.Header.Get("ratelimit-limit"), left)
	}
}

func TestTooManyRequests(t *testing.T) {
	tr := newTransport(t, DefaultRateLimit)
	for range 5 { // as GET or HEAD, by any spelling of the path
		tr.do("GET", "/v2//account/keys?per_page=200", "")
		tr.do("HEAD", "/v2/account/keys/", "")
	}
	for target, status := range map[string]int{"/v2/account/keys": 429, "/v2/account/keys/1": 404, "/v2/account": 200} {
		if answer := tr.do("GET", target, ""); answer.StatusCode != status {
			t.Errorf("GET %s after ten listings: %d, want %d", target, answer.StatusCode, status)
		}
	}
	answer := tr.do("GET", "/v2/account/keys", "")
	var body errorBody
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	want := errorBody{string(cloud.CodeTooManyRequests), "API rate limit exceeded.", answer.Header.Get("x-request-id")}
	if retry, _ := strconv.Atoi(answer.Header.Get("retry-after")); body != want || retry < 1 || retry > 60 {
		t.Errorf("got %+v, retry-after %d; want %+v", body, retry, want)
	}
}

func TestNoRateLimit(t *testing.T) {
	tr := newTransport(t, RateLimit{})
	for range 20 {
		answer := tr.do("GET", "/v2/account/keys", "")
		if answer.StatusCode != http.StatusOK || answer.Header.Get("ratelimit-limit") != "" {
			t.Fatalf("%d, %v", answer.StatusCode, answer.Header)
		}
	}
}

func BenchmarkRateLimit(b *testing.B) {
	b.Run("refused", func(b *testing.B) {
		l := newLimiter(DefaultRateLimit)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l.take(1, false)
			}
		})
	})
	b.Run("let in", func(b *testing.B) {
		l := newLimiter(RateLimit{Hour: mostPerHour, Minute: mostPerHour})
		b.ReportAllocs()
		for i := range b.N {
			l.take(int64(i%1000), false)
		}
	})
}

// What the limit adds to a whole answer.
func BenchmarkRateLimitedAnswer(b *testing.B) {
	for name, limit := range map[string]RateLimit{"off": {}, "on": {Hour: mostPerHour, Minute: mostPerHour}} {
		tr := newTransport(b, limit)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tr.do("GET", "/v2/regions?per_page=1", "")
			}
		})
	}
}

package app

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/database/databasetest"
)

// serveForTest serves until the test ends and returns where, and with what
// token.
func serveForTest(t *testing.T, c Config) Started {
	t.Helper()
	c.Listen, c.Engine, c.Token, c.RateLimit = "127.0.0.1:0", "sim", "full-access-secret", "off"
	c.SimLatency, c.LogFormat, c.LogLevel = "0", "json", "error"
	ctx, stop := context.WithCancel(context.Background())
	started, ended := make(chan Started, 1), make(chan error, 1)
	go func() { ended <- Serve(ctx, c, t.Output(), func(s Started) { started <- s }) }()
	select {
	case s := <-started:
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return s
	case err := <-ended:
		stop()
		t.Fatal(err)
		return Started{}
	}
}

func scrape(t *testing.T, s Started) string {
	t.Helper()
	answer, err := http.Get(s.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v: %s", answer.StatusCode, err, body)
	}
	return string(body)
}

func ask(t *testing.T, s Started, method, path, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.Token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}

func TestMetricsShowWhatIsPromised(t *testing.T) {
	for _, kind := range databasetest.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Setenv("XDG_STATE_HOME", t.TempDir()) // where PostgreSQL's token is kept
			storage := Storage{Ephemeral: true}
			if kind == "postgres" {
				storage = Storage{Database: databasetest.Postgres(t)}
			}
			s := serveForTest(t, Config{Storage: storage})
			// A fault that passes keeps an operation unfinished, to be counted.
			ask(t, s, http.MethodPost, "/_sim/faults", `{"operation":"machine.create","error":"no host","transient":true}`)
			ask(t, s, http.MethodPost, "/v2/droplets", `{"name":"a","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`)
			ask(t, s, http.MethodGet, "/v2/droplets/1", "")
			got := scrape(t, s)
			for _, want := range []string{
				`cistern_http_requests_total{code="202",method="POST",route="/v2/droplets"} 1`,
				`cistern_http_requests_total{code="404",method="GET",route="/v2/droplets/{droplet_id}"} 1`,
				`cistern_http_request_duration_seconds_bucket{method="POST",route="/v2/droplets",le="+Inf"} 1`,
				`cistern_operations{kind="droplet.create",state="`,
				`cistern_operations_oldest_seconds{kind="droplet.create",state="`,
				`cistern_resources{kind="droplet"} 1`,
				`cistern_resources{kind="volume"} 0`,
				`cistern_resources{kind="reserved_ip"} 0`,
				`cistern_database_commit_writes_count `,
				`cistern_database_size_bytes{part="data"} `,
				`cistern_audit_refusals_dropped_total 0`,
				"go_goroutines ", "process_start_time_seconds ",
			} {
				if !strings.Contains(got, "\n"+want) {
					t.Errorf("there is no %s in\n%s", want, got)
				}
			}
			if has := strings.Contains(got, `part="wal"`); has != (kind == "sqlite") {
				t.Errorf("the size of a log is shown: %t", has)
			}
		})
	}
}

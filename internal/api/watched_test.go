package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cistern-cloud/cistern/internal/api"
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
	"github.com/cistern-cloud/cistern/internal/logtest"
	"github.com/cistern-cloud/cistern/internal/store"
)

// watched is a server with two accounts, whose logs, metrics and audit trail a
// test looks at. Operations run only when the test says so.
type watched struct {
	t      *testing.T
	db     *store.DB
	plane  *control.Plane
	server *api.Server
	logs   *logtest.Buffer

	mu     sync.Mutex
	served []api.Served
}

// The tokens of a watched server.
const (
	fullToken  = "full-access-secret"
	readToken  = "actions-read-secret"
	otherToken = "other-account-secret"
	narrow     = "droplet-read-secret"
)

func eachWatched(t *testing.T, test func(w *watched)) {
	databasetest.Each(t, func(t *testing.T, c database.Config) { test(newWatched(t, c)) })
}

func newWatched(t *testing.T, c database.Config) *watched {
	raw := databasetest.Open(t, c)
	for _, m := range []database.Migrations{store.Migrations(), sim.Migrations()} {
		if _, err := raw.Migrate(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	w := &watched{t: t, db: store.New(raw), logs: &logtest.Buffer{}}
	log := slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	engine, err := sim.Open(t.Context(), raw, sim.Options{Clock: cloud.RealClock{}})
	if err != nil {
		t.Fatal(err)
	}
	w.plane, err = control.New(t.Context(), control.Config{
		Store: w.db, Engine: engine, Catalog: cloud.DefaultCatalog(), Owner: "test", Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.addTokens()
	w.server = api.New(api.Config{
		Plane: w.plane, Log: log,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "metrics") }),
		Served:  func(s api.Served) { w.mu.Lock(); defer w.mu.Unlock(); w.served = append(w.served, s) },
	})
	return w
}

// accounts administers the watched server.
func (w *watched) accounts() control.Accounts { return control.Accounts{Store: w.db} }

func (w *watched) addTokens() {
	w.t.Helper()
	for email, tokens := range map[string]map[string]cloud.Scopes{
		"one@example.com": {fullToken: {cloud.FullAccess}, readToken: {"actions:read"}, narrow: {"droplet:read"}},
		"two@example.com": {otherToken: {cloud.FullAccess}},
	} {
		account, err := w.accounts().Add(w.t.Context(), email, email)
		if err != nil {
			w.t.Fatal(err)
		}
		for secret, scopes := range tokens {
			if _, err := w.accounts().AddToken(w.t.Context(), account.ID, "of "+email, secret, scopes, 0); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// ask sends a request from 192.0.2.1, changed as the test likes.
func (w *watched) ask(method, path, token, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.1:5000"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, f := range change {
		f(r)
	}
	out := httptest.NewRecorder()
	w.server.ServeHTTP(out, r)
	return out
}

// mustAsk is ask that must be answered with a status.
func (w *watched) mustAsk(want int, method, path, token, body string, change ...func(*http.Request)) []byte {
	w.t.Helper()
	out := w.ask(method, path, token, body, change...)
	if out.Code != want {
		w.t.Fatalf("%s %s: %d, want %d: %s", method, path, out.Code, want, out.Body)
	}
	return out.Body.Bytes()
}

const newDroplet = `{"name":"web-1","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`

// settle carries out all that is due.
func (w *watched) settle() {
	w.t.Helper()
	if _, err := w.plane.Runner().RunDue(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) trail() (entries []cloud.AuditEntry) {
	w.t.Helper()
	err := w.accounts().Audit(w.t.Context(), cloud.AuditFilter{}, func(e cloud.AuditEntry) error {
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return entries
}

func parsed[T any](t *testing.T, body []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return v
}

package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
	"github.com/cistern-cloud/cistern/internal/store"
)

// transport is a server with one account and its token, for tests of what lies
// around the handlers.
type transport struct {
	*Server
	token    string
	accounts control.Accounts
	account  cloud.Account
}

func newTransport(t testing.TB, limit RateLimit) *transport {
	t.Helper()
	db := databasetest.Open(t, databasetest.Config(t, "sqlite"))
	for _, schema := range []func() error{
		func() error { _, err := db.Migrate(t.Context(), store.Migrations()); return err },
		func() error { _, err := db.Migrate(t.Context(), sim.Migrations()); return err },
	} {
		if err := schema(); err != nil {
			t.Fatal(err)
		}
	}
	engine, err := sim.Open(t.Context(), db, sim.Options{Clock: cloud.RealClock{}})
	if err != nil {
		t.Fatal(err)
	}
	state := store.New(db)
	plane, err := control.New(t.Context(), control.Config{
		Store: state, Engine: engine, Catalog: cloud.DefaultCatalog(), Owner: "test", Alone: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	tr := &transport{Server: New(Config{Plane: plane, RateLimit: limit}), accounts: control.Accounts{Store: state}}
	if tr.account, err = tr.accounts.Add(t.Context(), "Test", "test@example.com"); err != nil {
		t.Fatal(err)
	}
	tr.token = tr.addToken(t, cloud.FullAccess)
	return tr
}

func (tr *transport) addToken(t testing.TB, scopes ...cloud.Scope) string {
	t.Helper()
	secret := cloud.NewSecret()
	if _, err := tr.accounts.AddToken(t.Context(), tr.account.ID, "test", secret, scopes, 0); err != nil {
		t.Fatal(err)
	}
	return secret
}

// do asks with the token, unless a header in pairs says otherwise.
func (tr *transport) do(method, target, body string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+tr.token)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			r.Header.Del(header[i])
		}
	}
	w := httptest.NewRecorder()
	tr.ServeHTTP(w, r)
	return w.Result()
}

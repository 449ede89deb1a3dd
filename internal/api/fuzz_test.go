package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/api"
	"github.com/cistern-cloud/cistern/internal/cloud"
)

// fuzzed is a server without a network, for one account.
type fuzzed struct {
	handler http.Handler
	token   string
}

func newFuzzed(f *testing.F) *fuzzed {
	f.Helper()
	s := alone(f)
	account, err := s.accounts.Add(f.Context(), "Fuzz", "fuzz@example.com")
	if err != nil {
		f.Fatal(err)
	}
	secret := cloud.NewSecret()
	if _, err := s.accounts.AddToken(f.Context(), account.ID, "fuzz", secret, cloud.Scopes{cloud.FullAccess}, 0); err != nil {
		f.Fatal(err)
	}
	return &fuzzed{api.New(api.Config{Plane: s.plane}), secret}
}

func (z *fuzzed) send(method, path, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+z.token)
	w := httptest.NewRecorder()
	z.handler.ServeHTTP(w, req)
	return w
}

// expect fails the test unless the status is one of those given.
func expect(t *testing.T, w *httptest.ResponseRecorder, body string, statuses ...int) {
	t.Helper()
	for _, status := range statuses {
		if w.Code == status {
			return
		}
	}
	t.Errorf("%q: got %d %s", body, w.Code, w.Body)
}

// Whatever the body of a create is, it is taken or refused.
func FuzzCreateDroplet(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `[]`, `{"name":"web","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`,
		`{"names":["a","b"],"region":"","size":"s-1vcpu-1gb","image":168639140,"ssh_keys":null,"tags":null,"volumes":[{"id":"x"}]}`,
		`{"name":"web","size":"s-1vcpu-1gb","image":"168639140","ipv6":"true","backups":"false","monitoring":1,"tags":["a:b","c_d"]}`,
		`{"name":"web","size":"gpu-h100x1-80gb","image":"gpu-h100x1-base","public_networking":false,"user_data":"#cloud-config"}`,
		`{"name":"web","size":"s-1vcpu-1gb","image":1e400,"ssh_keys":[1,"00:11",null,{}],"volumes":["",null,{},[]]}`,
		`{"name":"web","backups":true,"backup_policy":{"plan":"weekly","weekday":"SUN","hour":"4"},"vpc_uuid":"x"}`,
		"{\"name\":\"a\\u0000b\"}", "{\"name\":\"\\\\u0000\"}", "{\"name\":\"\xff\"}", `{"name":"\ud800"}`,
	} {
		f.Add(seed)
	}
	z := newFuzzed(f)
	f.Fuzz(func(t *testing.T, body string) {
		expect(t, z.send(http.MethodPost, "/v2/droplets", body), body, 202, 400, 404, 413, 422, 501)
	})
}

// Whatever the body of a selective destroy is, it is taken or refused.
func FuzzDestroySelective(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `[]`, `""`, `{"volumes":[]}`, `{"volumes":null}`, `{"volumes":["x"],"snapshots":[1,2.0,"3"]}`,
		`{"reserved_ips":["198.18.224.2"],"floating_ips":[6186916],"volume_snapshots":["3fb7d4f0-0000-4000-8000-000000000000"]}`,
		`{"volumes":[""]}`, `{"volumes":[null]}`, `{"snapshots":[1e400]}`, `{"snapshots":{"id":1}}`, `{"unknown":[[[]]]}`,
		"{\"volumes\":[\"\\u0000\"]}", "{\"volumes\":[\"\xff\"]}",
	} {
		f.Add(seed)
	}
	z := newFuzzed(f)
	droplet := ""
	f.Fuzz(func(t *testing.T, body string) {
		if droplet == "" {
			made := z.send(http.MethodPost, "/v2/droplets", `{"name":"web","size":"s-1vcpu-1gb","image":"debian-12-x64"}`)
			got := &answer{t, "create", made.Code, made.Header(), made.Body.Bytes()}
			droplet = got.is(http.StatusAccepted).text("droplet.id")
		}
		w := z.send(http.MethodDelete, "/v2/droplets/"+droplet+"/destroy_with_associated_resources/selective", body)
		expect(t, w, body, 202, 400, 413, 422)
		if w.Code == http.StatusAccepted {
			droplet = ""
		}
	})
}

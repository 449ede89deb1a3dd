package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/api"
)

// bodySeeds has bodies for every route that reads one. The first is taken by
// the route, unless it is in refusedSeeds. What is in angle brackets is made
// before it is sent; see fuzzTarget.make.
var bodySeeds = map[string][]string{
	"POST /v2/account/keys": {
		`{"name":"laptop","public_key":"<key>"}`,
		`{"name":"laptop","public_key":"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB"}`,
	},
	"PUT /v2/account/keys/{ssh_key_identifier}": {`{"name":"desktop"}`},
	"POST /v2/droplets": {
		`{"name":"web","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`,
		`{"names":["a","b"],"region":"","size":"s-1vcpu-1gb","image":168639140,"ssh_keys":null,"tags":null,"volumes":[{"id":"<volume>"}]}`,
		`{"name":"web","size":"s-1vcpu-1gb","image":"168639140","ipv6":"true","backups":"false","monitoring":1,"tags":["a:b","c_d"]}`,
		`{"name":"web","size":"gpu-h100x1-80gb","image":"gpu-h100x1-base","public_networking":false,"user_data":"#cloud-config"}`,
		`{"name":"web","size":"s-1vcpu-1gb","image":1e400,"ssh_keys":[1,"00:11",null,{}],"volumes":["",null,{},[]]}`,
		`{"name":"web","backups":true,"backup_policy":{"plan":"weekly","weekday":"SUN","hour":"4"},"vpc_uuid":"<vpc>"}`,
		"{\"name\":\"a\\u0000b\"}", "{\"name\":\"\\\\u0000\"}", `{"name":"\ud800"}`,
	},
	"POST /v2/droplets/{droplet_id}/actions": {
		`{"type":"reboot"}`, `{"type":"rename","name":"db"}`, `{"type":"resize","size":"s-2vcpu-2gb","disk":true}`,
		`{"type":"rebuild","image":"ubuntu-22-04-x64"}`, `{"type":"restore","image":1}`, `{"type":"snapshot","name":"nightly"}`,
		`{"type":"enable_backups","backup_policy":{"plan":"daily","hour":20}}`, `{"type":"change_backup_policy"}`, `{"type":"change_kernel"}`,
	},
	"POST /v2/droplets/actions": {`{"type":"shutdown"}`, `{"type":"resize","size":"s-2vcpu-2gb"}`},
	"DELETE /v2/droplets/{droplet_id}/destroy_with_associated_resources/selective": {
		`{"volumes":[]}`, `{"volumes":["<volume>"],"snapshots":[1,2.0,"3"]}`,
		`{"reserved_ips":["198.18.224.2"],"floating_ips":[6186916],"volume_snapshots":["3fb7d4f0-0000-4000-8000-000000000000"]}`,
		`{"volumes":[null]}`, `{"snapshots":[1e400]}`, `{"snapshots":{"id":1}}`, "{\"volumes\":[\"\\u0000\"]}", "{\"volumes\":[\"\xff\"]}",
	},
	"POST /v2/volumes": {
		`{"name":"fresh","region":"nyc3","size_gigabytes":1}`,
		`{"name":"fresh","region":"nyc3","size_gigabytes":"10","description":"é","filesystem_type":"ext4","filesystem_label":"data","tags":["a"]}`,
		`{"name":"fresh","size_gigabytes":100,"snapshot_id":"3fb7d4f0-0000-4000-8000-000000000000"}`,
	},
	"POST /v2/volumes/actions": {
		`{"type":"attach","volume_name":"x","region":"nyc3","droplet_id":1}`, `{"type":"detach","volume_name":"x","droplet_id":"1"}`,
	},
	"POST /v2/volumes/{volume_id}/actions": {
		`{"type":"attach","droplet_id":<droplet>}`, `{"type":"resize","size_gigabytes":20}`, `{"type":"detach","droplet_id":<droplet>,"region":"nyc3"}`,
	},
	"POST /v2/volumes/{volume_id}/snapshots":              {`{"name":"nightly","tags":["a"]}`},
	"POST /v2/reserved_ips":                               {`{"region":"nyc3"}`, `{"droplet_id":<droplet>}`},
	"POST /v2/floating_ips":                               {`{"region":"nyc3"}`, `{"droplet_id":"<droplet>"}`},
	"POST /v2/reserved_ips/{reserved_ip}/actions":         {`{"type":"assign","droplet_id":<droplet>}`, `{"type":"unassign"}`},
	"POST /v2/floating_ips/{reserved_ip}/actions":         {`{"type":"assign","droplet_id":<droplet>}`, `{"type":"unassign"}`},
	"POST /v2/reserved_ipv6":                              {`{"region_slug":"nyc3"}`},
	"POST /v2/reserved_ipv6/{reserved_ipv6}/actions":      {`{"type":"assign","droplet_id":<droplet>}`, `{"type":"unassign"}`},
	"POST /v2/tags":                                       {`{"name":"fresh"}`, `{"name":"a b"}`, `{"name":"FRESH"}`},
	"PUT /v2/tags/{tag_id}":                               {`{"name":"renamed"}`},
	"POST /v2/tags/{tag_id}/resources":                    {`{"resources":[{"resource_id":"<droplet>","resource_type":"droplet"}]}`, `{"resources":[null]}`},
	"DELETE /v2/tags/{tag_id}/resources":                  {`{"resources":[{"resource_id":"<volume>","resource_type":"volume"}]}`},
	"POST /v2/vpcs":                                       {`{"name":"inner","region":"nyc3","ip_range":"10.77.0.0/24"}`, `{"name":"a","region":"nyc3","ip_range":"::/0"}`},
	"PUT /v2/vpcs/{vpc_id}":                               {`{"name":"inner"}`},
	"PATCH /v2/vpcs/{vpc_id}":                             {`{"description":"x","default":true}`},
	"POST /v2/vpcs/{vpc_id}/peerings":                     {`{"name":"pair","vpc_id":"<vpc>"}`},
	"PATCH /v2/vpcs/{vpc_id}/peerings/{vpc_peering_id}":   {`{"name":"other"}`},
	"POST /v2/vpc_peerings":                               {`{"name":"pair","vpc_ids":["<vpc>","<peer>"]}`},
	"PATCH /v2/vpc_peerings/{vpc_peering_id}":             {`{"name":"other"}`},
	"POST /v2/firewalls":                                  {firewallSeed, `{"name":"edge","tags":["a"],"droplet_ids":[<droplet>]}`},
	"PUT /v2/firewalls/{firewall_id}":                     {firewallSeed},
	"POST /v2/firewalls/{firewall_id}/droplets":           {`{"droplet_ids":[<droplet>]}`},
	"DELETE /v2/firewalls/{firewall_id}/droplets":         {`{"droplet_ids":[<droplet>]}`},
	"POST /v2/firewalls/{firewall_id}/tags":               {`{"tags":["<tag>"]}`},
	"DELETE /v2/firewalls/{firewall_id}/tags":             {`{"tags":["<tag>"]}`},
	"POST /v2/firewalls/{firewall_id}/rules":              {firewallSeed, `{"outbound_rules":[{"protocol":"icmp","destinations":{"tags":["x"]}}]}`},
	"DELETE /v2/firewalls/{firewall_id}/rules":            {firewallSeed},
	"POST /_sim/faults":                                   {`{"operation":"machine.stop","error":"no","delay":"1s","times":1}`, `{"operation":"x","resource":1,"transient":"yes"}`},
	"POST /v2/images":                                     {`{"name":"own","url":"https://images.example.com/debian.qcow2","region":"nyc3","tags":["a"],"distribution":"Debian"}`},
	"PUT /v2/images/{image_id}":                           {`{"name":"renamed"}`, `{"name":"renamed","distribution":"Debian","description":"x"}`},
	"POST /v2/images/{image_id}/actions":                  {`{"type":"transfer","region":"ams3"}`, `{"type":"convert"}`},
	"POST /v2/images/{image_id}/account_transfer":         {`{"recipient_uuid":"<recipient>"}`, `{"recipient_email":"a@example.com"}`},
	"POST /v2/images/{image_id}/account_transfer/accept":  {`{"transfer_id":17,"recipient_uuid":"x"}`},
	"POST /v2/images/{image_id}/account_transfer/cancel":  {`{"transfer_id":<transfer>}`, `{"transfer_id":"17"}`},
	"POST /v2/images/{image_id}/account_transfer/decline": {`{"transfer_id":17}`},
	"POST /v2/projects/{project_id}/resources":            {`{"resources":["do:droplet:<droplet>"]}`, `{"resources":["do:volume:x","do:","::"]}`},
	"POST /v2/projects/default/resources":                 {`{"resources":["do:volume:<volume>"]}`},
}

const firewallSeed = `{"name":"edge","inbound_rules":[{"protocol":"tcp","ports":"22-25","sources":{"addresses":["0.0.0.0/0","::/0"]}}]}`

// refusedSeeds are the routes that no body of the account that they are tried
// with is right for.
var refusedSeeds = map[string]string{
	"POST /v2/volumes/actions":                            "a volume of another name",
	"POST /v2/images/{image_id}/account_transfer/accept":  "only the recipient accepts",
	"POST /v2/images/{image_id}/account_transfer/decline": "only the recipient declines",
}

// anySeeds are tried on every route.
var anySeeds = []string{
	``, ` `, `null`, `{}`, `[]`, `""`, `0`, `{`, `{"":{}}`, `{"name":null,"type":null,"tags":[null],"resources":[{}]}`,
	"\xff", "\x00", `{"a":` + strings.Repeat(`[`, 20_000), `{"name":"` + strings.Repeat("x", 70_000) + `"}`,
}

// fuzzed sends bodies to a server of its own, without a network.
type fuzzed struct {
	s       *server
	routes  []api.Route
	targets map[string]*fuzzTarget
}

// newFuzzed leaves out the clock: it is the whole server's, and a year of it
// takes as long as all that is due in it.
func newFuzzed(t testing.TB) *fuzzed {
	z := &fuzzed{s: alone(t), targets: map[string]*fuzzTarget{}}
	for _, r := range api.Routes() {
		if api.TakesBody(r) && r.Pattern != "/_sim/clock" {
			z.routes = append(z.routes, r)
		}
	}
	return z
}

// fuzzTarget is an account with what one route's path names.
type fuzzTarget struct {
	*account
	path string
	made map[string]string // what stands for words in angle brackets
	left int               // how many bodies it is still tried with
}

// bodiesPerTarget bounds how much an account comes to have.
const bodiesPerTarget = 100

func (z *fuzzed) target(t *testing.T, r api.Route) *fuzzTarget {
	t.Helper()
	name := r.Method + " " + r.Pattern
	if old := z.targets[name]; old != nil && old.left > 0 {
		old.left--
		return &fuzzTarget{old.within(t), old.path, old.made, old.left}
	}
	a := z.s.newAccount(t)
	z.targets[name] = &fuzzTarget{a, a.path(r), map[string]string{}, bodiesPerTarget}
	return z.targets[name]
}

var madeWord = regexp.MustCompile(`<[a-z]+>`)

// make makes what a word in angle brackets stands for, once.
func (g *fuzzTarget) make(word string) string {
	g.t.Helper()
	if _, is := g.made[word]; !is {
		g.made[word] = g.fresh(word)
	}
	return g.made[word]
}

func (g *fuzzTarget) fresh(word string) string {
	g.t.Helper()
	name := fmt.Sprintf("made-%d", names.Add(1))
	switch word {
	case "<droplet>":
		return fmt.Sprint(g.droplet(name))
	case "<volume>":
		return g.volume(name)
	case "<vpc>", "<peer>":
		return g.vpc(name)
	case "<tag>":
		g.tag(name)
		return name
	case "<key>":
		return publicKey()
	case "<recipient>":
		return g.s.newAccount(g.t).uuid()
	case "<transfer>":
		image, _, offered := strings.Cut(g.path, "/account_transfer/")
		if !offered {
			return "17"
		}
		to := map[string]any{"recipient_uuid": g.s.newAccount(g.t).uuid()}
		return g.post(image+"/account_transfer", to).is(http.StatusCreated).text("transfer_id")
	}
	return word
}

// try sends a body to a route, and checks that it is taken or refused in time,
// as the contract has it, and that what it begins ends.
func (z *fuzzed) try(t *testing.T, r api.Route, body string) *answer {
	t.Helper()
	g := z.target(t, r)
	body = madeWord.ReplaceAllStringFunc(body, g.make)
	ctx, cancel := context.WithTimeout(t.Context(), slow)
	defer cancel()
	req := httptest.NewRequestWithContext(ctx, r.Method, g.path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+g.token)
	out, answered := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(answered)
		g.s.Config.Handler.ServeHTTP(out, req)
	}()
	select {
	case <-answered:
	case <-time.After(2 * slow):
		t.Fatalf("%s %s is not answered: %.1000q", r.Method, r.Pattern, body)
	}
	got := &answer{t: t, request: r.Method + " " + g.path, status: out.Code, header: out.Header(), body: out.Body.Bytes()}
	if ctx.Err() != nil || out.Code >= 500 && out.Code != http.StatusNotImplemented {
		t.Errorf("%s %s: %.1000q: %d %s (%v)", r.Method, r.Pattern, body, out.Code, out.Body, ctx.Err())
	}
	for _, problem := range (&watch{t: t}).check(req, out.Result(), out.Body.Bytes()) {
		t.Errorf("%s %s: %.1000q: %s\n%d %s", r.Method, r.Pattern, body, problem, out.Code, out.Body)
	}
	if out.Code < 300 {
		z.taken(g, r, got)
	}
	return got
}

// taken waits for what a request has begun. Where it may have changed what the
// path or a word names, the next gets new ones.
func (z *fuzzed) taken(g *fuzzTarget, r api.Route, got *answer) {
	g.t.Helper()
	if len(got.body) > 0 && (got.has("action.id") || got.has("links.actions.0.id")) {
		g.settle(got)
	}
	once := r.Method == http.MethodDelete || r.Method == http.MethodPut || strings.Contains(r.Pattern, "/account_transfer")
	if once {
		delete(z.targets, r.Method+" "+r.Pattern)
	}
}

// The seeds are worth starting from: one of each route is taken.
func TestBodySeedsAreTaken(t *testing.T) {
	z := newFuzzed(t)
	for _, r := range z.routes {
		name := r.Method + " " + r.Pattern
		if len(bodySeeds[name]) == 0 {
			t.Errorf("bodySeeds has none for %s", name)
			continue
		}
		got := z.try(t, r, bodySeeds[name][0])
		if _, refused := refusedSeeds[name]; refused == (got.status < 300) {
			t.Errorf("%s: %s: %d %s", name, bodySeeds[name][0], got.status, got.body)
		}
		if got.status < 300 && r.Method != http.MethodDelete && !json.Valid(got.body) && len(got.body) > 0 {
			t.Errorf("%s: not JSON: %s", name, got.body)
		}
	}
}

// Whatever the body of a request is, it is taken or refused: never with a
// server error, never too late, and never other than the contract says.
func FuzzBody(f *testing.F) {
	z := newFuzzed(f)
	for i, r := range z.routes {
		for _, seed := range append(bodySeeds[r.Method+" "+r.Pattern], anySeeds...) {
			f.Add(uint8(i), seed)
		}
	}
	f.Fuzz(func(t *testing.T, route uint8, body string) {
		z.try(t, z.routes[int(route)%len(z.routes)], body)
	})
}

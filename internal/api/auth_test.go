package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/api"
	"github.com/cistern-cloud/cistern/internal/cloud"
)

// example is what a test knows of one route: a body that it takes, and a
// header that it wants.
type example struct {
	body   func(a *account) any
	header []string
	// also is what the body's fields need beside the route's own scopes.
	also []cloud.Scope
	// first says that only the first account may.
	first bool
}

func body(v map[string]any) func(*account) any {
	return func(*account) any { return v }
}

// droplets is a new Droplet among resources of a project.
func droplets(a *account) any {
	return map[string]any{"resources": []string{fmt.Sprintf("do:droplet:%d", a.droplet("target"))}}
}

// examples has what the routes need that take more than their path.
var examples = map[string]example{
	"GET /_sim/clock":  {first: true},
	"POST /_sim/clock": {first: true},
	"GET /_cistern/droplets/{droplet_id}/console": {header: []string{"Connection", "Upgrade", "Upgrade", "cistern-console"}},
	"POST /v2/account/keys": {body: func(*account) any {
		return map[string]any{"name": "laptop", "public_key": publicKey()}
	}},
	"PUT /v2/account/keys/{ssh_key_identifier}": {body: body(map[string]any{"name": "desktop"})},
	"POST /v2/droplets":                         {body: body(dropletBody("web")), also: []cloud.Scope{"image:read"}},
	"POST /v2/droplets/{droplet_id}/actions":    {body: body(map[string]any{"type": "reboot"})},
	"POST /v2/droplets/actions":                 {body: body(map[string]any{"type": "shutdown"})},
	"DELETE /v2/droplets":                       {also: []cloud.Scope{"tag:read"}},
	"DELETE /v2/droplets/{droplet_id}/destroy_with_associated_resources/dangerous": {
		header: []string{"X-Dangerous", "true"},
	},
	"POST /v2/volumes": {body: body(map[string]any{"name": "fresh", "region": "nyc3", "size_gigabytes": 1})},
	"POST /v2/volumes/{volume_id}/actions": {
		body: body(map[string]any{"type": "resize", "size_gigabytes": 20}),
	},
	"POST /v2/volumes/{volume_id}/snapshots": {body: body(map[string]any{"name": "nightly"})},
	"POST /v2/reserved_ips":                  {body: body(map[string]any{"region": "nyc3"})},
	"POST /v2/floating_ips":                  {body: body(map[string]any{"region": "nyc3"})},
	"POST /v2/reserved_ips/{reserved_ip}/actions": {body: func(a *account) any {
		return map[string]any{"type": "assign", "droplet_id": a.droplet("target")}
	}},
	"POST /v2/floating_ips/{reserved_ip}/actions": {body: func(a *account) any {
		return map[string]any{"type": "assign", "droplet_id": a.droplet("target")}
	}},
	"POST /v2/tags":                      {body: body(map[string]any{"name": "fresh"})},
	"PUT /v2/tags/{tag_id}":              {body: body(map[string]any{"name": "renamed"})},
	"POST /v2/tags/{tag_id}/resources":   {body: body(bearing())},
	"DELETE /v2/tags/{tag_id}/resources": {body: body(bearing())},
	"POST /v2/reserved_ipv6":             {body: body(map[string]any{"region_slug": "nyc3"})},
	"POST /v2/reserved_ipv6/{reserved_ipv6}/actions": {body: func(a *account) any {
		return map[string]any{"type": "assign", "droplet_id": a.droplet("target")}
	}},
	"POST /v2/vpc_peerings": {body: func(a *account) any {
		return map[string]any{"name": "pair", "vpc_ids": []string{a.vpc("one"), a.vpc("two")}}
	}},
	"PATCH /v2/vpc_peerings/{vpc_peering_id}": {body: body(map[string]any{"name": "other"})},
	"POST /v2/vpcs/{vpc_id}/peerings": {body: func(a *account) any {
		return map[string]any{"name": "pair", "vpc_id": a.vpc("peer")}
	}},
	"PATCH /v2/vpcs/{vpc_id}/peerings/{vpc_peering_id}": {body: body(map[string]any{"name": "other"})},
	"POST /v2/firewalls":                          {body: body(firewallOf())},
	"PUT /v2/firewalls/{firewall_id}":             {body: body(firewallOf())},
	"POST /v2/firewalls/{firewall_id}/droplets":   {body: ofDroplet},
	"DELETE /v2/firewalls/{firewall_id}/droplets": {body: ofDroplet},
	"POST /v2/firewalls/{firewall_id}/tags":       {body: ofTag},
	"DELETE /v2/firewalls/{firewall_id}/tags":     {body: ofTag},
	"POST /v2/firewalls/{firewall_id}/rules":      {body: body(firewallOf())},
	"DELETE /v2/firewalls/{firewall_id}/rules":    {body: body(firewallOf())},
	"POST /v2/vpcs":                               {body: body(map[string]any{"name": "inner", "region": "nyc3"})},
	"PUT /v2/vpcs/{vpc_id}":                       {body: body(map[string]any{"name": "inner"})},
	"PATCH /v2/vpcs/{vpc_id}":                     {body: body(map[string]any{"name": "inner"})},
	"POST /_sim/faults":                           {body: body(map[string]any{"operation": "machine.stop", "error": "no"})},
	"POST /v2/projects/{project_id}/resources":    {body: droplets, also: []cloud.Scope{"droplet:read"}},
	"POST /v2/projects/default/resources":         {body: droplets, also: []cloud.Scope{"droplet:read"}},
	"POST /v2/images":                             {body: body(imageBody("own"))},
	"PUT /v2/images/{image_id}":                   {body: body(map[string]any{"name": "renamed"})},
	"POST /v2/images/{image_id}/actions":          {body: body(map[string]any{"type": "transfer", "region": "ams3"})},
	"POST /v2/images/{image_id}/account_transfer": {body: func(a *account) any {
		return map[string]any{"recipient_uuid": a.s.newAccount(a.t).uuid()}
	}},
	"POST /v2/images/{image_id}/account_transfer/accept":  {body: body(map[string]any{"transfer_id": 17, "recipient_uuid": "x"})},
	"POST /v2/images/{image_id}/account_transfer/cancel":  {body: body(map[string]any{"transfer_id": 17})},
	"POST /v2/images/{image_id}/account_transfer/decline": {body: body(map[string]any{"transfer_id": 17})},
}

// send sends what the route takes.
func (c *client) send(r api.Route, path string, body any) *answer {
	c.t.Helper()
	return c.do(r.Method, path, body, examples[r.Method+" "+r.Pattern].header...)
}

// exampleBody makes a body that the route takes, with what it needs.
func (a *account) exampleBody(r api.Route) any {
	if make := examples[r.Method+" "+r.Pattern].body; make != nil {
		return make(a)
	}
	return nil
}

// path makes what a route's parameters name, and returns the path to it.
func (a *account) path(r api.Route) string {
	a.t.Helper()
	path := r.Pattern
	set := func(name string, value any) { path = strings.ReplaceAll(path, "{"+name+"}", fmt.Sprint(value)) }
	has := func(name string) bool { return strings.Contains(r.Pattern, "{"+name+"}") }
	thing := fmt.Sprintf("thing-%d", names.Add(1))
	switch {
	case has("droplet_id"):
		droplet := a.droplet(thing)
		set("droplet_id", droplet)
		if has("action_id") {
			set("action_id", a.act(droplet, "power_cycle").ID)
		}
	case has("volume_id"):
		volume := a.volume(thing)
		set("volume_id", volume)
		if has("action_id") {
			resize := map[string]any{"type": "resize", "size_gigabytes": 11}
			set("action_id", a.settle(a.post("/v2/volumes/"+volume+"/actions", resize).is(http.StatusAccepted)).ID)
		}
	case has("reserved_ip") && has("action_id"):
		made := a.post("/v2/reserved_ips", map[string]any{"droplet_id": a.droplet(thing)}).is(http.StatusAccepted)
		a.settle(made)
		set("reserved_ip", made.text("reserved_ip.ip"))
		set("action_id", made.number("links.actions.0.id"))
	case has("reserved_ip"):
		set("reserved_ip", a.reservedIP(0))
	case strings.HasPrefix(r.Pattern, "/v2/volumes/snapshots/"):
		set("snapshot_id", a.volumeSnapshot(a.volume(thing), thing))
	case has("snapshot_id") || has("image_id"):
		image := a.snapshot(a.droplet(thing), thing)
		set("snapshot_id", image)
		set("image_id", image)
		if has("action_id") {
			transfer := map[string]any{"type": "transfer", "region": "ams3"}
			set("action_id", a.settle(a.post(imagePath(image, "/actions"), transfer).is(http.StatusCreated)).ID)
		}
	case has("action_id"):
		set("action_id", a.act(a.droplet(thing), "power_cycle").ID)
	}
	if has("reserved_ipv6") {
		set("reserved_ipv6", a.reservedIPv6(0))
	}
	if has("firewall_id") {
		set("firewall_id", a.firewall(thing))
	}
	if has("vpc_id") || has("vpc_peering_id") {
		vpc := a.vpc(thing)
		set("vpc_id", vpc)
		if has("vpc_peering_id") {
			set("vpc_peering_id", a.peering(thing, vpc, a.vpc(thing+"-peer")))
		}
	}
	if has("ssh_key_identifier") {
		set("ssh_key_identifier", a.key(thing))
	}
	if has("project_id") {
		set("project_id", a.get("/v2/projects/default").is(http.StatusOK).text("project.id"))
	}
	if has("tag_id") {
		a.tag(thing)
		set("tag_id", thing)
	}
	if name := r.Method + " " + r.Pattern; name == "DELETE /v2/droplets" || name == "POST /v2/droplets/actions" {
		a.droplet(thing, "tags", []string{thing})
		path += "?tag_name=" + thing
	}
	if has("fault_id") {
		set("fault_id", a.fault("machine.stop", "nothing", "error", "no"))
	}
	return path
}

// eachBuilt runs a test on every route that takes a token and is built.
// The clock is left out: it is the first account's alone.
func eachBuilt(t *testing.T, test func(t *testing.T, s *server, r api.Route)) {
	t.Helper()
	each(t, func(t *testing.T, s *server) {
		for _, r := range api.Routes() {
			if !r.Open && !r.Unbuilt && r.Pattern != "/_sim/clock" {
				t.Run(r.Method+" "+r.Pattern, func(t *testing.T) {
					t.Parallel()
					test(t, s, r)
				})
			}
		}
	})
}

// accountFor is an account that may use a route: a new one, unless only the
// first may.
func (s *server) accountFor(t *testing.T, r api.Route) *account {
	t.Helper()
	a := s.newAccount(t)
	if !examples[r.Method+" "+r.Pattern].first {
		return a
	}
	all, err := s.accounts.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a = &account{id: all[0].ID}
	secret, _ := a.newToken(t, s, 0, cloud.FullAccess)
	a.client = newClient(t, s, secret)
	return a
}

const unauthorizedText = "Unable to authenticate you."

// Whoever has no token that is good now learns nothing, of any route.
func TestEveryRouteWantsAToken(t *testing.T) {
	eachBuilt(t, func(t *testing.T, s *server, r api.Route) {
		a := s.newAccount(t)
		path := parameter.ReplaceAllString(r.Pattern, "1")
		expired, _ := a.newToken(t, s, time.Nanosecond, cloud.FullAccess)
		revoked, id := a.newToken(t, s, 0, cloud.FullAccess)
		if err := s.accounts.RevokeToken(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		nobody := newClient(t, s, "")
		for name, authorization := range map[string]string{
			"none": "", "unknown": "Bearer " + cloud.NewSecret(), "expired": "Bearer " + expired,
			"revoked": "Bearer " + revoked, "no secret": "Bearer", "spaces": "Bearer   ",
			"another scheme": "Basic " + a.token, "only the secret": a.token,
		} {
			t.Run(name, func(t *testing.T) {
				nobody := newClient(t, s, "")
				nobody.do(r.Method, path, nil, "Authorization", authorization).
					refused(http.StatusUnauthorized, cloud.CodeUnauthorized, unauthorizedText)
			})
		}
		nobody.do(r.Method, path, nil).refused(http.StatusUnauthorized, cloud.CodeUnauthorized, unauthorizedText)
	})
}

// A token is refused from the moment that it is revoked.
func TestRevokedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		secret, id := a.newToken(t, s, 0, "account:read")
		c := newClient(t, s, secret)
		c.get("/v2/account").is(http.StatusOK)
		if err := s.accounts.RevokeToken(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		c.get("/v2/account").refused(http.StatusUnauthorized, cloud.CodeUnauthorized, unauthorizedText)
	})
}

// The scheme is read whatever its case, and spaces around the secret are not
// a part of it.
func TestAuthorizationAsClientsWriteIt(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		for _, authorization := range []string{"bearer " + a.token, "BEARER  " + a.token, "Bearer " + a.token + " "} {
			newClient(t, s, "").do(http.MethodGet, "/v2/account", nil, "Authorization", authorization).is(http.StatusOK)
		}
	})
}

// A token that lacks one of a route's scopes is refused, though it has all
// others, and one that has no more than those is let in.
func TestEveryRouteWantsItsScopes(t *testing.T) {
	eachBuilt(t, func(t *testing.T, s *server, r api.Route) {
		a := s.accountFor(t, r)
		path, body := a.path(r), a.exampleBody(r)
		for _, scope := range r.Scopes {
			a.mayAllBut(scope).send(r, path, body).forbidden()
		}
		also := examples[r.Method+" "+r.Pattern].also
		a.may(append(also, r.Scopes...)...).send(r, path, body).allowed()
	})
}

// allowed checks that an answer came from behind the door.
func (a *answer) allowed() {
	a.t.Helper()
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest, http.StatusMethodNotAllowed:
		a.t.Errorf("%s: got %d %s", a.request, a.status, a.body)
	}
}

// Nothing of one account exists for another.
func TestEveryRouteHidesOtherAccounts(t *testing.T) {
	eachBuilt(t, func(t *testing.T, s *server, r api.Route) {
		if !strings.Contains(r.Pattern, "{") {
			return // lists have tests of their own
		}
		owner, stranger := s.newAccount(t), s.newAccount(t)
		path := owner.path(r)
		stranger.send(r, path, stranger.exampleBody(r)).unknown(r)
	})
}

// unknown checks a 404 of a route. Firewalls have a text of their own.
func (a *answer) unknown(r api.Route) {
	a.t.Helper()
	if strings.HasPrefix(r.Pattern, "/v2/firewalls/") && strings.Contains(string(a.body), noFirewallText) {
		a.refused(http.StatusNotFound, cloud.CodeNotFound, noFirewallText)
		return
	}
	a.notFound()
}

// malformed are IDs that name nothing, of whatever kind.
var malformed = []string{
	"abc", "0", "-1", "+1", "1e3", "1.0", "0x10", "%20", "a%2Fb", "..", "%2e%2e", "'", "%22", "%25", "%C3%A9", "1%20",
	"99999999999999999999999999", "9223372036854775807", "9223372036854775808",
	"3fb7d4f0-0000-0000-0000-00000000000", "3fb7d4f0-0000-4000-8000-000000000000", "3FB7D4F0-0000-4000-8000-000000000000",
	"203.0.113.1", "::1", "a:b:c", strings.Repeat("x", 3000),
}

// An ID that could not be one is told no differently from one that is nobody's.
func TestEveryRouteTakesMalformedIDsForUnknown(t *testing.T) {
	eachBuilt(t, func(t *testing.T, s *server, r api.Route) {
		a := s.newAccount(t)
		if !strings.Contains(r.Pattern, "{") {
			return
		}
		body := a.exampleBody(r)
		for _, id := range malformed {
			a.send(r, parameter.ReplaceAllString(r.Pattern, id), body).unknown(r)
		}
	})
}

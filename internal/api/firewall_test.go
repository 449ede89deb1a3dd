package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

const noFirewallText = "Firewall not found"

func (a *answer) noFirewall() {
	a.t.Helper()
	a.refused(http.StatusNotFound, cloud.CodeNotFound, noFirewallText)
}

// inForce waits until a firewall has no changes to make.
func (a *account) inForce(id string) *answer {
	a.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		got := a.get("/v2/firewalls/" + id).is(http.StatusOK)
		if got.text("firewall.status") == "succeeded" {
			got.shows("firewall.pending_changes", `[]`)
			return got
		}
	}
	a.t.Fatal("the firewall is not in force")
	return nil
}

var badFirewalls = []struct {
	name string
	more []any
	want string
}{
	{"no name", []any{"name", nil}, "invalid name"},
	{"a short name", []any{"name", "a"}, "invalid name"},
	{"an underscore", []any{"name", "a_b"}, "invalid name"},
	{"a colon", []any{"name", "a:b"}, "invalid name"},
	{"a dash in front", []any{"name", "-ab"}, "invalid name"},
	{"a long name", []any{"name", strings.Repeat("x", 256)}, "invalid name"},
	{"a number for a name", []any{"name", 1}, "name must be a string, not number"},
	{"no rules", []any{"inbound_rules", nil}, "must have at least one rule"},
	{"empty rules", []any{"inbound_rules", []any{}, "outbound_rules", []any{}}, "must have at least one rule"},
	{"an object for rules", []any{"inbound_rules", map[string]any{}}, "inbound_rules must be a list, not object"},
	{"a bad protocol", []any{"inbound_rules", []any{rule("gre", "1", "sources")}}, "you specified an invalid protocol"},
	{"no protocol", []any{"outbound_rules", []any{map[string]any{"ports": "1"}}}, "you specified an invalid protocol"},
	{"no ports", []any{"inbound_rules", []any{rule("tcp", nil, "sources")}}, "invalid port range"},
	{"a high port", []any{"inbound_rules", []any{rule("tcp", "65536", "sources")}}, "invalid port range"},
	{"a negative port", []any{"inbound_rules", []any{rule("tcp", -1, "sources")}}, "invalid port range"},
	{"a range backwards", []any{"inbound_rules", []any{rule("udp", "9000-8000", "sources")}}, "invalid port range"},
	{"half a range", []any{"inbound_rules", []any{rule("udp", "8000-", "sources")}}, "invalid port range"},
	{"a service's name", []any{"inbound_rules", []any{rule("tcp", "ssh", "sources")}}, "invalid port range"},
	{"an object for ports", []any{"inbound_rules", []any{rule("tcp", map[string]any{}, "sources")}}, "invalid port range"},
	{"a bad address", []any{"inbound_rules", []any{rule("tcp", "1", "sources", "addresses", []string{"10.0.0.0/33"})}}, "invalid address: 10.0.0.0/33"},
	{"a name for an address", []any{"outbound_rules", []any{rule("tcp", "1", "destinations", "addresses", []string{"home"})}}, "invalid address: home"},
	{"an unknown Droplet", []any{"droplet_ids", []int64{7}}, "droplet does not exist"},
	{"an unknown Droplet in a rule", []any{"inbound_rules", []any{rule("tcp", "1", "sources", "droplet_ids", []int64{7})}}, "droplet does not exist"},
	{"text for a Droplet", []any{"droplet_ids", []string{"web"}}, `droplet_ids must be a whole number, not "web"`},
	{"an unknown tag", []any{"tags", []string{"nobody"}}, "tag nobody does not exist"},
	{"an unknown tag in a rule", []any{"outbound_rules", []any{rule("tcp", "1", "destinations", "tags", []string{"nobody"})}}, "tag nobody does not exist"},
	{"a long action", []any{"inbound_rules", []any{map[string]any{"protocol": "tcp", "ports": "1", "action": strings.Repeat("x", 17)}}},
		"action is too long (maximum is 16 characters); use allow or deny"},
	{"a load balancer", []any{"inbound_rules", []any{rule("tcp", "1", "sources", "load_balancer_uids", []string{"x"})}}, "load balancer does not exist"},
	{"a cluster", []any{"inbound_rules", []any{rule("tcp", "1", "sources", "kubernetes_ids", []string{"x"})}}, "kubernetes cluster does not exist"},
	{"many Droplets", []any{"droplet_ids", make([]int64, 1001)}, "droplet_ids lists 1001 items; at most 1000 can be given"},
}

func TestFirewallsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		other.tag("theirs")
		path := "/v2/firewalls/" + a.firewall("taken")
		for _, test := range badFirewalls {
			t.Run(test.name, func(t *testing.T) {
				a := a.within(t)
				a.post("/v2/firewalls", firewallOf(test.more...)).invalid(test.want)
				a.put(path, firewallOf(test.more...)).invalid(test.want)
			})
		}
		a.post("/v2/firewalls", firewallOf("droplet_ids", []int64{other.droplet("theirs")})).invalid("droplet does not exist")
		a.post("/v2/firewalls", firewallOf("tags", []string{"theirs"})).invalid("tag theirs does not exist")
		duplicate := func(got *answer) { got.refused(http.StatusConflict, cloud.CodeConflict, "duplicate name") }
		duplicate(a.post("/v2/firewalls", firewallOf("name", "taken")))
		duplicate(a.put("/v2/firewalls/"+a.firewall("second"), firewallOf("name", "taken")))
		a.put(path, map[string]any{"name": "taken"}).invalid("must have at least one rule")
		for _, id := range []string{"abc", "1", "3fb7d4f0-0000-4000-8000-000000000000"} {
			a.get("/v2/firewalls/" + id).noFirewall()
			a.put("/v2/firewalls/"+id, nil).noFirewall()
			a.del("/v2/firewalls/" + id).noFirewall()
		}
		a.get("/v2/firewalls").shows("meta.total", `2`)
	})
}

// What is shown of rules is what was given, key by key.
func TestFirewallShowsItsRules(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.tag("Web")
		droplet := a.droplet("web")
		made := a.post("/v2/firewalls", fmt.Sprintf(`{"name": "edge", "tags": null, "droplet_ids": null, "inbound_rules": [
			{"protocol": "TCP", "ports": 8000, "sources": {"addresses": ["1.2.3.4", "18.0.0.5/8", "::/0"]}},
			{"protocol": "tcp", "ports": "all", "sources": {"tags": ["WEB"], "droplet_ids": [%d], "addresses": []}},
			{"protocol": "icmp", "sources": {}},
			{"protocol": "icmp", "ports": "1-65535", "sources": null}],
			"outbound_rules": [{"protocol": "udp", "ports": "53", "action": "deny", "destinations": {"addresses": ["0.0.0.0/0"]}},
			{"protocol": "udp", "ports": "8000-9000"}]}`, droplet)).is(http.StatusAccepted)
		want := fmt.Sprintf(`{"id": "*", "name": "edge", "status": "succeeded", "created_at": "*", "pending_changes": [], "droplet_ids": [], "tags": [],
			"inbound_rules": [
			{"protocol": "tcp", "ports": "8000", "sources": {"addresses": ["1.2.3.4", "18.0.0.5/8", "::/0"]}},
			{"protocol": "tcp", "ports": "0", "sources": {"tags": ["Web"], "droplet_ids": [%d], "addresses": []}},
			{"protocol": "icmp", "ports": "0", "sources": {}},
			{"protocol": "icmp", "ports": "1-65535", "sources": {}}],
			"outbound_rules": [{"protocol": "udp", "ports": "53", "action": "deny", "destinations": {"addresses": ["0.0.0.0/0"]}},
			{"protocol": "udp", "ports": "8000-9000", "destinations": {}}]}`, droplet)
		made.shows("firewall", want)
		id := made.text("firewall.id")
		a.get("/v2/firewalls/"+strings.ToUpper(id)).is(http.StatusOK).shows("firewall", want)
		list := a.get("/v2/firewalls").is(http.StatusOK)
		list.shows("firewalls.0", want)
		list.shows("links", `{}`)
		a.put("/v2/firewalls/"+id, made.at("firewall")).is(http.StatusOK).shows("firewall", want) // as it was shown
		a.put("/v2/firewalls/"+id, `{"name": "new", "outbound_rules": [{"protocol": "icmp", "destinations": {"addresses": ["::1"]}}]}`).
			is(http.StatusOK).shows("firewall.inbound_rules", `[]`)
		a.del("/v2/firewalls/" + id).empty(http.StatusNoContent)
		a.del("/v2/firewalls/" + id).noFirewall()
		a.get("/v2/firewalls").shows("", `{"firewalls": [], "links": {}, "meta": {"total": 0}}`)
	})
}

// A firewall waits until its Droplets have its rules.
func TestFirewallStatus(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		droplet := a.droplet("web")
		fault := a.fault("firewall.apply", "web", "error", "no table")
		made := a.post("/v2/firewalls", firewallOf("droplet_ids", []int64{droplet})).is(http.StatusAccepted)
		made.shows("firewall.status", `"waiting"`)
		made.shows("firewall.pending_changes", fmt.Sprintf(`[{"droplet_id": %d, "removing": false, "status": "waiting"}]`, droplet))
		path := "/v2/firewalls/" + made.text("firewall.id")
		for end := time.Now().Add(20 * time.Second); a.get(path).text("firewall.status") != "failed"; {
			if time.Now().After(end) {
				t.Fatal("the firewall is not failed")
			}
		}
		a.get(path).shows("firewall.pending_changes.0.status", `"failed"`)
		a.mayAllBut("droplet:read").get(path).shows("firewall.pending_changes", `[]`)
		a.del(fmt.Sprint("/_sim/faults/", fault)).is(http.StatusNoContent)
		a.put(path, firewallOf("droplet_ids", []int64{droplet})).is(http.StatusOK).shows("firewall.status", `"waiting"`)
		a.inForce(made.text("firewall.id"))
	})
}

func TestFirewallParts(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		one, two := a.droplet("one"), a.droplet("two", "tags", []string{"Web"})
		a.fault("firewall.apply", "two", "delay", "10h", "times", 1)
		id := a.firewall("edge")
		path := "/v2/firewalls/" + id
		ids := func(list ...int64) map[string]any { return map[string]any{"droplet_ids": list} }
		tags := func(list ...string) map[string]any { return map[string]any{"tags": list} }
		remove := func(part string, body any) *answer { return a.do(http.MethodDelete, path+part, body) }
		for _, method := range []string{http.MethodPost, http.MethodDelete} {
			a.do(method, path+"/droplets", nil).invalid("droplet_ids is required")
			a.do(method, path+"/droplets", map[string]any{"droplet_ids": []string{"x"}}).invalid(`droplet_ids must be a whole number, not "x"`)
			a.do(method, path+"/tags", tags()).invalid("tags is required")
			a.do(method, path+"/rules", nil).invalid("must have at least one rule")
			a.do(method, path+"/rules", firewallOf("inbound_rules", []any{rule("tcp", "x", "sources")})).invalid("invalid port range")
			a.do(method, "/v2/firewalls/3fb7d4f0-0000-4000-8000-000000000000/rules", nil).noFirewall()
		}
		a.post(path+"/droplets", ids(one, 7)).invalid("droplet does not exist")
		a.post(path+"/tags", tags("nobody")).invalid("tag nobody does not exist")

		a.post(path+"/droplets", ids(one)).empty(http.StatusNoContent)
		a.post(path+"/droplets", ids(one)).empty(http.StatusNoContent)
		a.post(path+"/tags", tags("web")).empty(http.StatusNoContent)
		got := a.get(path)
		got.shows("firewall.droplet_ids", fmt.Sprintf(`[%d]`, one))
		got.shows("firewall.tags", `["Web"]`)
		for _, droplet := range []int64{one, two} { // by itself, and through its tag
			mine := a.get(dropletPath(droplet, "/firewalls")).is(http.StatusOK)
			mine.shows("firewalls.0.id", fmt.Sprintf("%q", id))
			mine.shows("links", `{"pages": {}}`)
			mine.shows("meta", `{"total": 1}`)
		}
		remove("/tags", tags("WEB", "nobody")).empty(http.StatusNoContent)
		remove("/droplets", ids(one, 7)).empty(http.StatusNoContent)
		a.get(dropletPath(one, "/firewalls")).shows("", `{"firewalls": [], "links": {"pages": {}}, "meta": {"total": 0}}`)

		web := rule("tcp", "80", "sources", "addresses", []string{"::/0", "0.0.0.0/0"})
		a.post(path+"/rules", map[string]any{"inbound_rules": []any{web, web}}).empty(http.StatusNoContent)
		if diff := cmp.Diff([]string{"22", "80"}, a.get(path).texts("firewall.inbound_rules", "ports")); diff != "" {
			t.Error(diff)
		}
		remove("/rules", map[string]any{"inbound_rules": []any{rule("TCP", 80, "sources", "addresses", []string{"0.0.0.0/0"})}})
		remove("/rules", map[string]any{"inbound_rules": []any{rule("TCP", 80, "sources", "addresses", []string{"0.0.0.0/0", "::/0"})}}).
			empty(http.StatusNoContent)
		a.get(path).shows("firewall.inbound_rules.0.ports", `"22"`)
		deny := func(action string) map[string]any {
			return map[string]any{"inbound_rules": []any{map[string]any{"protocol": "tcp", "ports": "90", "action": action}}}
		}
		for _, action := range []string{"", "allow", "deny"} { // of which two are one rule
			a.post(path+"/rules", deny(action)).empty(http.StatusNoContent)
		}
		got = a.get(path)
		got.shows("firewall.inbound_rules.1", `{"protocol": "tcp", "ports": "90", "sources": {}}`)
		got.shows("firewall.inbound_rules.2", `{"protocol": "tcp", "ports": "90", "action": "deny", "sources": {}}`)
		remove("/rules", deny("deny")).empty(http.StatusNoContent)
		a.get(path).shows("firewall.inbound_rules.1", `{"protocol": "tcp", "ports": "90", "sources": {}}`)
		remove("/rules", deny("allow")).empty(http.StatusNoContent)
		remove("/rules", firewallOf()).empty(http.StatusNoContent) // the last
		a.get(path).shows("firewall.inbound_rules", `[]`)
	})
}

// The rules of a firewall are bounded, however many requests bring them.
func TestFirewallRulesAreBounded(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		path := "/v2/firewalls/" + a.firewall("edge") + "/rules"
		ports := func(from, to int) map[string]any {
			var rules []any
			for port := from; port < to; port++ {
				rules = append(rules, rule("udp", port, "sources"))
			}
			return map[string]any{"inbound_rules": rules}
		}
		a.post(path, ports(1, 1002)).invalid("inbound_rules and outbound_rules together lists 1001 items; at most 1000 can be given")
		a.post(path, ports(1, 900)).empty(http.StatusNoContent)
		a.post(path, ports(1, 900)).empty(http.StatusNoContent) // they are there
		a.post(path, ports(2000, 2900)).invalid("the firewall's rules would list 1801 items together; at most 1000 can be there")
		a.do(http.MethodDelete, path, ports(1, 900)).empty(http.StatusNoContent)
		a.post(path, ports(2000, 2900)).empty(http.StatusNoContent)
	})
}

// A destroyed Droplet leaves its firewalls.
func TestFirewallAndDestroyedDroplet(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		droplet := a.droplet("web")
		id := a.firewall("edge", "droplet_ids", []int64{droplet})
		a.del(dropletPath(droplet)).empty(http.StatusNoContent)
		a.gone(droplet)
		a.inForce(id).shows("firewall.droplet_ids", `[]`)
	})
}

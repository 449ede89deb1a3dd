package api_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// account is an account of its own for one test, and a client with a token
// that may do everything in it.
type account struct {
	*client
	id int64
}

var names atomic.Int64

// newAccount makes an account.
func (s *server) newAccount(t *testing.T) *account {
	t.Helper()
	name := fmt.Sprintf("Account %d", names.Add(1))
	made, err := s.accounts.Add(t.Context(), name, strings.ReplaceAll(strings.ToLower(name), " ", "-")+"@example.com")
	if err != nil {
		t.Fatal(err)
	}
	a := &account{id: made.ID}
	secret, _ := a.newToken(t, s, 0, cloud.FullAccess)
	a.client = newClient(t, s, secret)
	return a
}

// newToken makes a token that ends after a time, or never when that is 0.
func (a *account) newToken(t *testing.T, s *server, lives time.Duration, scopes ...cloud.Scope) (secret string, id int64) {
	t.Helper()
	secret = cloud.NewSecret()
	token, err := s.accounts.AddToken(t.Context(), a.id, "test", secret, scopes, lives)
	if err != nil {
		t.Fatal(err)
	}
	return secret, token.ID
}

// may is the account through a token with the given scopes only.
func (a *account) may(scopes ...cloud.Scope) *account {
	a.t.Helper()
	secret, _ := a.newToken(a.t, a.s, 0, scopes...)
	return &account{newClient(a.t, a.s, secret), a.id}
}

// mayAllBut is the account through a token that lacks some scopes.
func (a *account) mayAllBut(without ...cloud.Scope) *account {
	a.t.Helper()
	scopes := []cloud.Scope{}
	for _, scope := range cloud.AllScopes() {
		if !cloud.Scopes(without).Has(scope) {
			scopes = append(scopes, scope)
		}
	}
	return a.may(scopes...)
}

// within is the account for a subtest.
func (a *account) within(t *testing.T) *account {
	return &account{newClient(t, a.s, a.token), a.id}
}

// settle waits for the action that an answer is about to end.
func (a *account) settle(started *answer) cloud.Action {
	a.t.Helper()
	if started.has("action.id") {
		return a.wait(started.number("action.id"))
	}
	return a.wait(started.number("links.actions.0.id"))
}

// wait waits for an action to end.
func (a *account) wait(action int64) cloud.Action {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), longest)
	defer cancel()
	ended, err := a.s.plane.Runner().Wait(ctx, action)
	if err != nil {
		a.t.Fatalf("waiting for the action %d (%s of %s %s): %v", action, ended.Type, ended.ResourceType, ended.ResourceID, err)
	}
	return ended
}

// gone waits for the destroy of a Droplet to end.
func (a *account) gone(droplet int64) cloud.Action {
	a.t.Helper()
	list := a.get("/v2/actions?per_page=200").is(http.StatusOK)
	for i := range list.at("actions").([]any) {
		at := fmt.Sprintf("actions.%d.", i)
		if list.text(at+"type") == "destroy" && list.number(at+"resource_id") == droplet {
			return a.wait(list.number(at + "id"))
		}
	}
	a.t.Fatalf("nothing destroys Droplet %d", droplet)
	return cloud.Action{}
}

// dropletBody is what a Droplet is created with, and more fields in turn.
func dropletBody(name string, more ...any) map[string]any {
	body := map[string]any{"name": name, "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-12-x64"}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return body
}

// droplet creates a Droplet and waits until it is active.
func (a *account) droplet(name string, more ...any) int64 {
	a.t.Helper()
	made := a.post("/v2/droplets", dropletBody(name, more...)).is(http.StatusAccepted)
	if ended := a.settle(made); ended.Status != cloud.Completed {
		a.t.Fatalf("create %s: %s", name, ended.Error)
	}
	return made.number("droplet.id")
}

func dropletPath(id int64, rest ...string) string {
	return fmt.Sprintf("/v2/droplets/%d", id) + strings.Join(rest, "")
}

// act starts an action of a Droplet and waits for its end.
func (a *account) act(droplet int64, kind string, more ...string) cloud.Action {
	a.t.Helper()
	body := map[string]any{"type": kind}
	for i := 0; i < len(more); i += 2 {
		body[more[i]] = more[i+1]
	}
	return a.settle(a.post(dropletPath(droplet, "/actions"), body).is(http.StatusCreated))
}

// snapshot makes a snapshot of a Droplet and returns its image's ID.
func (a *account) snapshot(droplet int64, name string) int64 {
	a.t.Helper()
	a.act(droplet, "snapshot", "name", name)
	list := a.get(dropletPath(droplet, "/snapshots?per_page=200")).is(http.StatusOK)
	return list.number(fmt.Sprintf("snapshots.%d.id", list.number("meta.total")-1))
}

// volume creates a volume.
func (a *account) volume(name string, more ...any) string {
	a.t.Helper()
	body := map[string]any{"name": name, "region": "nyc3", "size_gigabytes": 10}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return a.post("/v2/volumes", body).is(http.StatusCreated).text("volume.id")
}

// attach attaches a volume and waits for it.
func (a *account) attach(volume string, droplet int64) {
	a.t.Helper()
	body := map[string]any{"type": "attach", "droplet_id": droplet}
	a.settle(a.post("/v2/volumes/"+volume+"/actions", body).is(http.StatusAccepted))
}

// volumeSnapshot makes a snapshot of a volume.
func (a *account) volumeSnapshot(volume, name string) string {
	a.t.Helper()
	return a.post("/v2/volumes/"+volume+"/snapshots", map[string]any{"name": name}).is(http.StatusCreated).text("snapshot.id")
}

// reservedIP reserves an address for a Droplet, or for the region when it is 0.
func (a *account) reservedIP(droplet int64) string {
	a.t.Helper()
	if droplet == 0 {
		return a.post("/v2/reserved_ips", map[string]any{"region": "nyc3"}).is(http.StatusAccepted).text("reserved_ip.ip")
	}
	made := a.post("/v2/reserved_ips", map[string]any{"droplet_id": droplet}).is(http.StatusAccepted)
	a.settle(made)
	return made.text("reserved_ip.ip")
}

// vpc creates a VPC.
func (a *account) vpc(name string, more ...any) string {
	a.t.Helper()
	body := map[string]any{"name": name, "region": "nyc3"}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return a.post("/v2/vpcs", body).is(http.StatusCreated).text("vpc.id")
}

// reservedIPv6 reserves an IPv6 address, assigned to a Droplet unless that is 0.
func (a *account) reservedIPv6(droplet int64) string {
	a.t.Helper()
	ip := a.post("/v2/reserved_ipv6", map[string]any{"region_slug": "nyc3"}).is(http.StatusCreated).text("reserved_ipv6.ip")
	if droplet != 0 {
		a.settle(a.post("/v2/reserved_ipv6/"+ip+"/actions", map[string]any{"type": "assign", "droplet_id": droplet}).is(http.StatusCreated))
	}
	return ip
}

// peering joins two VPCs and waits until they are.
func (a *account) peering(name, one, two string) string {
	a.t.Helper()
	id := a.post("/v2/vpc_peerings", map[string]any{"name": name, "vpc_ids": []string{one, two}}).
		is(http.StatusAccepted).text("vpc_peering.id")
	a.becomesActive("/v2/vpc_peerings/" + id)
	return id
}

// firewallOf is a firewall that lets ssh in, and more fields in turn.
func firewallOf(more ...any) map[string]any {
	body := map[string]any{"name": "edge", "inbound_rules": []any{rule("tcp", "22", "sources", "addresses", []string{"0.0.0.0/0"})}}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return body
}

// rule is a firewall's rule, whose targets are keys and values in turn.
func rule(protocol string, ports any, direction string, targets ...any) map[string]any {
	of := map[string]any{}
	for i := 0; i < len(targets); i += 2 {
		of[targets[i].(string)] = targets[i+1]
	}
	return map[string]any{"protocol": protocol, "ports": ports, direction: of}
}

// firewall creates a firewall.
func (a *account) firewall(name string, more ...any) string {
	a.t.Helper()
	return a.post("/v2/firewalls", firewallOf(append(more, "name", name)...)).is(http.StatusAccepted).text("firewall.id")
}

func ofDroplet(a *account) any { return map[string]any{"droplet_ids": []int64{a.droplet("target")}} }

func ofTag(a *account) any {
	a.tag("target")
	return map[string]any{"tags": []string{"target"}}
}

// publicKey makes an SSH key that nobody has.
func publicKey() string {
	const kind = "ssh-ed25519"
	var key [32]byte
	rand.Read(key[:])
	blob := binary.BigEndian.AppendUint32(nil, uint32(len(kind)))
	blob = append(blob, kind...)
	blob = binary.BigEndian.AppendUint32(blob, uint32(len(key)))
	blob = append(blob, key[:]...)
	return kind + " " + base64.StdEncoding.EncodeToString(blob) + " someone@example.com"
}

// key adds an SSH key.
func (a *account) key(name string) int64 {
	a.t.Helper()
	return a.post("/v2/account/keys", map[string]any{"name": name, "public_key": publicKey()}).
		is(http.StatusCreated).number("ssh_key.id")
}

// fault makes the engine's calls on a resource fail or wait.
func (a *account) fault(operation, resource string, more ...any) int64 {
	a.t.Helper()
	body := map[string]any{"operation": operation, "resource": resource}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return a.post("/_sim/faults", body).is(http.StatusCreated).number("fault.id")
}

// busy leaves a Droplet with an action that does not end.
func (a *account) busy(droplet int64) *answer {
	a.t.Helper()
	a.fault("machine.reset", fmt.Sprint(droplet), "delay", "10h")
	return a.post(dropletPath(droplet, "/actions"), map[string]any{"type": "reboot"}).is(http.StatusCreated)
}

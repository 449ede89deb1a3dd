package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// loaded is a Droplet with one resource of each kind that belongs to it, and
// one of each that does not.
type loaded struct {
	*account
	id                               int64
	volume, copy, ip, ipID, snapshot string
}

func load(t *testing.T, s *server) *loaded {
	t.Helper()
	a := s.newAccount(t)
	l := &loaded{account: a, id: a.droplet("web")}
	l.volume = a.volume("data", "size_gigabytes", 100)
	a.attach(l.volume, l.id)
	l.copy = a.volumeSnapshot(l.volume, "data-copy")
	l.snapshot = fmt.Sprint(a.snapshot(l.id, "web-copy"))
	l.ip = a.reservedIP(l.id)
	a.volumeSnapshot(a.volume("loose"), "loose-copy")
	a.reservedIP(0)
	a.snapshot(a.droplet("other"), "other-copy")
	l.ipID = l.get(l.path("")).text("reserved_ips.0.id")
	return l
}

func (l *loaded) path(rest string) string {
	return dropletPath(l.id, "/destroy_with_associated_resources", rest)
}

func (l *loaded) selective(body any) *answer {
	l.t.Helper()
	return l.do(http.MethodDelete, l.path("/selective"), body)
}

func (l *loaded) dangerous(header ...string) *answer {
	l.t.Helper()
	return l.do(http.MethodDelete, l.path("/dangerous"), nil, header...)
}

func TestAssociatedResources(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		l := load(t, s)
		l.get(l.path("")).is(http.StatusOK).shows("", fmt.Sprintf(`{
			"reserved_ips": [{"id": %[1]q, "name": %[2]q, "cost": "4.00"}],
			"floating_ips": [{"id": %[1]q, "name": %[2]q, "cost": "4.00"}],
			"snapshots": [{"id": %[3]q, "name": "web-copy", "cost": "*"}],
			"volumes": [{"id": %[4]q, "name": "data", "cost": "10.00"}],
			"volume_snapshots": [{"id": %[5]q, "name": "data-copy", "cost": "*"}]}`,
			l.ipID, l.ip, l.snapshot, l.volume, l.copy))
		if l.ipID == l.ip {
			t.Error("a reserved IP's ID is its address")
		}
		l.get(dropletPath(l.droplet("bare"), "/destroy_with_associated_resources")).is(http.StatusOK).shows("", `{
			"reserved_ips": [], "floating_ips": [], "snapshots": [], "volumes": [], "volume_snapshots": []}`)
	})
}

// A resource is listed for who may read its family, and its key stays.
func TestAssociatedResourcesByScope(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		l := load(t, s)
		for scope, keys := range map[cloud.Scope][]string{
			"reserved_ip:read": {"reserved_ips", "floating_ips"}, "image:read": {"snapshots"},
			"block_storage:read": {"volumes"}, "block_storage_snapshot:read": {"volume_snapshots"},
		} {
			with, without := l.may("droplet:read", scope).get(l.path("")), l.mayAllBut(scope).get(l.path(""))
			for _, key := range keys {
				if len(with.texts(key, "id")) != 1 {
					t.Errorf("%s does not show %s", scope, key)
				}
				without.shows(key, `[]`)
			}
		}
	})
}

func TestDestroyRefused(t *testing.T) {
	const confirm = "This destroys the Droplet with everything that belongs to it. To confirm, send the header X-Dangerous: true."
	each(t, func(t *testing.T, s *server) {
		l := load(t, s)
		l.dangerous().invalid(confirm)
		for _, value := range []string{"false", "", "yes", "1", "true, true"} {
			l.dangerous("X-Dangerous", value).invalid(confirm)
		}
		loose := l.volumeNamed("loose")
		for _, test := range []struct {
			name string
			body any
			want string
		}{
			{"another volume", map[string]any{"volumes": []string{loose}}, loose},
			{"two of three", map[string]any{"volumes": []string{l.volume, "x"}, "snapshots": []int{1}}, "x, 1"},
			{"an image for a snapshot", map[string]any{"snapshots": []int{168639140}}, "168639140"},
			{"a volume for a snapshot", map[string]any{"volume_snapshots": []string{l.volume}}, l.volume},
			{"a name", map[string]any{"volumes": []string{"data"}}, "data"},
			{"nothing", map[string]any{"volumes": []any{""}}, ""},
			{"null", map[string]any{"volumes": []any{nil}}, ""},
			{"another address", map[string]any{"reserved_ips": []string{"198.51.100.1"}}, "198.51.100.1"},
		} {
			t.Run(test.name, func(t *testing.T) {
				l.within(t).do(http.MethodDelete, l.path("/selective"), test.body).
					invalid("not associated with this Droplet: " + test.want + ". Nothing was destroyed.")
			})
		}
		l.selective(map[string]any{"volumes": l.volume}).invalid("volumes must be a list, not string")
		l.selective(map[string]any{"volumes": []any{map[string]any{"id": l.volume}}}).
			invalid(`volumes must be a number or a string, not {"id":"` + l.volume + `"}`)
		l.get(l.path("/status")).notFound()
		l.post(l.path("/retry"), nil).notFound()
		l.get(dropletPath(l.id)).shows("droplet.status", `"active"`)
	})
}

// volumeNamed finds a volume by its name.
func (a *account) volumeNamed(name string) string {
	a.t.Helper()
	return a.get("/v2/volumes?name=" + name).text("volumes.0.id")
}

func TestDestroySelective(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		l := load(t, s)
		l.selective(map[string]any{
			"reserved_ips": []string{l.ipID}, "floating_ips": []string{l.ip}, "volumes": []string{l.volume, l.volume},
			"snapshots": []any{json.Number(l.snapshot)},
		}).empty(http.StatusAccepted)
		l.gone(l.id)
		l.get(l.path("/status")).is(http.StatusOK).shows("", fmt.Sprintf(`{
			"droplet": {"id": "%d", "name": "web", "destroyed_at": "*"},
			"resources": {
				"reserved_ips": [{"id": %[2]q, "name": %[3]q, "destroyed_at": "*"}],
				"floating_ips": [{"id": %[2]q, "name": %[3]q, "destroyed_at": "*"}],
				"snapshots": [{"id": %[4]q, "name": "web-copy", "destroyed_at": "*"}],
				"volumes": [{"id": %[5]q, "name": "data", "destroyed_at": "*"}],
				"volume_snapshots": []
			},
			"completed_at": "*", "failures": 0}`, l.id, l.ipID, l.ip, l.snapshot, l.volume))
		l.get(dropletPath(l.id)).notFound()
		l.get("/v2/volumes/" + l.volume).notFound()
		l.get("/v2/images/" + l.snapshot).notFound()
		l.get("/v2/snapshots/" + l.snapshot).notFound()
		l.get("/v2/reserved_ips/" + l.ip).notFound()
		l.get("/v2/volumes/snapshots/" + l.copy).is(http.StatusOK) // nobody listed it
		l.post(l.path("/retry"), nil).invalid("There is nothing to retry.")
		l.selective(nil).notFound()
		l.dangerous("X-Dangerous", "true").notFound()
		l.get(l.path("")).notFound()
		l.get("/v2/volumes/" + l.volumeNamed("loose")).is(http.StatusOK)
	})
}

// Without a body the Droplet alone goes, and what belonged to it stays.
func TestDestroySelectiveNothing(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, body := range []any{nil, "", "{}", "null", map[string]any{"volumes": nil, "snapshots": []int{}}} {
			a := s.newAccount(t)
			l := &loaded{account: a, id: a.droplet("web")}
			volume, ip := a.volume("data"), a.reservedIP(l.id)
			a.attach(volume, l.id)
			l.selective(body).empty(http.StatusAccepted)
			a.gone(l.id)
			l.get(l.path("/status")).shows("resources", `{
				"reserved_ips": [], "floating_ips": [], "snapshots": [], "volumes": [], "volume_snapshots": []}`)
			a.get("/v2/volumes/"+volume).shows("volume.droplet_ids", `[]`)
			a.get("/v2/reserved_ips/"+ip).shows("reserved_ip.droplet", `null`)
		}
	})
}

func TestDestroyDangerous(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, value := range []string{"true", "True"} {
			l := load(t, s)
			l.dangerous("X-Dangerous", value, "Accept", "*/*").empty(http.StatusAccepted)
			l.gone(l.id)
			got := l.get(l.path("/status")).is(http.StatusOK)
			got.shows("failures", `0`)
			for key, id := range map[string]string{
				"reserved_ips": l.ipID, "floating_ips": l.ipID, "snapshots": l.snapshot, "volumes": l.volume, "volume_snapshots": l.copy,
			} {
				if diff := cmp.Diff([]string{id}, got.texts("resources."+key, "id")); diff != "" {
					t.Errorf("%s: %s", key, diff)
				}
			}
			l.get("/v2/volumes/snapshots/" + l.copy).notFound()
			names := l.get("/v2/volumes").texts("volumes", "name")
			if diff := cmp.Diff([]string{"loose"}, names); diff != "" {
				t.Error(diff)
			}
		}
	})
}

// What is under way is told by what is left out: times and errors are never
// null.
func TestDestroyStatusWhileItRuns(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		l := load(t, s)
		l.fault("volume.delete", l.volume, "delay", "10h")
		l.dangerous("X-Dangerous", "true").empty(http.StatusAccepted)
		l.get(l.path("/status")).is(http.StatusOK).shows("droplet", fmt.Sprintf(`{"id": "%d", "name": "web"}`, l.id))
		got := l.get(l.path("/status"))
		if got.has("completed_at") {
			t.Errorf("got %s", got.body)
		}
		got.shows("resources.volumes", fmt.Sprintf(`[{"id": %q, "name": "data"}]`, l.volume))
		got.shows("failures", `0`)

		const running = "This Droplet is already being destroyed."
		conflict := func(a *answer) {
			t.Helper()
			a.refused(http.StatusConflict, cloud.CodeConflict, running)
		}
		conflict(l.post(l.path("/retry"), nil))
		conflict(l.selective(nil))
		conflict(l.dangerous("X-Dangerous", "true"))
		l.del(dropletPath(l.id)).pending()
	})
}

// A failure stops nothing else, is told, and is all that a retry does again.
func TestDestroyRetry(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		l := load(t, s)
		fault := l.fault("volume.delete", l.volume, "error", "the volume is stuck")
		l.dangerous("X-Dangerous", "true").empty(http.StatusAccepted)
		l.gone(l.id)
		first := l.get(l.path("/status")).is(http.StatusOK)
		first.shows("failures", `1`)
		first.shows("completed_at", `"*"`)
		first.shows("droplet.destroyed_at", `"*"`)
		first.shows("resources.volumes", fmt.Sprintf(`[{"id": %q, "name": "data", "error_message": "the volume is stuck"}]`, l.volume))
		first.shows("resources.snapshots.0.destroyed_at", `"*"`)
		for scope, key := range map[cloud.Scope]string{
			"reserved_ip:read": "reserved_ips", "image:read": "snapshots",
			"block_storage:read": "volumes", "block_storage_snapshot:read": "volume_snapshots",
		} {
			with, without := l.may("droplet:delete", scope).get(l.path("/status")), l.mayAllBut(scope).get(l.path("/status"))
			if len(with.texts("resources."+key, "id")) != 1 {
				t.Errorf("%s does not show %s", scope, key)
			}
			without.shows("resources."+key, `[]`)
			without.shows("failures", `1`)
		}
		l.get("/v2/volumes/"+l.volume).is(http.StatusOK).shows("volume.droplet_ids", `[]`)

		l.del(fmt.Sprintf("/_sim/faults/%d", fault)).empty(http.StatusNoContent)
		l.post(l.path("/retry"), nil).empty(http.StatusAccepted)
		l.gone(l.id)
		second := l.get(l.path("/status")).is(http.StatusOK)
		second.shows("failures", `0`)
		second.shows("resources.volumes", fmt.Sprintf(`[{"id": %q, "name": "data", "destroyed_at": "*"}]`, l.volume))
		for _, unchanged := range []string{"droplet", "resources.snapshots", "resources.reserved_ips", "resources.volume_snapshots"} {
			if diff := cmp.Diff(first.at(unchanged), second.at(unchanged)); diff != "" {
				t.Errorf("%s: %s", unchanged, diff)
			}
		}
		l.get("/v2/volumes/" + l.volume).notFound()
		l.post(l.path("/retry"), nil).invalid("There is nothing to retry.")
	})
}

// A destroy is accepted while something else goes on, be it the create.
func TestDestroyBusyDroplet(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		busy := &loaded{account: a, id: a.droplet("web")}
		a.busy(busy.id)
		busy.selective(nil).empty(http.StatusAccepted)
		a.gone(busy.id)
		a.get(dropletPath(busy.id)).notFound()

		a.fault("machine.create", "slow", "delay", "10h")
		made := a.post("/v2/droplets", dropletBody("slow")).is(http.StatusAccepted)
		fresh := &loaded{account: a, id: made.number("droplet.id")}
		fresh.dangerous("X-Dangerous", "true").empty(http.StatusAccepted)
		if got := a.get(dropletPath(fresh.id)); got.status == http.StatusOK && got.text("droplet.status") == "new" {
			t.Error("it is still new")
		}
		a.gone(fresh.id)
		fresh.get(fresh.path("/status")).shows("droplet.destroyed_at", `"*"`)
	})
}

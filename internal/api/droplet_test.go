package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func TestListDropletsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.get("/v2/droplets?type=cpus").invalid("type must be droplets or gpus")
		a.get("/v2/droplets?tag_name=a&name=b").invalid("tag_name cannot be combined with name or type")
		a.get("/v2/droplets?tag_name=a&type=gpus").invalid("tag_name cannot be combined with name or type")
		a.mayAllBut("tag:read").get("/v2/droplets?tag_name=a").forbidden()
	})
}

func TestListDroplets(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		other.droplet("web", "tags", []string{"blue"})
		a.droplet("web", "tags", []string{"blue"})
		a.droplet("Web")
		a.droplet("db", "tags", []string{"blue", "Green"})
		a.droplet("gpu", "region", "nyc2", "size", "gpu-h100x1-80gb", "image", "gpu-h100x1-base", "tags", []string{"blue"})
		for query, want := range map[string][]string{
			"":                   {"web", "Web", "db"},
			"type=droplets":      {"web", "Web", "db"},
			"type=gpus":          {"gpu"},
			"name=WEB":           {"web", "Web"},
			"name=gpu":           {"gpu"},
			"name=gpu&type=gpus": {"gpu"},
			"name=web&type=gpus": {},
			"name=we":            {},
			"name=w%25":          {},
			"name=":              {"web", "Web", "db"},
			"tag_name=blue":      {"web", "db", "gpu"},
			"tag_name=Green":     {"db"},
			"tag_name=nobody":    {},
			"tag_name=%25":       {},
			"unknown=1":          {"web", "Web", "db"},
		} {
			got := a.get("/v2/droplets?" + query).is(http.StatusOK)
			if diff := cmp.Diff(want, got.texts("droplets", "name")); diff != "" {
				t.Errorf("%s (-want +got)\n%s", query, diff)
			}
			got.shows("meta", fmt.Sprintf(`{"total": %d}`, len(want)))
			got.shows("links", `{"pages": {}}`)
		}
	})
}

// A Droplet is shown in the list as it is shown by itself.
func TestListedDropletIsTheDroplet(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web", "ipv6", true, "tags", []string{"x"}, "volumes", []any{a.volume("data")})
		a.snapshot(id, "snap")
		a.reservedIP(id)
		one, list := a.get(dropletPath(id)), a.get("/v2/droplets")
		if diff := cmp.Diff(one.at("droplet"), list.at("droplets.0")); diff != "" {
			t.Error(diff)
		}
		ips := a.get("/v2/reserved_ips")
		if diff := cmp.Diff(one.at("droplet"), ips.at("reserved_ips.0.droplet")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNeighbors(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		one, two := a.droplet("one"), a.droplet("two")
		other.droplet("three")
		got := a.get(dropletPath(one, "/neighbors")).is(http.StatusOK)
		if got.has("links") || got.has("meta") {
			t.Errorf("got %s", got.body)
		}
		for _, id := range got.texts("droplets", "id") {
			if id == fmt.Sprint(one) {
				t.Error("a Droplet is its own neighbour")
			}
			if id != fmt.Sprint(two) {
				t.Errorf("%s is a neighbour", id)
			}
		}
	})
}

func TestDeleteDroplet(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		volume := a.volume("data")
		id := a.droplet("web", "volumes", []any{volume}, "tags", []string{"x"})
		snap := a.snapshot(id, "snap")
		ip := a.reservedIP(id)
		a.del(dropletPath(id)).empty(http.StatusNoContent)
		if ended := a.gone(id); ended.Status != cloud.Completed {
			t.Fatal(ended.Error)
		}
		a.get(dropletPath(id)).notFound()
		a.del(dropletPath(id)).notFound()
		a.get(dropletPath(id, "/actions")).notFound()
		a.get("/v2/volumes/"+volume).shows("volume.droplet_ids", `[]`)
		a.del("/v2/volumes/" + volume).empty(http.StatusNoContent) // at once, as Terraform does
		a.get("/v2/reserved_ips/"+ip).shows("reserved_ip.droplet", `null`)
		a.get(fmt.Sprintf("/v2/images/%d", snap)).is(http.StatusOK)
		a.get("/v2/droplets?tag_name=x").shows("droplets", `[]`)
		newest := a.get("/v2/actions").is(http.StatusOK)
		newest.shows("actions.0.type", `"destroy"`)
		newest.shows("actions.0.status", `"completed"`)
	})
}

// A Droplet that something goes on with is not deleted, except while it is
// new.
func TestDeleteBusyDroplet(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		a.busy(id)
		a.get(dropletPath(id)).shows("droplet.locked", `true`)
		a.del(dropletPath(id)).pending()

		a.fault("machine.create", "slow", "delay", "10h")
		made := a.post("/v2/droplets", dropletBody("slow")).is(http.StatusAccepted)
		slow := dropletPath(made.number("droplet.id"))
		a.get(slow).shows("droplet.status", `"new"`)
		a.get(slow).shows("droplet.locked", `false`)
		if a.get(slow).has("droplet.vpc_uuid") {
			t.Error("a new Droplet shows its VPC before it is placed")
		}
		a.post(slow+"/actions", map[string]any{"type": "power_off"}).pending()
		a.del(slow).empty(http.StatusNoContent)
		a.gone(made.number("droplet.id"))
		a.get(slow).notFound()
	})
}

// While it goes it looks like any other, locks nothing, and takes nothing on.
func TestDropletWhileItGoes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		volume, ip := a.volume("data"), a.reservedIP(0)
		a.fault("machine.destroy", fmt.Sprint(id), "delay", "10h")
		a.del(dropletPath(id)).empty(http.StatusNoContent)
		got := a.get(dropletPath(id)).is(http.StatusOK)
		got.shows("droplet.locked", `false`)
		if status := got.text("droplet.status"); status != "active" && status != "off" {
			t.Errorf("the status is %s", status)
		}
		a.del(dropletPath(id)).pending()
		a.post(dropletPath(id, "/actions"), map[string]any{"type": "power_on"}).pending()
		a.post("/v2/volumes/"+volume+"/actions", map[string]any{"type": "attach", "droplet_id": id}).pending()
		a.post("/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "assign", "droplet_id": id}).pending()
		a.post("/v2/reserved_ips", map[string]any{"droplet_id": id}).pending()
	})
}

func TestDropletSnapshots(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		a.get(dropletPath(id, "/snapshots")).shows("", `{"snapshots": [], "links": {}, "meta": {"total": 0}}`)
		snap := a.snapshot(id, "nightly")
		a.get(dropletPath(id, "/snapshots")).shows("snapshots", fmt.Sprintf(`[{
			"id": %d, "name": "nightly", "type": "snapshot", "distribution": "Debian", "slug": null, "public": false,
			"regions": ["nyc3"], "created_at": "*", "min_disk_size": 25, "size_gigabytes": "*", "description": "",
			"tags": [], "status": "available", "error_message": ""}]`, snap))
		a.get(dropletPath(id)).shows("droplet.snapshot_ids", fmt.Sprintf(`[%d]`, snap))
	})
}

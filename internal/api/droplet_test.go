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

func TestDeleteTaggedDroplets(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		one, two := a.droplet("one", "tags", []string{"web"}), a.droplet("two", "tags", []string{"web", "b"})
		a.droplet("three", "tags", []string{"c"})
		other.droplet("theirs", "tags", []string{"web", "theirs"})
		a.mayAllBut("droplet:delete").del("/v2/droplets?tag_name=web").forbidden()
		a.mayAllBut("tag:read").del("/v2/droplets?tag_name=web").forbidden()
		const missing = "tag_name is required: the tag of the Droplets that this is about"
		a.del("/v2/droplets").invalid(missing)
		a.del("/v2/droplets?tag_name=").invalid(missing)
		a.del("/v2/droplets?tag_name=theirs").notFound()
		a.del("/v2/droplets?tag_name=Web").notFound()
		a.get("/v2/droplets").shows("meta.total", `3`)

		a.fault("machine.destroy", fmt.Sprint(one), "delay", "1s", "times", 1)
		a.del("/v2/droplets?tag_name=web").empty(http.StatusNoContent)
		a.del("/v2/droplets?tag_name=web").empty(http.StatusNoContent) // those that go are passed over
		a.gone(one)
		a.gone(two)
		if diff := cmp.Diff([]string{"three"}, a.get("/v2/droplets").texts("droplets", "name")); diff != "" {
			t.Error(diff)
		}
		other.get("/v2/droplets").shows("meta.total", `1`)
		a.del("/v2/droplets?tag_name=b").empty(http.StatusNoContent) // no Droplet has it now
	})
}

// Droplets run the kernel of their own system.
func TestKernels(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		path := dropletPath(a.droplet("web"), "/kernels")
		a.mayAllBut("droplet:read").get(path).forbidden()
		s.newAccount(t).get(path).notFound()
		a.get("/v2/droplets/x/kernels").notFound()
		a.get(path+"?page=1&per_page=5").is(http.StatusOK).shows("", `{"kernels": [], "links": {}, "meta": {"total": 0}}`)
	})
}

// The sets of Droplets on one host, as IDs, and as the Droplets themselves for
// older clients.
func TestNeighborReports(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.mayAllBut("droplet:read").get("/v2/reports/droplet_neighbors_ids").forbidden()
		a.mayAllBut("droplet:read").get("/v2/reports/droplet_neighbors").forbidden()
		a.get("/v2/reports/droplet_neighbors_ids").is(http.StatusOK).shows("", `{"neighbor_ids": []}`)
		ids := []int64{}
		for range 40 { // more than fit on one host
			ids = append(ids, a.droplet("web"))
		}
		seen := map[string]bool{}
		sets := a.get("/v2/reports/droplet_neighbors_ids").is(http.StatusOK).at("neighbor_ids").([]any)
		for _, set := range sets {
			if len(set.([]any)) < 2 {
				t.Errorf("%v is no set of neighbours", set)
			}
			for _, id := range set.([]any) {
				seen[fmt.Sprint(id)] = true
			}
		}
		for _, id := range ids {
			alone := fmt.Sprint(a.get(dropletPath(id, "/neighbors")).at("droplets")) == "[]"
			if seen[fmt.Sprint(id)] == alone {
				t.Errorf("Droplet %d has no neighbours: %t; in a set: %t", id, alone, !alone)
			}
		}
		got := a.get("/v2/reports/droplet_neighbors?per_page=2&page=2").is(http.StatusOK)
		got.shows("meta.total", fmt.Sprint(len(sets)))
		if shown := got.at("neighbors").([]any); len(shown) != 2 {
			t.Errorf("%d sets on a page", len(shown))
		}
		got.shows("neighbors.0.0.id", fmt.Sprint(sets[2].([]any)[0]))
		got.shows("neighbors.0.0.name", `"web"`)
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

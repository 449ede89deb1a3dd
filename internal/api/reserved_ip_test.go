package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ipFamilies are the two names that reserved IPs go by.
var ipFamilies = []struct{ path, key string }{
	{"/v2/reserved_ips", "reserved_ip"},
	{"/v2/floating_ips", "floating_ip"},
}

func TestReserveIPRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		theirs := other.droplet("theirs")
		for _, family := range ipFamilies {
			post := func(body any) *answer { return a.post(family.path, body) }
			post(nil).invalid("Either a droplet_id or a region is required")
			post(map[string]any{"region": "", "droplet_id": 0}).invalid("Either a droplet_id or a region is required")
			post(map[string]any{"region": "mars1"}).invalid(`region "mars1" does not exist`)
			post(map[string]any{"region": "sfo1"}).invalid("sfo1 is unavailable.")
			post(map[string]any{"region": 3}).invalid("region must be a string, not number")
			post(map[string]any{"droplet_id": "web"}).invalid(`droplet_id must be a whole number, not "web"`)
			post(map[string]any{"droplet_id": theirs}).notFound()
			post(map[string]any{"droplet_id": -1}).notFound()
			a.get(family.path).shows(family.key+"s", `[]`)
		}
	})
}

func TestReservedIPs(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, family := range ipFamilies {
			a := s.newAccount(t)
			made := a.post(family.path, map[string]any{"region": "NYC3", "project_id": "x"}).is(http.StatusAccepted)
			made.shows("", fmt.Sprintf(`{%q: {
				"ip": "*", "droplet": null, "locked": false, "project_id": "*",
				"region": {"name": "New York 3", "slug": "nyc3", "features": "*", "available": true, "sizes": "*"}},
				"links": {}}`, family.key))
			path := family.path + "/" + made.text(family.key+".ip")
			one, list := a.get(path).is(http.StatusOK), a.get(family.path).is(http.StatusOK)
			for _, same := range []any{one.at(family.key), list.at(family.key + "s.0")} {
				if diff := cmp.Diff(made.at(family.key), same); diff != "" {
					t.Error(diff)
				}
			}
			list.shows("meta", `{"total": 1}`)
			list.shows("links", `{}`)
			a.get(path+"/actions").shows("", `{"actions": [], "links": {}, "meta": {"total": 0}}`)
			a.del(path).empty(http.StatusNoContent)
			a.del(path).notFound()
			a.get(path).notFound()
		}
	})
}

// An address for a Droplet is there at once, locked, and assigned later.
func TestReserveIPForDroplet(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, family := range ipFamilies {
			a := s.newAccount(t)
			droplet := a.droplet("web")
			a.fault("network.apply", fmt.Sprint(droplet), "delay", "100ms", "times", 1)
			made := a.post(family.path, map[string]any{"droplet_id": fmt.Sprint(droplet), "region": "ams3"}).is(http.StatusAccepted)
			made.shows(family.key+".droplet", `null`)
			made.shows(family.key+".locked", `true`)
			made.shows(family.key+".region.slug", `"nyc3"`)
			action := made.number("links.actions.0.id")
			made.shows("links", fmt.Sprintf(`{
				"droplets": [{"id": %d, "rel": "droplet", "href": "%s/v2/droplets/%d"}],
				"actions": [{"id": %d, "rel": "assign_ip", "href": "%s/v2/actions/%d"}]}`, droplet, s.URL, droplet, action, s.URL, action))
			a.settle(made)
			ip := made.text(family.key + ".ip")
			got := a.get(family.path + "/" + ip)
			got.shows(family.key+".locked", `false`)
			got.shows(family.key+".droplet.id", fmt.Sprint(droplet))
			for _, network := range a.get(dropletPath(droplet)).texts("droplet.networks.v4", "ip_address") {
				if network == ip {
					t.Error("the address is among the Droplet's own")
				}
			}
		}
	})
}

func TestReservedIPActionsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		far, taken, theirs := a.droplet("far", "region", "ams3"), a.droplet("taken"), other.droplet("theirs")
		a.reservedIP(taken)
		for _, family := range ipFamilies {
			ip := a.reservedIP(0)
			post := func(body any) *answer { return a.post(family.path+"/"+ip+"/actions", body) }
			post(nil).invalid("type must be assign or unassign")
			post(map[string]any{"type": "release"}).invalid("type must be assign or unassign")
			post(map[string]any{"type": 1}).invalid("type must be a string, not number")
			post(map[string]any{"type": "assign", "droplet_id": []int{1}}).invalid("droplet_id must be a whole number, not [1]")
			post(map[string]any{"type": "assign"}).invalid("droplet_id is required")
			post(map[string]any{"type": "assign", "droplet_id": 7}).notFound()
			other.post(family.path+"/"+ip+"/actions", map[string]any{"type": "assign"}).notFound()
			post(map[string]any{"type": "assign", "droplet_id": theirs}).notFound()
			post(map[string]any{"type": "assign", "droplet_id": far}).invalid("The reserved IP is in nyc3 and the droplet is in ams3.")
			post(map[string]any{"type": "assign", "droplet_id": taken}).invalid("The droplet already has a reserved IP.")
			post(map[string]any{"type": "unassign"}).invalid("The reserved IP is not assigned to a droplet.")
		}
	})
}

func TestReservedIPActions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, family := range ipFamilies {
			a := s.newAccount(t)
			one, two := a.droplet("one"), a.droplet("two")
			ip := a.reservedIP(0)
			path := family.path + "/" + ip + "/actions"
			began := a.post(path, map[string]any{"type": "assign", "droplet_id": one}).is(http.StatusCreated)
			began.shows("action", fmt.Sprintf(`{
				"id": "*", "status": "in-progress", "type": "assign_ip", "started_at": "*", "completed_at": null,
				"resource_id": %d, "resource_type": %q, "region": "*", "region_slug": "nyc3", "project_id": "*"}`,
				addressNumber(t, ip), family.key))
			a.settle(began)
			a.post(path, map[string]any{"type": "assign", "droplet_id": one}).invalid("The droplet already has a reserved IP.")
			a.settle(a.post(path, map[string]any{"type": "assign", "droplet_id": two}).is(http.StatusCreated)) // moves it
			a.get(family.path+"/"+ip).shows(family.key+".droplet.id", fmt.Sprint(two))
			a.settle(a.post(path, map[string]any{"type": "unassign"}).is(http.StatusCreated))
			a.get(family.path+"/"+ip).shows(family.key+".droplet", `null`)
			a.post(path, map[string]any{"type": "unassign"}).invalid("The reserved IP is not assigned to a droplet.")

			for _, under := range ipFamilies { // the same actions by both names
				list := a.get(under.path + "/" + ip + "/actions").is(http.StatusOK)
				if diff := cmp.Diff([]string{"unassign_ip", "assign_ip", "assign_ip"}, list.texts("actions", "type")); diff != "" {
					t.Error(diff)
				}
				list.shows("actions.0.resource_type", fmt.Sprintf("%q", under.key))
				a.get(under.path+"/"+ip+"/actions/"+began.text("action.id")).is(http.StatusOK).
					shows("action.resource_type", fmt.Sprintf("%q", under.key))
			}
			a.get("/v2/actions/"+began.text("action.id")).shows("action.resource_type", fmt.Sprintf("%q", family.key))
			a.get(family.path + "/" + a.reservedIP(0) + "/actions/" + began.text("action.id")).notFound()
			a.get(path + "/1").notFound()
		}
	})
}

// Nothing is assigned to a Droplet that something goes on with, and an address
// on its way takes no other.
func TestReservedIPsAndBusyDroplets(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		droplet, ip := a.droplet("web"), a.reservedIP(0)
		a.busy(droplet)
		assign := map[string]any{"type": "assign", "droplet_id": droplet}
		a.post("/v2/reserved_ips/"+ip+"/actions", assign).pending()
		a.post("/v2/reserved_ips", map[string]any{"droplet_id": droplet}).pending()
		a.get("/v2/reserved_ips").shows("meta.total", `1`) // none is left over

		a.fault("machine.create", "new", "delay", "10h")
		made := a.post("/v2/droplets", dropletBody("new")).is(http.StatusAccepted)
		a.post("/v2/reserved_ips", map[string]any{"droplet_id": made.number("droplet.id")}).pending()

		slow := a.droplet("slow")
		a.fault("network.apply", fmt.Sprint(slow), "delay", "10h")
		a.post("/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "assign", "droplet_id": slow}).is(http.StatusCreated)
		a.get("/v2/reserved_ips/"+ip).shows("reserved_ip.locked", `true`)
		a.post("/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "unassign"}).pending()
		a.del("/v2/reserved_ips/" + ip).pending()
	})
}

// Giving an assigned address back takes it from its Droplet.
func TestDeleteAssignedReservedIP(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		droplet := a.droplet("web")
		ip := a.reservedIP(droplet)
		a.del("/v2/floating_ips/" + ip).empty(http.StatusNoContent)
		a.get("/v2/reserved_ips/" + ip).notFound()
		a.reservedIP(droplet) // which is free for another now
	})
}

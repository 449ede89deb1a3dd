package api_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReserveIPv6Refused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		post := func(body any) *answer { return a.post("/v2/reserved_ipv6", body) }
		post(nil).invalid("region_slug is required")
		post(map[string]any{"region_slug": ""}).invalid("region_slug is required")
		post(map[string]any{"region_slug": 3}).invalid("region_slug must be a string, not number")
		post(map[string]any{"region_slug": "mars1"}).invalid(`region "mars1" does not exist`)
		post(map[string]any{"region_slug": "sfo1"}).invalid("sfo1 is unavailable.")
		a.get("/v2/reserved_ipv6").shows("", `{"reserved_ipv6s": [], "links": {}, "meta": {"total": 0}}`)
		for _, ip := range []string{a.reservedIP(0), "fe80::1%25eth0", "2001:db8::1"} {
			a.get("/v2/reserved_ipv6/" + ip).notFound()
		}
	})
}

func TestReservedIPv6s(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		made := a.post("/v2/reserved_ipv6", map[string]any{"region_slug": "NYC3"}).is(http.StatusCreated)
		made.shows("", `{"reserved_ipv6": {"ip": "*", "region_slug": "nyc3", "reserved_at": "*"}}`)
		ip := made.text("reserved_ipv6.ip")
		list := a.get("/v2/reserved_ipv6").is(http.StatusOK)
		if diff := cmp.Diff(made.at("reserved_ipv6"), list.at("reserved_ipv6s.0")); diff != "" {
			t.Error(diff)
		}
		list.shows("meta", `{"total": 1}`)
		for _, written := range []string{ip, strings.ToUpper(ip), strings.ReplaceAll(ip, ":", "%3A"), netip.MustParseAddr(ip).StringExpanded()} {
			a.get("/v2/reserved_ipv6/"+written).is(http.StatusOK).
				shows("reserved_ipv6", fmt.Sprintf(`{"ip": %q, "region_slug": "nyc3", "reserved_at": "*", "droplet": null}`, ip))
		}
		a.del("/v2/reserved_ipv6/" + strings.ReplaceAll(ip, ":", "%3A")).empty(http.StatusNoContent)
		a.del("/v2/reserved_ipv6/" + ip).notFound()
	})
}

func TestReservedIPv6ActionsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		far, taken, theirs := a.droplet("far", "region", "ams3"), a.droplet("taken"), other.droplet("theirs")
		alone, busy := a.droplet("alone", "public_networking", false), a.droplet("busy")
		had := a.reservedIPv6(taken)
		path := "/v2/reserved_ipv6/" + a.reservedIPv6(0) + "/actions"
		post := func(body any) *answer { return a.post(path, body) }
		assign := func(droplet any) *answer { return post(map[string]any{"type": "assign", "droplet_id": droplet}) }
		post(nil).invalid("type must be assign or unassign")
		post(map[string]any{"type": "release"}).invalid("type must be assign or unassign")
		post(map[string]any{"type": 1}).invalid("type must be a string, not number")
		post(map[string]any{"type": "unassign"}).invalid("The reserved IPv6 is not assigned to a droplet.")
		assign([]int{1}).invalid("droplet_id must be a whole number, not [1]")
		assign(nil).invalid("droplet_id is required")
		assign(7).notFound()
		other.post(path, map[string]any{"type": "assign"}).notFound()
		assign(theirs).notFound()
		assign(far).invalid("The reserved IPv6 is in nyc3 and the droplet is in ams3.")
		assign(taken).invalid("The droplet already has a reserved IPv6.")
		assign(alone).invalid("The droplet has no public networking.")
		a.busy(busy)
		assign(busy).pending()
		a.del("/v2/reserved_ipv6/" + had).invalid("The reserved IPv6 is assigned to a droplet; unassign it first.")
	})
}

func TestReservedIPv6Actions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		one, two := a.droplet("one"), a.droplet("two")
		four := a.reservedIP(one)
		ip := a.reservedIPv6(0)
		path := "/v2/reserved_ipv6/" + ip
		assign := func(droplet int64) *answer {
			return a.post(path+"/actions", map[string]any{"type": "assign", "droplet_id": droplet}).is(http.StatusCreated)
		}
		began := assign(one)
		began.shows("action", `{"id": "*", "status": "in-progress", "type": "assign_ip", "started_at": "*", "completed_at": null,
			"resource_id": "*", "resource_type": "reserved_ipv6", "region": "*", "region_slug": "nyc3"}`)
		a.settle(began)
		a.get("/v2/actions/"+began.text("action.id")).shows("action.status", `"completed"`)
		a.get(path).shows("reserved_ipv6.droplet.id", fmt.Sprint(one))
		a.get("/v2/reserved_ipv6").shows("reserved_ipv6s.0.droplet.id", fmt.Sprint(one))
		a.get("/v2/reserved_ips/"+four).shows("reserved_ip.droplet.id", fmt.Sprint(one)) // which it keeps
		a.settle(assign(two))                                                            // moves it
		a.get(path).shows("reserved_ipv6.droplet.id", fmt.Sprint(two))
		a.settle(a.post(path+"/actions", map[string]any{"type": "unassign"}).is(http.StatusCreated))
		a.get(path).shows("reserved_ipv6.droplet", `null`)
		a.settle(assign(two))
		a.del(dropletPath(two)).is(http.StatusNoContent)
		a.gone(two)
		a.get(path).shows("reserved_ipv6.droplet", `null`)
		a.del(path).empty(http.StatusNoContent)
	})
}

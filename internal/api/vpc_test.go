package api_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func vpcBody(more ...any) map[string]any {
	body := map[string]any{"name": "inner", "region": "nyc3"}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return body
}

func TestCreateVPCRefused(t *testing.T) {
	long := strings.Repeat("x", 256)
	tests := []struct {
		name string
		more []any
		want string
	}{
		{"no name", []any{"name", nil}, "name is required"},
		{"an empty name", []any{"name", ""}, "name is required"},
		{"a number for a name", []any{"name", 1}, "name must be a string, not number"},
		{"a space in the name", []any{"name", "a b"}, `name "a b": VPC names have letters, digits, dashes and periods`},
		{"a long name", []any{"name", long}, "name is too long (maximum is 255 characters)"},
		{"a name that is taken", []any{"name", "default-nyc3"}, "a VPC with the name default-nyc3 already exists in your account"},
		{"a long description", []any{"description", long}, "description is too long (maximum is 255 characters)"},
		{"no region", []any{"region", nil}, "region is required"},
		{"an unknown region", []any{"region", "mars1"}, `region "mars1" does not exist`},
		{"a region without room", []any{"region", "sfo1"}, "sfo1 is unavailable."},
		{"no range at all", []any{"ip_range", "home"}, `ip_range "home" is not an IPv4 range in CIDR notation such as 10.10.10.0/24`},
		{"an IPv6 range", []any{"ip_range", "fd00::/24"}, `ip_range "fd00::/24" is not an IPv4 range in CIDR notation such as 10.10.10.0/24`},
		{"a large range", []any{"ip_range", "10.0.0.0/15"}, "ip_range 10.0.0.0/15 is a /15; it must be between /16 and /28"},
		{"a small range", []any{"ip_range", "10.0.0.0/29"}, "ip_range 10.0.0.0/29 is a /29; it must be between /16 and /28"},
		{"host bits", []any{"ip_range", "10.0.0.5/24"}, "ip_range 10.0.0.5/24 has host bits set; the range is 10.0.0.0/24"},
		{
			"a public range", []any{"ip_range", "172.32.0.0/16"},
			"ip_range 172.32.0.0/16 is not private; it must be within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16",
		},
		{
			"a default VPC's range", []any{"ip_range", "10.96.4.0/24"},
			"This range/size overlaps with another VPC network in your account: default-nyc1 10.96.0.0/16.",
		},
		{
			"a part of another's range", []any{"ip_range", "10.10.10.0/28"},
			"This range/size overlaps with another VPC network in your account: taken 10.10.10.0/24.",
		},
		{
			"a range around another's", []any{"ip_range", "10.10.0.0/16"},
			"This range/size overlaps with another VPC network in your account: taken 10.10.10.0/24.",
		},
	}
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.vpc("taken", "ip_range", "10.10.10.0/24")
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) { a.within(t).post("/v2/vpcs", vpcBody(test.more...)).invalid(test.want) })
		}
		other := s.newAccount(t)
		other.vpc("taken", "ip_range", "10.10.10.0/24") // another account's ranges and names are its own
	})
}

// Every region has a default VPC before anything else is there.
func TestDefaultVPCs(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		list := a.get("/v2/vpcs?per_page=200").is(http.StatusOK)
		regions := map[string]bool{}
		for i, region := range list.texts("vpcs", "region") {
			regions[region] = true
			if name := list.text(fmt.Sprintf("vpcs.%d.name", i)); name != "default-"+region {
				t.Errorf("the default VPC of %s is named %s", region, name)
			}
			list.shows(fmt.Sprintf("vpcs.%d.default", i), `true`)
		}
		if len(regions) != len(cloud.DefaultCatalog().Regions) {
			t.Errorf("there are default VPCs in %v", regions)
		}
		id := list.text("vpcs.0.id")
		a.del("/v2/vpcs/"+id).refused(http.StatusForbidden, cloud.CodeForbidden, "Can not delete default VPC")
	})
}

func TestVPCs(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		began := time.Now().Truncate(time.Microsecond)
		made := a.post("/v2/vpcs", vpcBody("description", "for tests", "ip_range", "10.10.10.0/24")).is(http.StatusCreated)
		id := made.text("vpc.id")
		want := `{"id": "*", "urn": "do:vpc:` + id + `", "name": "inner", "description": "for tests", "region": "nyc3",
			"ip_range": "10.10.10.0/24", "resolver_ip": "10.10.10.254", "default": false, "created_at": "*"}`
		made.shows("vpc", want)
		at, err := time.Parse(time.RFC3339Nano, made.text("vpc.created_at"))
		if err != nil || at.Before(began) {
			t.Errorf("created at %s, which began at %s: %v", at, began, err)
		}
		one := a.get("/v2/vpcs/" + strings.ToUpper(id)).is(http.StatusOK)
		one.shows("vpc", want)
		one.shows("vpc.created_at", `"`+at.Format("2006-01-02T15:04:05Z")+`"`)
		total := a.get("/v2/vpcs").number("meta.total")
		last := a.get(fmt.Sprintf("/v2/vpcs?per_page=1&page=%d", total)).is(http.StatusOK)
		if diff := cmp.Diff(one.at("vpc"), last.at("vpcs.0")); diff != "" {
			t.Error(diff)
		}
		a.get("/v2/vpcs/"+id+"/members").shows("", `{"members": [], "links": {}, "meta": {"total": 0}}`)
		a.del("/v2/vpcs/" + id).empty(http.StatusNoContent)
		a.del("/v2/vpcs/" + id).notFound()
		a.vpc("inner", "ip_range", "10.10.10.0/24") // name and range are free again
	})
}

// A VPC without a range gets one that no other has.
func TestVPCsGetFreshRanges(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.vpc("mine", "ip_range", "10.128.8.0/24") // in the way of the first
		for i, want := range []string{"10.128.16.0/20", "10.128.32.0/20", "10.128.48.0/20"} {
			got := a.get("/v2/vpcs/" + a.vpc(fmt.Sprint("fresh-", i), "ip_range", "")).text("vpc.ip_range")
			if i == 0 && got == "10.128.0.0/20" || got != want {
				t.Errorf("the range is %s, want %s", got, want)
			}
		}
	})
}

func TestChangeVPCRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		path := "/v2/vpcs/" + a.vpc("inner")
		long := strings.Repeat("x", 256)
		a.put(path, nil).invalid("name is required")
		a.put(path, map[string]any{"description": "d"}).invalid("name is required")
		for _, change := range []func(string, any) *answer{a.put, a.patch} {
			change(path, map[string]any{"name": ""}).invalid("name is required")
			change(path, map[string]any{"name": "a_b"}).invalid(`name "a_b": VPC names have letters, digits, dashes and periods`)
			change(path, map[string]any{"name": "default-ams3"}).invalid("a VPC with the name default-ams3 already exists in your account")
			change(path, map[string]any{"name": "inner", "description": long}).invalid("description is too long (maximum is 255 characters)")
			change(path, map[string]any{"name": "inner", "default": "maybe"}).invalid(`default must be true or false, not "maybe"`)
		}
		a.get(path).shows("vpc.description", `""`)
	})
}

// A PUT replaces what it leaves out, a PATCH does not.
func TestChangeVPC(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		path := "/v2/vpcs/" + a.vpc("inner", "description", "old")
		shows := func(got *answer, name, description string) {
			t.Helper()
			got.is(http.StatusOK).shows("vpc.name", fmt.Sprintf("%q", name))
			got.shows("vpc.description", fmt.Sprintf("%q", description))
			if diff := cmp.Diff(got.decoded(), a.get(path).decoded()); diff != "" {
				t.Error(diff)
			}
		}
		shows(a.patch(path, nil), "inner", "old")
		shows(a.patch(path, map[string]any{"name": "new"}), "new", "old")
		shows(a.patch(path, map[string]any{"description": "next"}), "new", "next")
		shows(a.put(path, map[string]any{"name": "new", "description": "whole", "default": false}), "new", "whole")
		shows(a.put(path, map[string]any{"name": "inner"}), "inner", "")
	})
}

// The default of a region moves and is never unset.
func TestMoveDefaultVPC(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		path := "/v2/vpcs/" + a.vpc("inner")
		a.patch(path, map[string]any{"default": true}).is(http.StatusOK).shows("vpc.default", `true`)
		list := a.get("/v2/vpcs?per_page=200")
		old := ""
		for i, name := range list.texts("vpcs", "name") {
			if name == "default-nyc3" {
				old = list.text(fmt.Sprintf("vpcs.%d.id", i))
			}
		}
		a.get("/v2/vpcs/"+old).shows("vpc.default", `false`)
		a.get(dropletPath(a.droplet("web"))).shows("droplet.vpc_uuid", fmt.Sprintf("%q", a.get(path).text("vpc.id")))
		a.put(path, map[string]any{"name": "inner", "default": false}).
			invalid("default cannot be unset; set it on another VPC in nyc3 instead")
		a.del(path).refused(http.StatusForbidden, cloud.CodeForbidden, "Can not delete default VPC")
		a.del("/v2/vpcs/" + old).empty(http.StatusNoContent)
	})
}

// Droplets are members from the moment that they are asked for, with addresses
// of the VPC's own range, until they are gone.
func TestVPCMembers(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.vpc("inner", "ip_range", "192.168.7.0/28")
		path := "/v2/vpcs/" + id
		web := a.droplet("web", "vpc_uuid", id)
		private := a.get(dropletPath(web)).text("droplet.networks.v4.1.ip_address")
		if !netip.MustParsePrefix("192.168.7.0/28").Contains(netip.MustParseAddr(private)) {
			t.Errorf("the private address is %s", private)
		}
		a.get(dropletPath(web)).shows("droplet.networks.v4.1", `{"ip_address": "*", "netmask": "255.255.255.240", "gateway": "192.168.7.1", "type": "private"}`)
		a.fault("machine.create", "slow", "delay", "10h")
		a.post("/v2/droplets", dropletBody("slow", "vpc_uuid", id)).is(http.StatusAccepted)
		members := a.get(path + "/members").is(http.StatusOK)
		if diff := cmp.Diff([]string{"web", "slow"}, members.texts("members", "name")); diff != "" {
			t.Error(diff)
		}
		members.shows("members.0", fmt.Sprintf(`{"name": "web", "urn": "do:droplet:%d", "created_at": "*"}`, web))
		page := a.get(path + "/members?resource_type=droplet&per_page=1&page=2")
		page.shows("members.0.name", `"slow"`)
		page.shows("links.pages.first", `"`+s.URL+path+`/members?page=1&per_page=1&resource_type=droplet"`)
		none := `{"members": [], "links": {}, "meta": {"total": 0}}`
		a.get(path+"/members?resource_type=load_balancer").shows("", none)
		a.mayAllBut("droplet:read").get(path+"/members").shows("", none)
		a.del(path).refused(http.StatusConflict, cloud.CodeConflict, "Can not delete VPC with members")
		for _, droplet := range members.texts("members", "urn") {
			a.del("/v2/droplets/" + strings.TrimPrefix(droplet, "do:droplet:")).is(http.StatusNoContent)
		}
		a.gone(web)
	})
}

// A VPC that is full takes no more Droplets and says so.
func TestFullVPC(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.vpc("inner", "ip_range", "10.10.10.0/28")
		names := []string{}
		for i := range 6 {
			names = append(names, fmt.Sprint("web-", i))
		}
		body := map[string]any{"names": names, "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "vpc_uuid": id}
		a.post("/v2/droplets", body).is(http.StatusAccepted)
		a.post("/v2/droplets", body).is(http.StatusAccepted)
		a.post("/v2/droplets", body).invalid("The VPC " + id + " has no free addresses left.")
		a.get("/v2/vpcs/"+id+"/members").shows("meta.total", `12`)
	})
}

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

const hostnameText = "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"

// refusedDroplets are fields that no account can create a Droplet with.
var refusedDroplets = []struct {
	name    string
	fields  []any
	message string
}{
	{"no name", []any{"name", nil}, "Name can't be blank"},
	{"no names", []any{"name", nil, "names", []string{}}, "Name can't be blank"},
	{"an empty name", []any{"name", ""}, hostnameText},
	{"a space", []any{"name", "web 1"}, hostnameText},
	{"an underscore", []any{"name", "web_1"}, hostnameText},
	{"a last dash", []any{"name", "web-"}, hostnameText},
	{"letters of other scripts", []any{"name", "grün"}, hostnameText},
	{"a line break", []any{"name", "web\n"}, hostnameText},
	{"one bad name of two", []any{"name", nil, "names", []string{"web", "w b"}}, hostnameText},
	{"a long name", []any{"name", strings.Repeat("a", 256)}, "Name is too long (maximum is 255 characters)"},
	{"name and names", []any{"names", []string{"a"}}, "give either name or names, not both"},
	{
		"11 names", []any{"name", nil, "names", strings.Split(strings.Repeat("a,", 10)+"a", ",")},
		"cannot create more than 10 droplets at a time",
	},
	{"a number for a name", []any{"name", 1}, "name must be a string, not number"},
	{"a text for names", []any{"name", nil, "names", "a"}, "names must be a list, not string"},
	{"a number among names", []any{"name", nil, "names", []int{1}}, "names must be a string, not number"},
	{"no size", []any{"size", nil}, "You specified an invalid size for Droplet creation."},
	{"an empty size", []any{"size", ""}, "You specified an invalid size for Droplet creation."},
	{"an unknown size", []any{"size", "s-99"}, "You specified an invalid size for Droplet creation."},
	{"a number for a size", []any{"size", 66}, "You specified an invalid size for Droplet creation."},
	{"a list for a size", []any{"size", []string{"s-1vcpu-1gb"}}, `size must be a number or a string, not ["s-1vcpu-1gb"]`},
	{"no image", []any{"image", nil}, "You specified an invalid image for Droplet creation."},
	{"image 0", []any{"image", 0}, "You specified an invalid image for Droplet creation."},
	{"an unknown image", []any{"image", "debian-1"}, "You specified an invalid image for Droplet creation."},
	{"an unknown number", []any{"image", 299999999}, "You specified an invalid image for Droplet creation."},
	{"half an image", []any{"image", 1.5}, "image must be a number or a string, not 1.5"},
	{"an object for an image", []any{"image", map[string]any{"id": 1}}, `image must be a number or a string, not {"id":1}`},
	{
		"an image too large", []any{"image", "docker-20-04", "size", "s-1vcpu-512mb-10gb"},
		"The image you specified requires a larger disk than the selected size provides.",
	},
	{"an unknown region", []any{"region", "mars1"}, "You specified an invalid region for Droplet creation."},
	{"a closed region", []any{"region", "sfo1"}, "sfo1 is unavailable."},
	{"a region without the size", []any{"size", "gpu-h100x1-80gb", "image", "gpu-h100x1-base"}, "Size is not available in this region."},
	{"a number for a region", []any{"region", 3}, "region must be a string, not number"},
	{"an unknown key", []any{"ssh_keys", []any{4711}}, "4711 are invalid key identifiers for Droplet creation."},
	{
		"unknown keys", []any{"ssh_keys", []any{4711, "3b:16:bf"}},
		"4711, 3b:16:bf are invalid key identifiers for Droplet creation.",
	},
	{"a text for keys", []any{"ssh_keys", "4711"}, "ssh_keys must be a list, not string"},
	{"a boolean key", []any{"ssh_keys", []any{true}}, "ssh_keys must be a number or a string, not true"},
	{"backups", []any{"backups", "maybe"}, `backups must be true or false, not "maybe"`},
	{"a list for ipv6", []any{"ipv6", []any{}}, "ipv6 must be true or false, not []"},
	{"monitoring", []any{"monitoring", 2}, "monitoring must be true or false, not 2"},
	{"ipv6 without a public network", []any{"ipv6", true, "public_networking", false}, "public_networking: false cannot be combined with ipv6: true"},
	{"a policy without backups", []any{"backup_policy", map[string]any{"plan": "daily"}}, "backup_policy needs backups: true"},
	{"a text for a policy", []any{"backup_policy", "daily"}, "backup_policy must be an object, not string"},
	{"a bad plan", policy("plan", "hourly"), "backup_policy.plan must be daily or weekly"},
	{"a bad weekday", policy("weekday", "MONDAY"), "backup_policy.weekday must be one of SUN, MON, TUE, WED, THU, FRI, SAT"},
	{"a bad hour", policy("hour", 3), "backup_policy.hour must be one of 0, 4, 8, 12, 16, 20"},
	{"an hour that is none", policy("hour", "noon"), `backup_policy.hour must be a whole number, not "noon"`},
	{"a bad tag", []any{"tags", []string{"a b"}}, `tag "a b": tags have 1 to 255 letters, digits, dashes, underscores and colons`},
	{"an empty tag", []any{"tags", []string{""}}, `tag "": tags have 1 to 255 letters, digits, dashes, underscores and colons`},
	{"a text for tags", []any{"tags", "web"}, "tags must be a list, not string"},
	{"user data too long", []any{"user_data", strings.Repeat("x", 65537)}, "user_data is too long (maximum is 65536 bytes)"},
	{"an object for user data", []any{"user_data", map[string]any{}}, "user_data must be a string, not object"},
	{"an unknown volume", []any{"volumes", []string{"3fb7d4f0-0000-4000-8000-000000000000"}}, "volume 3fb7d4f0-0000-4000-8000-000000000000 does not exist"},
	{"a volume by an unknown name", []any{"volumes", []string{"data"}}, "volume data does not exist"},
	{"16 volumes", []any{"volumes", strings.Split(strings.Repeat("a,", 15)+"a", ",")}, "cannot attach more volumes to the Droplet"},
	{
		"one volume for two", []any{"name", nil, "names", []string{"a", "b"}, "volumes", []string{"data"}},
		"a volume can be attached to one Droplet only; create several Droplets without volumes",
	},
	{"the agent where it does not run", []any{"image", "freebsd", "with_droplet_agent", true}, "You specified an invalid image for Droplet creation."},
	{"a number for a VPC", []any{"vpc_uuid", 1}, "vpc_uuid must be a string, not number"},
	{"a GPU partition", []any{"gpu_partition_mode", "PARTITION_MODE_SPX_NPS1"}, "the size s-1vcpu-1gb has no gpu_partition_mode"},
	{"1001 keys", []any{"ssh_keys", make([]int, 1001)}, "ssh_keys lists 1001 items; at most 1000 can be given"},
	{"1001 tags", []any{"tags", make([]string, 1001)}, "tags lists 1001 items; at most 1000 can be given"},
}

func policy(field string, value any) []any {
	return []any{"backups", true, "backup_policy", map[string]any{field: value}}
}

func TestCreateDropletRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		for _, test := range refusedDroplets {
			t.Run(test.name, func(t *testing.T) {
				a.within(t).post("/v2/droplets", dropletBody("web", test.fields...)).invalid(test.message)
			})
		}
		a.post("/v2/droplets", nil).invalid("Name can't be blank")
		a.post("/v2/droplets", "null").invalid("Name can't be blank")
		a.post("/v2/droplets", "{}").invalid("Name can't be blank")
		a.post("/v2/droplets", dropletBody("web", "vpc_uuid", "3fb7d4f0-0000-4000-8000-000000000000")).
			refused(http.StatusNotFound, cloud.CodeNotFound, "Failed to resolve VPC")
		a.post("/v2/droplets", dropletBody("web", "vpc_uuid", "default")).
			refused(http.StatusNotFound, cloud.CodeNotFound, "Failed to resolve VPC")
		a.get("/v2/droplets").shows("droplets", `[]`)
		a.get("/v2/actions").shows("actions", `[]`)
	})
}

// Fields that name things need the scope to read those.
func TestCreateDropletScopes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		key, volume := a.key("k"), a.volume("data")
		vpc := a.get(dropletPath(a.droplet("first"))).text("droplet.vpc_uuid")
		a.may("droplet:create").post("/v2/droplets", dropletBody("web")).forbidden()
		a.may("droplet:create", "image:read").post("/v2/droplets", dropletBody("web", "tags", nil, "ssh_keys", []int{}, "vpc_uuid", "")).
			is(http.StatusAccepted)
		for _, test := range []struct {
			scope cloud.Scope
			field string
			value any
		}{
			{"ssh_key:read", "ssh_keys", []any{key}},
			{"tag:create", "tags", []any{"web"}},
			{"block_storage:read", "volumes", []any{volume}},
			{"vpc:read", "vpc_uuid", vpc},
		} {
			body := dropletBody("web", test.field, test.value)
			a.may("droplet:create", "image:read").post("/v2/droplets", body).forbidden()
			a.may("droplet:create", "image:read", test.scope).post("/v2/droplets", body).is(http.StatusAccepted)
		}
	})
}

// What another account has is as unknown as what nobody has.
func TestCreateDropletWithOthersThings(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		droplet := other.droplet("theirs")
		key, volume, image := other.key("k"), other.volume("data"), other.snapshot(droplet, "snap")
		vpc := other.get(dropletPath(droplet)).text("droplet.vpc_uuid")
		post := func(field string, value any) *answer { return a.post("/v2/droplets", dropletBody("web", field, value)) }
		post("ssh_keys", []any{key}).invalid(fmt.Sprintf("%d are invalid key identifiers for Droplet creation.", key))
		post("volumes", []any{volume}).invalid("volume " + volume + " does not exist")
		post("volumes", []any{"data"}).invalid("volume data does not exist")
		post("image", image).invalid("You specified an invalid image for Droplet creation.")
		post("vpc_uuid", vpc).refused(http.StatusNotFound, cloud.CodeNotFound, "Failed to resolve VPC")
	})
}

// What the 202 shows, before anything has happened.
func TestCreateDropletAnswer(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		made := a.post("/v2/droplets", dropletBody("web-1", "ipv6", true, "monitoring", true, "tags", []string{"web", "B", "a:1"})).
			is(http.StatusAccepted)
		made.shows("", `{
			"droplet": {
				"id": "*", "name": "web-1", "memory": 1024, "vcpus": 1, "disk": 25,
				"disk_info": [{"type": "local", "size": {"amount": 25, "unit": "gib"}}],
				"locked": false, "status": "new", "kernel": null, "created_at": "*",
				"features": ["monitoring", "droplet_agent", "ipv6"],
				"backup_ids": [], "next_backup_window": null, "snapshot_ids": [],
				"image": {
					"id": 168639140, "name": "12 x64", "type": "snapshot", "distribution": "Debian", "slug": "debian-12-x64",
					"public": true, "regions": "*", "created_at": "*", "min_disk_size": 7, "size_gigabytes": "*",
					"description": "*", "tags": [], "status": "available", "error_message": ""
				},
				"volume_ids": [],
				"size": {
					"slug": "s-1vcpu-1gb", "memory": 1024, "vcpus": 1, "disk": 25, "transfer": 1, "price_monthly": 6,
					"price_hourly": 0.00893, "regions": "*", "available": true, "description": "Basic",
					"disk_info": [{"type": "local", "size": {"amount": 25, "unit": "gib"}}]
				},
				"size_slug": "s-1vcpu-1gb", "networks": {"v4": [], "v6": []},
				"region": {"name": "New York 3", "slug": "nyc3", "features": "*", "available": true, "sizes": "*"},
				"tags": ["B", "a:1", "web"]
			},
			"links": {"actions": [{"id": "*", "rel": "create", "href": "*"}]}
		}`)
		action := made.number("links.actions.0.id")
		if href := made.text("links.actions.0.href"); href != fmt.Sprintf("%s/v2/actions/%d", s.URL, action) {
			t.Errorf("the action is at %s", href)
		}
		a.settle(made)
		a.get(made.text("links.actions.0.href")).shows("action", fmt.Sprintf(`{
			"id": %d, "status": "completed", "type": "create", "started_at": "*", "completed_at": "*", "resource_id": %d,
			"resource_type": "droplet", "region": "*", "region_slug": "nyc3"}`, action, made.number("droplet.id")))
	})
}

// When it is active, everything is there at once.
func TestCreatedDroplet(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		volume := a.volume("data")
		id := a.droplet("web-1", "ipv6", true, "tags", []string{"web", "B", "a:1"}, "volumes", []string{volume})
		got := a.get(dropletPath(id)).is(http.StatusOK)
		got.shows("droplet.status", `"active"`)
		got.shows("droplet.locked", `false`)
		got.shows("droplet.features", `["droplet_agent", "ipv6", "private_networking"]`)
		got.shows("droplet.volume_ids", fmt.Sprintf(`[%q]`, volume))
		got.shows("droplet.tags", `["B", "a:1", "web"]`)
		got.shows("droplet.vpc_uuid", `"*"`)
		got.shows("droplet.networks", `{
			"v4": [
				{"ip_address": "*", "netmask": "255.255.240.0", "gateway": "*", "type": "public"},
				{"ip_address": "*", "netmask": "255.255.0.0", "gateway": "*", "type": "private"}
			],
			"v6": [{"ip_address": "*", "netmask": 64, "gateway": "*", "type": "public"}]
		}`)
		a.get("/v2/volumes/"+volume).shows("volume.droplet_ids", fmt.Sprintf(`[%d]`, id))
	})
}

// In every answer a Droplet is either new and bare, or active and complete:
// clients read the addresses in the answer that first says active.
func TestActiveDropletIsComplete(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		for range 5 {
			path := dropletPath(a.post("/v2/droplets", dropletBody("web", "ipv6", true)).is(http.StatusAccepted).number("droplet.id"))
			for deadline := time.Now().Add(30 * time.Second); ; {
				got := a.get(path).is(http.StatusOK)
				active := got.text("droplet.status") == "active"
				complete := got.has("droplet.vpc_uuid") && got.has("droplet.networks.v4.1") && got.has("droplet.networks.v6.0")
				bare := !got.has("droplet.vpc_uuid") && !got.has("droplet.networks.v4.0") && !got.has("droplet.networks.v6.0")
				if active && !complete || !active && !bare || time.Now().After(deadline) {
					t.Fatalf("got %s", got.body)
				}
				if active {
					break
				}
			}
		}
	})
}

// Without a public network there is one address, and a new Droplet that is
// active has it.
func TestCreatePrivateDroplet(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("db", "public_networking", false)
		a.get(dropletPath(id)).shows("droplet.networks", `{
			"v4": [{"ip_address": "*", "netmask": "255.255.0.0", "gateway": "*", "type": "private"}], "v6": []}`)
		a.post("/v2/reserved_ips", map[string]any{"droplet_id": id}).invalid("The droplet has no public networking.")
	})
}

func TestCreateSeveralDroplets(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		made := a.post("/v2/droplets", dropletBody("", "name", nil, "names", []string{"c", "a", "b"})).is(http.StatusAccepted)
		if diff := cmp.Diff([]string{"c", "a", "b"}, made.texts("droplets", "name")); diff != "" {
			t.Error(diff)
		}
		if made.has("droplet") || len(made.texts("links.actions", "rel")) != 3 {
			t.Errorf("got %s", made.body)
		}
		for i, id := range made.texts("droplets", "id") {
			action := a.wait(made.number(fmt.Sprintf("links.actions.%d.id", i)))
			if action.ResourceID != id {
				t.Errorf("action %d is about %s, want %s", i, action.ResourceID, id)
			}
		}
		one := a.post("/v2/droplets", dropletBody("", "name", nil, "names", []string{"d"})).is(http.StatusAccepted)
		if len(one.texts("droplets", "name")) != 1 {
			t.Errorf("one of several names is answered like several: %s", one.body)
		}
	})
}

// The same request as the clients of the API write it.
func TestCreateDropletAsClientsDo(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		key := a.key("k")
		print := a.get(fmt.Sprintf("/v2/account/keys/%d", key)).text("ssh_key.fingerprint")
		volumes := []string{a.volume("one"), a.volume("two"), a.volume("three"), a.volume("four")}
		object := func(field string, v any) []any { return []any{map[string]any{field: v}} }
		for name, fields := range map[string][]any{
			"godo": {
				"region", "", "ssh_keys", nil, "tags", nil, "backups", false, "ipv6", false, "private_networking", false,
				"monitoring", false, "volumes", nil,
			},
			"DOBOTO":                 {"backups", "false", "ipv6", "True", "monitoring", "1", "private_networking", "true"},
			"an image's number":      {"image", 168639140},
			"its number as text":     {"image", "168639140"},
			"a key's number as text": {"ssh_keys", []any{fmt.Sprint(key)}},
			"a key's fingerprint":    {"ssh_keys", []any{print, key, key}},
			"a region in capitals":   {"region", "NYC3"},
			"a part of a region":     {"region", "nyc"},
			"no region":              {"region", nil},
			"a volume":               {"volumes", []any{volumes[0]}},
			"godo's volume":          {"volumes", object("id", volumes[1])},
			"a volume's name":        {"volumes", object("name", "three")},
			"a volume twice":         {"volumes", []any{volumes[3], "four"}},
			"no agent":               {"with_droplet_agent", false},
			"no GPU partition":       {"gpu_partition_mode", ""},
			"no policy":              {"backup_policy", nil},
			"unknown fields":         {"volume", "x", "frobnicate", []any{1}},
			"one letter":             {"name", "x"},
			"the longest name":       {"name", strings.Repeat("a", 255)},
			"the longest user data":  {"user_data", strings.Repeat("x", 65536)},
		} {
			t.Run(name, func(t *testing.T) {
				a := a.within(t)
				made := a.post("/v2/droplets", dropletBody("web", fields...)).is(http.StatusAccepted)
				if ended := a.settle(made); ended.Status != cloud.Completed {
					t.Error(ended.Error)
				}
			})
		}
	})
}

// A volume that has neither an ID nor a name is no volume, least of all any.
func TestCreateDropletWithNamelessVolume(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.volume("data")
		for _, volumes := range []any{[]any{""}, []any{nil}, []any{map[string]any{}}, []any{map[string]any{"id": ""}}, []any{0}} {
			a.post("/v2/droplets", dropletBody("web", "volumes", volumes)).invalid("volume  does not exist")
		}
	})
}

func TestCreateDropletWithTakenVolume(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		volume := a.volume("data")
		a.droplet("first", "volumes", []any{volume})
		a.post("/v2/droplets", dropletBody("web", "volumes", []any{volume})).invalid("This volume is already attached")
		far := a.volume("data", "region", "ams3")
		a.post("/v2/droplets", dropletBody("web", "volumes", []any{far})).
			invalid("The volume is in ams3 and the Droplet is in nyc3.")
		a.post("/v2/droplets", dropletBody("web", "region", "ams3", "volumes", []any{"data"})).is(http.StatusAccepted)
	})
}

// A create that fails leaves no Droplet, and an action that says so.
func TestCreateDropletFails(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		volume := a.volume("data")
		a.fault("machine.start", "doomed", "error", "no power")
		made := a.post("/v2/droplets", dropletBody("doomed", "volumes", []any{volume})).is(http.StatusAccepted)
		if ended := a.settle(made); ended.Status != cloud.Errored {
			t.Fatalf("the action is %s", ended.Status)
		}
		a.get(dropletPath(made.number("droplet.id"))).notFound()
		action := a.get(made.text("links.actions.0.href")).is(http.StatusOK)
		action.shows("action.status", `"errored"`)
		action.shows("action.completed_at", `"*"`)
		a.get("/v2/volumes/"+volume).shows("volume.droplet_ids", `[]`)
	})
}

package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// filtered are the fields that a token sees with a scope beside the route's
// own. Without it they are empty or not there, and nothing is refused.
var filtered = []struct {
	path  string // {d}, {v}, {i} and {r} stand for a Droplet, volume, image and address
	field string
	scope cloud.Scope
	empty string // what stands in its place; nothing when the key is not there
}{
	{"/v2/droplets/{d}", "droplet.image", "image:read", ""},
	{"/v2/droplets/{d}", "droplet.snapshot_ids", "image:read", `[]`},
	{"/v2/droplets/{d}", "droplet.tags", "tag:read", `[]`},
	{"/v2/droplets/{d}", "droplet.volume_ids", "block_storage:read", `[]`},
	{"/v2/droplets/{d}", "droplet.vpc_uuid", "vpc:read", ""},
	{"/v2/droplets/{d}", "droplet.region.sizes", "sizes:read", `[]`},
	{"/v2/droplets", "droplets.0.image", "image:read", ""},
	{"/v2/droplets", "droplets.0.tags", "tag:read", `[]`},
	{"/v2/droplets", "droplets.0.volume_ids", "block_storage:read", `[]`},
	{"/v2/droplets", "droplets.0.vpc_uuid", "vpc:read", ""},
	{"/v2/droplets/{d}/actions", "actions.0.region.sizes", "sizes:read", `[]`},
	{"/v2/actions", "actions.0.region.sizes", "sizes:read", `[]`},
	{"/v2/regions", "regions.0.sizes", "sizes:read", `[]`},
	{"/v2/volumes/{v}", "volume.droplet_ids", "droplet:read", `[]`},
	{"/v2/volumes/{v}", "volume.tags", "tag:read", `[]`},
	{"/v2/volumes/{v}", "volume.region.sizes", "sizes:read", `[]`},
	{"/v2/volumes", "volumes.0.tags", "tag:read", `[]`},
	{"/v2/volumes/{v}/snapshots", "snapshots.0.tags", "tag:read", `[]`},
	{"/v2/snapshots?resource_type=volume", "snapshots.0.tags", "tag:read", `[]`},
	{"/v2/tags/x", "tag.resources.droplets.last_tagged_uri", "droplet:read", ""},
	{"/v2/tags/x", "tag.resources.volumes.last_tagged_uri", "block_storage:read", ""},
	{"/v2/tags", "tags.0.resources.volume_snapshots.last_tagged_uri", "block_storage_snapshot:read", ""},
	{"/v2/reserved_ips/{r}", "reserved_ip.droplet", "droplet:read", `null`},
	{"/v2/reserved_ips", "reserved_ips.0.droplet", "droplet:read", `null`},
	{"/v2/reserved_ips", "reserved_ips.0.region.sizes", "sizes:read", `[]`},
	{"/v2/floating_ips/{r}", "floating_ip.droplet", "droplet:read", `null`},
	{"/v2/reserved_ipv6/{6}", "reserved_ipv6.droplet", "droplet:read", `null`},
	{"/v2/reserved_ipv6", "reserved_ipv6s.0.droplet", "droplet:read", ""},
	{"/v2/firewalls/{f}", "firewall.droplet_ids", "droplet:read", `[]`},
	{"/v2/firewalls/{f}", "firewall.tags", "tag:read", `[]`},
	{"/v2/firewalls/{f}", "firewall.inbound_rules.0.sources.droplet_ids", "droplet:read", ""},
	{"/v2/firewalls/{f}", "firewall.inbound_rules.0.sources.tags", "tag:read", ""},
	{"/v2/droplets/{d}/firewalls", "firewalls.0.droplet_ids", "droplet:read", `[]`},
}

func TestFieldsByScope(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		volume := a.volume("data", "tags", []string{"x"})
		droplet := a.droplet("web", "tags", []string{"x"}, "volumes", []any{volume})
		a.post("/v2/volumes/"+volume+"/snapshots", map[string]any{"name": "copy", "tags": []string{"x"}}).is(http.StatusCreated)
		image, ip := a.snapshot(droplet, "snap"), a.reservedIP(droplet)
		wall := a.firewall("edge", "droplet_ids", []int64{droplet}, "tags", []string{"x"}, "inbound_rules",
			[]any{rule("tcp", "22", "sources", "droplet_ids", []int64{droplet}, "tags", []string{"x"})})
		fill := strings.NewReplacer("{6}", a.reservedIPv6(droplet), "{f}", wall, "{d}", fmt.Sprint(droplet), "{v}", volume, "{i}", fmt.Sprint(image), "{r}", ip)
		for _, f := range filtered {
			t.Run(f.path+" "+f.field, func(t *testing.T) {
				a, path := a.within(t), fill.Replace(f.path)
				full := a.get(path).is(http.StatusOK).at(f.field)
				if diff := cmp.Diff(full, a.mayAllBut("account:read").get(path).is(http.StatusOK).at(f.field)); diff != "" {
					t.Errorf("a token with all scopes does not see what one with full access sees: %s", diff)
				}
				without := a.mayAllBut(f.scope).get(path).is(http.StatusOK)
				switch {
				case f.empty != "":
					without.shows(f.field, f.empty)
				case without.has(f.field):
					t.Errorf("it is shown without %s: %s", f.scope, without.body)
				}
				if cmp.Equal(full, decode(t, []byte("[]"))) || full == nil {
					t.Errorf("there is nothing to hide: %v", full)
				}
			})
		}
	})
}

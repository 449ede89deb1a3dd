package api

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// What the bodies write by themselves is what encoding/json would write.
func TestAppendedJSONIsTheSame(t *testing.T) {
	known := cloud.DefaultCatalog()
	catalog := viewCatalog(&known)
	droplet := cloud.Droplet{
		ID: 1_000_000, Name: "web-1", Region: "nyc3", Size: "s-1vcpu-1gb", VCPUs: 1, Memory: 1024, Disk: 25,
		Status: cloud.DropletActive, CreatedAt: time.Unix(1, 0), IPv6: true, Monitoring: true, Agent: true,
		VPC: "v", VPCRange: "10.96.0.0/16", PrivateIPv4: "10.96.0.2", PublicIPv4: "198.18.0.2",
		PublicIPv6: "2001:db8::2", IPv6Gateway: "2001:db8::1",
		Image:     cloud.Image{ID: 1, Slug: "s", Name: `a "name" with \ and é, <b> & a tab	`, Regions: []string{"nyc3"}},
		Tags:      []string{"a", "b:c"},
		VolumeIDs: []string{"v1", "v2"}, SnapshotIDs: []int64{1, 2}, BackupIDs: []int64{3},
	}
	gpu := droplet
	gpu.Size, gpu.Status = "gpu-h100x1-80gb", cloud.DropletNew
	full := view{catalog, cloud.Scopes{cloud.FullAccess}, "http://x", map[int64]*wireImage{}}
	narrow := view{catalog, cloud.Scopes{"droplet:read"}, "http://x", map[int64]*wireImage{}}
	for name, body := range map[string]appender{
		"one":       dropletBody{Droplet: full.droplet(droplet)},
		"created":   dropletBody{full.droplet(gpu), &wireOneLinks{Actions: []wireLink{{1, "create", "http://x"}}}},
		"by scopes": dropletBody{Droplet: narrow.droplet(droplet)},
		"none":      dropletListBody{[]*wireDroplet{}, wireLinks{&wirePages{}}, wireMeta{0}},
		"list":      dropletListBody{[]*wireDroplet{full.droplet(droplet), full.droplet(gpu)}, wireLinks{}, wireMeta{2}},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := encode(body)
			if err != nil {
				t.Fatal(err)
			}
			got := body.appendTo(nil)
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
			if !json.Valid(got) {
				t.Error("not JSON")
			}
		})
	}
}

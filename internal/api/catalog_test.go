package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func TestRegions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		got := a.get("/v2/regions").is(http.StatusOK)
		slugs := got.texts("regions", "slug")
		if len(slugs) != len(cloud.DefaultCatalog().Regions) || len(slugs) < 13 {
			t.Errorf("got %v", slugs)
		}
		got.shows("regions.2", `{
			"name": "New York 3", "slug": "nyc3", "available": true, "sizes": "*",
			"features": ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"]}`)
		for i, slug := range slugs {
			open := got.text(fmt.Sprintf("regions.%d.available", i)) == "true"
			if closed := slug == "sfo1" || slug == "ams2"; open == closed || open != got.has(fmt.Sprintf("regions.%d.sizes.0", i)) {
				t.Errorf("%s: a region that is closed has no sizes, and one that is open has", slug)
			}
		}
	})
}

func TestSizes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		got := a.get("/v2/sizes?per_page=200").is(http.StatusOK)
		slugs := got.texts("sizes", "slug")
		if len(slugs) != len(cloud.DefaultCatalog().Sizes) {
			t.Errorf("got %d sizes", len(slugs))
		}
		got.shows("sizes.1", `{
			"slug": "s-1vcpu-1gb", "memory": 1024, "vcpus": 1, "disk": 25, "transfer": 1, "price_monthly": 6,
			"price_hourly": 0.00893, "regions": "*", "available": true, "description": "Basic",
			"disk_info": [{"type": "local", "size": {"amount": 25, "unit": "gib"}}]}`)
		gpu := slices.Index(slugs, "gpu-h100x1-80gb")
		got.shows(fmt.Sprintf("sizes.%d.gpu_info", gpu), `{"count": 1, "model": "nvidia_h100", "vram": {"amount": 80, "unit": "gib"}}`)
	})
}

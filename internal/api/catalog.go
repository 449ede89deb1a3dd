package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
)

var catalogRoutes = []route{
	get("/v2/regions", (*Server).listRegions, "regions:read"),
	get("/v2/sizes", (*Server).listSizes, "sizes:read", "regions:read"),
}

type wireRegion struct {
	Name      string   `json:"name"`
	Slug      string   `json:"slug"`
	Features  []string `json:"features"`
	Available bool     `json:"available"`
	Sizes     []string `json:"sizes"`

	json []byte // encoded once
}

type wireSize struct {
	Slug         string           `json:"slug"`
	Memory       int64            `json:"memory"`
	VCPUs        int64            `json:"vcpus"`
	Disk         int64            `json:"disk"`
	Transfer     float64          `json:"transfer"`
	PriceMonthly float64          `json:"price_monthly"`
	PriceHourly  float64          `json:"price_hourly"`
	Regions      []string         `json:"regions"`
	Available    bool             `json:"available"`
	Description  string           `json:"description"`
	DiskInfo     []cloud.DiskInfo `json:"disk_info"`
	GPUInfo      *cloud.GPUInfo   `json:"gpu_info,omitempty"`

	json []byte // encoded once
}

// catalogViews holds what changes with the catalogue only, made once for each.
type catalogViews struct {
	of           *cloud.Catalog
	regions      map[string]*wireRegion // with their sizes
	bareRegions  map[string]*wireRegion // for those who may not see sizes
	sizes        map[string]*wireSize
	regionsShown []*wireRegion
	bareShown    []*wireRegion
	sizesShown   []*wireSize
}

// catalogViews shows the catalogue as it is now.
func (s *Server) catalogViews() *catalogViews {
	now, views := s.plane.Catalog(), s.catalog.Load()
	if views == nil || views.of != now {
		views = viewCatalog(now)
		s.catalog.Store(views)
	}
	return views
}

func viewCatalog(c *cloud.Catalog) *catalogViews {
	views := &catalogViews{
		of: c, regions: map[string]*wireRegion{}, bareRegions: map[string]*wireRegion{}, sizes: map[string]*wireSize{},
	}
	for _, r := range c.Regions {
		full := &wireRegion{Name: r.Name, Slug: r.Slug, Features: list(true, r.Features), Available: r.Available, Sizes: c.SizesIn(r)}
		bare := *full
		bare.Sizes = []string{}
		full.json, bare.json = encoded(full), encoded(bare)
		views.regions[r.Slug], views.bareRegions[r.Slug] = full, &bare
		if !r.Retired {
			views.regionsShown, views.bareShown = append(views.regionsShown, full), append(views.bareShown, &bare)
		}
	}
	for _, s := range c.Sizes {
		size := &wireSize{
			Slug: s.Slug, Memory: s.Memory, VCPUs: s.VCPUs, Disk: s.Disk, Transfer: s.Transfer,
			PriceMonthly: s.PriceMonthly, PriceHourly: s.PriceHourly, Regions: list(true, s.Regions),
			Available: s.Available, Description: s.Description, DiskInfo: list(true, s.DiskInfo), GPUInfo: s.GPUInfo,
		}
		size.json = encoded(size)
		views.sizes[s.Slug] = size
		if !s.Retired {
			views.sizesShown = append(views.sizesShown, size)
		}
	}
	return views
}

// region shows a region; nil where there is none of that name.
func (v view) region(slug string) *wireRegion {
	if v.sees("sizes:read") {
		return v.catalog.regions[slug]
	}
	return v.catalog.bareRegions[slug]
}

func (s *Server) listRegions(c *call) (*reply, error) {
	v := c.view()
	shown := v.catalog.regionsShown
	if !v.sees("sizes:read") {
		shown = v.catalog.bareShown
	}
	p := c.paging()
	total := int64(len(shown))
	return ok(struct {
		Regions []*wireRegion `json:"regions"`
		Links   wireLinks     `json:"links"`
		Meta    wireMeta      `json:"meta"`
	}{cut(shown, p), c.links(p, total), wireMeta{total}}), nil
}

func (s *Server) listSizes(c *call) (*reply, error) {
	p := c.paging()
	shown := s.catalogViews().sizesShown
	total := int64(len(shown))
	return ok(struct {
		Sizes []*wireSize `json:"sizes"`
		Links wireLinks   `json:"links"`
		Meta  wireMeta    `json:"meta"`
	}{cut(shown, p), c.links(p, total), wireMeta{total}}), nil
}

// cut takes one page of a slice.
func cut[T any](items []T, p paging) []T {
	total := int64(len(items))
	from := min(p.page().Offset, total)
	return list(true, items[from:min(from+p.size, total)])
}

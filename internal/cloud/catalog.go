package cloud

import (
	_ "embed" // the default catalogue
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Region is a place where resources are. Its sizes are those that are
// available there.
type Region struct {
	Slug      string   `json:"slug"`
	Name      string   `json:"name"`
	Features  []string `json:"features"`
	Available bool     `json:"available"`
	// Retired says that the catalogue no longer lists it; what is there stays.
	Retired bool `json:"-"`
}

// Has reports whether the region has a feature, such as "storage".
func (r Region) Has(feature string) bool { return slices.Contains(r.Features, feature) }

// Size is a Droplet's shape and price. Memory is in MiB, Disk in GiB, Transfer
// in TB, prices in US dollars.
type Size struct {
	Slug         string     `json:"slug"`
	Description  string     `json:"description"`
	Memory       int64      `json:"memory"`
	VCPUs        int64      `json:"vcpus"`
	Disk         int64      `json:"disk"`
	Transfer     float64    `json:"transfer"`
	PriceMonthly float64    `json:"price_monthly"`
	PriceHourly  float64    `json:"price_hourly"`
	Regions      []string   `json:"regions"`
	Available    bool       `json:"available"`
	DiskInfo     []DiskInfo `json:"disk_info"`
	GPUInfo      *GPUInfo   `json:"gpu_info,omitempty"`
	Retired      bool       `json:"-"`
}

// In reports whether the size can be had in a region.
func (s Size) In(region string) bool { return s.Available && slices.Contains(s.Regions, region) }

// Amount is a quantity with its unit.
type Amount struct {
	Amount int64  `json:"amount"`
	Unit   string `json:"unit"`
}

// DiskInfo is one disk of a size: "local", "boot" or "scratch".
type DiskInfo struct {
	Type string `json:"type"`
	Size Amount `json:"size"`
}

// GPUInfo is what GPUs a size has; VRAM is the sum over all of them.
type GPUInfo struct {
	Count int64  `json:"count"`
	Model string `json:"model"`
	VRAM  Amount `json:"vram"`
}

// BaseImage is a public image of the catalogue.
type BaseImage struct {
	ID            int64    `json:"id"`
	Slug          string   `json:"slug"`
	Name          string   `json:"name"`
	Distribution  string   `json:"distribution"`
	Kind          string   `json:"kind"` // "distribution" or "application"
	Description   string   `json:"description"`
	MinDiskSize   int64    `json:"min_disk_size"`  // GiB
	SizeGigabytes float64  `json:"size_gigabytes"` // GB
	CreatedAt     string   `json:"created_at"`     // RFC 3339
	Regions       []string `json:"regions"`
	// Alias is the slug by which the engine knows the image, where Slug is
	// another name for it.
	Alias string `json:"-"`
}

// Catalog is what the cloud offers.
type Catalog struct {
	Regions []Region    `json:"regions"`
	Sizes   []Size      `json:"sizes"`
	Images  []BaseImage `json:"images"`
}

//go:embed catalog.json
var defaultCatalog []byte

// DefaultCatalog is the catalogue that is built in.
func DefaultCatalog() Catalog {
	catalog, err := ParseCatalog(defaultCatalog)
	if err != nil {
		panic("the built-in catalogue: " + err.Error()) // a test keeps this from happening
	}
	return catalog
}

// ParseCatalog reads a catalogue and checks it, so that a mistake in one's own
// file is told at the start and by name.
func ParseCatalog(data []byte) (Catalog, error) {
	var c Catalog
	if err := json.Unmarshal(data, &c); err != nil {
		return Catalog{}, fmt.Errorf("not a catalogue: %w", err)
	}
	if err := c.check(); err != nil {
		return Catalog{}, err
	}
	return c, nil
}

func (c Catalog) check() error {
	if len(c.Regions) == 0 || len(c.Sizes) == 0 || len(c.Images) == 0 {
		return fmt.Errorf("a catalogue needs at least one each of regions, sizes and images")
	}
	regions := map[string]bool{}
	for _, r := range c.Regions {
		if r.Slug == "" || regions[r.Slug] {
			return fmt.Errorf("region %q: the slug is missing or used twice", r.Slug)
		}
		regions[r.Slug] = true
	}
	known := func(what string, slugs []string) error {
		for _, slug := range slugs {
			if !regions[slug] {
				return fmt.Errorf("%s: region %q is not in the catalogue", what, slug)
			}
		}
		return nil
	}
	sizes := map[string]bool{}
	for _, s := range c.Sizes {
		if s.Slug == "" || sizes[s.Slug] {
			return fmt.Errorf("size %q: the slug is missing or used twice", s.Slug)
		}
		sizes[s.Slug] = true
		if s.Memory <= 0 || s.VCPUs <= 0 || s.Disk <= 0 {
			return fmt.Errorf("size %q: memory, vcpus and disk must be above 0", s.Slug)
		}
		if err := known("size "+s.Slug, s.Regions); err != nil {
			return err
		}
	}
	slugs, ids := map[string]bool{}, map[int64]bool{}
	for _, i := range c.Images {
		if i.Slug == "" || slugs[i.Slug] || i.ID <= 0 || ids[i.ID] {
			return fmt.Errorf("image %d %q: the id or slug is missing or used twice", i.ID, i.Slug)
		}
		slugs[i.Slug], ids[i.ID] = true, true
		if i.ID >= FirstPrivateImageID {
			return fmt.Errorf("image %q: ids from %d on are for private images", i.Slug, FirstPrivateImageID)
		}
		if i.MinDiskSize <= 0 || (i.Kind != "distribution" && i.Kind != "application") {
			return fmt.Errorf("image %q: needs a min_disk_size and a kind, distribution or application", i.Slug)
		}
		if _, err := ParseTime(i.CreatedAt); err != nil {
			return fmt.Errorf("image %q: created_at: %w", i.Slug, err)
		}
		if err := known("image "+i.Slug, i.Regions); err != nil {
			return err
		}
	}
	return nil
}

// Region finds a region by slug, whatever the case.
func (c Catalog) Region(slug string) (Region, bool) {
	i := slices.IndexFunc(c.Regions, func(r Region) bool { return strings.EqualFold(r.Slug, slug) })
	if i < 0 {
		return Region{}, false
	}
	return c.Regions[i], true
}

// Size finds a size by slug.
func (c Catalog) Size(slug string) (Size, bool) {
	i := slices.IndexFunc(c.Sizes, func(s Size) bool { return s.Slug == slug })
	if i < 0 {
		return Size{}, false
	}
	return c.Sizes[i], true
}

// SizesIn lists the slugs of the sizes that can be had in a region. A region
// that is closed has none.
func (c Catalog) SizesIn(region Region) []string {
	slugs := []string{}
	if !region.Available {
		return slugs
	}
	for _, s := range c.Sizes {
		if !s.Retired && s.In(region.Slug) {
			slugs = append(slugs, s.Slug)
		}
	}
	return slugs
}

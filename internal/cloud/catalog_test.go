package cloud

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// What clients assert about the cloud holds for the built-in catalogue.
func TestCatalogDefaultHasWhatClientsExpect(t *testing.T) {
	c, err := ParseCatalog(defaultCatalog)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Regions) < 13 || len(c.Sizes) < 20 {
		t.Errorf("%d regions and %d sizes, want at least 13 and 20", len(c.Regions), len(c.Sizes))
	}
	size, _ := c.Size("s-1vcpu-1gb")
	if size.PriceMonthly != 6 || size.PriceHourly != 0.00893 {
		t.Errorf("s-1vcpu-1gb costs %v a month and %v an hour, want 6 and 0.00893", size.PriceMonthly, size.PriceHourly)
	}
	ubuntu := catalogImage(t, c, "ubuntu-22-04-x64")
	if ubuntu.MinDiskSize != 7 || ubuntu.Distribution != "Ubuntu" || ubuntu.Kind != "distribution" {
		t.Errorf("ubuntu-22-04-x64 is %+v, want a distribution of Ubuntu with min_disk_size 7", ubuntu)
	}
	byPrice := func(a, b Size) int {
		return cmp.Or(cmp.Compare(a.PriceMonthly, b.PriceMonthly), cmp.Compare(a.Slug, b.Slug))
	}
	if !slices.IsSortedFunc(c.Sizes, byPrice) {
		t.Error("the sizes are not ordered by price, then slug")
	}
}

// The region, size and images that examples and clients use by default can be
// put together to one Droplet.
func TestCatalogDefaultsFitTogether(t *testing.T) {
	c := DefaultCatalog()
	region, ok := c.Region("NYC3")
	if !ok || !region.Available {
		t.Fatalf("nyc3 is missing or closed: %+v", region)
	}
	for _, feature := range []string{"backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"} {
		if !region.Has(feature) {
			t.Errorf("nyc3 lacks the feature %s", feature)
		}
	}
	size, ok := c.Size("s-1vcpu-1gb")
	if !ok || !size.In(region.Slug) || !slices.Contains(c.SizesIn(region), size.Slug) {
		t.Fatalf("s-1vcpu-1gb cannot be had in nyc3: %+v", size)
	}
	for _, slug := range []string{
		"debian-12-x64", "debian-13-x64", "ubuntu-20-04-x64", "ubuntu-22-04-x64", "ubuntu-24-04-x64", "docker-20-04",
	} {
		image := catalogImage(t, c, slug)
		if !slices.Contains(image.Regions, region.Slug) {
			t.Errorf("%s is not in nyc3", slug)
		}
		if image.MinDiskSize > size.Disk {
			t.Errorf("%s needs a disk of %d GiB, s-1vcpu-1gb has %d", slug, image.MinDiskSize, size.Disk)
		}
	}
	for _, slug := range []string{"sfo1", "ams2"} {
		if closed, ok := c.Region(slug); !ok || closed.Available || len(c.SizesIn(closed)) != 0 {
			t.Errorf("%s should be listed, closed and without sizes: %+v", slug, closed)
		}
	}
}

// Every value is one that the API's description allows, so that no answer
// breaks a client that validates.
func TestCatalogDefaultIsWithinTheContract(t *testing.T) {
	regions := strings.Fields("ams1 ams2 ams3 blr1 fra1 lon1 nyc1 nyc2 nyc3 sfo1 sfo2 sfo3 sgp1 tor1 syd1")
	distributions := []string{
		"Arch Linux", "CentOS", "CoreOS", "Debian", "Fedora", "Fedora Atomic", "FreeBSD", "Gentoo", "openSUSE",
		"RancherOS", "Rocky Linux", "Ubuntu", "Unknown",
	}
	disks := []string{"local", "boot", "scratch"}

	c := DefaultCatalog()
	for _, r := range c.Regions {
		if !slices.Contains(regions, r.Slug) || r.Name == "" || len(r.Features) == 0 {
			t.Errorf("region %+v", r)
		}
	}
	for _, s := range c.Sizes {
		if s.Memory%8 != 0 || s.Description == "" || s.Transfer <= 0 || s.PriceMonthly <= 0 || s.PriceHourly <= 0 {
			t.Errorf("size %+v", s)
		}
		if !s.Available || len(s.Regions) == 0 {
			t.Errorf("size %s can be had nowhere", s.Slug)
		}
		if len(s.DiskInfo) == 0 || s.DiskInfo[0] != (DiskInfo{"local", Amount{s.Disk, "gib"}}) {
			t.Errorf("size %s: disk_info %+v does not begin with its local disk", s.Slug, s.DiskInfo)
		}
		for _, d := range s.DiskInfo {
			if !slices.Contains(disks, d.Type) || d.Size.Amount <= 0 || d.Size.Unit != "gib" {
				t.Errorf("size %s: disk %+v", s.Slug, d)
			}
		}
	}
	for _, i := range c.Images {
		if !slices.Contains(distributions, i.Distribution) || i.Name == "" || i.Description == "" || i.SizeGigabytes <= 0 {
			t.Errorf("image %+v", i)
		}
		if len(i.Regions) != len(c.Regions) { // ParseCatalog checks that each is known
			t.Errorf("image %s is in %d of %d regions", i.Slug, len(i.Regions), len(c.Regions))
		}
	}
}

func TestCatalogGPUSizes(t *testing.T) {
	c, found := DefaultCatalog(), 0
	for _, s := range c.Sizes {
		if strings.HasPrefix(s.Slug, "gpu-") != (s.GPUInfo != nil) {
			t.Errorf("size %s: gpu_info %+v", s.Slug, s.GPUInfo)
		}
		if s.GPUInfo == nil {
			continue
		}
		found++
		if s.GPUInfo.Count <= 0 || s.GPUInfo.Model == "" || s.GPUInfo.VRAM.Amount <= 0 || s.GPUInfo.VRAM.Unit != "gib" {
			t.Errorf("size %s: gpu_info %+v", s.Slug, *s.GPUInfo)
		}
		for _, slug := range s.Regions {
			if region, ok := c.Region(slug); !ok || !region.Available {
				t.Errorf("size %s: region %s is missing or closed", s.Slug, slug)
			}
		}
	}
	if found == 0 {
		t.Error("no size has a GPU")
	}
}

func TestParseCatalogRefuses(t *testing.T) {
	// Each call makes a sound catalogue with two of everything.
	sound := func() Catalog {
		size := Size{Memory: 1024, VCPUs: 1, Disk: 25, Regions: []string{"east1", "west1"}, Available: true}
		image := BaseImage{
			Kind: "distribution", MinDiskSize: 7, CreatedAt: "2024-07-02T16:43:14Z", Regions: []string{"east1", "west1"},
		}
		c := Catalog{
			Regions: []Region{{Slug: "east1"}, {Slug: "west1"}},
			Sizes:   []Size{size, size},
			Images:  []BaseImage{image, image},
		}
		c.Sizes[0].Slug, c.Sizes[1].Slug = "small", "large"
		c.Images[0].Slug, c.Images[0].ID = "ubuntu", 1
		c.Images[1].Slug, c.Images[1].ID = "debian", FirstPrivateImageID-1
		c.Images[1].Kind = "application"
		return c
	}
	parse := func(c Catalog) error {
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseCatalog(data)
		return err
	}
	if err := parse(sound()); err != nil {
		t.Fatalf("the sound catalogue is refused: %v", err)
	}
	for _, text := range []string{"", "regions:", "[]", `{"regions": [`, `{"sizes": {}}`} {
		if _, err := ParseCatalog([]byte(text)); err == nil || !strings.Contains(err.Error(), "not a catalogue") {
			t.Errorf("%q: got error %v, want one that says: not a catalogue", text, err)
		}
	}

	const oneEach = "at least one each of regions, sizes and images"
	for _, test := range []struct {
		name  string
		spoil func(*Catalog)
		want  []string // parts of the message
	}{
		{"no regions", func(c *Catalog) { c.Regions = nil }, []string{oneEach}},
		{"no sizes", func(c *Catalog) { c.Sizes = nil }, []string{oneEach}},
		{"no images", func(c *Catalog) { c.Images = nil }, []string{oneEach}},
		{"region without slug", func(c *Catalog) { c.Regions[1].Slug = "" }, []string{`region ""`, "slug"}},
		{"region twice", func(c *Catalog) { c.Regions[1].Slug = "east1" }, []string{`region "east1"`, "twice"}},
		{"size without slug", func(c *Catalog) { c.Sizes[1].Slug = "" }, []string{`size ""`, "slug"}},
		{"size twice", func(c *Catalog) { c.Sizes[1].Slug = "small" }, []string{`size "small"`, "twice"}},
		{"size without memory", func(c *Catalog) { c.Sizes[1].Memory = 0 }, []string{`size "large"`, "memory"}},
		{"size without vcpus", func(c *Catalog) { c.Sizes[1].VCPUs = -1 }, []string{`size "large"`, "vcpus"}},
		{"size without disk", func(c *Catalog) { c.Sizes[1].Disk = 0 }, []string{`size "large"`, "disk"}},
		{"size in unknown region", func(c *Catalog) { c.Sizes[1].Regions = []string{"east1", "mars1"} },
			[]string{"size large", `region "mars1"`}},
		{"image without slug", func(c *Catalog) { c.Images[0].Slug = "" }, []string{`image 1 ""`, "slug"}},
		{"image slug twice", func(c *Catalog) { c.Images[1].Slug = "ubuntu" }, []string{`"ubuntu"`, "twice"}},
		{"image without id", func(c *Catalog) { c.Images[1].ID = 0 }, []string{`image 0 "debian"`, "id"}},
		{"image id twice", func(c *Catalog) { c.Images[1].ID = 1 }, []string{`image 1 "debian"`, "twice"}},
		{"image with a private id", func(c *Catalog) { c.Images[1].ID = FirstPrivateImageID },
			[]string{`image "debian"`, "300000000", "private"}},
		{"image without min_disk_size", func(c *Catalog) { c.Images[1].MinDiskSize = 0 },
			[]string{`image "debian"`, "min_disk_size"}},
		{"image of another kind", func(c *Catalog) { c.Images[1].Kind = "snapshot" }, []string{`image "debian"`, "kind"}},
		{"image made at no time", func(c *Catalog) { c.Images[1].CreatedAt = "yesterday" },
			[]string{`image "debian"`, "created_at", "yesterday"}},
		{"image in unknown region", func(c *Catalog) { c.Images[1].Regions = []string{"mars1"} },
			[]string{"image debian", `region "mars1"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := sound()
			test.spoil(&c)
			err := parse(c)
			if err == nil {
				t.Fatal("it is accepted")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the message %q does not have %q", err, part)
				}
			}
		})
	}
}

// catalogImage finds an image by slug and ends the test when there is none.
func catalogImage(t *testing.T, c Catalog, slug string) BaseImage {
	t.Helper()
	i := slices.IndexFunc(c.Images, func(i BaseImage) bool { return i.Slug == slug })
	if i < 0 {
		t.Fatalf("image %s is not in the catalogue", slug)
	}
	return c.Images[i]
}

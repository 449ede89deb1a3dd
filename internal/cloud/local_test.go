package cloud

import (
	"slices"
	"strings"
	"testing"
)

func localImage(slug string, aliases ...string) LocalImage {
	return LocalImage{BaseImage{
		Slug: slug, Name: "12 x64", Distribution: "Debian", MinDiskSize: 2, SizeGigabytes: 0.15, CreatedAt: "2026-11-01T00:00:00Z",
	}, aliases}
}

// A cloud on one server offers what fits there and is there, by every name.
func TestLocalCatalog(t *testing.T) {
	l := Local{
		Features: []string{"storage", "metadata"}, Aliases: []string{"nyc3", "home", "nyc3"},
		VCPUs: 2, Memory: 2048, Disk: 60,
		Images: []LocalImage{localImage("tiny"), localImage("debian-12-x64", "ubuntu-22-04-x64", "tiny")},
	}
	c, err := l.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	var regions, sizes, images []string
	for _, r := range c.Regions {
		regions = append(regions, r.Slug+" "+r.Name)
		if !r.Available || !r.Has("storage") || r.Has("image_transfer") {
			t.Errorf("%+v", r)
		}
	}
	if want := []string{"local1 Local 1", "nyc3 New York 3", "home home"}; !slices.Equal(regions, want) {
		t.Errorf("the regions are %q", regions)
	}
	for _, s := range c.Sizes {
		sizes = append(sizes, s.Slug)
		if s.Memory > 2048 || s.VCPUs > 2 || s.Disk > 60 || !s.In("home") || !s.In("local1") {
			t.Errorf("%+v", s)
		}
	}
	if !slices.Contains(sizes, "s-1vcpu-512mb-10gb") || !slices.Contains(sizes, "s-2vcpu-2gb") || slices.Contains(sizes, "s-2vcpu-4gb") {
		t.Errorf("the sizes are %q", sizes)
	}
	for _, i := range c.Images {
		images = append(images, i.Slug+" "+i.Alias)
		if i.ID < 1 || i.ID >= FirstPrivateImageID || len(i.Regions) != 3 || i.Kind != "distribution" {
			t.Errorf("%+v", i)
		}
	}
	if want := []string{"debian-12-x64 ", "tiny ", "ubuntu-22-04-x64 debian-12-x64"}; !slices.Equal(images, want) {
		t.Errorf("the images are %q", images)
	}

	l.Images = l.Images[1:]
	fewer, err := l.Catalog()
	if err != nil || fewer.Images[0].ID != c.Images[0].ID {
		t.Errorf("the ID has become %d: %v", fewer.Images[0].ID, err)
	}
}

func TestLocalCatalogsThatCannotBe(t *testing.T) {
	small := Local{VCPUs: 1, Memory: 256, Disk: 100}
	if _, err := small.Catalog(); err == nil || !strings.Contains(err.Error(), "takes 1 vCPU, 512 MiB of memory and 10 GiB of disk, and there are 1, 256 and 100") {
		t.Errorf("got %v", err)
	}
	none := Local{VCPUs: 1, Memory: 512, Disk: 10}
	if c, err := none.Catalog(); err != nil || len(c.Images) != 0 || len(c.Sizes) != 1 {
		t.Errorf("without an image: %+v, %v", c, err)
	}
	wrong := localImage("debian")
	wrong.CreatedAt, wrong.MinDiskSize = "yesterday", 0
	none.Images = []LocalImage{wrong}
	if _, err := none.Catalog(); err == nil || !strings.Contains(err.Error(), `image "debian": created_at`) {
		t.Errorf("got %v", err)
	}
}

func TestParseRegionAlias(t *testing.T) {
	if alias, err := ParseRegionAlias("NYC3=local1"); err != nil || alias != "nyc3" {
		t.Errorf("got %q, %v", alias, err)
	}
	for text, want := range map[string]string{
		"nyc3":          `"nyc3": use ALIAS=REGION, such as nyc3=local1`,
		"nyc3=ams3":     `"nyc3=ams3": local1 is the only region that there is`,
		"local1=local1": `"local1=local1": an alias is the slug of another region, such as nyc3`,
		"=local1":       `"=local1": an alias is the slug of another region, such as nyc3`,
		"a b=local1":    `"a b=local1": an alias is the slug of another region, such as nyc3`,
	} {
		if _, err := ParseRegionAlias(text); err == nil || err.Error() != want {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

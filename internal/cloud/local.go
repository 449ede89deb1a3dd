package cloud

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
)

// LocalRegion is the region of a cloud with real machines on one server.
const LocalRegion = "local1"

// Local is what such a cloud has to offer.
type Local struct {
	// Features are those of the region, such as "storage".
	Features []string
	// Aliases are slugs of more regions that are the same place.
	Aliases []string
	// VCPUs, Memory (MiB) and Disk (GiB) are the most that one Droplet can have.
	VCPUs, Memory, Disk int64
	Images              []LocalImage
}

// LocalImage is an image that is there.
type LocalImage struct {
	BaseImage
	// Aliases are more slugs that it can be asked for by.
	Aliases []string
}

var regionPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// ParseRegionAlias reads "nyc3=local1" and returns the alias.
func ParseRegionAlias(text string) (string, error) {
	alias, of, found := strings.Cut(strings.ToLower(text), "=")
	switch {
	case !found:
		return "", fmt.Errorf("%q: use ALIAS=REGION, such as nyc3=%s", text, LocalRegion)
	case of != LocalRegion:
		return "", fmt.Errorf("%q: %s is the only region that there is", text, LocalRegion)
	case alias == LocalRegion || !regionPattern.MatchString(alias):
		return "", fmt.Errorf("%q: an alias is the slug of another region, such as nyc3", text)
	}
	return alias, nil
}

// Catalog is what a cloud with real machines offers: one place, the sizes that
// fit there, and the images that are there. An alias is a region, and an image,
// of its own: clients such as Terraform compare what they asked for with what
// they are shown, and so see no difference.
func (l Local) Catalog() (Catalog, error) {
	var c Catalog
	slugs := []string{LocalRegion}
	for _, alias := range l.Aliases {
		if !slices.Contains(slugs, alias) {
			slugs = append(slugs, alias)
		}
	}
	known := DefaultCatalog()
	for _, slug := range slugs {
		c.Regions = append(c.Regions, Region{Slug: slug, Name: regionName(known, slug), Features: l.Features, Available: true})
	}
	for _, size := range known.Sizes {
		if strings.HasPrefix(size.Slug, "s-") && size.VCPUs <= l.VCPUs && size.Memory <= l.Memory && size.Disk <= l.Disk {
			size.Regions, size.Available = slugs, true
			c.Sizes = append(c.Sizes, size)
		}
	}
	if len(c.Sizes) == 0 {
		least := known.Sizes[0]
		return c, fmt.Errorf("no Droplet fits here: the smallest size, %s, takes %d vCPU, %d MiB of memory and %d GiB of disk, and there are %d, %d and %d",
			least.Slug, least.VCPUs, least.Memory, least.Disk, l.VCPUs, l.Memory, l.Disk)
	}
	c.Images = l.baseImages(slugs)
	return c, c.checkImages()
}

// regionName is the name that a slug has elsewhere.
func regionName(known Catalog, slug string) string {
	if slug == LocalRegion {
		return "Local 1"
	}
	if region, ok := known.Region(slug); ok {
		return region.Name
	}
	return slug
}

// baseImages are the images and then their aliases, as far as no image has the
// same slug, with IDs that stay the same.
func (l Local) baseImages(regions []string) (all []BaseImage) {
	slugs, ids := map[string]bool{}, map[int64]bool{}
	add := func(i BaseImage) {
		if slugs[i.Slug] {
			return
		}
		for i.ID == 0 || ids[i.ID] {
			i.ID = imageID(i.Slug, i.ID)
		}
		i.Regions, i.Kind = regions, cmp.Or(i.Kind, "distribution")
		slugs[i.Slug], ids[i.ID] = true, true
		all = append(all, i)
	}
	inOrder := slices.SortedFunc(slices.Values(l.Images), func(a, b LocalImage) int { return cmp.Compare(a.Slug, b.Slug) })
	for _, image := range inOrder {
		add(image.BaseImage)
	}
	for _, image := range inOrder {
		for _, alias := range image.Aliases {
			named := image.BaseImage
			named.ID, named.Slug, named.Alias = 0, alias, cmp.Or(image.Alias, image.Slug)
			add(named)
		}
	}
	return all
}

// imageID is the ID that an image without one gets: it follows from its slug,
// and is another than the one before, which something else has.
func imageID(slug string, before int64) int64 {
	h := fnv.New32a()
	h.Write([]byte(slug))
	if before > 0 {
		fmt.Fprint(h, before)
	}
	return 1 + int64(h.Sum32())%(FirstPrivateImageID-1)
}

func (c Catalog) checkImages() error {
	var wrong []error
	for _, i := range c.Images {
		if _, err := ParseTime(i.CreatedAt); err != nil {
			wrong = append(wrong, fmt.Errorf("image %q: created_at: %w", i.Slug, err))
		}
		if i.Slug == "" || i.MinDiskSize <= 0 || i.ID >= FirstPrivateImageID {
			wrong = append(wrong, fmt.Errorf("image %q: it needs a slug, a min_disk_size and an id below %d", i.Slug, FirstPrivateImageID))
		}
	}
	return errors.Join(wrong...)
}

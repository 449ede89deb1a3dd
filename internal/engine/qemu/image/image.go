// Package image keeps the base images that machines start from: it builds them
// from Debian's packages, takes in those that people bring, and trusts nothing
// that comes from outside.
package image

import (
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The files of an image's folder.
const (
	infoFile   = "image.json"
	DiskFile   = "disk.qcow2" // flat: it has no backing file
	KernelFile = "kernel"     // of those that boot directly
	InitrdFile = "initrd"
)

// maxID is the highest number of a base image. Those of accounts begin far above.
const maxID = 999_999

const gib = 1 << 30

// Image is a base image as its folder describes it. The names in JSON stay the
// same.
type Image struct {
	ID           int64  `json:"id"`
	Slug         string `json:"slug"`
	Name         string `json:"name"`
	Distribution string `json:"distribution"`
	Description  string `json:"description"`
	Kind         string `json:"kind"`
	// Aliases are other slugs that it answers to.
	Aliases []string `json:"aliases"`
	// MinDiskSize is the smallest disk that it fits on, in GiB.
	MinDiskSize   int64     `json:"min_disk_size"`
	SizeGigabytes float64   `json:"size_gigabytes"`
	VirtualSize   int64     `json:"virtual_size"`
	CreatedAt     time.Time `json:"created_at"`
	// SHA256 is the checksum of the disk's file.
	SHA256 string `json:"sha256"`
	// SourceSHA256 is that of what was imported, as it came.
	SourceSHA256 string `json:"source_sha256,omitempty"`
	// Kernel says that it boots from a kernel and an initrd beside its disk, with
	// Cmdline, and not from the disk.
	Kernel  bool   `json:"kernel"`
	Cmdline string `json:"cmdline,omitempty"`

	// Dir is the folder that it was read from.
	Dir string `json:"-"`
}

// Spec is what a new image is called.
type Spec struct {
	Slug, Name, Distribution, Description string
	Aliases                               []string
}

// ErrExists says that a slug is an image's already. It is a [Taken].
var ErrExists = errors.New("is taken")

// Taken says which image has a slug: by its own name, or by an alias.
type Taken struct{ Slug, Image string }

func (t *Taken) Error() string {
	if t.Image != t.Slug {
		return fmt.Sprintf("the slug %s %v: it is an alias of the image %s; choose another, or remove that image first", t.Slug, ErrExists, t.Image)
	}
	return fmt.Sprintf("the slug %s %v: there is such an image; choose another, or remove it first", t.Slug, ErrExists)
}

// Is makes it an [ErrExists].
func (t *Taken) Is(target error) bool { return target == ErrExists }

// ErrNotFound says that there is no such image.
var ErrNotFound = errors.New("there is no such image")

var slugPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)

// IsSlug reports whether an image can be called so.
func IsSlug(slug string) bool { return slugPattern.MatchString(slug) }

func checkSlug(slug string) error {
	if !IsSlug(slug) {
		return fmt.Errorf("%q cannot be a slug: use 1 to 63 lower-case letters, digits, dots and dashes that begin and end with a letter or digit, such as debian-12-x64", slug)
	}
	return nil
}

// check says what is wrong with how a new image is to be called.
func (s Spec) check() error {
	for _, slug := range s.slugs() {
		if err := checkSlug(slug); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for _, slug := range s.slugs() {
		if seen[slug] {
			return fmt.Errorf("%q is given twice: a slug and its aliases all differ", slug)
		}
		seen[slug] = true
	}
	if s.Distribution == "" {
		return errors.New("a distribution is missing, such as Debian")
	}
	for what, text := range map[string]string{"name": s.Name, "distribution": s.Distribution, "description": s.Description} {
		if len(text) > 255 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("the %s %.40q cannot be used: it takes one line of at most 255 bytes", what, text)
		}
	}
	return nil
}

func (s Spec) slugs() []string { return append([]string{s.Slug}, s.Aliases...) }

// answersTo reports whether an image is known by a slug.
func (i Image) answersTo(slug string) bool { return i.Slug == slug || slices.Contains(i.Aliases, slug) }

// number finds an image its number: the same for the same slug, unless another
// image has that.
func number(slug string, others []Image) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(slug)) // it cannot fail
	id := int64(h.Sum64()%maxID) + 1
	for slices.ContainsFunc(others, func(o Image) bool { return o.ID == id }) {
		id = id%maxID + 1
	}
	return id
}

// minDiskSize is a size in whole GiB that a disk fits on.
func minDiskSize(virtual int64) int64 { return max(1, (virtual+gib-1)/gib) }

// gigabytes is a size as people read it.
func gigabytes(bytes int64) float64 {
	hundredths := (bytes + 9_999_999) / 10_000_000
	return float64(hundredths) / 100
}

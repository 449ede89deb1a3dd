package app

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/image"
)

// imageFolder is where the images of a data folder are.
const imageFolder = "images"

// Images are the base images in a data folder, which real machines start from.
// They need no server, and may be changed while one runs.
type Images struct{ store *image.Store }

// Image is one of them.
type Image = image.Image

// ImageSpec is what a new image is called.
type ImageSpec = image.Spec

// ImageOrigin is where an image is imported from.
type ImageOrigin struct {
	// From is a file or a URL.
	From string
	// SHA256 is what its checksum has to be, or empty.
	SHA256 string
	// Allow are the addresses beside those of the internet that a URL may lead to.
	Allow []string
}

// OpenImages returns the images of a data folder: the default one where none is
// named.
func OpenImages(data string) (Images, error) {
	if data == "" {
		data = DefaultData()
	}
	folder, err := filepath.Abs(data)
	if err != nil {
		return Images{}, fmt.Errorf("--data %s: %w", data, err)
	}
	return Images{image.Open(filepath.Join(folder, imageFolder))}, nil
}

// Recipes are the images that can be built.
func (Images) Recipes() []string { return image.Recipes() }

// List returns all images, and beside them an error that tells of broken ones.
func (i Images) List() ([]Image, error) { return i.store.List() }

// Remove removes the image with a slug.
func (i Images) Remove(slug string) error { return i.store.Remove(slug) }

// Build makes an image from Debian's packages, and tells each step as it begins.
func (i Images) Build(ctx context.Context, recipe string, tell func(step string)) (Image, error) {
	return i.store.Build(ctx, recipe, tell)
}

// Import takes in an image from a file or a URL.
func (i Images) Import(ctx context.Context, origin ImageOrigin, spec ImageSpec, progress func(done, total int64)) (Image, error) {
	source := image.Source{File: origin.From, SHA256: origin.SHA256}
	if !isURL(origin.From) {
		return i.store.Import(ctx, source, spec, progress)
	}
	allow, err := parseAllowed(origin.Allow)
	if err != nil {
		return Image{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reader, writer := io.Pipe()
	defer reader.Close()
	ended := make(chan struct{})
	sizes := make(chan int64, 1)
	go func() {
		defer close(ended)
		_ = writer.CloseWithError(image.Fetch(ctx, origin.From, writer, image.FetchOptions{Allow: allow, Progress: func(_, total int64) {
			select {
			case sizes <- total:
			default: // one is enough
			}
		}})) // it cannot fail
	}()
	defer func() { cancel(); reader.Close(); <-ended }()
	source.File, source.Reader = "", reader
	var size int64
	return i.store.Import(ctx, source, spec, func(done, total int64) {
		select {
		case size = <-sizes:
		default:
		}
		progress(done, max(total, 2*size))
	})
}

// isURL tells a URL from the name of a file.
func isURL(from string) bool {
	u, err := url.Parse(from)
	return err == nil && u.Scheme != "" && strings.Contains(from, "://")
}

// parseAllowed reads what --import-allow takes: addresses and ranges.
func parseAllowed(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if address, single := netip.ParseAddr(text); single == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("--import-allow %s: use a range of addresses such as 10.0.0.0/8", text)
		}
		all = append(all, prefix.Masked())
	}
	return all, nil
}

// ImageTaken says that a slug is an image's already.
type ImageTaken = image.Taken

package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Store is a folder of images, each a folder by its slug. Several processes may
// use it at once: an image appears whole, and one that goes has no effect on who
// has links to its files.
type Store struct{ dir string }

// unfinished begins the names of folders that are not images yet.
const unfinished = ".new-"

// Open returns the images below a folder, which need not be there.
func Open(dir string) *Store { return &Store{dir: dir} }

// Broken is an image that cannot be used.
type Broken struct {
	Slug, Dir string
	Err       error
}

func (b *Broken) Error() string {
	return fmt.Sprintf("the image in %s cannot be used: %v", b.Dir, b.Err)
}

func (b *Broken) Unwrap() error { return b.Err }

// List returns the images by slug. A folder that cannot be read is left out, and
// told by the error beside the others.
func (s *Store) List() ([]Image, error) {
	images, broken, err := s.Look()
	if err != nil {
		return nil, err
	}
	var all []error
	for _, b := range broken {
		all = append(all, b)
	}
	return images, errors.Join(all...)
}

// Look returns the images by slug, and apart from them those that are broken.
func (s *Store) Look() (images []Image, broken []*Broken, err error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the images cannot be listed: %w", err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") || !entry.IsDir() {
			continue
		}
		image, err := s.read(entry.Name())
		switch {
		case errors.Is(err, fs.ErrNotExist) && !s.has(entry.Name()): // removed meanwhile
		case err != nil:
			broken = append(broken, &Broken{entry.Name(), filepath.Join(s.dir, entry.Name()), err})
		default:
			images = append(images, image)
		}
	}
	return images, broken, nil
}

func (s *Store) has(slug string) bool {
	_, err := os.Lstat(filepath.Join(s.dir, slug))
	return err == nil
}

func (s *Store) read(slug string) (Image, error) {
	image := Image{Dir: filepath.Join(s.dir, slug)}
	text, err := os.ReadFile(filepath.Join(image.Dir, infoFile))
	if err != nil {
		return image, err
	}
	if err := json.Unmarshal(text, &image); err != nil {
		return image, fmt.Errorf("%s: %w", infoFile, err)
	}
	if image.Slug != slug || image.ID <= 0 || image.VirtualSize <= 0 {
		return image, fmt.Errorf("%s does not describe an image called %s", infoFile, slug)
	}
	for _, name := range image.files() {
		info, err := os.Lstat(filepath.Join(image.Dir, name))
		if err != nil {
			return image, err
		}
		if !info.Mode().IsRegular() {
			return image, fmt.Errorf("%s is not a file", name)
		}
	}
	return image, nil
}

// files are those that an image needs.
func (i Image) files() []string {
	if i.Kernel {
		return []string{DiskFile, KernelFile, InitrdFile}
	}
	return []string{DiskFile}
}

// Find returns the image with a slug or an alias, or ErrNotFound. A broken
// image is in nobody's way but its own.
func (s *Store) Find(slug string) (Image, error) {
	images, err := s.List()
	i := slices.IndexFunc(images, func(i Image) bool { return i.answersTo(slug) })
	if i >= 0 {
		return images[i], nil
	}
	if err != nil && (images == nil || s.has(slug)) {
		return Image{}, err
	}
	return Image{}, fmt.Errorf("%w as %q", ErrNotFound, slug)
}

// Remove removes the image with a slug, which may be broken. Machines that were
// made from it keep what they need.
func (s *Store) Remove(slug string) error {
	if err := checkSlug(slug); err != nil {
		return err
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	folder, err := s.temporary()
	if err != nil {
		return err
	}
	defer folder.remove()
	err = os.Rename(filepath.Join(s.dir, slug), filepath.Join(folder.path, "removed"))
	if errors.Is(err, fs.ErrNotExist) {
		if image, err := s.Find(slug); err == nil {
			return fmt.Errorf("%s is an alias of the image %s: remove that", slug, image.Slug)
		}
		return fmt.Errorf("%w as %q", ErrNotFound, slug)
	}
	return errors.Join(err, syncFolder(s.dir))
}

// lock keeps other processes from adding and removing images. It is held for an
// instant only.
func (s *Store) lock() (unlock func(), err error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(s.dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	// Others can enter the folder, and whoever can open a file can lock it.
	if err := file.Chmod(0o600); err != nil {
		file.Close()
		return nil, err
	}
	if err := flock(file, syscall.LOCK_EX); err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil
}

func flock(file *os.File, how int) error {
	for {
		if err := syscall.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// temporary is a folder to make an image in. Whoever makes one holds its lock,
// so that what a killed process left can be told from what grows.
type temporary struct {
	path string
	held *os.File
}

// temporary makes such a folder, and removes those that nobody holds. It is
// called with the store's lock held.
func (s *Store) temporary() (*temporary, error) {
	s.sweep()
	path, err := os.MkdirTemp(s.dir, unfinished)
	if err != nil {
		return nil, err
	}
	held, err := os.OpenFile(filepath.Join(path, ".held"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = flock(held, syscall.LOCK_EX)
	}
	t := &temporary{path: path, held: held}
	if err != nil {
		t.remove()
		return nil, err
	}
	return t, nil
}

func (t *temporary) remove() {
	_ = os.RemoveAll(t.path) // the next one to come tries again
	t.held.Close()
}

// sweep removes what killed processes have left.
func (s *Store) sweep() {
	left, _ := filepath.Glob(filepath.Join(s.dir, unfinished+"*")) // the pattern is good
	for _, path := range left {
		held, err := os.OpenFile(filepath.Join(path, ".held"), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			continue
		}
		if flock(held, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(path) // the next one to come tries again
		}
		held.Close()
	}
}

// begin makes a folder for a new image, unless its slugs are taken.
func (s *Store) begin(spec Spec) (*temporary, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	unlock, err := s.lock()
	if err != nil {
		return nil, fmt.Errorf("images cannot be kept in %s: %w", s.dir, err)
	}
	defer unlock()
	if err := s.free(spec); err != nil {
		return nil, err
	}
	return s.temporary()
}

// free says which slug is taken, if one is.
func (s *Store) free(spec Spec) error {
	images, _ := s.List() // what is broken is asked for by its folder
	for _, slug := range spec.slugs() {
		i := slices.IndexFunc(images, func(i Image) bool { return i.answersTo(slug) })
		switch {
		case i >= 0 && images[i].Slug != slug:
			return &Taken{slug, images[i].Slug}
		case i >= 0 || s.has(slug):
			return &Taken{slug, slug}
		}
	}
	return nil
}

// install makes a new image whose files a function puts into a folder: the disk,
// and for those that boot directly what belongs to it. The function says the
// disk's virtual size and how it boots.
func (s *Store) install(spec Spec, fill func(dir string, image *Image) error) (Image, error) {
	folder, err := s.begin(spec)
	if err != nil {
		return Image{}, err
	}
	defer folder.remove()
	image := Image{
		Slug: spec.Slug, Name: spec.Name, Distribution: spec.Distribution, Description: spec.Description,
		Kind: "distribution", Aliases: append([]string{}, spec.Aliases...), CreatedAt: time.Now().UTC().Truncate(time.Second),
	}
	if image.Name == "" {
		image.Name = spec.Slug
	}
	dir := filepath.Join(folder.path, "image")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return Image{}, err
	}
	if err := fill(dir, &image); err != nil {
		return Image{}, err
	}
	if err := image.measure(dir); err != nil {
		return Image{}, err
	}
	return s.publish(spec, dir, image)
}

// measure fills in what the files say.
func (i *Image) measure(dir string) error {
	file, err := os.Open(filepath.Join(dir, DiskFile))
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	var size int64
	for _, name := range i.files() {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		size += info.Size()
	}
	i.SHA256 = hex.EncodeToString(sum.Sum(nil))
	i.MinDiskSize, i.SizeGigabytes = minDiskSize(i.VirtualSize), gigabytes(size)
	return nil
}

// publish gives a whole image its number and its place.
func (s *Store) publish(spec Spec, dir string, image Image) (Image, error) {
	unlock, err := s.lock()
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	if err := s.free(spec); err != nil {
		return Image{}, err
	}
	others, _ := s.List() // broken ones have no number
	image.ID = number(image.Slug, others)
	image.Dir = filepath.Join(s.dir, image.Slug)
	text, err := json.MarshalIndent(image, "", "  ")
	if err != nil {
		return Image{}, err
	}
	if err := os.WriteFile(filepath.Join(dir, infoFile), append(text, '\n'), 0o644); err != nil {
		return Image{}, err
	}
	for _, name := range append(image.files(), infoFile) {
		if err := seal(filepath.Join(dir, name)); err != nil {
			return Image{}, err
		}
	}
	if err := errors.Join(os.Chmod(dir, 0o755), syncFolder(dir)); err != nil {
		return Image{}, err
	}
	if err := os.Rename(dir, image.Dir); err != nil {
		return Image{}, err
	}
	return image, syncFolder(s.dir)
}

// seal has a file on the disk for good, and writable for nobody: machines share
// it.
func seal(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Chmod(0o444); err != nil {
		return err
	}
	return file.Sync()
}

func syncFolder(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}

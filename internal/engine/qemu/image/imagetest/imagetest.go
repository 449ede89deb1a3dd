// Package imagetest gives tests images that boot.
package imagetest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/image"
)

// programs are what tests with guests need, and debian what building Debian needs
// beside them.
var (
	programs = []string{"qemu-system-x86_64", "qemu-img", "apt-get", "dpkg-deb", "mke2fs"}
	debian   = []string{"mmdebstrap", "fakeroot", "grub-mkimage"}
)

// Tiny returns the tiny image. It is built once and kept in the user's cache for
// as long as its recipe stays the same. Where it cannot be had, or guests cannot
// run, the test is skipped.
func Tiny(t testing.TB) image.Image {
	t.Helper()
	return built(t, tiny, programs...)
}

// Debian returns the image of Debian 12, kept like the tiny one. As it takes
// minutes to build and to start, it is only for tests that are asked for with
// CISTERN_TEST_DEBIAN.
func Debian(t testing.TB) image.Image {
	t.Helper()
	if os.Getenv("CISTERN_TEST_DEBIAN") == "" {
		t.Skip("not applicable: CISTERN_TEST_DEBIAN is not set; make test-debian does so")
	}
	return built(t, debian12, append(debian, programs...)...)
}

func built(t testing.TB, get func() (image.Image, error), programs ...string) image.Image {
	t.Helper()
	if testing.Short() {
		t.Skip("QEMU: guests take too long for -short")
	}
	if missing := missing(programs); missing != "" {
		t.Skipf("QEMU: %s is not installed; scripts/with-qemu installs it", missing)
	}
	made, err := get()
	if err != nil {
		t.Skipf("QEMU: an image cannot be built: %v", err)
	}
	return made
}

// TinyIn puts the tiny image into a folder of images, as if it had been built
// there.
func TinyIn(t testing.TB, dir string) image.Image {
	t.Helper()
	return put(t, Tiny(t), dir)
}

// DebianIn does so with the image of Debian.
func DebianIn(t testing.TB, dir string) image.Image {
	t.Helper()
	return put(t, Debian(t), dir)
}

func put(t testing.TB, built image.Image, dir string) image.Image {
	t.Helper()
	to := filepath.Join(dir, built.Slug)
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	names := []string{"image.json", image.DiskFile}
	if built.Kernel {
		names = append(names, image.KernelFile, image.InitrdFile)
	}
	for _, name := range names {
		if err := link(filepath.Join(built.Dir, name), filepath.Join(to, name)); err != nil {
			t.Fatal(err)
		}
	}
	found, err := image.Open(dir).Find(built.Slug)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// link links a file, or copies it to another file system.
func link(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o444)
}

func missing(programs []string) string {
	var missing []string
	for _, program := range programs {
		_, err := exec.LookPath(program)
		if _, sbin := exec.LookPath("/usr/sbin/" + program); err != nil && sbin != nil {
			missing = append(missing, program)
		}
	}
	return strings.Join(missing, ", ")
}

var (
	tiny     = sync.OnceValues(func() (image.Image, error) { return build("tiny") })
	debian12 = sync.OnceValues(func() (image.Image, error) { return build("debian-12") })
)

// build builds an image unless it is in the cache. The lock is for the tests of
// several packages at once.
func build(recipe string) (image.Image, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return image.Image{}, err
	}
	dir := filepath.Join(cache, "cistern-test", recipe+"-"+image.Fingerprint(recipe))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return image.Image{}, err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return image.Image{}, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return image.Image{}, err
	}
	if found, err := image.Open(dir).Find(recipe); err == nil {
		return found, nil
	}
	// It outlives the test that wants it first.
	return image.Open(dir).Build(context.Background(), recipe, func(string) {})
}

package image

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// add installs an image of a few bytes.
func add(s *Store, spec Spec) (Image, error) {
	if spec.Distribution == "" {
		spec.Distribution = "Debian"
	}
	return s.install(spec, func(dir string, image *Image) error {
		image.VirtualSize = gib + 1
		return os.WriteFile(filepath.Join(dir, DiskFile), []byte("disk"), 0o600)
	})
}

func mustAdd(t *testing.T, s *Store, spec Spec) Image {
	t.Helper()
	image, err := add(s, spec)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestImageIsKept(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "images"))
	if images, err := s.List(); err != nil || len(images) != 0 {
		t.Errorf("before there is a folder: %v, %v", images, err)
	}
	made := mustAdd(t, s, Spec{Slug: "debian-12-x64", Aliases: []string{"ubuntu-22-04-x64"}, Description: "a disk"})
	for _, slug := range []string{"debian-12-x64", "ubuntu-22-04-x64"} {
		found, err := s.Find(slug)
		if err != nil || found.ID != made.ID || found.Dir != made.Dir || !found.CreatedAt.Equal(made.CreatedAt) {
			t.Errorf("%s: %+v, %v; want %+v", slug, found, err, made)
		}
	}
	if made.ID < 1 || made.ID > maxID || made.MinDiskSize != 2 || made.SizeGigabytes != 0.01 || made.Kind != "distribution" ||
		made.Name != "debian-12-x64" || made.SHA256 != "1044dec7206e8d7c9fbb4ae8f766668406d2567fc7fc1a160a9d4700fcf8f8e9" {
		t.Errorf("%+v", made)
	}
	for name, want := range map[string]os.FileMode{"": 0o755 | os.ModeDir, DiskFile: 0o444, infoFile: 0o444} {
		if info, err := os.Stat(filepath.Join(made.Dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if _, err := s.Find("other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("another one: %v", err)
	}
}

// An image is as large as all that is needed of it.
func TestSizeIsOfAllFiles(t *testing.T) {
	s := Open(t.TempDir())
	made, err := s.install(Spec{Slug: "direct", Distribution: "Debian"}, func(dir string, image *Image) error {
		image.Kernel, image.VirtualSize = true, gib
		for name, size := range map[string]int64{DiskFile: 20_000_000, KernelFile: 30_000_000, InitrdFile: 40_000_000} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				return err
			}
			if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || made.SizeGigabytes != 0.09 {
		t.Errorf("%g GB, %v", made.SizeGigabytes, err)
	}
}

// The same slug has the same number, whenever it is installed.
func TestNumbersStay(t *testing.T) {
	s := Open(t.TempDir())
	first := mustAdd(t, s, Spec{Slug: "one"})
	mustAdd(t, s, Spec{Slug: "two"})
	if err := s.Remove("one"); err != nil {
		t.Fatal(err)
	}
	if again := mustAdd(t, s, Spec{Slug: "one"}); again.ID != first.ID {
		t.Errorf("%d became %d", first.ID, again.ID)
	}
	if next := number("one", []Image{{ID: first.ID}}); next == first.ID || next < 1 || next > maxID {
		t.Errorf("beside one with the same number: %d", next)
	}
}

func TestWhatCannotBeCalledSo(t *testing.T) {
	s := Open(t.TempDir())
	mustAdd(t, s, Spec{Slug: "debian", Aliases: []string{"stable"}})
	for name, test := range map[string]struct {
		spec Spec
		want string
	}{
		"no slug":       {Spec{}, `"" cannot be a slug`},
		"path":          {Spec{Slug: "../x"}, "cannot be a slug"},
		"hidden":        {Spec{Slug: ".x"}, "cannot be a slug"},
		"capitals":      {Spec{Slug: "Debian"}, "lower-case letters"},
		"long":          {Spec{Slug: strings.Repeat("x", 64)}, "1 to 63"},
		"bad alias":     {Spec{Slug: "x", Aliases: []string{"a b"}}, `"a b" cannot be a slug`},
		"alias is slug": {Spec{Slug: "x", Aliases: []string{"x"}}, "given twice"},
		"taken":         {Spec{Slug: "debian"}, "there is such an image"},
		"an alias":      {Spec{Slug: "stable"}, "it is an alias of the image debian"},
		"alias taken":   {Spec{Slug: "x", Aliases: []string{"debian"}}, "the slug debian is taken"},
		"name of lines": {Spec{Slug: "x", Name: "a\nb"}, "one line"},
	} {
		if _, err := add(s, test.spec); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
	if err := (Spec{Slug: "x"}).check(); err == nil || !strings.Contains(err.Error(), "a distribution is missing") {
		t.Errorf("no distribution: %v", err)
	}
}

// What cannot be read is told, and is in no other's way.
func TestBrokenFolders(t *testing.T) {
	s := Open(t.TempDir())
	mustAdd(t, s, Spec{Slug: "good"})
	for name, info := range map[string]string{
		"empty": "", "text": "hello", "other": `{"slug":"good","id":1,"virtual_size":1}`, "gone": `{"slug":"gone","id":1,"virtual_size":1}`,
	} {
		if err := os.MkdirAll(filepath.Join(s.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if info == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(s.dir, name, infoFile), []byte(info), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	images, err := s.List()
	if len(images) != 1 || err == nil {
		t.Fatalf("%v, %v", images, err)
	}
	for _, name := range []string{"empty", "text", "other", "gone"} {
		if !strings.Contains(err.Error(), filepath.Join(s.dir, name)+" cannot be used") {
			t.Errorf("%s is not told: %v", name, err)
		}
		if _, err := add(s, Spec{Slug: name}); !errors.Is(err, ErrExists) {
			t.Errorf("%s is overwritten: %v", name, err)
		}
	}
	if _, err := s.Find("good"); err != nil {
		t.Errorf("the good one: %v", err)
	}
	if _, err := s.Find("text"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("the broken one: %v", err)
	}
	if err := s.Remove("text"); err != nil || s.has("text") {
		t.Errorf("removing a broken one: %v", err)
	}
}

func TestRemove(t *testing.T) {
	s := Open(t.TempDir())
	made := mustAdd(t, s, Spec{Slug: "debian", Aliases: []string{"stable"}})
	kept := filepath.Join(t.TempDir(), "base.qcow2")
	if err := os.Link(filepath.Join(made.Dir, DiskFile), kept); err != nil {
		t.Fatal(err)
	}
	for slug, want := range map[string]string{"../x": "cannot be a slug", "other": "there is no such image", "stable": "alias of the image debian"} {
		if err := s.Remove(slug); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", slug, err, want)
		}
	}
	if err := s.Remove("debian"); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(kept); err != nil || string(text) != "disk" {
		t.Errorf("what a machine has of it: %q, %v", text, err)
	}
	if images, err := s.List(); len(images) != 0 || err != nil {
		t.Errorf("%v, %v", images, err)
	}
}

// Whoever can open a file can lock it, and the folder is open to those that
// machines run as: they are not to keep anybody from adding images.
func TestOnlyTheOwnerCanLock(t *testing.T) {
	s := Open(t.TempDir())
	lock := filepath.Join(s.dir, ".lock")
	if err := os.WriteFile(lock, nil, 0o644); err != nil { // of an earlier version
		t.Fatal(err)
	}
	mustAdd(t, s, Spec{Slug: "debian"})
	info, err := os.Stat(lock)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// What a killed process left goes, and what grows stays.
func TestLeftoversGo(t *testing.T) {
	s := Open(t.TempDir())
	left := filepath.Join(s.dir, unfinished+"1")
	if err := os.MkdirAll(filepath.Join(left, "image"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := s.install(Spec{Slug: "outer", Distribution: "Debian"}, func(dir string, image *Image) error {
		if _, err := os.Stat(left); !os.IsNotExist(err) {
			t.Errorf("what was left is still there: %v", err)
		}
		mustAdd(t, s, Spec{Slug: "inner"})
		image.VirtualSize = 1
		return os.WriteFile(filepath.Join(dir, DiskFile), nil, 0o600)
	})
	if err != nil {
		t.Errorf("one beside another: %v", err)
	}
	failed := errors.New("failed")
	if _, err := s.install(Spec{Slug: "bad", Distribution: "Debian"}, func(string, *Image) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	if names, err := filepath.Glob(filepath.Join(s.dir, unfinished+"*")); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// Of two that make the same image, one does.
func TestSameSlugAtOnce(t *testing.T) {
	s := Open(t.TempDir())
	_, err := s.install(Spec{Slug: "x", Distribution: "Debian"}, func(dir string, image *Image) error {
		mustAdd(t, s, Spec{Slug: "x"})
		image.VirtualSize = 1
		return os.WriteFile(filepath.Join(dir, DiskFile), nil, 0o600)
	})
	if !errors.Is(err, ErrExists) {
		t.Errorf("%v", err)
	}
}

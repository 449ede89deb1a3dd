package cloud

import (
	"strings"
	"testing"
	"time"
)

func TestVolumeCheck(t *testing.T) {
	good := Volume{Name: "data", SizeGigabytes: 10}
	for what, change := range map[string]func(*Volume){
		"":                  func(*Volume) {},
		"the samples' name": func(v *Volume) { v.Name = "xfs_example" },
		"a long name":       func(v *Volume) { v.Name = strings.Repeat("a", 64) },
		"ext4":              func(v *Volume) { v.FilesystemType, v.FilesystemLabel = "ext4", strings.Repeat("l", 16) },
		"xfs":               func(v *Volume) { v.FilesystemType, v.FilesystemLabel = "xfs", strings.Repeat("l", 12) },
		"the largest":       func(v *Volume) { v.SizeGigabytes = MaxVolumeSize },
	} {
		v := good
		change(&v)
		if err := v.Check(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for complaint, change := range map[string]func(*Volume){
		"name must start":         func(v *Volume) { v.Name = "1data" },
		"lower-case letters":      func(v *Volume) { v.Name = "Data" },
		"64 at most":              func(v *Volume) { v.Name = strings.Repeat("a", 65) },
		"name must":               func(v *Volume) { v.Name = "data\n" },
		"between 1 and 16384":     func(v *Volume) { v.SizeGigabytes = 0 },
		"size_gigabytes must":     func(v *Volume) { v.SizeGigabytes = MaxVolumeSize + 1 },
		"ext4 or xfs":             func(v *Volume) { v.FilesystemType = "btrfs" },
		"needs a filesystem_type": func(v *Volume) { v.FilesystemLabel = "data" },
		"at most 12 characters":   func(v *Volume) { v.FilesystemType, v.FilesystemLabel = "xfs", strings.Repeat("l", 13) },
		"16 characters with ext4": func(v *Volume) { v.FilesystemType, v.FilesystemLabel = "ext4", strings.Repeat("l", 17) },
	} {
		v := good
		change(&v)
		if err := v.Check(); CodeOf(err) != CodeInvalid || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%+v: %v, want one with %q", v, err, complaint)
		}
	}
}

func TestCheckTag(t *testing.T) {
	for _, good := range []string{"a", "web:1", "Prod_EU-1", strings.Repeat("t", 255)} {
		if err := CheckTag(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "two words", "web.1", "é", "web\n", strings.Repeat("t", 256)} {
		if err := CheckTag(bad); CodeOf(err) != CodeInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestImageNames(t *testing.T) {
	if err := CheckImageName("nightly, of all things"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", strings.Repeat("n", 256)} {
		if err := CheckImageName(bad); CodeOf(err) != CodeInvalid {
			t.Errorf("a name of %d characters: %v", len(bad), err)
		}
	}
	at := time.Date(2020, 7, 28, 16, 47, 42, 243e6, time.UTC)
	if name := DefaultSnapshotName("web-01", at); name != "web-01-1595954862243" {
		t.Errorf("a snapshot without a name is called %s", name)
	}
}

func TestParseID(t *testing.T) {
	if id, ok := ParseID("1000000"); !ok || id != FirstID {
		t.Errorf("1000000 is %d, %v", id, ok)
	}
	for _, bad := range []string{"", "0", "-1", "+1", " 1", "1 ", "1.0", "1e6", "0x10", "web-1", "9223372036854775808"} {
		if id, ok := ParseID(bad); ok {
			t.Errorf("%q is the ID %d", bad, id)
		}
	}
}

func TestUUIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := NewUUID()
		if !IsUUID(id) || id[14] != '4' || !strings.ContainsRune("89ab", rune(id[19])) || seen[id] {
			t.Fatalf("%s is no random UUID, or comes twice", id)
		}
		seen[id] = true
	}
	for _, bad := range []string{"", "web-1", strings.ToUpper(NewUUID()), NewUUID() + "0", NewUUID() + "\n", strings.Repeat("-", 36)} {
		if IsUUID(bad) {
			t.Errorf("%q is taken for a UUID", bad)
		}
	}
}

// A name made from a Droplet's is no longer than one that may be given.
func TestImageNamesAfterLongDroplets(t *testing.T) {
	at, long := time.UnixMilli(1595954862243), strings.Repeat("x", 255)
	for _, name := range []string{DefaultSnapshotName(long, at), BackupName(long, at)} {
		if len(name) != 255 || CheckImageName(name) != nil {
			t.Errorf("%d: %s", len(name), name)
		}
	}
	if name := BackupName("web", at); name != "web- 2020-07-28" {
		t.Error(name)
	}
}

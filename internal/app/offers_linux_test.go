package app

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/image"
	"github.com/cistern-cloud/cistern/internal/logtest"
)

// addImage puts an image into a folder of images, as far as it is listed.
func addImage(t *testing.T, folder, slug string, aliases ...string) {
	t.Helper()
	dir := filepath.Join(folder, slug)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(image.Image{
		ID: int64(len(slug)), Slug: slug, Name: "A " + slug, Distribution: "Debian", Kind: "distribution", Aliases: aliases,
		MinDiskSize: 2, VirtualSize: 2 << 30, CreatedAt: time.Unix(1_700_000_000, 0).UTC(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"image.json": text, image.DiskFile: nil} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// age makes a folder one that has not changed for a while.
func age(t *testing.T, folder string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(folder, at, at); err != nil {
		t.Fatal(err)
	}
}

// Images are offered as soon as they are in the folder, and nothing is read while
// it stays as it is.
func TestOffersFollowTheFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "images")
	var logs logtest.Buffer
	o := &offers{
		images: image.Open(folder), folder: folder, log: slog.New(slog.NewTextHandler(&logs, nil)),
		local: cloud.Local{Aliases: []string{"nyc3"}, VCPUs: 1, Memory: 1024, Disk: 100},
	}
	want := func(slugs ...string) {
		t.Helper()
		c, err := o.now(t.Context())
		var got []string
		for _, i := range c.Images {
			got = append(got, i.Slug)
		}
		if err != nil || strings.Join(got, " ") != strings.Join(slugs, " ") {
			t.Errorf("got %q, %v; want %q", got, err, slugs)
		}
	}
	want()
	addImage(t, folder, "debian-12-x64", "ubuntu-22-04-x64")
	want("debian-12-x64", "ubuntu-22-04-x64") // though the folder has just changed
	old := time.Now().Add(-time.Hour)
	age(t, folder, old)
	want("debian-12-x64", "ubuntu-22-04-x64")
	addImage(t, folder, "tiny")
	age(t, folder, old)
	want("debian-12-x64", "ubuntu-22-04-x64") // as nothing is read
	age(t, folder, old.Add(time.Minute))
	want("debian-12-x64", "tiny", "ubuntu-22-04-x64")
	if err := os.WriteFile(filepath.Join(folder, "tiny", "image.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		age(t, folder, old.Add(time.Duration(i+2)*time.Minute))
		want("debian-12-x64", "ubuntu-22-04-x64")
	}
	if n := strings.Count(logs.String(), "some images are not offered"); n != 1 {
		t.Errorf("it is logged %d times:\n%s", n, logs.String())
	}
}

package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cistern-cloud/cistern/internal/app"
)

// rawDisk is a disk that seems to start a machine.
func rawDisk() []byte {
	disk := make([]byte, 1<<20)
	disk[510], disk[511] = 0x55, 0xaa
	return disk
}

func TestImageCommands(t *testing.T) {
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("QEMU: qemu-img is not installed; scripts/with-qemu installs it")
	}
	data := t.TempDir()
	file := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(file, rawDisk(), 0o600); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(rawDisk()) }))
	defer server.Close()
	digest := sha256.Sum256(rawDisk())
	sum := hex.EncodeToString(digest[:])

	for _, step := range []struct {
		line   string
		status int
		want   string
	}{
		{"list", 0, "There are no images. Build one with: cistern image build tiny"},
		{"list -o json", 0, "[]\n"},
		{"list --format Slug,Nothing", 1, `no column "Nothing"`},
		{"import FILE --slug web", 1, `required flag(s) "distribution" not set`},
		{"import --slug web --distribution Debian", 1, "needs the FILE or URL to import"},
		{"import FILE --slug Web --distribution Debian", 1, `nothing was imported: "Web" cannot be a slug`},
		{"import FILE --slug web --distribution Debian --sha256 abc", 1, "64 hexadecimal digits"},
		{"import FILE.none --slug web --distribution Debian", 1, "no such file"},
		{"import URL --slug web --distribution Debian", 1, "is not one on the internet, and is refused without --import-allow 127.0.0.1/32"},
		{"import URL --slug web --distribution Debian --import-allow x", 1, "use a range of addresses such as 10.0.0.0/8"},
		{"import ftp://example.com/x --slug web --distribution Debian", 1, "begins with https:// or http://"},
		{"import FILE --slug web --distribution Debian --alias debian-12-x64 --sha256 SUM", 0, "Imported web: 0.01 GB, for disks of 1 GiB and more.\nSHA-256 of what was imported: " + sum},
		{"import URL --slug web --distribution Debian --import-allow 127.0.0.1", 1, "the slug web is taken"},
		{"import URL --slug other --distribution Debian --import-allow 127.0.0.1", 0, "Imported other"},
		{"list", 0, "debian-12-x64"},
		{"build debian-12", 1, "the image web has the alias debian-12-x64 already; remove that image first, with: cistern image rm web --data " + data},
		{"build tiny debian-12", 1, `"debian-12" is one word too many: cistern image build takes only the image to build, tiny or debian-12, such as in: cistern image build tiny`},
		{"import FIFO --slug piped --distribution Debian", 1, "pipe is a pipe; write what comes out of it into a file first, and name that"},
		{"import http:// --slug web2 --distribution Debian", 1, `"http://" cannot be fetched: use a URL that begins with`},
		{"list --format Slug --no-header", 0, "other\nweb\n"},
		{"rm debian-12-x64", 1, "alias of the image web: remove that"},
		{"rm none", 1, "there is no such image"},
		{"rm web", 0, "Removed web."},
		{"build windows", 1, `there is no recipe for "windows"; there are tiny and debian-12`},
	} {
		line := strings.NewReplacer("FILE", file, "FIFO", pipe, "URL", server.URL, "SUM", sum).Replace(step.line)
		if step.line == "import --slug web --distribution Debian" {
			line = step.line
		}
		status, out, errs := run(t, append([]string{"image"}, append(strings.Fields(line), "--data", data)...)...)
		if status != step.status || !strings.Contains(out+errs, step.want) || status == 0 && errs != "" {
			t.Errorf("%s: %d, %q, %q; want %d, %q", step.line, status, out, errs, step.status, step.want)
		}
	}
	status, out, _ := run(t, "image", "list", "-o", "json", "--data", data)
	var images []app.Image
	if err := json.Unmarshal([]byte(out), &images); err != nil || status != 0 || len(images) != 1 || images[0].Slug != "other" || images[0].SourceSHA256 != sum {
		t.Errorf("%d, %s, %v", status, out, err)
	}
	if err := os.MkdirAll(filepath.Join(data, "images", "broken"), 0o755); err != nil {
		t.Fatal(err)
	}
	status, out, errs := run(t, "image", "list", "--data", data)
	if status != 1 || !strings.Contains(out, "other") || !strings.Contains(errs, "broken cannot be used") {
		t.Errorf("a broken one: %d, %q, %q", status, out, errs)
	}
}

// What is there already cannot be built, whether or not it could be otherwise.
func TestImageThatIsThereIsNotBuilt(t *testing.T) {
	t.Setenv("PATH", "")
	data := filepath.Join(t.TempDir(), "my data")
	if err := os.MkdirAll(filepath.Join(data, "images", "tiny"), 0o755); err != nil {
		t.Fatal(err)
	}
	status, _, errs := run(t, "image", "build", "tiny", "--data", data)
	if want := "cistern: there is an image tiny already; remove it first, with: cistern image rm tiny --data '" + data + "'\n"; status != 1 || errs != want {
		t.Errorf("%d, %q; want %q", status, errs, want)
	}
}

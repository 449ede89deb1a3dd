package e2e

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
)

// imported is what a machine says on its serial port that starts from bootDisk.
const imported = "this disk was imported"

// bootDisk is a disk with nothing but a boot sector, which says a text on the
// serial port and halts.
func bootDisk() []byte {
	disk := make([]byte, 1<<20)
	code := []byte{
		0xfc,       //       cld
		0x31, 0xc0, //       xor ax, ax
		0x8e, 0xd8, //       mov ds, ax
		0xbe, 0x16, 0x7c, // mov si, text
		0xac,       // next: lodsb
		0x84, 0xc0, //       test al, al
		0x74, 0x06, //       jz end
		0xba, 0xf8, 0x03, // mov dx, 0x3f8
		0xee,       //       out dx, al
		0xeb, 0xf5, //       jmp next
		0xf4,       //  end: hlt
		0xeb, 0xfd, //       jmp end
	}
	copy(disk, append(code, imported+"\r\n"...)) // loaded at 0x7c00, so that the text is at 0x7c16
	disk[510], disk[511] = 0x55, 0xaa
	return disk
}

// Images come from files and, where that is allowed, from this host's own
// addresses, and start Droplets.
func TestRealImages(t *testing.T) {
	t.Parallel()
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "disk.raw", time.Time{}, bytes.NewReader(bootDisk()))
	}))
	t.Cleanup(source.Close)
	c := newRealCloud(t)
	c.step("refused", func() {
		image := c.importFrom(source.URL + "/disk.raw")
		if image.Status != "deleted" || !strings.Contains(image.ErrorMessage, "--import-allow") {
			c.Errorf("an image from this host's loopback is %s, with the error %q", image.Status, image.ErrorMessage)
		}
	})
	c.good(c.server.terminate())
	c.serve("--import-allow", "127.0.0.0/8", "--region-alias", "nyc3=local1")
	c.step("URL", func() {
		image := c.importFrom(source.URL + "/disk.raw")
		if image.Status != "available" {
			c.Fatalf("the image is %s: %s", image.Status, image.ErrorMessage)
		}
		request := c.request("from-url")
		request.Image = godo.DropletCreateImage{ID: image.ID}
		c.create(request)
		c.consoleShows("from-url", imported)
	})
	c.step("file, by other names", func() {
		c.importBootDisk("--alias", "ubuntu-24-04-x64")
		request := c.request("from-file")
		request.Image.Slug, request.Region = "ubuntu-24-04-x64", "nyc3"
		made := c.create(request)[0].droplet()
		if made.Region.Slug != "nyc3" || made.Image.Slug != "ubuntu-24-04-x64" {
			c.Errorf("the Droplet is in %s, and of the image %s", made.Region.Slug, made.Image.Slug)
		}
		c.consoleShows("from-file", imported)
	})
}

// bootSlug is what the image with the bootDisk is called.
const bootSlug = "boots"

// importBootDisk makes the bootDisk an image, beside the server that runs.
func (c *realCloud) importBootDisk(flags ...string) {
	c.Helper()
	file := filepath.Join(c.home, "disk.raw")
	c.good(os.WriteFile(file, bootDisk(), 0o600))
	_, err := c.cistern(append([]string{"image", "import", file, "--slug", bootSlug, "--distribution", "None", "--data", c.data}, flags...)...)
	c.good(err)
	c.until("the image to be offered", func() (bool, error) {
		_, response, err := c.api.Images.GetBySlug(c.Context(), bootSlug)
		if response != nil && response.StatusCode == http.StatusNotFound {
			return false, nil
		}
		return err == nil, err
	})
}

// importFrom makes an image from a URL, and returns it when that has ended.
func (c *realCloud) importFrom(url string) (image *godo.Image) {
	c.Helper()
	image, _, err := c.api.Images.Create(c.Context(), &godo.CustomImageCreateRequest{Name: "imported", Url: url, Region: "local1", Distribution: "Unknown"})
	c.good(err)
	c.until("an image to be imported", func() (bool, error) {
		found, _, err := c.api.Images.GetByID(c.Context(), image.ID)
		if err == nil {
			image = found
		}
		return err == nil && image.Status != "NEW" && image.Status != "pending", err
	})
	return image
}

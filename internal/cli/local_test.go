package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/app"
)

// A command beside a server finds it, wherever it listens and whatever
// certificate it shows, without being told.
func TestLocalServerIsFound(t *testing.T) {
	for name, change := range map[string]func(c *app.Config){
		"plain":                func(*app.Config) {},
		"TLS":                  func(c *app.Config) { c.TLS = "auto" },
		"TLS, all addresses":   func(c *app.Config) { c.TLS, c.Listen = "auto", "0.0.0.0:0" },
		"all addresses":        func(c *app.Config) { c.InsecureHTTP, c.Listen = true, ":0" },
		"another's public URL": func(c *app.Config) { c.TLS, c.PublicURL = "auto", "https://cloud.example.com" },
	} {
		t.Run(name, func(t *testing.T) {
			localFolder(t)
			folder := filepath.Join(t.TempDir(), "data")
			s := serveWith(t, folder, change)
			if status, out, errs := run(t, "operations", "--data", folder); status != 0 || errs != "" || strings.Contains(s.URL, "0.0.0.0") || strings.Contains(s.URL, "::") {
				t.Errorf("operations of %s: %d, %q, %q", s.URL, status, out, errs)
			}
			if status, out, errs := run(t, "health", "--data", folder); status != 0 || out != "ok\n" {
				t.Errorf("health: %d, %q, %q", status, out, errs)
			}
		})
	}
}

// The certificate that the folder names is what a server is known by: no other.
func TestLocalServerWithAnotherCertificate(t *testing.T) {
	localFolder(t)
	folder, other := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "other")
	encrypted := func(c *app.Config) { c.TLS = "auto" }
	s := serveWith(t, folder, encrypted)
	theirs := serveWith(t, other, encrypted)
	text, err := os.ReadFile(theirs.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Certificate, text, 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, errs := run(t, "operations", "--data", folder)
	if status != 1 || !strings.Contains(errs, "does not show the certificate in "+s.Certificate) {
		t.Errorf("%d, %q", status, errs)
	}
}

// What a server left that was killed does not lead a command, and its token, to
// whoever listens there now.
func TestLocalServerThatIsGone(t *testing.T) {
	localFolder(t)
	folder := t.TempDir()
	t.Run("served", func(t *testing.T) { serve(t, folder) })
	if _, err := os.Stat(filepath.Join(folder, "server.json")); !os.IsNotExist(err) {
		t.Errorf("a server that was stopped has left its address: %v", err)
	}
	for name, left := range map[string]string{"stopped": "", "killed": `{"url":"` + folderURL + `"}`} {
		t.Run(name, func(t *testing.T) {
			if left != "" {
				if err := os.WriteFile(filepath.Join(folder, "server.json"), []byte(left), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, command := range []string{"operations", "health"} {
				status, _, errs := run(t, command, "--data", folder)
				if status != 1 || !strings.Contains(errs, "no server runs on this machine with its data in "+folder+"; start one") {
					t.Errorf("%s: %d, %q", command, status, errs)
				}
			}
		})
	}
	serve(t, folder)
	if status, _, errs := run(t, "health", "--data", folder); status != 0 {
		t.Errorf("after a start: %q", errs)
	}
}

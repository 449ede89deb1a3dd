package cli

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"golang.org/x/crypto/ssh"

	"github.com/cistern-cloud/cistern/internal/app"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/image/imagetest"
)

// real is a Cistern with real machines, and somebody at its command line.
type real struct {
	*testing.T
	data, key string
}

// A real machine is created, logged in to, looked at, left alone by a restart of
// the server, followed when it dies, and destroyed without a trace.
func TestRealMachine(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("QEMU: ssh is not installed")
	}
	r := newReal(t)
	r.serve("a machine is created and runs", func(api *godo.Client) {
		r.create(api)
		r.want("droplet ssh web -i "+r.key+" -- hostname; echo here >/tmp/mark; exit 5", 5, "web\n")
		r.want("droplet access web", 0, "web is at 127.100.0.2, port ")
		picture := filepath.Join(r.data, "screen.png")
		r.want("droplet screenshot web -o "+picture, 0)
		if text, err := os.ReadFile(picture); err != nil || !strings.HasPrefix(string(text), "\x89PNG") {
			r.Errorf("the picture: %v", err)
		}
	})
	if n := len(r.processes()); n != 1 {
		t.Fatalf("%d machines run while no server does", n)
	}
	r.serve("the next server has it", func(api *godo.Client) {
		r.want("droplet ssh web -i "+r.key+" -- cat /tmp/mark", 0, "here\n")
		for _, pid := range r.processes() {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				r.Fatal(err)
			}
		}
		r.until("the Droplet is off", func() bool { return r.droplet(api).Status == "off" })
		r.want("droplet ssh web", 1, "web is off; power it on first")
		r.want("droplet console web", 1, "Droplet is currently off.")
		if _, err := api.Droplets.Delete(r.Context(), r.droplet(api).ID); err != nil {
			r.Fatal(err)
		}
		r.until("nothing is left", func() bool {
			all, _, err := api.Droplets.List(r.Context(), nil)
			left, _ := filepath.Glob(filepath.Join(r.data, "qemu", "machines", "*"))
			return err == nil && len(all) == 0 && len(left) == 0 && len(r.processes()) == 0
		})
	})
}

func newReal(t *testing.T) *real {
	localFolder(t)
	folder := t.TempDir()
	for _, open := range []string{folder, filepath.Dir(folder)} { // machines run as somebody else where this is root
		if err := os.Chmod(open, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := &real{t, filepath.Join(folder, "data"), filepath.Join(folder, "key")}
	imagetest.TinyIn(t, filepath.Join(r.data, "images"))
	t.Cleanup(func() {
		for _, pid := range r.processes() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return r
}

// serve runs a part of the test while a server runs.
func (r *real) serve(name string, part func(api *godo.Client)) {
	outer := r.T
	defer func() { r.T = outer }()
	ok := outer.Run(name, func(t *testing.T) {
		r.T = t
		s := serveWith(t, r.data, func(c *app.Config) {
			c.Engine, c.SimLatency = "qemu", "0"
			c.Network, c.Accel, c.RegionAliases = "user", "tcg", []string{"nyc3=local1"}
		})
		token, err := os.ReadFile(s.TokenFile)
		if err != nil {
			t.Fatal(err)
		}
		api, err := source{url: s.URL, token: strings.TrimSpace(string(token))}.client()
		if err != nil {
			t.Fatal(err)
		}
		part(api)
	})
	if !ok {
		outer.FailNow()
	}
}

// create makes a Droplet with a new key.
func (r *real) create(api *godo.Client) {
	r.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		r.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(r.key, pem.EncodeToMemory(block), 0o600); err != nil {
		r.Fatal(err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		r.Fatal(err)
	}
	key, _, err := api.Keys.Create(r.Context(), &godo.KeyCreateRequest{Name: "test", PublicKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))})
	if err != nil {
		r.Fatal(err)
	}
	d, _, err := api.Droplets.Create(r.Context(), &godo.DropletCreateRequest{
		Name: "web", Region: "nyc3", Size: "s-1vcpu-512mb-10gb", Image: godo.DropletCreateImage{Slug: "tiny"},
		SSHKeys: []godo.DropletCreateSSHKey{{ID: key.ID}},
	})
	if err != nil || d.Region.Slug != "nyc3" {
		r.Fatalf("%+v, %v", d, err)
	}
}

func (r *real) droplet(api *godo.Client) godo.Droplet {
	r.Helper()
	all, _, err := api.Droplets.List(r.Context(), nil)
	if err != nil || len(all) != 1 {
		r.Fatalf("%d Droplets, %v", len(all), err)
	}
	return all[0]
}

// want runs a command beside the server; what comes after two dashes is one word.
func (r *real) want(line string, status int, texts ...string) {
	r.Helper()
	words, command, has := strings.Cut(line, " -- ")
	arguments := append(strings.Fields(words), "--data", r.data)
	if has {
		arguments = append(arguments, "--", command)
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Minute)
	defer cancel()
	var out, errs strings.Builder
	got := execute(ctx, arguments, strings.NewReader(""), &out, &errs)
	if got != status {
		r.Fatalf("cistern %s: %d, want %d\n%s%s", line, got, status, out.String(), errs.String())
	}
	for _, text := range texts {
		if !strings.Contains(out.String()+errs.String(), text) {
			r.Errorf("cistern %s: no %q in\n%s%s", line, text, out.String(), errs.String())
		}
	}
}

func (r *real) until(what string, is func() bool) {
	r.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("a minute, and it is not so that %s", what)
		}
	}
}

// processes are those of machines in the data folder.
func (r *real) processes() (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range all {
		folder, err := os.Readlink(link)
		if err == nil && strings.HasPrefix(folder, r.data+"/") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			pids = append(pids, pid)
		}
	}
	return pids
}

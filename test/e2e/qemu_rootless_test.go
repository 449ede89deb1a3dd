package e2e

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
)

// Without root a Droplet is all that it is with root: it can be logged in to, at a
// port that anybody may have, and leaves nothing.
func TestRealWithoutRoot(t *testing.T) {
	t.Parallel()
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	if os.Getuid() != 0 {
		t.Skip("not applicable: without root, the other tests of real machines show it")
	}
	if !host.HasUIDs(nobody.Uid, nobody.Uid) {
		t.Skip("QEMU: there is no user 65534 in this user namespace to run the server as")
	}
	c := newRealCloudAs(t, nobody)
	before := c.everything()
	g := c.create(c.request("rootless"))[0]
	at, err := c.access(g.id, false)
	c.good(err)
	if want := sshPort(t); at.Address != g.public() || at.Port != want {
		c.Errorf("its access is %+v, want port %d of %s", at, want, g.public())
	}
	g.expect("hostname; id -u", "rootless\n0")
	if uid := c.runsAs(g.id); uid != nobody.Uid {
		c.Errorf("its process runs as %d, want %d", uid, nobody.Uid)
	}
	_, err = c.api.Droplets.Delete(c.Context(), g.id)
	c.good(err)
	c.gone(g)
	if diff := cmp.Diff(before, c.everything()); diff != "" {
		c.Errorf("destroyed, and different from before (-before +after):\n%s", diff)
	}
}

// sshPort is where a server without root can have the ssh of its Droplets.
func sshPort(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		t.Fatal(err)
	}
	if first, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || first > 22 {
		return 2222
	}
	return 22
}

// handOver gives what there is so far to the server's user, if that is another. Its
// files are copied, as they may be links to those of others.
func (c *realCloud) handOver() {
	c.Helper()
	if c.user == nil {
		return
	}
	c.good(filepath.WalkDir(c.home, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			err = copied(path)
		}
		return errors.Join(err, os.Lchown(path, int(c.user.Uid), int(c.user.Gid)))
	}))
}

// copied puts a copy in a file's place.
func copied(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return errors.Join(os.Remove(path), os.WriteFile(path, text, 0o644))
}

package qemu

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/image/imagetest"
)

// An unmodified Debian is a Droplet in all that one is: what it is told, its
// volumes, its frozen snapshots, its password.
func TestDebianIsADroplet(t *testing.T) {
	if testing.Short() {
		t.Skip("Debian takes minutes")
	}
	g := newGuests(t)
	g.patience = 10 * time.Minute
	imagetest.DebianIn(t, filepath.Join(filepath.Dir(g.Dir), "images"))
	m := g.machine("201", 9)
	m.Image, m.Shape = engine.Image{Base: true, Slug: "debian-12"}, engine.Shape{VCPUs: 1, Memory: 1024, Disk: 10}
	m.Name, m.UserData = "web-1", "#cloud-config\nwrite_files:\n- path: /root/made\n  content: by cloud-init\n"

	began := time.Now()
	g.createAs(m)
	g.startMachine("201")
	g.run("201", "true")
	t.Logf("first command after %s", time.Since(began))
	g.run("201", "cloud-init status --wait")
	t.Logf("user data done after %s", time.Since(began))
	for command, want := range map[string]string{
		"hostname":                      "web-1",
		"cat /root/made":                "by cloud-init",
		"cloud-init query platform":     "digitalocean",
		"ip -4 -o addr show dev eth0":   strings.Replace(m.Network.PublicIPv4, "127.117", "198.18", 1) + "/16",
		"ip -4 -o addr show dev eth1":   "10.100.0.9/24",
		"systemctl is-system-running":   "running",
		"df --output=size -BG / | tail": "10G",
	} {
		if got := g.run("201", command); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}

	v := engine.Volume{Ref: ref("data"), Region: "nyc3", SizeGigabytes: 1, FilesystemType: "ext4"}
	v.Name = "data"
	g.must(func(w engine.Work) (engine.Progress, error) { return g.CreateVolume(t.Context(), w, v) })
	g.must(func(w engine.Work) (engine.Progress, error) { return g.AttachVolume(t.Context(), w, v.Ref, ref("201")) })
	g.run("201", "udevadm settle && mount /dev/disk/by-id/scsi-0DO_Volume_data /mnt && echo kept > /mnt/file")
	g.must(func(w engine.Work) (engine.Progress, error) { return g.ResizeVolume(t.Context(), w, v.Ref, 2) })
	g.run("201", "resize2fs /dev/disk/by-id/scsi-0DO_Volume_data && umount /mnt")
	g.must(func(w engine.Work) (engine.Progress, error) { return g.DetachVolume(t.Context(), w, v.Ref, ref("201")) })

	g.run("201", "echo not yet written back > /root/late")
	p := g.must(func(w engine.Work) (engine.Progress, error) {
		return g.CopyImage(t.Context(), w, ref("201"), ref("snap"))
	})
	t.Logf("a snapshot of %.2f GB after %s", p.SizeGigabytes, time.Since(began))
	g.must(func(w engine.Work) (engine.Progress, error) { return g.ResetPassword(t.Context(), w, ref("201")) })
	password, err := g.TellPassword(t.Context(), "201")
	if err != nil {
		t.Fatal(err)
	}
	g.run("201", "sed -i 's/^#*PasswordAuthentication.*/PasswordAuthentication yes/' /etc/ssh/sshd_config; echo PermitRootLogin yes >> /etc/ssh/sshd_config; systemctl restart ssh")
	with := *g
	with.auth = ssh.Password(password)
	with.run("201", "true")

	g.must(func(w engine.Work) (engine.Progress, error) {
		return g.StopMachine(t.Context(), w, ref("201"), engine.Stop{Grace: 2 * time.Minute})
	})
	t.Logf("shut down after %s", time.Since(began))
	copied := g.machine("202", 10)
	copied.Image, copied.Shape = engine.Image{Ref: ref("snap")}, m.Shape
	g.createAs(copied)
	g.startMachine("202")
	if got := g.run("202", "cat /root/late"); got != "not yet written back" {
		t.Errorf("in the snapshot: %q", got)
	}
	t.Logf("the snapshot runs after %s", time.Since(began))
}

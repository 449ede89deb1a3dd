package image_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/qmp"
)

var errNoLogin = errors.New("there is no login prompt")

const secretHash = "$6$vzIS5ghndaCVMiF6$gpJkUjs4EDnPQYSvorwSa52sgnUMMGdL2WONrdwxGiXc80UUffNDoA8CSF6m3E5JwaTatr/YZYMiCYAJxvET5."

// A machine of the tiny image is what its metadata says, and keeps what is
// written.
func TestTinyFollowsItsMetadata(t *testing.T) {
	g := tinyGuest(t)
	g.UserData = "#!/bin/bash\necho \"ran {[é]}\"\nhostname > /root/made\n"
	g.VendorData = "#cloud-config\nchpasswd:\n  expire: false\n  list: |\n    root:" + secretHash + "\n"
	began := time.Now()
	g.start()
	g.ssh("true")
	t.Logf("first ssh after %s", time.Since(began))

	g.sees("[ -s /root/made ]")
	facts := g.ssh(`hostname; ip -o -4 addr; ip -6 addr show eth0; ip route; cat /etc/resolv.conf /root/made /var/log/user-data.log; grep root /etc/shadow
		df -k /; ls -l /dev/disk/by-id`)
	for _, want := range []string{
		"web-1\n", "160.1.2.3/4", "10.1.0.5/20", "2001:db8::12/64", "default via 160.0.0.2", "nameserver 198.51.100.54", "ran {[é]}",
		"root:" + secretHash,
	} {
		if !strings.Contains(facts, want) {
			t.Errorf("no %q in:\n%s", want, facts)
		}
	}
	if strings.Contains(facts, "169.254.") {
		t.Errorf("the address that asked is still there:\n%s", facts)
	}
	g.sees(`[ "$(df -k / | awk 'END { print ($2 > 2900000) }')" = 1 ]`)
	g.ssh("echo kept > /root/kept; passwd -d root")
	key := g.ssh("dropbearkey -y -f /etc/dropbear/dropbear_ed25519_host_key | grep Fingerprint")

	g.execute("system_powerdown", nil, nil)
	g.leaves(20 * time.Second)
	if !strings.Contains(g.console(), "cistern-tiny ready") {
		t.Error("the console does not say when it is ready")
	}

	g.Interfaces.Private[0].IPv4.Address = "10.1.0.6"
	g.Hostname = "web-2"
	g.start()
	after := g.ssh("cat /root/kept; hostname; ip -o -4 addr; head -n 1 /etc/shadow; rm /root/made; dmesg | grep -ci recovery || true")
	for _, want := range []string{"kept\n", "web-2\n", "10.1.0.6/20", "root::", "\n0\n"} {
		if !strings.Contains(after, want) {
			t.Errorf("no %q after the second start:\n%s", want, after)
		}
	}
	if again := g.ssh("dropbearkey -y -f /etc/dropbear/dropbear_ed25519_host_key | grep Fingerprint"); again != key {
		t.Error("the host's key is another after the second start")
	}
	if again := g.ssh("ls /root /run/cistern"); strings.Contains(again, "made") {
		t.Error("user_data ran twice")
	}
}

// Disks of volumes get their names when they come, and lose them when they go.
func TestTinySeesVolumes(t *testing.T) {
	g := tinyGuest(t)
	g.start()
	link := "/dev/disk/by-id/scsi-0DO_Volume_my-volume"
	g.ssh("[ ! -e " + link + " ]")
	g.execute("blockdev-add", map[string]any{"driver": "raw", "node-name": "v", "file": map[string]string{"driver": "file", "filename": "volume"}}, nil)
	g.execute("device_add", map[string]string{
		"driver": "scsi-hd", "id": "d", "bus": "scsi.0", "drive": "v", "vendor": "DO", "product": "Volume", "serial": "my-volume", "device_id": "my-volume",
	}, nil)
	g.sees("[ -b " + link + " ]")
	g.ssh("mkfs.ext4 -q " + link + " && mkdir /mnt/v && mount " + link + " /mnt/v && echo here > /mnt/v/file && umount /mnt/v && e2fsck -fp " + link + " && blkid " + link)
	g.execute("block_resize", map[string]any{"node-name": "v", "size": 128 << 20}, nil)
	g.sees("[ $(cat /sys/block/sda/size) = 262144 ]")
	g.ssh("resize2fs " + link + " && mount " + link + " /mnt/v && grep here /mnt/v/file && umount /mnt/v")
	g.execute("device_del", map[string]string{"id": "d"}, nil)
	g.sees("[ ! -L " + link + " ]")
}

// The guest agent does what the host needs of it.
func TestTinyObeysItsHost(t *testing.T) {
	g := tinyGuest(t)
	g.start()
	g.ssh("true")
	agent := qmp.NewAgent(qmp.Unix(g.dir, "agent"))
	ctx, cancel := context.WithTimeout(t.Context(), g.patience)
	defer cancel()
	if err := g.until(func() error { return agent.Ping(ctx) }); err != nil {
		t.Fatal(err)
	}
	if n, err := agent.Freeze(ctx); err != nil || n == 0 {
		t.Errorf("freeze: %d, %v", n, err)
	}
	if n, err := agent.Thaw(ctx); err != nil || n == 0 {
		t.Errorf("thaw: %d, %v", n, err)
	}
	if err := agent.SetPassword(ctx, "root", "a long: pass word"); err != nil {
		t.Error(err)
	}
	if shadow := g.ssh("head -n 1 /etc/shadow"); !strings.HasPrefix(shadow, "root:$6$") {
		t.Errorf("the password was not set: %s", shadow)
	}
	began := time.Now()
	g.execute("system_powerdown", nil, nil)
	g.leaves(20 * time.Second)
	t.Logf("off %s after it was asked", time.Since(began))
}

// Without metadata a machine starts all the same.
func TestTinyAlone(t *testing.T) {
	g := tinyGuest(t)
	g.service = "127.0.0.1:1" // nobody listens there
	g.start()
	if err := g.until(func() error {
		if !strings.Contains(g.console(), "login: ") {
			return errNoLogin
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

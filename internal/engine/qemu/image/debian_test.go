package image_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/image/imagetest"
)

// Debian's unmodified cloud-init makes a machine what its metadata says.
func TestDebianFollowsItsMetadata(t *testing.T) {
	g := newGuest(t, imagetest.Debian(t))
	g.patience = 5 * time.Minute
	g.UserData = "#!/bin/bash\nhostname > /root/made\n"
	g.VendorData = "#cloud-config\nchpasswd:\n  expire: false\n  list: |\n    root:" + secretHash + "\n"
	began := time.Now()
	g.start()
	g.ssh("true")
	t.Logf("first ssh after %s", time.Since(began))
	g.ssh("cloud-init status --wait")
	t.Logf("user_data done after %s", time.Since(began))
	facts := g.ssh(`hostname; ip -o -4 addr; ip -6 addr show eth0; ip route; cat /etc/resolv.conf; cat /root/made; grep root /etc/shadow; df -k /; lsblk;
		cloud-init query platform; systemctl is-active qemu-guest-agent; systemctl --failed --no-legend; id`)
	t.Log(facts)
	for _, want := range []string{
		"web-1\n", "160.1.2.3/4", "10.1.0.5/20", "2001:db8::12/64", "default via 160.0.0.2", "198.51.100.54", "root:" + secretHash, "digitalocean",
		"uid=0(root)", "active\nuid=0", // and nothing has failed
	} {
		if !strings.Contains(facts, want) {
			t.Errorf("no %q in:\n%s", want, facts)
		}
	}
	g.ssh(`[ "$(df -k --output=size / | tail -n 1)" -gt 2800000 ]`)
	g.execute("system_powerdown", nil, nil)
	g.leaves(time.Minute)
}

package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/digitalocean/godo"
	"golang.org/x/crypto/ssh"
)

// realPower is a Droplet that is turned on and off.
type realPower struct {
	*realCloud
	guest guest
}

// A Droplet's power and size are what is asked for, and what its guest does by
// itself is seen.
func TestRealPower(t *testing.T) {
	t.Parallel()
	c := newRealCloud(t)
	p := &realPower{c, c.create(c.request("power"))[0]}
	p.step("shutdown and larger disk", p.growsWithDisk)
	p.step("reboot", p.restarts)
	p.step("password", p.newPassword)
	p.step("guest shuts down, and less disk", p.endsByItself)
	p.step("process is killed", p.isKilled)
}

// boot is the ID of the guest's start.
func (p *realPower) boot() string {
	p.Helper()
	return p.guest.run("cat /proc/sys/kernel/random/boot_id")
}

func (p *realPower) powerOn() {
	p.Helper()
	p.done(p.api.DropletActions.PowerOn(p.Context(), p.guest.id))
	p.status(p.guest.id, "active")
}

// isOff expects that a Droplet is off and has no process.
func (p *realPower) isOff() {
	p.Helper()
	if status := p.guest.droplet().Status; status != "off" {
		p.Errorf("the Droplet is %s", status)
	}
	if pid := p.pid(p.guest.id); pid != 0 {
		p.Errorf("it is off, and process %d runs", pid)
	}
}

func (p *realPower) growsWithDisk() {
	p.guest.expect("nproc; awk '/MemTotal/ { print ($2 < 520000) }' /proc/meminfo; blockdev --getsize64 /dev/vda", "1\n1\n10737418240")
	p.guest.run("echo kept > /root/file")
	p.done(p.api.DropletActions.Shutdown(p.Context(), p.guest.id))
	p.isOff()
	p.done(p.api.DropletActions.Resize(p.Context(), p.guest.id, "s-1vcpu-1gb", true))
	p.powerOn()
	p.guest.expect("cat /root/file; awk '/MemTotal/ { print ($2 > 900000) }' /proc/meminfo; blockdev --getsize64 /dev/vda", "kept\n1\n26843545600")
	p.guest.expect("df -kP / | awk 'NR == 2 { print ($2 > 20000000) }'", "1")
}

func (p *realPower) restarts() {
	first := p.boot()
	p.done(p.api.DropletActions.Reboot(p.Context(), p.guest.id))
	second := p.boot()
	p.done(p.api.DropletActions.PowerCycle(p.Context(), p.guest.id))
	if third := p.boot(); first == second || second == third {
		p.Errorf("the guest's starts are %s, %s and %s", first, second, third)
	}
}

// newPassword has root's password reset while the Droplet is on.
func (p *realPower) newPassword() {
	p.done(p.api.DropletActions.PasswordReset(p.Context(), p.guest.id))
	p.logsInWithNew()
}

// logsInWithNew logs in with the password that is told.
func (p *realPower) logsInWithNew() {
	p.Helper()
	var told cisternAccess
	p.until("a new password", func() (bool, error) {
		var err error
		told, err = p.access(p.guest.id, true)
		return told.Password != "", err
	})
	withPassword := p.guest
	withPassword.auth = ssh.Password(told.Password)
	withPassword.expect("hostname", "power")
}

// endsByItself has the guest shut down. What changes while it is off is there
// when it is on again.
func (p *realPower) endsByItself() {
	_, _ = p.guest.try("poweroff") // the connection may break
	p.Logf("a guest that shuts down is off after %s", p.status(p.guest.id, "off"))
	p.isOff()
	p.done(p.api.DropletActions.Resize(p.Context(), p.guest.id, p.twoCPUs(), false))
	p.done(p.api.DropletActions.PasswordReset(p.Context(), p.guest.id))
	p.powerOn()
	p.guest.expect("nproc; blockdev --getsize64 /dev/vda; cat /root/file", "2\n26843545600\nkept")
	p.logsInWithNew()
}

// twoCPUs is a size with two of them.
func (p *realPower) twoCPUs() string {
	p.Helper()
	sizes, _, err := p.api.Sizes.List(p.Context(), &godo.ListOptions{PerPage: 200})
	p.good(err)
	var slugs []string
	for _, s := range sizes {
		if s.Vcpus == 2 && s.Disk >= 25 {
			return s.Slug
		}
		slugs = append(slugs, s.Slug)
	}
	p.Fatalf("no size has two CPUs: %s", strings.Join(slugs, ", "))
	return ""
}

// isKilled ends the process as a host short of memory would.
func (p *realPower) isKilled() {
	pid := p.pid(p.guest.id)
	if pid == 0 {
		p.Fatal("the Droplet has no process")
	}
	p.good(syscall.Kill(pid, syscall.SIGKILL))
	p.Logf("a Droplet whose process is killed is off after %s", p.status(p.guest.id, "off"))
	p.isOff()
	_, _, err := p.api.DropletActions.Reboot(p.Context(), p.guest.id)
	if err == nil || !strings.Contains(err.Error(), "currently off") {
		p.Errorf("rebooting a Droplet that is off: %v", err)
	}
	p.powerOn()
	if now := p.pid(p.guest.id); now == 0 || now == pid {
		p.Errorf("the process was %d and is %d", pid, now)
	}
	p.guest.expect("cat /root/file", "kept")
	p.done(p.api.DropletActions.PowerOff(p.Context(), p.guest.id))
	p.isOff()
}

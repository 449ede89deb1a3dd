package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/logtest"
	"github.com/digitalocean/godo"
	"golang.org/x/crypto/ssh"
)

// realDroplets are three of them: keyless is in the VPC of web, and apart in another.
type realDroplets struct {
	*realCloud
	web, keyless, apart guest
}

// Droplets are what their requests say, can be reached, and reach what they
// should and nothing else.
func TestRealDroplets(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("QEMU: ssh is not installed; scripts/with-qemu installs it")
	}
	c := newRealCloud(t)
	vpc, _, err := c.api.VPCs.Create(t.Context(), &godo.VPCCreateRequest{Name: "apart", RegionSlug: "local1", IPRange: "10.200.0.0/24"})
	c.good(err)
	web, keyless, apart := c.request("web-1"), c.request("keyless"), c.request("apart")
	web.UserData = "#!/bin/sh\necho \"user_data ran on $(hostname)\" > /root/user-data\n"
	keyless.SSHKeys = nil
	apart.VPCUUID = vpc.ID
	guests := c.create(web, keyless, apart)
	d := &realDroplets{c, guests[0], guests[1], guests[2]}
	d.step("request", d.asRequested)
	d.step("password", d.tellsPassword)
	d.step("console", d.showsConsole)
	d.step("private", d.reachTheirOwn)
	d.step("firewall", d.keepFirewalls)
	d.step("isolation", d.reachNothingElse)
}

// asRequested looks at a Droplet from outside and from inside.
func (d *realDroplets) asRequested() {
	out, err := d.cistern("droplet", "ssh", "web-1", "-i", d.keyFile, "--", "until", "cat", "/root/user-data;", "do", "sleep", "0.1;", "done")
	if err != nil || strings.TrimSpace(out) != "user_data ran on web-1" {
		d.Fatalf("cistern droplet ssh: %q, %v", out, err)
	}
	_, err = d.cistern("droplet", "ssh", "web-1", "-i", d.keyFile, "--", "exit 7")
	if exit, is := errors.AsType[*exec.ExitError](err); !is || exit.ExitCode() != 7 {
		d.Errorf("the command's exit status: %v", err)
	}
	shown := d.web.droplet()
	private, err := shown.PrivateIPv4()
	d.good(err)
	public, err := shown.PublicIPv4()
	d.good(err)
	at, err := d.access(d.web.id, true)
	if err != nil || at.Address != public || at.Port == 0 || at.Password != "" {
		d.Errorf("its access is %+v, %v; its address %s", at, err, public)
	}
	d.web.expect("hostname", "web-1")
	d.web.expect("ip -4 -o addr show dev eth1 | awk '{print $4}' | cut -d/ -f1", private)
	d.web.expect("ip -4 -o addr show dev eth0 | awk '{print $4}'", insideOf(public)+"/16")
	for path, want := range map[string]string{
		"id": fmt.Sprint(d.web.id), "hostname": "web-1", "region": "local1", "interfaces/private/0/ipv4/address": private,
		"public-keys": strings.TrimSpace(string(ssh.MarshalAuthorizedKey(d.signer.PublicKey()))),
	} {
		d.web.expect(metadata(path), want)
	}
}

// insideOf is the address that a guest has for a public one.
func insideOf(public string) string {
	parts := strings.SplitN(public, ".", 3)
	return "198.18." + parts[2]
}

// metadata is a command that reads what a guest is told.
func metadata(path string) string {
	return "wget -q -O - http://169.254.169.254/metadata/v1/" + path
}

// tellsPassword logs in to a Droplet without keys.
func (d *realDroplets) tellsPassword() {
	told, err := d.access(d.keyless.id, true)
	if err != nil || told.Password == "" {
		d.Fatalf("its access is %+v, %v", told, err)
	}
	again, err := d.access(d.keyless.id, true)
	if err != nil || again.Password != "" {
		d.Errorf("the password is told again: %+v, %v", again, err)
	}
	d.keyless.auth = ssh.Password(told.Password)
	d.keyless.expect("hostname", "keyless")
}

// showsConsole meets a login prompt, and sees the screen.
func (d *realDroplets) showsConsole() {
	d.consoleShows("web-1", "web-1 login:")
	if _, err := png.Decode(bytes.NewReader(d.screenshot(d.web.id))); err != nil {
		d.Errorf("the screenshot is no PNG: %v", err)
	}
}

// consoleShows presses Return on a Droplet's console until it shows a text.
func (c *realCloud) consoleShows(name, want string) {
	c.Helper()
	ctx, done := context.WithTimeout(c.Context(), guestLimit)
	defer done()
	cmd := exec.CommandContext(ctx, binary, "droplet", "console", name)
	cmd.Dir, cmd.Env = c.home, c.asClient()
	keyboard, err := cmd.StdinPipe()
	c.good(err)
	var screen logtest.Buffer
	cmd.Stdout, cmd.Stderr = &screen, &screen
	c.good(cmd.Start())
	c.until(fmt.Sprintf("%q on the console of %s", want, name), func() (bool, error) {
		_, err := io.WriteString(keyboard, "\r")
		return strings.Contains(screen.String(), want), err
	})
	_ = cmd.Process.Kill() // as it is left without a keyboard
	_ = cmd.Wait()
}

// reachTheirOwn sends from one Droplet to others.
func (d *realDroplets) reachTheirOwn() {
	d.web.run("mkdir -p /srv/www && hostname > /srv/www/name && httpd -p 8080 -h /srv/www")
	private, err := d.web.droplet().PrivateIPv4()
	d.good(err)
	public, err := d.web.droplet().PublicIPv4()
	d.good(err)
	d.keyless.can(fetch(private), "web-1")
	d.apart.can(fetch(insideOf(public)), "web-1")
	d.apart.refuses(fetch(private))
	d.apart.refuses("ip route add " + private + " via 10.200.0.1 && " + fetch(private))
	d.peer(private)
	d.apart.refuses(fetch(private))
}

// peer joins the two VPCs for a while. The way to the other one is there
// already in apart.
func (d *realDroplets) peer(private string) {
	d.Helper()
	back, err := d.apart.droplet().PrivateIPv4()
	d.good(err)
	vpcs := []string{d.web.droplet().VPCUUID, d.apart.droplet().VPCUUID}
	peering, _, err := d.api.VPCs.CreateVPCPeering(d.Context(), &godo.VPCPeeringCreateRequest{Name: "joined", VPCIDs: vpcs})
	d.good(err)
	d.until("the VPCs to be joined", func() (bool, error) {
		found, _, err := d.api.VPCs.GetVPCPeering(d.Context(), peering.ID)
		return err == nil && found.Status == "ACTIVE", err
	})
	d.web.run("ip route add " + back + " via $(" + metadata("interfaces/private/0/ipv4/gateway") + ") dev eth1")
	d.apart.can(fetch(private), "web-1")
	_, err = d.api.VPCs.DeleteVPCPeering(d.Context(), peering.ID)
	d.good(err)
	d.until("the VPCs to be parted", func() (bool, error) {
		_, response, err := d.api.VPCs.GetVPCPeering(d.Context(), peering.ID)
		if response != nil && response.StatusCode == http.StatusNotFound {
			return true, nil
		}
		return false, err
	})
	d.web.run("ip route del " + back)
}

// fetch is a command that asks the server on port 8080 for its name.
func fetch(address string) string {
	return "timeout 3 wget -q -O - http://" + address + ":8080/name 2>/dev/null"
}

// keepFirewalls closes and opens a port from the host, from another Droplet, and
// to it.
func (d *realDroplets) keepFirewalls() {
	public, err := d.web.droplet().PublicIPv4()
	d.good(err)
	private, err := d.keyless.droplet().PrivateIPv4()
	d.good(err)
	d.answers(public, "", true)
	anyone := &godo.Sources{Addresses: []string{"0.0.0.0/0"}}
	everything := []godo.OutboundRule{
		{Protocol: "tcp", PortRange: "all", Destinations: &godo.Destinations{Addresses: []string{"0.0.0.0/0"}}},
	}
	request := &godo.FirewallRequest{
		Name: "web", DropletIDs: []int{d.web.id}, OutboundRules: everything,
		InboundRules: []godo.InboundRule{{Protocol: "tcp", PortRange: "22", Sources: anyone}},
	}
	firewall, _, err := d.api.Firewalls.Create(d.Context(), request)
	d.good(err)
	d.firewallIs(firewall.ID, "succeeded")
	d.answers(public, "", false)
	d.web.expect("hostname", "web-1") // port 22 is open

	request.InboundRules = append(request.InboundRules, godo.InboundRule{
		Protocol: "tcp", PortRange: "8080", Sources: &godo.Sources{Addresses: []string{"127.0.0.7"}, DropletIDs: []int{d.keyless.id}},
	})
	d.change(firewall.ID, request)
	d.answers(public, "127.0.0.7", true)
	d.answers(public, "127.0.0.8", false)
	d.keyless.can(fetch(insideOf(public)), "web-1")
	d.apart.refuses(fetch(insideOf(public)))

	d.keyless.run("mkdir -p /srv/www && hostname > /srv/www/name && httpd -p 8080 -h /srv/www")
	d.web.can(fetch(private), "keyless")
	request.OutboundRules = []godo.OutboundRule{
		{Protocol: "tcp", PortRange: "443", Destinations: &godo.Destinations{Addresses: []string{"0.0.0.0/0"}}},
	}
	d.change(firewall.ID, request)
	d.web.refuses(fetch(private))

	request.InboundRules[1].PortRange = "9000-9999"
	_, _, err = d.api.Firewalls.Update(d.Context(), firewall.ID, request)
	d.good(err)
	d.firewallIs(firewall.ID, "failed")

	_, err = d.api.Firewalls.Delete(d.Context(), firewall.ID)
	d.good(err)
	d.answers(public, "127.0.0.8", true)
	d.until("outbound rules to go", func() (bool, error) {
		out, _ := d.web.try(fetch(private))
		return strings.TrimSpace(out) == "keyless", nil
	})
}

// change gives a firewall other rules, and waits until they are in force.
func (d *realDroplets) change(firewall string, request *godo.FirewallRequest) {
	d.Helper()
	_, _, err := d.api.Firewalls.Update(d.Context(), firewall, request)
	d.good(err)
	d.firewallIs(firewall, "succeeded")
}

func (d *realDroplets) firewallIs(id, want string) {
	d.Helper()
	d.until("a firewall to be "+want, func() (bool, error) {
		f, _, err := d.api.Firewalls.Get(d.Context(), id)
		// What could not be kept is tried again, and stays pending.
		return err == nil && f.Status == want && (want == "failed" || len(f.PendingChanges) == 0), err
	})
}

// answers waits until the server on port 8080 of an address answers one of this
// host's addresses, or does not.
func (d *realDroplets) answers(address, from string, want bool) {
	d.Helper()
	dialer := net.Dialer{Timeout: time.Second}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	d.until(fmt.Sprintf("port 8080 of %s to be open to %q: %t", address, from, want), func() (bool, error) {
		conn, err := dialer.DialContext(d.Context(), "tcp", address+":8080")
		if err != nil {
			return !want, nil
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second)) // fails on closed connections only
		fmt.Fprint(conn, "GET /name HTTP/1.0\r\n\r\n")
		text, _ := io.ReadAll(conn)
		return strings.Contains(string(text), "web-1") == want, nil
	})
}

// reachNothingElse tries to get from a guest to what is only this host's.
func (d *realDroplets) reachNothingElse() {
	listener, err := net.Listen("tcp", "0.0.0.0:0") //nolint:gosec // that nobody gets to it is the test
	d.good(err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	d.good(err)
	d.good(knock(listener, "127.0.0.1:"+port)) // there is something to get to
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			d.Errorf("a guest got to %s from %s", conn.LocalAddr(), conn.RemoteAddr())
			conn.Close()
		}
	}()
	_, server, _ := strings.Cut(strings.TrimPrefix(d.server.url, "http://"), ":")
	public, err := d.web.droplet().PublicIPv4()
	d.good(err)
	// Its own loopback is out of the way, so that packets leave the guest.
	d.apart.run("ip route del local 127.0.0.0/8 dev lo table 255; ip route add 127.0.0.0/8 via 198.18.0.1 dev eth0; " +
		"for f in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 1 >$f; done; true")
	d.apart.expect("ip route get 127.0.0.9 | grep -c 'dev eth0'", "1")
	inside := insideOf(public)
	tries := ""
	for _, at := range append(hostAddresses(d.T), "127.0.0.1", "127.0.0.9", public, "198.18.0.1", "10.200.0.1", "169.254.169.254", "10.0.2.2") {
		tries += " " + at + ":" + port + " " + at + ":" + server
	}
	d.apart.onlyAnswer(tries, inside+":8080")
	// Nor is it taken for another Droplet when it asks from the address of that.
	d.apart.can("timeout 3 "+metadata("id"), fmt.Sprint(d.apart.id))
	d.apart.run("ip addr add " + inside + "/32 dev eth0; ip route add 169.254.169.254 dev eth0 src " + inside)
	if out := d.apart.run("timeout 3 " + metadata("id") + "; true"); strings.Contains(out, fmt.Sprint(d.web.id)) {
		d.Errorf("a guest reads another's metadata: %s", out)
	}
	d.apart.run("ip route del 169.254.169.254; ip addr del " + inside + "/32 dev eth0")
	d.apart.expect(metadata("id"), fmt.Sprint(d.apart.id))
}

// onlyAnswer sends requests to many servers at once, and to one that answers.
// That one comes last: it answers in time only where the others could have.
func (g guest) onlyAnswer(others, answering string) {
	g.Helper()
	command := fmt.Sprintf("for at in %s %s; do timeout 4 sh -c \"echo GET / | nc ${at%%:*} ${at#*:} | grep -q HTTP/1 && echo $at answers\" & done; wait; true", others, answering)
	g.until(answering+" to answer in time", func() (bool, error) {
		out := g.run(command)
		answered := strings.Contains(out, answering+" answers")
		if out = strings.TrimSpace(strings.Replace(out, answering+" answers", "", 1)); strings.Contains(out, "answers") {
			return false, fmt.Errorf("%s got an answer: %s", g.name, out)
		}
		return answered, nil
	})
}

// knock connects to a listener that nobody serves yet, and takes the connection.
func knock(listener net.Listener, address string) error {
	outer, err := net.DialTimeout("tcp", address, startLimit)
	if err != nil {
		return err
	}
	defer outer.Close()
	inner, err := listener.Accept()
	if err != nil {
		return err
	}
	return inner.Close()
}

// hostAddresses are this host's own.
func hostAddresses(t *testing.T) (all []string) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, is := a.(*net.IPNet); is && n.IP.To4() != nil && !n.IP.IsLoopback() {
			all = append(all, n.IP.String())
		}
	}
	return all
}

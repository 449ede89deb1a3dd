//go:build linux

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/digitalocean/godo"
)

// routedDroplets are three of them: next is in the VPC of web, and apart in
// another.
type routedDroplets struct {
	*routedCloud
	web, next, apart guest
	late             guest     // which is made while the server is killed
	vpc              *godo.VPC // of apart
	files            []string  // of the engine, without machines
	reserved         string
}

// Droplets of a routed network are reached by the world and reach it as they
// may, whether the server runs or not, and leave nothing behind.
func TestRoutedNetwork(t *testing.T) {
	t.Parallel()
	r := newRoutedCloud(t)
	d := &routedDroplets{routedCloud: r, files: r.files()}
	vpc, _, err := r.api.VPCs.Create(t.Context(), &godo.VPCCreateRequest{Name: "apart", RegionSlug: "local1", IPRange: "10.200.0.0/24"})
	r.good(err)
	requests := []*godo.DropletCreateRequest{r.request("web"), r.request("next"), r.request("apart")}
	for _, request := range requests {
		request.IPv6 = r.v6
		request.UserData = "#!/bin/sh\nmkdir -p /srv/www && hostname >/srv/www/name && httpd -p 8080 -h /srv/www\n"
	}
	requests[2].VPCUUID, d.vpc = vpc.ID, vpc
	guests := r.create(requests...)
	d.web, d.next, d.apart = guests[0], guests[1], guests[2]
	for _, g := range guests {
		d.becomes(d.near, g.public(), g.name)
	}
	d.step("reach", d.reachEachOther)
	d.step("peering", d.reachPeers)
	d.step("IPv6", d.haveIPv6)
	d.step("host", d.reachNoHost)
	d.step("firewall", d.keepFirewalls)
	d.step("reserved", d.moveReserved)
	d.step("outlive", d.outliveTheServer)
	d.step("destroy", d.leaveNothing)
}

// seen is a command that asks the world how it sees the guest.
func seen(address string) string { return "nc " + address + " " + echoPort + " </dev/null" }

func (d *routedDroplets) reachEachOther() {
	for _, g := range []guest{d.web, d.next, d.apart} {
		d.expects(g, "hostname", g.name)
		d.loginFrom(d.near, g.public(), g.name)
		d.expects(g, metadataOf("id"), fmt.Sprint(g.id))
	}
	shown, err := d.access(d.web.id, false)
	if err != nil || shown.Address != d.web.public() || shown.Port != 22 {
		d.Errorf("its access is %+v, %v", shown, err)
	}
	d.expects(d.next, nameAt(d.web.private()), "web")
	d.expects(d.web, nameAt(d.next.private()), "next")
	d.denies(d.apart, nameAt(d.web.private()))
	d.expects(d.apart, nameAt(d.web.public()), "web")
	for _, world := range []place{d.near, d.far} {
		d.expects(d.web, seen(world.address), hostAddress) // translated, as the world knows no such addresses
	}
}

// metadataOf is a command that reads what a guest is told.
func metadataOf(path string) string {
	return "wget -q -O - http://169.254.169.254/metadata/v1/" + path
}

// nameAt is a command that asks another guest's server for its name.
func nameAt(address string) string {
	return "wget -q -O - http://" + address + ":8080/name 2>/dev/null"
}

// reachPeers joins the two VPCs for a while.
func (d *routedDroplets) reachPeers() {
	private, other := d.web.private(), d.apart.private()
	_, gateway, _ := strings.Cut(d.on(d.web, "ip -4 -o addr show dev eth1 | awk '{print $2, $4}'"), " ")
	network, err := netip.ParsePrefix(gateway)
	d.good(err)
	d.on(d.web, "ip route add "+other+" via "+network.Masked().Addr().Next().String()+" dev eth1")
	d.on(d.apart, "ip route add "+private+" via 10.200.0.1 dev eth1")
	d.denies(d.apart, nameAt(private))
	peering, _, err := d.api.VPCs.CreateVPCPeering(d.Context(), &godo.VPCPeeringCreateRequest{
		Name: "joined", VPCIDs: []string{d.vpc.ID, d.web.droplet().VPCUUID},
	})
	d.good(err)
	d.until("the peering to be active", func() (bool, error) {
		p, _, err := d.api.VPCs.GetVPCPeering(d.Context(), peering.ID)
		return err == nil && p.Status == "ACTIVE", err
	})
	d.expects(d.apart, nameAt(private), "web")
	d.expects(d.web, nameAt(other), "apart")
	_, err = d.api.VPCs.DeleteVPCPeering(d.Context(), peering.ID)
	d.good(err)
	d.until("the peering to be gone", func() (bool, error) {
		_, res, err := d.api.VPCs.GetVPCPeering(d.Context(), peering.ID)
		return res != nil && res.StatusCode == http.StatusNotFound, ignoreAnswer(err)
	})
	d.denies(d.apart, nameAt(private))
	d.denies(d.web, nameAt(other))
}

func (d *routedDroplets) haveIPv6() {
	if !d.v6 {
		d.Skip("this kernel has no IPv6")
	}
	world := place{d.world, ""}
	d.reaches(world, d.web.public6(), "web")
	d.reaches(place{d.host, ""}, d.apart.public6(), "apart")
	d.expects(d.apart, nameAt("["+d.web.public6()+"]"), "web")
	d.expects(d.web, seen("2001:db8:ff::2"), hostAddress6)

	reserved, _, err := d.api.ReservedIPV6s.Create(d.Context(), &godo.ReservedIPV6CreateRequest{Region: "local1"})
	d.good(err)
	d.cannotReach(world, reserved.IP)
	d.done(d.api.ReservedIPV6Actions.Assign(d.Context(), reserved.IP, d.web.id))
	d.reaches(world, reserved.IP, "web")
	d.done(d.api.ReservedIPV6Actions.Unassign(d.Context(), reserved.IP))
	d.cannotReach(world, reserved.IP)
	d.done(d.api.ReservedIPV6Actions.Assign(d.Context(), reserved.IP, d.next.id))
	d.reaches(world, reserved.IP, "next")
	d.done(d.api.ReservedIPV6Actions.Unassign(d.Context(), reserved.IP))
	_, err = d.api.ReservedIPV6s.Delete(d.Context(), reserved.IP)
	d.good(err)
}

// reachNoHost tries to get from a guest to what is only the host's, and to be
// taken for another.
func (d *routedDroplets) reachNoHost() {
	d.host.within(d, func() {
		listener, err := net.Listen("tcp", ":9000")
		d.good(err)
		d.Cleanup(func() { listener.Close() })
		d.good(knock(listener, "127.0.0.1:9000")) // there is something to get to
		go serveEach(listener, func(c net.Conn) { d.Errorf("a guest got to %s from %s", c.LocalAddr(), c.RemoteAddr()) })
	})
	_, api, _ := strings.Cut(strings.TrimPrefix(d.server.url, "http://"), ":")
	// Its own loopback is out of the way, so that packets leave the guest.
	d.on(d.apart, "ip route del local 127.0.0.0/8 dev lo table 255; ip route del local 127.0.0.1 dev lo table 255; ip route add 127.0.0.0/8 via 198.18.1.1 dev eth0; "+
		"for f in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 1 >$f; done; true")
	d.expects(d.apart, "for at in 127.0.0.1 127.0.0.9; do ip route get $at; done | grep -c 'dev eth0'", "2")
	addresses := []string{hostAddress, "198.18.1.1", "10.200.0.1", "127.0.0.1", "127.0.0.9", "169.254.169.254"}
	if d.v6 {
		addresses = append(addresses, hostAddress6, "fe80::1%eth0")
	}
	// The world comes last: it answers in time only where the host could have.
	knocks := "knock() { timeout 2 nc $1 $2 </dev/null >/dev/null && echo $1 $2; }; for at in " + strings.Join(addresses, " ") +
		"; do for port in 9000 " + api + "; do knock $at $port & done; done; knock " + d.near.address + " " + echoPort + " & wait"
	world := d.near.address + " " + echoPort
	d.until("a guest to reach the world in time", func() (bool, error) {
		got := d.on(d.apart, "("+knocks+") 2>/dev/null; true")
		if got != "" && got != world {
			return false, fmt.Errorf("a guest reaches the host: %s", got)
		}
		return got == world, nil
	})
	// Nor is it taken for another Droplet when it asks from the address of that.
	other := d.web.public()
	d.on(d.apart, "ip addr add "+other+"/32 dev eth0; ip route add 169.254.169.254 dev eth0 src "+other)
	if out := d.on(d.apart, "timeout 2 "+metadataOf("id")+"; true"); strings.Contains(out, fmt.Sprint(d.web.id)) {
		d.Errorf("a guest reads another's metadata: %s", out)
	}
	d.denies(d.apart, "nc -s "+other+" "+d.near.address+" "+echoPort+" </dev/null")
	d.on(d.apart, "ip route del 169.254.169.254; ip addr del "+other+"/32 dev eth0")
	d.expects(d.apart, metadataOf("id"), fmt.Sprint(d.apart.id))
	d.expects(d.apart, seen(d.near.address), hostAddress)
}

// rulesFor let one address of the world come to the servers' port, everybody to
// ssh, and out to the world's other port where it has the address.
func rulesFor(name string, from place) *godo.FirewallRequest {
	only := []string{from.address}
	return &godo.FirewallRequest{
		Name: name,
		InboundRules: []godo.InboundRule{
			{Protocol: "tcp", PortRange: "22", Sources: &godo.Sources{Addresses: []string{"0.0.0.0/0"}}},
			{Protocol: "tcp", PortRange: "8080", Sources: &godo.Sources{Addresses: only}},
		},
		OutboundRules: []godo.OutboundRule{{Protocol: "tcp", PortRange: echoPort, Destinations: &godo.Destinations{Addresses: only}}},
	}
}

// inForce waits until a firewall's rules are.
func (d *routedDroplets) inForce(id string, droplets ...int) {
	d.Helper()
	d.until("a firewall to be in force", func() (bool, error) {
		f, _, err := d.api.Firewalls.Get(d.Context(), id)
		return err == nil && f.Status == "succeeded" && len(f.PendingChanges) == 0, err
	})
	for _, droplet := range droplets {
		list, _, err := d.api.Firewalls.ListByDroplet(d.Context(), droplet, nil)
		if err != nil || !slices.ContainsFunc(list, func(f godo.Firewall) bool { return f.ID == id }) {
			d.Errorf("the firewall of Droplet %d is %v, %v", droplet, list, err)
		}
	}
}

// keepFirewalls closes and opens a port to the addresses of the world, for the
// Droplets that have a tag.
func (d *routedDroplets) keepFirewalls() {
	web, next := d.web.public(), d.next.public()
	d.reaches(d.far, web, "web")
	_, _, err := d.api.Tags.Create(d.Context(), &godo.TagCreateRequest{Name: "edge"})
	d.good(err)
	d.tag(d.web)
	request := rulesFor("edge", d.near)
	request.Tags = []string{"edge"}
	firewall, _, err := d.api.Firewalls.Create(d.Context(), request)
	d.good(err)
	d.inForce(firewall.ID)
	d.reaches(d.near, web, "web")
	d.cannotReach(d.far, web)
	d.cannotReach(place{d.host, ""}, web)
	d.denies(d.next, nameAt(web))
	d.denies(d.next, nameAt(d.web.private()))
	d.expects(d.web, seen(d.near.address), hostAddress)
	d.denies(d.web, seen(d.far.address))
	d.denies(d.web, nameAt(d.next.private()))
	d.expects(d.web, metadataOf("id"), fmt.Sprint(d.web.id))
	if d.v6 {
		d.cannotReach(place{d.world, ""}, d.web.public6())
	}

	d.reaches(d.far, next, "next")
	d.tag(d.next)
	d.becomes(d.far, next, "")
	d.inForce(firewall.ID)
	d.reaches(d.near, next, "next")

	request = rulesFor("edge", d.far)
	request.Tags = []string{"edge"}
	_, _, err = d.api.Firewalls.Update(d.Context(), firewall.ID, request)
	d.good(err)
	d.inForce(firewall.ID)
	for _, g := range []guest{d.web, d.next} {
		d.reaches(d.far, g.public(), g.name)
		d.cannotReach(d.near, g.public())
		d.denies(g, seen(d.near.address))
		d.expects(g, seen(d.far.address), hostAddress)
	}

	_, err = d.api.Tags.UntagResources(d.Context(), "edge", &godo.UntagResourcesRequest{Resources: d.web.resource()})
	d.good(err)
	d.becomes(d.near, web, "web")
	_, err = d.api.Tags.UntagResources(d.Context(), "edge", &godo.UntagResourcesRequest{Resources: d.next.resource()})
	d.good(err)
	d.becomes(d.near, next, "next")
}

func (g guest) resource() []godo.Resource {
	return []godo.Resource{{ID: fmt.Sprint(g.id), Type: godo.DropletResourceType}}
}

func (d *routedDroplets) tag(g guest) {
	d.Helper()
	_, err := d.api.Tags.TagResources(d.Context(), "edge", &godo.TagResourcesRequest{Resources: g.resource()})
	d.good(err)
}

// moveReserved has one address answered by one Droplet, by another, and by none.
func (d *routedDroplets) moveReserved() {
	reserved, _, err := d.api.ReservedIPs.Create(d.Context(), &godo.ReservedIPCreateRequest{DropletID: d.web.id})
	d.good(err)
	d.reserved = reserved.IP
	d.becomes(d.near, d.reserved, "web")
	d.loginFrom(d.far, d.reserved, "web")
	d.reaches(place{d.host, ""}, d.reserved, "web")
	d.expects(d.apart, nameAt(d.reserved), "web")
	d.done(d.api.ReservedIPActions.Assign(d.Context(), d.reserved, d.next.id))
	d.reaches(d.near, d.reserved, "next")
	d.expects(d.web, nameAt(d.reserved), "next")
	d.reaches(d.near, d.web.public(), "web")
	d.done(d.api.ReservedIPActions.Unassign(d.Context(), d.reserved))
	d.cannotReach(d.near, d.reserved)
	d.cannotReach(place{d.host, ""}, d.reserved)
	d.denies(d.apart, nameAt(d.reserved))
	d.reaches(d.near, d.next.public(), "next")
}

// outliveTheServer has everything work while the server is gone, and change
// when it is back.
func (d *routedDroplets) outliveTheServer() {
	web, next, apart, private := d.web.public(), d.next.public(), d.apart.public(), d.web.private()
	request := rulesFor("web", d.near)
	request.DropletIDs = []int{d.web.id}
	firewall, _, err := d.api.Firewalls.Create(d.Context(), request)
	d.good(err)
	d.inForce(firewall.ID, d.web.id)
	d.done(d.api.ReservedIPActions.Assign(d.Context(), d.reserved, d.web.id))
	var pids []int
	for _, g := range []guest{d.web, d.next, d.apart} {
		pids = append(pids, d.pid(g.id))
	}

	late := d.request("late")
	late.Tags = []string{"edge"} // which a firewall has
	g := d.begin(late)
	d.until("the create to be on its way", func() (bool, error) { return len(d.processes()) > 3, nil })

	d.server.kill()
	d.loginFrom(d.near, web, "web")
	d.loginFrom(d.far, apart, "apart")
	d.reaches(d.near, d.reserved, "web")
	d.cannotReach(d.far, web)
	d.cannotReach(d.far, d.reserved)
	d.reaches(d.far, next, "next")
	d.expects(d.web, seen(d.near.address), hostAddress)
	d.denies(d.web, seen(d.far.address))
	d.denies(d.next, nameAt(private))
	if out, err := d.clean(); err == nil || !strings.Contains(err.Error(), "--force") {
		d.Errorf("the network is cleaned while machines run: %s, %v", out, err)
	}

	// Somebody restarts the host's own firewall meanwhile, which forgets ours.
	d.host.within(d, func() {
		out, err := exec.CommandContext(d.Context(), "nft", "delete table inet cistern; delete table netdev cistern").CombinedOutput()
		if err != nil {
			d.Errorf("nft: %v: %s", err, out)
		}
	})
	d.restart()
	for i, g := range []guest{d.web, d.next, d.apart} {
		d.status(g.id, "active")
		if pid := d.pid(g.id); pid != pids[i] || pid == 0 {
			d.Errorf("the process of %s was %d, is %d", g.name, pids[i], pid)
		}
		d.expects(g, metadataOf("id"), fmt.Sprint(g.id))
	}
	d.cannotReach(d.far, web)
	request = rulesFor("web", d.far)
	request.DropletIDs = []int{d.web.id}
	_, _, err = d.api.Firewalls.Update(d.Context(), firewall.ID, request)
	d.good(err)
	d.inForce(firewall.ID, d.web.id)
	d.reaches(d.far, web, "web")
	d.reaches(d.far, d.reserved, "web")
	d.cannotReach(d.near, web)

	// What was in the middle of being made is made, and has its firewall.
	d.status(g.id, "active")
	d.until("ssh to the late Droplet", func() (bool, error) {
		got, _ := d.ssh(d.near, g.public(), "hostname")
		return got == "late", nil
	})
	d.expects(g, metadataOf("id"), fmt.Sprint(g.id))
	d.expects(g, seen(d.far.address), hostAddress)
	d.denies(g, seen(d.near.address))
	d.late = g
}

// leaveNothing destroys the Droplets, one of them after its network was taken
// away, and looks for what is left.
func (d *routedDroplets) leaveNothing() {
	if out, err := d.clean(); err == nil || !strings.Contains(err.Error(), "--force") {
		d.Errorf("the network is cleaned while machines run: %s, %v", out, err)
	}
	d.reaches(d.near, d.next.public(), "next")
	web, next := d.web.public(), d.next.public()
	d.good(syscall.Kill(d.pid(d.next.id), syscall.SIGKILL)) // a machine that ends by itself
	d.status(d.next.id, "off")
	d.cannotReach(d.near, next)
	_, err := d.api.Droplets.Delete(d.Context(), d.web.id)
	d.good(err)
	d.server.kill() // in the middle of it
	d.restart()
	d.gone(d.web)
	d.destroy(d.next)
	d.destroy(d.late)
	for _, address := range []string{web, next, d.reserved} {
		d.cannotReach(d.far, address)
	}
	d.reaches(d.far, d.apart.public(), "apart")

	d.good(d.server.terminate())
	if _, err := d.clean("--force"); err != nil {
		d.Error(err)
	}
	d.isAgain(d.before)
	d.restart()
	d.done(d.api.DropletActions.PowerCycle(d.Context(), d.apart.id))
	d.until("ssh to the power-cycled Droplet", func() (bool, error) {
		got, _ := d.ssh(d.near, d.apart.public(), "hostname")
		return got == "apart", nil
	})
	d.logs(fmt.Sprintf("power_cycle gives it one\" machine=%d name=apart", d.apart.id))
	d.server.kill() // as no other may log an error
	d.restart()
	d.destroy(d.apart)

	if left := d.processes(); len(left) > 0 {
		d.Errorf("processes: %v", left)
	}
	if left := d.realCloud.files(); !slices.Equal(left, d.files) {
		d.Errorf("files: %v, before %v", left, d.files)
	}
	d.isAgain(d.base)
	d.good(d.server.terminate())
	d.isAgain(d.base)
	out, err := d.clean()
	d.good(err)
	if d.isAgain(d.before); d.Failed() {
		d.Log(out)
	}
	if out, err := d.clean(); err != nil || strings.TrimSpace(out) != "There is nothing to remove." {
		d.Errorf("what is clean is cleaned: %s, %v", out, err)
	}
}

//go:build linux

package routed

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// Machines of one private network reach each other there, and all machines do
// by their public addresses.
func TestMachinesReachEachOther(t *testing.T) {
	w := newWorld(t)
	a2, a3, b3 := w.plug(described(2, "a")), w.plug(described(3, "a")), w.plug(described(4, "b"))
	for _, g := range []*guestOf{a2, a3, b3} {
		w.serve(g.place, ":80")
	}
	w.serve(w.beyond, ":80")
	w.reaches(a2.place, "198.19.0.3:80", "198.19.0.2")
	w.reaches(a3.place, "198.19.0.2:80", "198.19.0.3")
	w.cannotReach(a2.place, "198.19.0.4:80")
	w.cannotReach(b3.place, "198.19.0.2:80")
	w.reaches(a2.place, "198.18.1.4:80", "198.18.1.2")
	w.reaches(b3.place, "[2001:db8:1::2]:80", "2001:db8:1::4")
	w.reaches(a2.place, "198.18.255.2:80", "198.18.1.2")
	w.reaches(a2.place, "[2001:db8:ff::2]:80", "2001:db8:1::2")
	w.reaches(w.beyond, "198.18.1.2:80", "198.18.255.2")
	w.reaches(w.beyond, "[2001:db8:1::2]:80", "2001:db8:ff::2")
	w.reaches(w.host, w.net.SSH("a2").Addr().String()+":80", "")
}

// Private networks with the same range are two networks.
func TestPrivateNetworksMayHaveTheSameAddresses(t *testing.T) {
	w := newWorld(t)
	for _, vpc := range []string{"a", "b"} {
		for n := 2; n < 4; n++ {
			m := described(n, vpc)
			m.Network.PublicIPv4, m.Network.PublicIPv6 = "", "" // these would be the same
			w.plug(m)
		}
	}
	// The same addresses and ports at once: the connections are kept apart.
	for _, vpc := range []string{"a", "b"} {
		w.serve(w.guests[vpc+"3"].place, ":80")
	}
	for range 3 {
		for _, vpc := range []string{"a", "b"} {
			w.reachesFrom(w.guests[vpc+"2"].place, "198.19.0.2:4000", "198.19.0.3:80")
		}
	}
	w.cannotReach(w.guests["a2"].place, "198.18.255.2:80") // there is no way to the world
}

// Peered networks reach each other, those beside them do not, and firewalls
// keep what they know of connections.
func TestPeering(t *testing.T) {
	w := newWorld(t)
	a := w.plug(described(2, "a"))
	var others []*guestOf
	for i, vpc := range []string{"b", "c"} {
		m := described(3+i, vpc)
		m.Network.PrivateIPv4, m.Network.PrivateGateway = fmt.Sprintf("198.19.%d.3", i+1), fmt.Sprintf("198.19.%d.1", i+1)
		others = append(others, w.plug(m))
	}
	b, c := others[0], others[1]
	for _, g := range []*guestOf{a, b, c} {
		w.serve(g.place, ":80")
		w.within(g.place, func() error {
			return via("198.19.0.0/16", netip.MustParseAddr(g.m.Network.PrivateGateway), "eth1")
		})
	}
	w.cannotReach(a.place, "198.19.1.3:80")
	for _, join := range [][2]string{{"a", "b"}, {"b", "c"}} {
		p := engine.Peering{Ref: engine.Ref{ID: join[0] + join[1]}, VPCs: join, Ranges: [2]string{"198.19.0.0/24", "198.19.1.0/24"}}
		w.must(w.net.Peer(t.Context(), p))
		w.must(w.net.Peer(t.Context(), p))
	}
	// Nothing may come in at a: answers do.
	m := a.m
	m.Firewall = engine.Firewall{On: true, Outbound: []engine.FirewallRule{{Protocol: "tcp", Ports: "0", Addresses: []string{"198.19.0.0/16"}}}}
	w.update(m)
	w.reaches(a.place, "198.19.1.3:80", "198.19.0.2")
	w.cannotReach(b.place, "198.19.0.2:80")
	w.reaches(c.place, "198.19.1.3:80", "198.19.2.3")
	w.cannotReach(a.place, "198.19.2.3:80") // what b reaches is not a's
	w.must(w.net.Unpeer(t.Context(), "ab"))
	w.must(w.net.Unpeer(t.Context(), "ab"))
	w.cannotReach(a.place, "198.19.1.3:80")
	w.reaches(c.place, "198.19.1.3:80", "198.19.2.3")
}

func TestFirewall(t *testing.T) {
	w := newWorld(t)
	g, peer := w.plug(described(2, "a")), w.plug(described(3, "a"))
	for _, at := range []place{g.place, w.beyond} {
		w.serve(at, ":80")
		w.serve(at, ":8081")
	}
	rule := func(ports string, addresses ...string) []engine.FirewallRule {
		return []engine.FirewallRule{{Protocol: "tcp", Ports: ports, Addresses: addresses}}
	}
	keep := func(in, out []engine.FirewallRule) {
		m := g.m
		m.Firewall = engine.Firewall{On: true, Inbound: in, Outbound: out}
		w.update(m)
	}
	const machine, machine6, world = "198.18.1.2:80", "[2001:db8:1::2]:80", "198.18.255.2:80"

	w.reaches(w.beyond, machine, "")
	keep(nil, nil)
	for _, from := range []place{w.beyond, w.host, peer.place} {
		w.cannotReach(from, machine)
		w.cannotReach(from, machine6)
	}
	w.cannotReach(peer.place, "198.19.0.2:80")
	w.cannotReach(g.place, world)

	keep(rule("80", "0.0.0.0/0"), nil)
	w.reaches(w.beyond, machine, "") // and its answers come out, which no rule says
	w.reaches(w.host, machine, "")
	w.cannotReach(w.beyond, machine6)
	w.cannotReach(w.beyond, "198.18.1.2:8081")
	w.cannotReach(g.place, world)

	keep(rule("8000-9000", "::/0", "0.0.0.0/0"), rule("80", "198.18.255.2"))
	w.reaches(w.beyond, "198.18.1.2:8081", "")
	w.reaches(w.beyond, "[2001:db8:1::2]:8081", "")
	w.cannotReach(w.beyond, machine)
	w.reaches(g.place, world, "")
	w.cannotReach(g.place, "198.18.255.2:8081")

	keep(rule("0", "198.18.1.0/25", "198.18.1.3", "2001:db8:1::3", "198.19.0.3"), nil)
	w.reaches(peer.place, machine, "")
	w.reaches(peer.place, machine6, "")
	w.reaches(peer.place, "198.19.0.2:80", "")
	w.cannotReach(w.beyond, machine)

	m := g.m
	m.Firewall = engine.Firewall{}
	w.update(m)
	w.reaches(w.beyond, machine6, "")
	w.reaches(g.place, world, "")
}

// As many rules and addresses as the API takes fit.
func TestFirewallOfTheLargestSize(t *testing.T) {
	w := newWorld(t)
	m := described(2, "a")
	var addresses []string
	for i := range 1000 {
		addresses = append(addresses, fmt.Sprintf("10.%d.%d.1", i/250, i%250), fmt.Sprintf("2001:db8:%x::/48", 2*i+2))
	}
	m.Firewall = engine.Firewall{On: true, Inbound: []engine.FirewallRule{{Protocol: "tcp", Ports: "80", Addresses: append(addresses, "198.18.255.2")}}}
	for port := range 500 {
		m.Firewall.Inbound = append(m.Firewall.Inbound, engine.FirewallRule{Protocol: "udp", Ports: fmt.Sprint(port + 1), Addresses: []string{"10.0.0.0/8"}})
	}
	g := w.plug(m)
	w.serve(g.place, ":80")
	w.reaches(w.beyond, "198.18.1.2:80", "")
	w.cannotReach(w.host, "198.18.1.2:80")
}

func TestWhatIsNoFirewallIsRefused(t *testing.T) {
	n := &Network{}
	for _, bad := range []engine.FirewallRule{
		{Protocol: "gre", Ports: "0"}, {Protocol: "tcp", Ports: "http"}, {Protocol: "udp", Ports: "9-8"}, {Protocol: "tcp", Ports: "70000"},
		{Protocol: "tcp", Ports: "22", Addresses: []string{"example.com"}}, {Protocol: "tcp", Ports: "22", Addresses: []string{"fe80::1%eth0"}},
	} {
		if err := n.Check(engine.Firewall{On: true, Inbound: []engine.FirewallRule{bad}}); !engine.IsFinal(err) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	good := engine.FirewallRule{Protocol: "icmp", Addresses: []string{"::ffff:1.2.3.0/120", "0.0.0.0/0", "255.255.255.255", "::/0"}}
	if err := n.Check(engine.Firewall{On: true, Outbound: []engine.FirewallRule{good}}); err != nil {
		t.Error(err)
	}
}

// A reserved IP leads to the machine that has it last, for connections that
// there were too.
func TestReservedIPMoves(t *testing.T) {
	w := newWorld(t)
	one, two, third := w.plug(described(2, "a")), w.plug(described(3, "a")), w.plug(described(4, "b"))
	w.serveText(one.place, ":80", "one")
	w.serveText(two.place, ":80", "two")
	const reserved, reserved6 = "198.18.2.9", "2001:db8:1::ffff"
	assign := func(g *guestOf, v4, v6 string) {
		m := g.m
		m.Network.ReservedIPv4, m.Network.ReservedIPv6 = v4, v6
		w.update(m)
	}
	all := []place{w.beyond, w.host, third.place, one.place, two.place}
	leadsTo := func(want string) {
		t.Helper()
		for _, from := range all {
			w.reaches(from, reserved+":80", want)
			w.reaches(from, "["+reserved6+"]:80", want)
		}
	}
	w.cannotReach(w.beyond, reserved+":80")
	assign(one, reserved, reserved6)
	leadsTo("one")

	flow := w.talk(w.beyond, one.place, reserved)
	assign(two, reserved, reserved6) // before it is taken from the other
	assign(one, "", "")
	leadsTo("two")
	flow.silent()

	assign(two, "", "")
	w.cannotReach(w.beyond, reserved+":80")
}

// Private addresses leave as the uplink's, where nobody else knows the way to
// them.
func TestMasquerade(t *testing.T) {
	w := bareWorld(t)
	w.options.Routed = false
	w.start()
	g := w.plug(described(2, "a"))
	w.serve(w.beyond, ":80")
	w.reaches(g.place, "198.18.255.2:80", "198.18.255.1")
	w.reaches(g.place, "[2001:db8:ff::2]:80", "2001:db8:ff::1")
	w.serve(g.place, ":80")
	w.reaches(w.beyond, "198.18.1.2:80", "")
}

// A guest that takes another's addresses is not heard.
func TestSpoofedSourcesAreDropped(t *testing.T) {
	w := newWorld(t)
	g, other := w.plug(described(2, "a")), w.plug(described(3, "a"))
	heard := w.hears(w.beyond, "udp4", "198.18.255.2:9000")
	heard6 := w.hears(w.beyond, "udp6", "[2001:db8:ff::2]:9000")
	private := w.hears(other.place, "udp4", "198.19.0.3:9000")
	w.within(g.place, func() error {
		return errors.Join(give("eth0", netip.MustParsePrefix("198.18.1.77/32")), give("eth0", netip.MustParsePrefix("2001:db8:1::77/128")),
			give("eth1", netip.MustParsePrefix("198.19.0.77/32")))
	})
	for _, from := range []string{"198.18.1.77", "198.18.1.2"} { // the last one is heard: so the first was not
		w.say(g.place, "udp4", from+":0", "198.18.255.2:9000", from)
	}
	heard.next("198.18.1.2")
	for _, from := range []string{"2001:db8:1::77", "2001:db8:1::2"} {
		w.say(g.place, "udp6", "["+from+"]:0", "[2001:db8:ff::2]:9000", from)
	}
	heard6.next("2001:db8:1::2")
	for _, from := range []string{"198.19.0.77", "198.19.0.2"} {
		w.say(g.place, "udp4", from+":0", "198.19.0.3:9000", from)
	}
	private.next("198.19.0.2")

	w.within(g.place, func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.LinkSetHardwareAddr(link, net.HardwareAddr{2, 0, 0, 0, 0, 0x99})
	})
	w.serve(w.beyond, ":80")
	w.cannotReach(g.place, "198.18.255.2:80")
}

// A guest is told its own metadata, and no other's, even when two ask from the
// same link-local address before they have one of their own.
func TestMetadata(t *testing.T) {
	w := newWorld(t)
	var guests []*guestOf
	for n := 2; n < 5; n++ {
		m := described(n, "a")
		if n == 4 { // all that it has is a private network
			m.Network.PublicIPv4, m.Network.PublicIPv6 = "", ""
		}
		m.Firewall = engine.Firewall{On: true} // nothing else passes
		guests = append(guests, w.plug(m))
	}
	for range 3 {
		for _, g := range guests[:2] {
			w.told(g, "", g.m.ID)
		}
	}
	for _, g := range guests {
		link := "eth0"
		if g.m.Network.PublicIPv4 == "" {
			link = "eth1"
		}
		w.within(g.place, func() error { return give(link, netip.MustParsePrefix("169.254.5.5/16")) })
	}
	for range 3 {
		for _, g := range guests {
			w.told(g, "169.254.5.5", g.m.ID)
		}
	}
	m := guests[0].m
	m.Metadata = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "new") })
	w.update(m)
	w.told(guests[0], "169.254.5.5", "new")
	if route := w.run("ip", "route", "get", "169.254.169.254"); strings.Contains(route, "local") {
		t.Errorf("the host cannot reach the metadata that it may have itself: %s", route)
	}
}

// Nothing that listens on the host is there for guests.
func TestHostServicesAreClosed(t *testing.T) {
	w := newWorld(t)
	g := w.plug(described(2, "a"))
	private := described(3, "a")
	private.Network.PublicIPv4, private.Network.PublicIPv6 = "", ""
	p := w.plug(private)
	w.serve(w.host, ":22")
	w.serve(w.host, ":80")
	for _, address := range []string{"198.18.255.1:22", "198.18.1.1:22", "198.18.1.1:80", "[fe80::1%eth0]:22", "[2001:db8:ff::1]:22", "169.254.169.254:22", "127.0.0.1:22"} {
		w.cannotReach(g.place, address)
	}
	w.cannotReach(p.place, "198.19.0.1:22")
	w.within(g.place, func() error { return via("127.0.0.1/32", netip.MustParseAddr("198.18.1.1"), "eth0") })
	w.cannotReach(g.place, "127.0.0.1:22")
	w.reaches(w.beyond, "198.18.255.1:22", "") // others are served as before
	beside := namespace(t)                     // as a container would be
	w.within(w.host, func() error {
		return errors.Join(connect("side0", beside, "s0", nil), give("side0", netip.MustParsePrefix("198.18.254.1/24")))
	})
	w.within(beside, func() error {
		return errors.Join(give("s0", netip.MustParsePrefix("198.18.254.2/24")), via("0.0.0.0/0", netip.MustParseAddr("198.18.254.1"), "s0"))
	})
	w.serve(beside, ":80")
	w.cannotReach(g.place, "198.18.254.2:80")
	w.must(w.net.Close())
	w.cannotReach(g.place, "169.254.169.254:80") // not even when ours is away
}

func TestDHCP(t *testing.T) {
	w := newWorld(t)
	g := w.plug(described(2, "a"))
	w.must(w.net.Peer(t.Context(), engine.Peering{Ref: engine.Ref{ID: "p"}, VPCs: [2]string{"b", "a"}, Ranges: [2]string{"198.19.1.0/24", "198.19.0.0/24"}}))
	public := w.lease(g, "eth0", g.m.PublicMAC)
	if public.YourIPAddr.String() != "198.18.1.2" || public.Router()[0].String() != "198.18.1.1" || public.DNS()[0].String() != "198.18.255.2" {
		t.Error(public.Summary())
	}
	private := w.lease(g, "eth1", g.m.PrivateMAC)
	routes := private.ClasslessStaticRoute()
	if private.YourIPAddr.String() != "198.19.0.2" || private.Router() != nil || len(routes) != 1 || routes[0].Dest.String() != "198.19.1.0/24" {
		t.Error(private.Summary())
	}
}

// A new process takes over what runs, and connections live on.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	m := described(2, "a")
	m.Network.ReservedIPv4 = "198.18.2.9"
	rules := []engine.FirewallRule{{Protocol: "tcp", Ports: "80", Addresses: []string{"0.0.0.0/0"}}}
	m.Firewall = engine.Firewall{On: true, Inbound: rules, Outbound: rules}
	g, peer := w.plug(m), w.plug(described(3, "a"))
	w.serve(g.place, ":80")
	before := w.show()
	flow := w.talk(g.place, peer.place, "198.19.0.3")
	w.must(w.net.Close())
	flow.works()
	w.reaches(w.beyond, "198.18.2.9:80", "")

	w.start()
	flow.works()
	w.reaches(w.beyond, "198.18.2.9:80", "")
	w.cannotReach(w.beyond, "198.18.1.2:8081")
	w.plug(m)
	w.plug(peer.m)
	flow.works()
	w.told(g, "", "a2")
	w.same(before, w.show())
}

// Whoever flushes all of nftables takes the rules with him, but not for long.
func TestRulesComeBack(t *testing.T) {
	w := newWorld(t)
	m := described(2, "a")
	m.Firewall = engine.Firewall{On: true}
	g := w.plug(m)
	w.serve(g.place, ":80")
	before := w.run("nft", "-s", "list", "ruleset")
	w.run("nft", "flush", "ruleset")
	w.eventually(func() bool { return w.run("nft", "-s", "list", "ruleset") == before })
	w.cannotReach(w.beyond, "198.18.1.2:80")
	w.told(g, "", "a2")

	// What was cleaned stays so, until a machine comes.
	found, err := Find(int(w.host))
	w.must(err)
	w.must(found.Remove())
	delete(w.guests, m.ID)
	g = w.plug(m)
	w.told(g, "", "a2")
	w.serve(g.place, ":80")
	w.cannotReach(w.beyond, "198.18.1.2:80")
	m.Firewall.On = false
	w.update(m)
	w.reaches(w.beyond, "198.18.1.2:80", "")
}

// A host that forwards for machines alone goes on to do so for them alone, and
// is given back as it was, even where the record of it was lost with the tables
// while nobody watched.
func TestForwardingGoesOffAgain(t *testing.T) {
	for _, lost := range []string{"nft flush ruleset", "ip rule flush protocol 206"} {
		w := bareWorld(t)
		before := w.show()
		w.start()
		w.must(w.net.Close())
		words := strings.Fields(lost)
		w.run(words[0], words[1:]...)
		w.start()
		if rules := w.run("nft", "list", "chain", "inet", "cistern", "forward"); !strings.Contains(rules, `ipv4 iifname "up0" drop`) {
			t.Errorf("after %s the host forwards for all: %s", lost, rules)
		}
		w.must(w.net.Close())
		found, err := Find(int(w.host))
		w.must(err)
		w.must(found.Remove())
		w.same(before, w.show())
	}
}

// Unplug takes all of a machine, Clean all of all machines, and both may be
// repeated.
func TestNothingIsLeft(t *testing.T) {
	w := bareWorld(t)
	untouched := w.show()
	w.start()
	empty := w.show()
	m := described(2, "a")
	m.Network.ReservedIPv4, m.Network.ReservedIPv6 = "198.18.2.9", "2001:db8:1::ffff"
	m.Firewall = engine.Firewall{On: true, Inbound: []engine.FirewallRule{{Protocol: "tcp", Ports: "80", Addresses: []string{"0.0.0.0/1"}}}}
	w.plug(m)
	w.must(w.net.Unplug(t.Context(), m.ID))
	w.must(w.net.Unplug(t.Context(), m.ID))
	w.same(empty, w.show())

	delete(w.guests, m.ID)
	w.plug(m)
	w.must(w.net.Close())
	w.start() // a process that knows nothing of it
	w.must(w.net.Unplug(t.Context(), m.ID))
	w.same(empty, w.show())

	delete(w.guests, m.ID)
	w.plug(m)
	w.plug(described(3, "b"))
	w.must(w.net.Close())
	for range 2 {
		found, err := Find(int(w.host))
		w.must(err)
		w.must(found.Remove())
	}
	w.same(untouched, w.show())
}

// A pool that is a part of the uplink's own network needs no route to it.
func TestPoolBesideTheHost(t *testing.T) {
	w := bareWorld(t)
	w.within(w.host, func() error { return give("up0", netip.MustParsePrefix("198.18.1.254/24")) })
	w.within(w.beyond, func() error { return give("w0", netip.MustParsePrefix("198.18.1.253/24")) })
	_, err := open(t.Context(), w.options, w.openLink)
	if err == nil || !strings.Contains(err.Error(), "--public-pool 198.18.1.0/24 has this host's own address 198.18.1.254 (up0)") {
		t.Fatal(err)
	}
	if _, again := Ready(w.options); again == nil || again.Error() != err.Error() {
		t.Errorf("a start is refused with %v, and foretold as %v", err, again)
	}
	w.options.Public = []netip.Prefix{netip.MustParsePrefix("198.18.1.0/26")}
	before := w.show()
	w.start()
	g := w.plug(described(2, "a"))
	w.serve(g.place, ":80")
	w.reaches(w.beyond, "198.18.1.2:80", "198.18.1.253")
	w.must(w.net.Close())
	found, err := Find(int(w.host))
	w.must(err)
	w.must(found.Remove())
	w.same(before, w.show())
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*vnet.Machine){
		"the host's address": func(m *vnet.Machine) { m.Network.PublicIPv4 = "198.18.255.1" },
		"the host's address, privately": func(m *vnet.Machine) {
			m.Network.PrivateIPv4 = "198.18.255.1"
		},
		"no address": func(m *vnet.Machine) { m.Network.PublicIPv4 = "here" },
		"no MAC":     func(m *vnet.Machine) { m.PublicMAC = "" },
		"no firewall": func(m *vnet.Machine) {
			m.Firewall = engine.Firewall{On: true, Inbound: []engine.FirewallRule{{Protocol: "x"}}}
		},
	} {
		m := described(2, "a")
		change(&m)
		if _, err := w.net.Plug(t.Context(), m); !engine.IsFinal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.net.Update(t.Context(), described(9, "a")); err == nil {
		t.Error("a machine that is not plugged was updated")
	}
	if w.net.SSH("nobody").IsValid() {
		t.Error("there is a way to no machine")
	}
	for name, o := range map[string]Options{
		"no pool":                {},
		"IPv6 as IPv4":           {Public: []netip.Prefix{pool6}},
		"IPv4 as IPv6":           {Public: []netip.Prefix{publicPool}, IPv6: []netip.Prefix{publicPool}},
		"a missing uplink":       {Public: []netip.Prefix{publicPool}, Uplink: "up9", Namespace: int(w.host)},
		"loopback as uplink":     {Public: []netip.Prefix{publicPool}, Uplink: "lo", Namespace: int(w.host)},
		"no default route":       {Public: []netip.Prefix{publicPool}, Namespace: int(w.host)},
		"the host's own address": {Public: []netip.Prefix{netip.MustParsePrefix("198.18.0.0/16")}, Uplink: "up0", Namespace: int(w.host)},
		"the same, reserved":     {Public: []netip.Prefix{publicPool}, Reserved: []netip.Prefix{netip.MustParsePrefix("198.18.255.0/24")}, Uplink: "up0", Namespace: int(w.host)},
	} {
		_, err := New(t.Context(), o)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if _, foretold := Ready(o); foretold == nil || foretold.Error() != err.Error() {
			t.Errorf("%s: %v, and foretold was %v", name, err, foretold)
		}
	}
	o := w.options
	o.Reserved = []netip.Prefix{netip.MustParsePrefix("198.18.255.0/24")}
	if _, err := Ready(o); err == nil || !strings.HasPrefix(err.Error(), "--reserved-pool 198.18.255.0/24 has this host's own address") {
		t.Errorf("a reserved pool: %v", err)
	}
	if uplink, err := Ready(w.options); uplink != "up0" || err != nil {
		t.Errorf("%s, %v", uplink, err)
	}
}

// BenchmarkPlug is what the links of a machine cost, both of them, until it is
// unplugged.
func BenchmarkPlug(b *testing.B) {
	w := newWorld(b)
	w.real = true
	for i := range 20 { // others that are there
		nics, err := w.net.Plug(b.Context(), described(20+i, "a"))
		w.must(err)
		closeAll(nics)
	}
	m := described(2, "a")
	var plug, update, unplug time.Duration
	for b.Loop() {
		start := time.Now()
		nics, err := w.net.Plug(b.Context(), m)
		w.must(err)
		closeAll(nics)
		plugged := time.Now()
		w.must(w.net.Update(b.Context(), m))
		updated := time.Now()
		w.must(w.net.Unplug(b.Context(), m.ID))
		plug, update, unplug = plug+plugged.Sub(start), update+updated.Sub(plugged), unplug+time.Since(updated)
	}
	for name, d := range map[string]time.Duration{"plug": plug, "update": update, "unplug": unplug} {
		b.ReportMetric(float64(d.Microseconds())/float64(b.N)/1000, name+"-ms/op")
	}
}

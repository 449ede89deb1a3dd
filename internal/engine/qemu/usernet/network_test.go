package usernet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

func TestOutboundTCP(t *testing.T) {
	c := newCloud(t)
	c.world["tcp 203.0.113.5:80"] = listen(t, "world")
	g, _ := c.boot(7)
	conn, err := g.dial("203.0.113.5:80")
	if got := exchange(t, conn, err, "hello"); got != "world 127.0.0.1 hello" {
		t.Errorf("got %q", got)
	}
	if conn, err := g.dial("203.0.113.5:81"); err == nil {
		conn.Close()
		t.Error("where nobody is, someone answered")
	}
}

// A connection that is reset outside is reset inside: its end would mean that
// all has come.
func TestResetsPass(t *testing.T) {
	c := newCloud(t)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(conn, "a part")
		_, _ = io.ReadFull(conn, make([]byte, 1)) // it has arrived
		abort(conn)
	}()
	c.world["tcp 203.0.113.5:80"] = listener.Addr().String()
	g, _ := c.boot(7)
	conn, err := g.dial("203.0.113.5:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len("a part"))); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "!")
	if b, err := io.ReadAll(conn); err == nil {
		t.Errorf("it ended well, after %q", b)
	}

	// From this host to a port that nobody listens on, too.
	in, err := net.Dial("tcp4", here("77.7:8080"))
	if errors.Is(err, syscall.ECONNRESET) {
		return // before it was looked at
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	_ = in.SetDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(in); err == nil {
		t.Errorf("it ended well, after %q", b)
	}
}

func TestOutboundUDP(t *testing.T) {
	c := newCloud(t)
	c.world["udp 203.0.113.5:5353"] = c.resolver.String()
	g, _ := c.boot(7)
	conn := g.dialUDP("203.0.113.5:5353")
	defer conn.Close()
	for _, text := range []string{"one more datagram", "and another one"} {
		if got := ask(t, conn, text); got != text+"!" {
			t.Errorf("got %q", got)
		}
	}
}

// ask sends a datagram and reads one.
func ask(t *testing.T, conn net.Conn, text string) string {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2000)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestDNS(t *testing.T) {
	c := newCloud(t)
	g, m := c.boot(7)
	if servers := c.Guest(m).Nameservers; len(servers) != 1 || servers[0] != gatewayIPv4 {
		t.Fatalf("nameservers %v", servers)
	}
	conn := g.dialUDP("198.18.0.1:53")
	defer conn.Close()
	if got := ask(t, conn, "what is the name?"); got != "what is the name?!" {
		t.Errorf("got %q", got)
	}
}

// What means this host, its links or nobody is refused from inside, whatever it
// is called.
func TestClosedAddresses(t *testing.T) {
	c := newCloud(t)
	g, _ := c.boot(7)
	own := []string{
		"127.0.0.1", here("77.7"), "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.1.1", "198.18.0.1", "198.18.200.200",
		"224.0.0.1", "255.255.255.255", "240.0.0.1",
		"::", "::1", "fe80::1", "ff02::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::7f00:1",
		"2002:7f00:1::1", "2002:a9fe:a9fe::1", "64:ff9b:1::7f00:1",
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		own = append(own, netip.MustParsePrefix(a.String()).Addr().String())
	}
	for _, text := range own {
		if a := netip.MustParseAddr(text); !c.Network.world.closedTo(a) {
			t.Errorf("%s is open", a)
		}
	}
	for _, text := range []string{"8.8.8.8", "203.0.113.5", "10.0.0.1", "198.19.0.1", "2606:4700::1", "64:ff9b::808:808", "2002:808:808::1"} {
		if a := netip.MustParseAddr(text); c.Network.world.closedTo(a) {
			t.Errorf("%s is closed", a)
		}
	}
	for _, to := range []string{"198.18.0.1:22", "198.18.200.200:80", "169.254.169.254:81", "169.254.1.1:80", "192.0.2.2:22"} {
		c.Network.world.own = append(c.Network.world.own, netip.MustParsePrefix("192.0.2.2/24"))
		if conn, err := g.dial(to); err == nil {
			conn.Close()
			t.Errorf("%s answers", to)
		}
	}
}

// A connection to the loopback of this host is a spoofed destination: no guest
// routes it, but one that sends the frame by hand gets no answer but a reset.
func TestLoopbackByHand(t *testing.T) {
	c := newCloud(t)
	m := describeMachine(t.TempDir(), 7)
	c.plug(m)
	wire := newCard(t, m.Dir, "public")
	for _, to := range []string{"127.0.0.1", here("77.7")} {
		wire.send(tcpFrame(m, "198.18.77.7", to, 4000, 22, tcpSYN))
		wire.send(pingFrame(m, "198.18.77.7", "198.18.0.1", 1))
		for {
			p, ok := parse(wire.next())
			if !ok {
				t.Fatal("no packet came back")
			}
			if p.proto == protoICMP {
				break
			}
			if p.tcpFlags&tcpRST == 0 {
				t.Errorf("%s answers with flags %#x", to, p.tcpFlags)
			}
		}
	}
}

func TestMetadata(t *testing.T) {
	c := newCloud(t)
	for n := byte(7); n < 9; n++ {
		g, m := c.boot(n, func(m *vnet.Machine) { m.Firewall.On = true }) // nothing passes, and metadata does
		client := http.Client{Timeout: patience, Transport: &http.Transport{
			DialContext: func(_ context.Context, _, address string) (net.Conn, error) { return g.dial(address) },
		}}
		r, err := client.Get("http://169.254.169.254/metadata/v1/id")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		client.CloseIdleConnections()
		if want := "machine " + m.ID + " /metadata/v1/id"; string(body) != want {
			t.Errorf("%q, want %q", body, want)
		}
	}
}

// Before it knows its address, a guest asks from a link-local one.
func TestMetadataFromLinkLocal(t *testing.T) {
	c := newCloud(t)
	m := describeMachine(t.TempDir(), 7)
	c.plug(m)
	g := newComputer(t)
	t.Cleanup(g.stack.Destroy)
	g.attach(newCard(t, m.Dir, "public"), m.PublicMAC, vnet.Link{IPv4: netip.MustParsePrefix("169.254.33.44/16")})
	g.isTold()
}

// isTold fails the test unless the guest gets something of its metadata.
func (g *computer) isTold() {
	g.t.Helper()
	conn, err := g.dial("169.254.169.254:80")
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /x HTTP/1.0\r\n\r\n")
	if b, err := io.ReadAll(conn); err != nil || len(b) < 20 {
		g.t.Errorf("%q, %v", b, err)
	}
}

// A machine with a private device alone has its metadata there, and no way out.
func TestPrivateOnly(t *testing.T) {
	c := newCloud(t)
	c.world["tcp 203.0.113.5:80"] = listen(t, "world")
	_, m := c.boot(7, func(m *vnet.Machine) { m.Network.PublicIPv4 = "" })
	link := c.Guest(m).Private
	if c.Guest(m).Public.IPv4.IsValid() || !link.IPv4Gateway.IsValid() {
		t.Fatalf("%+v", c.Guest(m))
	}
	m = describeMachine(t.TempDir(), 8)
	m.Network.PublicIPv4 = ""
	c.plug(m)
	lone := newComputer(t)
	t.Cleanup(lone.stack.Destroy)
	lone.attach(newCard(t, m.Dir, "private"), m.PrivateMAC, vnet.Link{IPv4: netip.MustParsePrefix("169.254.33.44/16")})
	lone.isTold()
}

func TestForwards(t *testing.T) {
	c := newCloud(t)
	g, m := c.boot(7, func(m *vnet.Machine) { m.Network.ReservedIPv4 = here("78.7") })
	g.serve(22, "ssh")
	g.serve(8080, "web")
	ssh := c.SSH(m.ID)
	if ssh.Addr().String() != here("77.7") || ssh.Port() != 22 && ssh.Port() < sshFallback {
		t.Fatalf("ssh at %s", ssh)
	}
	for at, want := range map[string]string{
		ssh.String():      "ssh 198.18.0.1 hello",
		here("77.7:8080"): "web 198.18.0.1 hello",
		here("78.7:8080"): "web 198.18.0.1 hello",
	} {
		conn, err := net.Dial("tcp4", at)
		if got := exchange(t, conn, err, "hello"); got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
	m.Network.ReservedIPv4 = ""
	c.update(m)
	if conn, err := net.Dial("tcp4", here("78.7:8080")); err == nil {
		conn.Close()
		t.Error("a reserved address that went leads to the machine")
	}
	if err := c.Unplug(context.Background(), m.ID); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp4", here("77.7:8080")); err == nil {
		conn.Close()
		t.Error("a machine that went is led to")
	}
	if at := c.SSH(m.ID); at.IsValid() {
		t.Errorf("ssh of a machine that went is at %s", at)
	}
}

// Who connects while the guest boots is connected as soon as it answers.
func TestForwardWaitsForTheGuest(t *testing.T) {
	c := newCloud(t)
	m := describeMachine(t.TempDir(), 7)
	c.plug(m)
	conn, err := net.Dial("tcp4", here("77.7:8080"))
	c.run(m).serve(8080, "web")
	if got := exchange(t, conn, err, "hello"); got != "web 198.18.0.1 hello" {
		t.Errorf("got %q", got)
	}
}

// Where port 22 is taken, ssh is on the next port from 2222 on that nobody has.
func TestSSHFallback(t *testing.T) {
	c := newCloud(t, func(o *Options) { o.SSHPort = 2200 })
	for _, at := range []string{here("77.7:2200"), here("77.7:2222")} {
		l, err := net.Listen("tcp4", at)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	_, m := c.boot(7, func(m *vnet.Machine) {
		m.Firewall = firewall([]engine.FirewallRule{anyone("tcp", "22"), anyone("tcp", "2223")}, nil)
	})
	if at := c.SSH(m.ID); at.String() != here("77.7:2224") {
		t.Errorf("ssh is at %s", at)
	}
}

func TestInboundRules(t *testing.T) {
	c := newCloud(t)
	m := describeMachine(t.TempDir(), 7)
	m.Firewall = firewall([]engine.FirewallRule{
		anyone("tcp", "9000-9001"),
		{Protocol: "tcp", Ports: "9002", Addresses: []string{"203.0.113.0/24"}},
		anyone("udp", "9005"),
	}, nil)
	c.plug(m)
	g := c.run(m)
	for port := uint16(9000); port <= 9003; port++ {
		g.serve(port, "web")
	}
	g.serveUDP(9005)
	for _, at := range []string{here("77.7:9000"), here("77.7:9001")} {
		conn, err := net.Dial("tcp4", at)
		if got := exchange(t, conn, err, "hello"); got != "web 198.18.0.1 hello" {
			t.Errorf("%s: %q", at, got)
		}
	}
	refused(t, here("77.7:9002")) // from elsewhere only
	refused(t, here("77.7:9003")) // no rule
	refused(t, here("77.7:8080"))
	if at := c.SSH(m.ID); at.IsValid() {
		t.Errorf("ssh is at %s", at)
	}
	conn, err := net.Dial("udp4", here("77.7:9005"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	for range 2 {
		if got := ask(t, conn, "hello"); got != "udp hello" {
			t.Errorf("got %q", got)
		}
	}

	// A port that is closed is closed for whoever is connected.
	open, err := net.Dial("tcp4", here("77.7:9000"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	_ = open.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(open, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	m.Firewall = firewall([]engine.FirewallRule{anyone("tcp", "9001")}, nil)
	c.update(m)
	if b, err := io.ReadAll(open); err == nil && len(b) > len(" 198.18.0.1 ") {
		t.Errorf("still open: %q", b)
	}
	refused(t, here("77.7:9000"))
}

func TestOutboundRules(t *testing.T) {
	c := newCloud(t)
	c.world["tcp 203.0.113.5:80"] = listen(t, "world")
	c.world["tcp 203.0.113.6:80"] = listen(t, "world")
	c.world["tcp 203.0.113.5:81"] = listen(t, "world")
	g, m := c.boot(7, func(m *vnet.Machine) {
		m.Firewall = firewall([]engine.FirewallRule{anyone("tcp", "9000")}, []engine.FirewallRule{
			{Protocol: "tcp", Ports: "80", Addresses: []string{"203.0.113.5"}},
		})
	})
	conn, err := g.dial("203.0.113.5:80")
	if got := exchange(t, conn, err, "hello"); got != "world 127.0.0.1 hello" {
		t.Errorf("got %q", got)
	}
	// What may come in is answered, though nothing may go out of itself.
	g.serve(9000, "web")
	conn, err = net.Dial("tcp4", here("77.7:9000"))
	if got := exchange(t, conn, err, "hello"); got != "web 198.18.0.1 hello" {
		t.Errorf("got %q", got)
	}
	for _, to := range []string{"203.0.113.6:80", "203.0.113.5:81"} {
		if conn, err := g.dialFor(to, 300*time.Millisecond); err == nil {
			conn.Close()
			t.Errorf("%s was reached", to)
		}
	}
	open, err := g.dial("203.0.113.5:80")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if _, err := io.ReadFull(open, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	m.Firewall.Outbound = nil
	c.update(m)
	_ = open.SetDeadline(time.Now().Add(300 * time.Millisecond))
	_, _ = io.WriteString(open, "hello")
	if n, err := io.ReadFull(open, make([]byte, 16)); err == nil || n == 16 {
		t.Error("a connection outlived the rule that let it out")
	}
}

// Machines reach each other at the addresses inside, with their own, as far as
// both firewalls let them. Rules use the addresses of the cloud.
func TestMachineToMachine(t *testing.T) {
	c := newCloud(t)
	a, am := c.boot(7)
	b, bm := c.boot(8, func(m *vnet.Machine) {
		m.Firewall = firewall([]engine.FirewallRule{{Protocol: "tcp", Ports: "80", Addresses: []string{here("77.7")}}}, nil)
	})
	x, _ := c.boot(9)
	b.serve(80, "b")
	b.serve(81, "b")
	conn, err := a.dial("198.18.77.8:80")
	if got := exchange(t, conn, err, "hello"); got != "b 198.18.77.7 hello" {
		t.Errorf("got %q", got)
	}
	for _, g := range []struct {
		from *computer
		to   string
	}{{a, "198.18.77.8:81"}, {x, "198.18.77.8:80"}} {
		if conn, err := g.from.dialFor(g.to, 300*time.Millisecond); err == nil {
			conn.Close()
			t.Errorf("%s was reached", g.to)
		}
	}
	a.serve(80, "a")
	if conn, err := b.dialFor("198.18.77.7:80", 300*time.Millisecond); err == nil {
		conn.Close()
		t.Error("b has no rule that lets it out")
	}
	am.Firewall = firewall(nil, nil)
	bm.Firewall = engine.Firewall{}
	c.update(am)
	c.update(bm)
	if conn, err := b.dialFor("198.18.77.7:80", 300*time.Millisecond); err == nil {
		conn.Close()
		t.Error("a has no rule that lets anyone in")
	}
}

// Machines keep the addresses of a former pool: they are reached there, and rules
// go on to mean them. None is taken for another.
func TestAddressesOfAFormerPool(t *testing.T) {
	c := newCloud(t, func(o *Options) { o.PublicPool = netip.MustParsePrefix("127.100.0.0/16") })
	a, am := c.boot(7)
	b, _ := c.boot(8, func(m *vnet.Machine) {
		m.Firewall = firewall([]engine.FirewallRule{
			{Protocol: "tcp", Ports: "8080", Addresses: []string{here("77.7"), "127.0.0.1"}},
		}, nil)
	})
	x, _ := c.boot(9)
	b.serve(8080, "b")
	conn, err := a.dial("198.18.77.8:8080")
	if got := exchange(t, conn, err, "hello"); got != "b 198.18.77.7 hello" {
		t.Errorf("from the other: %q", got)
	}
	conn, err = net.Dial("tcp4", here("77.8:8080"))
	if got := exchange(t, conn, err, "hello"); got != "b 198.18.0.1 hello" {
		t.Errorf("from this host: %q", got)
	}
	if conn, err := x.dialFor("198.18.77.8:8080", 300*time.Millisecond); err == nil {
		conn.Close()
		t.Error("a third one was let in")
	}
	like := describeMachine(t.TempDir(), 10)
	like.Network.PublicIPv4 = "127.100.77.7"
	want := "127.100.77.7 and " + am.Network.PublicIPv4 + " of machine " + am.ID + " are the same address inside, 198.18.77.7"
	if _, err := c.Plug(context.Background(), like); !engine.IsFinal(err) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := c.Unplug(context.Background(), am.ID); err != nil {
		t.Fatal(err)
	}
	like.Network.PublicIPv4 = here("77.7")
	c.plug(like)
}

func TestPrivateNetwork(t *testing.T) {
	c := newCloud(t)
	a, _ := c.boot(7)
	b, bm := c.boot(8)
	x, _ := c.boot(9, func(m *vnet.Machine) { m.Network.VPC = "elsewhere" })
	b.serve(80, "b")
	conn, err := a.dial("10.10.0.8:80")
	if got := exchange(t, conn, err, "hello"); got != "b 10.10.0.7 hello" {
		t.Errorf("got %q", got)
	}
	if conn, err := x.dialFor("10.10.0.8:80", 300*time.Millisecond); err == nil {
		conn.Close()
		t.Error("another VPC's machine gets in")
	}
	bm.Firewall = firewall([]engine.FirewallRule{{Protocol: "tcp", Ports: "80", Addresses: []string{"10.10.0.99"}}}, nil)
	c.update(bm)
	if conn, err := a.dialFor("10.10.0.8:80", 300*time.Millisecond); err == nil {
		conn.Close()
		t.Error("firewalls hold on private networks, too")
	}
	bm.Firewall.Inbound[0].Addresses = []string{"10.10.0.0/24"}
	c.update(bm)
	conn, err = a.dial("10.10.0.8:80")
	if got := exchange(t, conn, err, "hello"); got != "b 10.10.0.7 hello" {
		t.Errorf("got %q", got)
	}
}

func TestPeering(t *testing.T) {
	c := newCloud(t)
	routed := func(n byte, vpc, address, gateway string) *computer {
		m := describeMachine(t.TempDir(), n)
		m.Network = engine.Network{VPC: vpc, PrivateIPv4: address, PrivatePrefix: 24, PrivateGateway: gateway}
		c.plug(m)
		g := newComputer(t)
		t.Cleanup(g.stack.Destroy)
		g.attach(newCard(t, m.Dir, "private"), m.PrivateMAC, c.Guest(m).Private)
		return g
	}
	a := routed(7, "one", "10.1.0.7", "10.1.0.1")
	b := routed(8, "two", "10.2.0.8", "10.2.0.1")
	b.serve(80, "b")
	p := engine.Peering{Ref: engine.Ref{ID: "p"}, VPCs: [2]string{"one", "two"}, Ranges: [2]string{"10.1.0.0/24", "10.2.0.0/24"}}
	if conn, err := a.dialFor("10.2.0.8:80", 300*time.Millisecond); err == nil {
		conn.Close()
		t.Fatal("reached without a peering")
	}
	for range 2 {
		if err := c.Peer(context.Background(), p); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := a.dial("10.2.0.8:80")
	if got := exchange(t, conn, err, "hello"); got != "b 10.1.0.7 hello" {
		t.Errorf("got %q", got)
	}
	for range 2 {
		if err := c.Unpeer(context.Background(), "p"); err != nil {
			t.Fatal(err)
		}
	}
	if conn, err := a.dialFor("10.2.0.8:80", 300*time.Millisecond); err == nil {
		conn.Close()
		t.Error("reached after the peering ended")
	}
	p.Ranges[1] = "nonsense"
	if err := c.Peer(context.Background(), p); !engine.IsFinal(err) {
		t.Errorf("a peering with a range that is none: %v", err)
	}
}

// Another process takes over machines that run: their traffic goes on, and a
// private connection outlives the change.
func TestTakeOver(t *testing.T) {
	first := newCloud(t)
	a, am := first.boot(7)
	b, bm := first.boot(8)
	b.serve(80, "b")
	open, err := a.dial("10.10.0.8:80")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if _, err := io.ReadFull(open, make([]byte, len("b 10.10.0.7 "))); err != nil {
		t.Fatal(err)
	}
	first.Close()
	if _, err := first.Plug(context.Background(), am); err == nil {
		t.Error("a closed network takes a machine")
	}

	second := newCloud(t)
	second.world["tcp 203.0.113.5:80"] = listen(t, "world")
	for _, m := range []vnet.Machine{am, bm, am} { // again makes no difference
		second.plug(m)
	}
	if _, err := io.WriteString(open, "still"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(open, make([]byte, len("still"))); err != nil {
		t.Fatal(err)
	}
	conn, err := a.dial("203.0.113.5:80")
	if got := exchange(t, conn, err, "hello"); got != "world 127.0.0.1 hello" {
		t.Errorf("got %q", got)
	}
	a.serve(8080, "a")
	conn, err = net.Dial("tcp4", here("77.7:8080"))
	if got := exchange(t, conn, err, "hello"); got != "a 198.18.0.1 hello" {
		t.Errorf("got %q", got)
	}
}

// A machine's process may come later, and start again with new sockets.
func TestProcessComesAndGoes(t *testing.T) {
	c := newCloud(t)
	m := describeMachine(t.TempDir(), 7)
	c.plug(m)
	for i := range 3 {
		wire := newCard(t, m.Dir, "public")
		wire.send(pingFrame(m, "198.18.77.7", "198.18.0.1", uint16(i)))
		if p, ok := parse(wire.next()); !ok || p.proto != protoICMP || p.srcPort != uint16(i) {
			t.Errorf("round %d: %+v", i, p)
		}
		wire.conn.Close()
	}
}

// A connection whose guest is gone without a word ends with the machine's
// links, also where the client has nothing more to say.
func TestUnplugWithoutTheGuest(t *testing.T) {
	c := newCloud(t)
	g, m := c.boot(7)
	accepted := make(chan net.Conn, 1)
	g.accept(22, accepted)
	conn, err := net.Dial("tcp4", c.SSH(m.ID).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-accepted // and it is never heard of again
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := c.Unplug(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
}

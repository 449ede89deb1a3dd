package usernet

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// guestFrame is a frame of a machine's to its gateway.
func guestFrame(hw string, kind uint16, packet ...[]byte) []byte {
	f := wrap(gatewayMAC, kind, packet...)
	from := parseMAC(hw)
	copy(f.data[6:12], from[:])
	return slices.Clone(f.bytes())
}

func pingPacket(from, to string, id uint16) []byte {
	b := make([]byte, 12)
	b[0] = 8
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[2:], fold(sum(0, b)))
	return append(ipv4Header(netip.MustParseAddr(from), netip.MustParseAddr(to), protoICMP, len(b)), b...)
}

func pingFrame(m vnet.Machine, from, to string, id uint16) []byte {
	return guestFrame(m.PublicMAC, etherIPv4, pingPacket(from, to, id))
}

func tcpPacket(from, to string, sport, dport uint16, flags byte) []byte {
	src, dst := netip.MustParseAddr(from), netip.MustParseAddr(to)
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	b[12], b[13], b[14] = 5<<4, flags, 0x10
	binary.BigEndian.PutUint16(b[16:], transportSum(src, dst, protoTCP, b))
	return append(ipv4Header(src, dst, protoTCP, len(b)), b...)
}

func tcpFrame(m vnet.Machine, from, to string, sport, dport uint16, flags byte) []byte {
	return guestFrame(m.PublicMAC, etherIPv4, tcpPacket(from, to, sport, dport, flags))
}

// Frames that are not a machine's own go nowhere. A ping to the gateway after
// each shows when it was looked at.
func TestSpoofedFrames(t *testing.T) {
	c := newCloud(t)
	m, victim := describeMachine(t.TempDir(), 7), describeMachine(t.TempDir(), 8)
	c.plug(m)
	c.plug(victim)
	public, private := newCard(t, m.Dir, "public"), newCard(t, m.Dir, "private")
	atVictim := []*card{newCard(t, victim.Dir, "public"), newCard(t, victim.Dir, "private")}
	toVictim := parseMAC(victim.PrivateMAC)
	direct := func(hw string, packet []byte) []byte {
		b := guestFrame(hw, etherIPv4, packet)
		copy(b, toVictim[:])
		return b
	}
	lie := wrap(toVictim, etherARP, []byte{0, 1, 8, 0, 6, 4, 0, 2}, parsed(m.PrivateMAC), []byte{10, 10, 0, 1}, toVictim[:], []byte{10, 10, 0, 8}).bytes()
	copy(lie[6:], parsed(m.PrivateMAC))
	for _, s := range []struct {
		name  string
		card  *card
		frame []byte
	}{
		{"another's address", public, pingFrame(m, "198.18.77.9", "198.18.77.8", 1)},
		{"the world's address", public, pingFrame(m, "203.0.113.5", "198.18.77.8", 1)},
		{"the gateway's address", public, pingFrame(m, "198.18.0.1", "198.18.77.8", 1)},
		{"a link-local address to a machine", public, pingFrame(m, "169.254.1.1", "198.18.77.8", 1)},
		{"another's MAC", public, guestFrame(victim.PublicMAC, etherIPv4, pingPacket("198.18.77.7", "198.18.77.8", 1))},
		{"a private address on the public link", public, pingFrame(m, "10.10.0.7", "198.18.77.8", 1)},
		{"no packet at all", public, guestFrame(m.PublicMAC, etherIPv4, []byte{1, 2, 3})},
		{"a packet that ends early", public, guestFrame(m.PublicMAC, etherIPv4, pingPacket("198.18.77.7", "198.18.77.8", 1)[:22])},
		{"another protocol", public, guestFrame(m.PublicMAC, 0x88cc, []byte("hello"))},
		{"another's private address", private, direct(m.PrivateMAC, pingPacket("10.10.0.9", "10.10.0.8", 1))},
		{"the private gateway's address", private, direct(m.PrivateMAC, pingPacket("10.10.0.1", "10.10.0.8", 1))},
		{"another's private MAC", private, direct(victim.PrivateMAC, pingPacket("10.10.0.7", "10.10.0.8", 1))},
		{"an answer for the gateway's address", private, lie},
		{"another protocol in private", private, guestFrame(m.PrivateMAC, 0x88cc, []byte("hello"))},
		{"a long frame", private, direct(m.PrivateMAC, make([]byte, mtu+1))},
	} {
		t.Run(s.name, func(t *testing.T) {
			s.card.send(s.frame)
			hw, from, to := m.PublicMAC, "198.18.77.7", "198.18.0.1"
			if s.card == private {
				hw, from, to = m.PrivateMAC, "10.10.0.7", "10.10.0.1"
			}
			s.card.send(guestFrame(hw, etherIPv4, pingPacket(from, to, 77)))
			if p, ok := parse(s.card.next()); !ok || p.proto != protoICMP || p.srcPort != 77 {
				t.Errorf("got %+v", p)
			}
		})
	}
	// What is the machine's own arrives, and is the first that does.
	public.send(pingFrame(m, "198.18.77.7", "198.18.77.8", 78))
	private.send(direct(m.PrivateMAC, pingPacket("10.10.0.7", "10.10.0.8", 78)))
	for _, at := range atVictim {
		if p, ok := parse(at.next()); !ok || p.srcPort != 78 {
			t.Errorf("got %+v", p)
		}
	}
}

func parsed(hw string) []byte {
	m := parseMAC(hw)
	return m[:]
}

func TestARP(t *testing.T) {
	c := newCloud(t)
	m := describeMachine(t.TempDir(), 7)
	c.plug(m)
	wire := newCard(t, m.Dir, "public")
	request := func(sender, target []byte) []byte {
		b := guestFrame(m.PublicMAC, etherARP, []byte{0, 1, 8, 0, 6, 4, 0, 1}, parsed(m.PublicMAC), sender, make([]byte, 6), target)
		copy(b, broadcastMAC[:])
		return b
	}
	wire.send(request([]byte{0, 0, 0, 0}, []byte{169, 254, 3, 4}))         // is it free?
	wire.send(request([]byte{198, 18, 77, 7}, []byte{198, 18, 77, 7}))     // it is mine
	wire.send(request([]byte{169, 254, 3, 4}, []byte{169, 254, 169, 254})) // who is that?
	b := wire.next()
	a, ok := parseARP(b)
	if !ok || a.request || a.senderMAC != gatewayMAC || a.senderAddr != metadataAt.Addr() || etherDst(b) != parseMAC(m.PublicMAC) {
		t.Errorf("got %+v", a)
	}
}

func TestDHCP(t *testing.T) {
	c := newCloud(t)
	m := describeMachine(t.TempDir(), 7)
	m.Firewall.On = true
	c.plug(m)
	wire := newCard(t, m.Dir, "public")
	ask := func(options ...byte) []byte {
		b := make([]byte, 240)
		b[0], b[1], b[2] = 1, 1, 6
		copy(b[4:], "abcd")
		copy(b[28:], parsed(m.PublicMAC))
		copy(b[236:], dhcpCookie)
		b = append(append(b, options...), 255)
		from, to := netip.MustParseAddrPort("0.0.0.0:68"), netip.MustParseAddrPort("255.255.255.255:67")
		f := guestFrame(m.PublicMAC, etherIPv4, udpPacket(from, to, b))
		copy(f, broadcastMAC[:])
		return f
	}
	for _, s := range []struct {
		name    string
		options []byte
		kind    byte
		address string
	}{
		{"discover", []byte{53, 1, dhcpDiscover}, dhcpOffer, "198.18.77.7"},
		{"request", []byte{53, 1, dhcpRequest, 50, 4, 198, 18, 77, 7, 54, 4, 198, 18, 0, 1}, dhcpAck, "198.18.77.7"},
		{"request of another's", []byte{53, 1, dhcpRequest, 50, 4, 198, 18, 77, 8}, dhcpNak, "0.0.0.0"},
		{"inform", []byte{53, 1, dhcpInform}, dhcpAck, "0.0.0.0"},
	} {
		t.Run(s.name, func(t *testing.T) {
			wire.send(ask(53, 1, 7))                               // a release needs no answer
			wire.send(ask(53, 1, dhcpRequest, 54, 4, 10, 0, 0, 1)) // another server was chosen
			wire.send(ask(53))                                     // an option cut short
			wire.send(ask(s.options...))
			p, ok := parse(wire.next())
			if !ok || p.srcPort != 67 || p.dstPort != 68 || p.src != gatewayIPv4 {
				t.Fatalf("got %+v", p)
			}
			b := p.payload[8:]
			options := dhcpOptions(b[240:])
			if options[53][0] != s.kind || netip.AddrFrom4([4]byte(b[16:20])).String() != s.address || string(b[4:8]) != "abcd" {
				t.Errorf("kind %d, address %v", options[53][0], b[16:20])
			}
			if s.kind == dhcpNak {
				return
			}
			for code, want := range map[byte][]byte{1: {255, 255, 0, 0}, 3: {198, 18, 0, 1}, 6: {198, 18, 0, 1}} {
				if !slices.Equal(options[code], want) {
					t.Errorf("option %d is %v", code, options[code])
				}
			}
		})
	}
}

// Machines with IPv6 reach each other and their gateway by it.
func TestIPv6BetweenMachines(t *testing.T) {
	c := newCloud(t)
	with := func(n byte) func(*vnet.Machine) {
		return func(m *vnet.Machine) {
			m.Network.PublicIPv6 = netip.MustParseAddr("2001:db8::").String() + string('0'+rune(n))
			m.Network.IPv6Prefix, m.Network.IPv6Gateway = 64, "2001:db8::1"
		}
	}
	a, _ := c.boot(7, with(7))
	b, bm := c.boot(8, with(8))
	if g := c.Guest(bm).Public; g.IPv6.String() != "2001:db8::8/64" || g.IPv6Gateway.String() != "2001:db8::1" {
		t.Fatalf("%+v", g)
	}
	listener, err := listenIPv6(b, 80)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go answer(listener, "b")
	conn, err := a.dial("[2001:db8::8]:80")
	if got := exchange(t, conn, err, "hello"); got != "b 2001:db8::7 hello" {
		t.Errorf("got %q", got)
	}
	if conn, err := a.dialFor("[::ffff:127.0.0.1]:80", 300*time.Millisecond); err == nil {
		conn.Close()
		t.Error("a mapped address was reached")
	}
	bm.Firewall.On = true
	c.update(bm)
	if conn, err := a.dialFor("[2001:db8::8]:80", 300*time.Millisecond); err == nil {
		conn.Close()
		t.Error("the firewall does not hold for IPv6")
	}
}

// Echoes leave by this host where it lets them, and come back as the guest's
// own.
func TestPingTheWorld(t *testing.T) {
	c := newCloud(t)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { // the kernel's: it gives requests another identifier
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			b[0], b[4], b[5] = 0, 99, 99
			_, _ = conn.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	c.Network.world.ping = func(to netip.Addr) (net.Conn, error) {
		if to.String() != you {
			return nil, os.ErrPermission
		}
		return net.Dial("udp4", conn.LocalAddr().String())
	}
	m := describeMachine(t.TempDir(), 7)
	c.plug(m)
	wire := newCard(t, m.Dir, "public")
	wire.send(pingFrame(m, "198.18.77.7", "203.0.113.6", 41)) // not allowed
	wire.send(pingFrame(m, "198.18.77.7", "127.0.0.1", 42))
	wire.send(pingFrame(m, "198.18.77.7", you, 43))
	p, ok := parse(wire.next())
	if !ok || p.proto != protoICMP || p.payload[0] != 0 || p.srcPort != 43 || p.src.String() != you || p.dst.String() != "198.18.77.7" || fold(sum(0, p.payload)) != 0 {
		t.Errorf("got %+v", p)
	}
}

// Guests may look for each other on a VPC's link, and tell each other no way.
func TestNoRouterButTheGateway(t *testing.T) {
	c := newCloud(t)
	m, other := describeMachine(t.TempDir(), 7), describeMachine(t.TempDir(), 8)
	c.plug(m)
	c.plug(other)
	wire, at := newCard(t, m.Dir, "private"), newCard(t, other.Dir, "private")
	source, everyone := netip.MustParseAddr("fe80::7"), netip.MustParseAddr("ff02::1")
	say := func(kind byte) {
		b := make([]byte, 24)
		b[0] = kind
		f := guestFrame(m.PrivateMAC, etherIPv6, ipv6Header(source, everyone, protoICMPv6, 255, len(b)), b)
		copy(f, []byte{0x33, 0x33, 0, 0, 0, 1})
		wire.send(f)
	}
	for _, kind := range []byte{134, 137, 135} {
		say(kind)
	}
	if p, ok := parse(at.next()); !ok || p.payload[0] != 135 {
		t.Errorf("got %+v", p)
	}
}

func TestCheck(t *testing.T) {
	c := newCloud(t)
	addresses := []string{"0.0.0.0/0"}
	var many []engine.FirewallRule
	for i := range 5 {
		many = append(many, anyone("tcp", []string{"1100-1350", "2100-2350", "3100-3350", "4100-4350", "5100-5350"}[i]))
	}
	for _, s := range []struct {
		name    string
		f       engine.Firewall
		message string // nothing where it is kept
	}{
		{"a protocol", firewall([]engine.FirewallRule{{Protocol: "gre", Addresses: addresses}}, nil), `not "gre"`},
		{"ports that are none", firewall([]engine.FirewallRule{{Protocol: "tcp", Ports: "x", Addresses: addresses}}, nil), `the ports "x"`},
		{"ports too high", firewall(nil, []engine.FirewallRule{{Protocol: "tcp", Ports: "1-70000", Addresses: addresses}}), `"1-70000"`},
		{"ports backwards", firewall(nil, []engine.FirewallRule{{Protocol: "udp", Ports: "9-8", Addresses: addresses}}), `"9-8"`},
		{"an address", firewall([]engine.FirewallRule{{Protocol: "tcp", Ports: "80", Addresses: []string{"here"}}}, nil), `the address "here"`},
		{"a wide range", firewall([]engine.FirewallRule{anyone("tcp", "2000-3000")}, nil), "at most 256 ports, or all"},
		{"many ranges", firewall(many, nil), "at most 1024"},
		{"none", engine.Firewall{}, ""},
		{"nothing passes", engine.Firewall{On: true}, ""},
		{"all", firewall([]engine.FirewallRule{anyone("tcp", "0"), anyone("udp", "1-65535"), anyone("icmp", "")}, nil), ""},
		{"wide outbound", firewall(nil, []engine.FirewallRule{anyone("tcp", "2000-30000")}), ""},
		{"sources", firewall([]engine.FirewallRule{{Protocol: "tcp", Ports: "22", Addresses: []string{"192.0.2.1", "2001:db8::/32"}}}, nil), ""},
		{"nobody", firewall([]engine.FirewallRule{{Protocol: "tcp", Ports: "2000-3000"}}, nil), ""},
	} {
		t.Run(s.name, func(t *testing.T) {
			err := c.Check(s.f)
			if s.message == "" && err != nil || s.message != "" && (!engine.IsFinal(err) || !strings.Contains(err.Error(), s.message)) {
				t.Errorf("got %v, want %q", err, s.message)
			}
		})
	}
}

// Ports that another program has are left out, and a rule that names one is
// reported.
func TestPortTaken(t *testing.T) {
	c := newCloud(t)
	blocker, bm := c.boot(9, func(m *vnet.Machine) {
		m.Network.PublicIPv4 = here("77.9")
		m.Firewall = firewall([]engine.FirewallRule{anyone("tcp", "9100")}, nil)
	})
	_, _ = blocker, bm
	_, m := c.boot(7)
	m.Network.ReservedIPv4 = here("77.9")
	m.Firewall = firewall([]engine.FirewallRule{anyone("tcp", "9100-9101")}, nil)
	err := c.Update(context.Background(), m)
	if !engine.IsFinal(err) || err.Error() != "tcp 9100 of "+here("77.9")+" cannot be listened on: another program of this host has it" {
		t.Errorf("got %v", err)
	}
	if _, err := c.Plug(context.Background(), m); err != nil {
		t.Errorf("a port keeps a machine from starting: %v", err)
	}
}

func TestRefusedMachines(t *testing.T) {
	if _, err := New(Options{PublicPool: netip.MustParsePrefix("127.0.0.0/8")}); err == nil {
		t.Error("a pool that does not fit")
	}
	c := newCloud(t)
	for name, change := range map[string]func(*vnet.Machine){
		"no address of the host": func(m *vnet.Machine) { m.Network.PublicIPv4 = "203.0.113.7" },
		"the gateway's":          func(m *vnet.Machine) { m.Network.PublicIPv4 = here("0.1") },
		"no MAC":                 func(m *vnet.Machine) { m.PublicMAC = "" },
		"a firewall of nonsense": func(m *vnet.Machine) { m.Firewall = firewall([]engine.FirewallRule{{Protocol: "x"}}, nil) },
	} {
		m := describeMachine(t.TempDir(), 7)
		change(&m)
		if _, err := c.Plug(context.Background(), m); !engine.IsFinal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := describeMachine(filepath.Join(t.TempDir(), "nowhere"), 7)
	if _, err := c.Plug(context.Background(), m); err == nil {
		t.Error("a folder that is not there")
	}
	if err := c.Update(context.Background(), m); err == nil {
		t.Error("an update of a machine that is not plugged")
	}
	if err := c.Unplug(context.Background(), m.ID); err != nil {
		t.Errorf("unplugging what is not there: %v", err)
	}
}

// A folder's name may be longer than a socket's may be, and its owner's
// process is the only other that can reach our socket.
func TestSocketFiles(t *testing.T) {
	c := newCloud(t)
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	m := describeMachine(dir, 7)
	c.plug(m)
	info, err := os.Lstat(filepath.Join(dir, "public.net"))
	if err != nil || info.Mode().Perm() != 0o666 || info.Mode()&os.ModeSocket == 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// What the machine's user puts in the place of a socket is not sent to.
	elsewhere := newCard(t, t.TempDir(), "secret")
	if err := os.Symlink(elsewhere.conn.LocalAddr().String(), filepath.Join(dir, "public.qemu")); err != nil {
		t.Fatal(err)
	}
	l := c.machine(m.ID).public
	var to target
	if _, err := to.open(l); err == nil {
		t.Error("a link in the place of a socket is followed")
	}
	if err := c.Unplug(context.Background(), m.ID); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// liveOnce is the life of a machine, with traffic of each kind that is still
// open when it ends.
func liveOnce(t *testing.T, c *cloud) {
	c = &cloud{Network: c.Network, t: t}
	g, m := c.boot(7)
	g.serve(8080, "web")
	conn, err := net.Dial("tcp4", here("77.7:8080"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	out, err := g.dial("203.0.113.5:80")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.ReadFull(out, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	dns := g.dialUDP("198.18.0.1:53")
	defer dns.Close()
	ask(t, dns, "a question of some length")
	if err := c.Unplug(context.Background(), m.ID); err != nil {
		t.Fatal(err)
	}
}

// A machine that is unplugged leaves no goroutine and no file open.
func TestNoLeak(t *testing.T) {
	c := newCloud(t)
	count := func() (int, int) {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return runtime.NumGoroutine(), len(files)
	}
	c.world["tcp 203.0.113.5:80"] = listen(t, "world")
	var goroutines, files int
	for i := range 6 {
		t.Run("", func(t *testing.T) { liveOnce(t, c) })
		if i == 2 {
			goroutines, files = count()
		}
	}
	deadline := time.Now().Add(patience)
	for {
		g, f := count()
		if g <= goroutines && f <= files {
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines became %d, %d files %d\n%s", goroutines, g, files, f, stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
}

// Machines come, change and go at once, under traffic.
func TestManyCallsAtOnce(t *testing.T) {
	c := newCloud(t)
	ctx, end := context.WithCancel(context.Background())
	var calls, traffic sync.WaitGroup
	for n := byte(7); n < 10; n++ {
		m := describeMachine(t.TempDir(), n)
		public, private := newCard(t, m.Dir, "public"), newCard(t, m.Dir, "private")
		traffic.Go(func() {
			to := guestFrame(m.PrivateMAC, etherIPv4, pingPacket(m.Network.PrivateIPv4, "10.10.0.8", 1))
			copy(to, broadcastMAC[:])
			for ctx.Err() == nil { // whoever is not there takes none
				_, _ = public.conn.WriteToUnix(pingFrame(m, "198.18.77."+strconv.Itoa(int(n)), "198.18.77.8", 1), public.to)
				_, _ = private.conn.WriteToUnix(to, private.to)
			}
		})
		for range 2 {
			calls.Go(func() {
				m := m
				for i := range 20 {
					if _, err := c.Plug(ctx, m); err != nil {
						t.Error(err)
					}
					m.Firewall.On = i%2 == 0
					_ = c.Update(ctx, m) // the other may have unplugged it
					c.SSH(m.ID)
					_ = c.Peer(ctx, engine.Peering{Ref: engine.Ref{ID: "p"}, VPCs: [2]string{"lan", "x"}, Ranges: [2]string{"10.10.0.0/20", "10.11.0.0/20"}})
					if err := c.Unplug(ctx, m.ID); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	calls.Wait()
	end()
	traffic.Wait()
}

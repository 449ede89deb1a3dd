package usernet

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// table is a firewall under test, with a clock that stands still.
func table(t *testing.T, f engine.Firewall) (*flowTable, *time.Time) {
	t.Helper()
	r, err := compile(f)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1e9, 0)
	flows := newFlowTable(func(netip.Addr) netip.Addr { return netip.Addr{} })
	flows.now = func() time.Time { return now }
	flows.setRules(r)
	return flows, &now
}

func read(t *testing.T, b []byte) packet {
	t.Helper()
	p, ok := parse(guestFrame("52:54:00:00:00:01", etherIPv4, b))
	if !ok {
		t.Fatalf("% x is no packet", b)
	}
	return p
}

const (
	me  = "198.18.0.7"
	you = "203.0.113.5"
)

// A step is a packet and whether it passes.
type step struct {
	after   time.Duration
	inbound bool
	packet  []byte
	passes  bool
}

func TestFlows(t *testing.T) {
	web := firewall([]engine.FirewallRule{anyone("tcp", "80")}, []engine.FirewallRule{anyone("udp", "53"), anyone("icmp", "")})
	udp := func(from, to string) []byte {
		return udpPacket(netip.MustParseAddrPort(from), netip.MustParseAddrPort(to), []byte("hello"))
	}
	for _, s := range []struct {
		name  string
		f     engine.Firewall
		steps []step
	}{
		{"everything passes without a firewall", engine.Firewall{}, []step{
			{0, true, tcpPacket(you, me, 4000, 23, tcpSYN), true},
			{0, false, tcpPacket(me, you, 4000, 23, tcpACK), true},
		}},
		{"nothing passes without rules", firewall(nil, nil), []step{
			{0, true, tcpPacket(you, me, 4000, 80, tcpSYN), false},
			{0, false, tcpPacket(me, you, 4000, 80, tcpSYN), false},
			{0, false, udp(me+":4000", you+":53"), false},
			{0, false, pingPacket(me, you, 1), false},
		}},
		{"answers pass, questions do not", web, []step{
			{0, false, tcpPacket(me, you, 80, 4000, tcpSYN|tcpACK), false},
			{0, true, tcpPacket(you, me, 4000, 80, tcpSYN), true},
			{0, false, tcpPacket(me, you, 80, 4000, tcpSYN|tcpACK), true},
			{0, false, tcpPacket(me, you, 80, 4001, tcpSYN|tcpACK), false},
			{0, true, tcpPacket(you, me, 4000, 81, tcpSYN), false},
		}},
		{"an open connection may be silent for long", web, []step{
			{0, true, tcpPacket(you, me, 4000, 80, tcpSYN), true},
			{0, false, tcpPacket(me, you, 80, 4000, tcpSYN|tcpACK), true},
			{3 * time.Hour, false, tcpPacket(me, you, 80, 4000, tcpACK), true},
			{5 * time.Hour, false, tcpPacket(me, you, 80, 4000, tcpACK), false},
		}},
		{"one that nobody took, or that ended, not", web, []step{
			{0, true, tcpPacket(you, me, 4000, 80, tcpSYN), true},
			{2 * time.Minute, false, tcpPacket(me, you, 80, 4000, tcpSYN|tcpACK), false},
			{0, true, tcpPacket(you, me, 4000, 80, tcpSYN), true},
			{0, false, tcpPacket(me, you, 80, 4000, tcpSYN|tcpACK), true},
			{0, false, tcpPacket(me, you, 80, 4000, tcpFIN|tcpACK), true},
			{2 * time.Minute, false, tcpPacket(me, you, 80, 4000, tcpACK), false},
		}},
		{"datagrams are answered for a while", web, []step{
			{0, true, udp(you+":53", me+":4000"), false},
			{0, false, udp(me+":4000", you+":53"), true},
			{2 * time.Minute, true, udp(you+":53", me+":4000"), true},
			{4 * time.Minute, true, udp(you+":53", me+":4000"), false},
			{0, false, udp(me+":4000", you+":54"), false},
		}},
		{"echoes are answered", web, []step{
			{0, true, pingPacket(you, me, 9), false},
			{0, false, pingPacket(me, you, 9), true},
			{0, true, pingPacket(you, me, 9), true},
			{0, true, pingPacket(you, me, 10), false},
		}},
		{"errors about what passed pass", web, []step{
			{0, true, unreachable("192.0.2.1", me, udp(me+":4000", you+":53")), false},
			{0, false, udp(me+":4000", you+":53"), true},
			{0, true, unreachable("192.0.2.1", me, udp(me+":4000", you+":53")), true},
			{0, true, unreachable("192.0.2.1", me, udp(me+":4001", you+":53")), false},
		}},
		{"pieces follow the first", web, []step{
			{0, false, piece(udp(me+":4000", you+":53"), 7, 1, false), false},
			{0, false, piece(udp(me+":4000", you+":53"), 7, 0, true), true},
			{0, false, piece(udp(me+":4000", you+":53"), 7, 1, false), true},
			{0, false, piece(udp(me+":4000", you+":53"), 8, 1, false), false},
		}},
	} {
		t.Run(s.name, func(t *testing.T) {
			flows, now := table(t, s.f)
			for i, step := range s.steps {
				*now = now.Add(step.after)
				pass := flows.outbound
				if step.inbound {
					pass = flows.inbound
				}
				if got := pass(read(t, step.packet), false); got != step.passes {
					t.Errorf("step %d passes: %t", i, got)
				}
			}
		})
	}
}

// unreachable is an ICMP error about a packet.
func unreachable(from, to string, about []byte) []byte {
	b := append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, about[:28]...)
	return append(ipv4Header(netip.MustParseAddr(from), netip.MustParseAddr(to), protoICMP, len(b)), b...)
}

// piece makes a packet one of several.
func piece(b []byte, id, offset uint16, more bool) []byte {
	where := offset
	if more {
		where |= 0x2000
	}
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], where)
	return b
}

// Links are apart: what passed on one opens nothing on the other.
func TestFlowsOfLinksAreApart(t *testing.T) {
	flows, _ := table(t, firewall(nil, []engine.FirewallRule{anyone("tcp", "80")}))
	if !flows.outbound(read(t, tcpPacket(me, you, 4000, 80, tcpSYN)), false) {
		t.Fatal("a rule does not hold")
	}
	if flows.inbound(read(t, tcpPacket(you, me, 80, 4000, tcpSYN|tcpACK)), true) {
		t.Error("an answer came on the other link")
	}
}

// When as many flows are open as can be remembered, no new one passes; when
// old ones are over, new ones do.
func TestFlowsAreBounded(t *testing.T) {
	flows, now := table(t, firewall([]engine.FirewallRule{anyone("tcp", "0")}, nil))
	for i := range maxFlows {
		if !flows.inbound(read(t, tcpPacket(you, me, uint16(i), 80, tcpSYN)), false) {
			t.Fatalf("flow %d does not pass", i)
		}
	}
	if next := read(t, tcpPacket(you, me, 60000, 80, tcpSYN)); flows.inbound(next, false) {
		t.Error("one more passes")
	}
	*now = now.Add(2 * time.Minute)
	if next := read(t, tcpPacket(you, me, 60000, 80, tcpSYN)); !flows.inbound(next, false) || len(flows.flows) != 1 {
		t.Errorf("%d flows are left", len(flows.flows))
	}
}

// A change of rules ends what they would not have let begin.
func TestRulesChange(t *testing.T) {
	flows, _ := table(t, engine.Firewall{})
	for _, port := range []uint16{80, 81} {
		flows.inbound(read(t, tcpPacket(you, me, 4000, port, tcpSYN)), false)
	}
	r, err := compile(firewall([]engine.FirewallRule{anyone("tcp", "80")}, nil))
	if err != nil {
		t.Fatal(err)
	}
	flows.setRules(r)
	if !flows.outbound(read(t, tcpPacket(me, you, 80, 4000, tcpACK)), false) {
		t.Error("what the rules let pass ended")
	}
	if flows.outbound(read(t, tcpPacket(me, you, 81, 4000, tcpACK)), false) {
		t.Error("what they do not went on")
	}
}

// FuzzFrames sends anything from a guest: nothing may make this process fail.
func FuzzFrames(f *testing.F) {
	c := newCloud(f)
	m, other := describeMachine(f.TempDir(), 7), describeMachine(f.TempDir(), 8)
	m.Network.PublicIPv6, m.Network.IPv6Prefix, m.Network.IPv6Gateway = "2001:db8::7", 64, "2001:db8::1"
	m.Firewall = firewall([]engine.FirewallRule{anyone("tcp", "9000")}, []engine.FirewallRule{anyone("udp", "0"), anyone("icmp", "")})
	c.plug(m)
	c.plug(other)
	one := c.machine(m.ID)
	for _, b := range [][]byte{
		tcpPacket("198.18.77.7", you, 1, 80, tcpSYN), pingPacket("198.18.77.7", "198.18.77.8", 1),
		pingPacket("10.10.0.7", "10.10.0.8", 1), piece(pingPacket("198.18.77.7", you, 1), 7, 0, true),
		unreachable("198.18.77.7", you, pingPacket(you, "198.18.77.7", 1)),
		udpPacket(netip.MustParseAddrPort("198.18.77.7:68"), netip.MustParseAddrPort("255.255.255.255:67"), make([]byte, 250)),
	} {
		f.Add(uint16(etherIPv4), b)
	}
	source, target := netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("2001:db8::8")
	f.Add(uint16(etherIPv6), append(ipv6Header(source, target, 44, 64, 16), make([]byte, 16)...))
	f.Add(uint16(etherIPv6), append(ipv6Header(source, target, protoICMPv6, 255, 24), append([]byte{135}, make([]byte, 23)...)...))
	f.Add(uint16(etherARP), make([]byte, 28))
	f.Fuzz(func(_ *testing.T, kind uint16, b []byte) {
		if len(b) > mtu {
			b = b[:mtu]
		}
		one.fromPublic(guestFrame(m.PublicMAC, kind, b))
		one.fromPrivate(guestFrame(m.PrivateMAC, kind, b))
		if to := guestFrame(m.PrivateMAC, kind, b); len(to) >= etherLen {
			copy(to, parsed(other.PrivateMAC))
			one.fromPrivate(to)
		}
	})
}

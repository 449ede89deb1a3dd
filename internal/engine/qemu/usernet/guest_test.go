package usernet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// patience is how long anything that should happen may take.
const patience = 10 * time.Second

// pool is the first two bytes of the public addresses, which no other test run
// on this host has: a listener at one of them says so.
var pool = sync.OnceValue(func() string {
	for second := 110; second < 250; second++ {
		prefix := fmt.Sprintf("127.%d.", second)
		if l, err := net.Listen("tcp4", prefix+"255.254:1999"); err == nil {
			held = l
			return prefix
		}
	}
	panic("no addresses are free")
})

var held net.Listener

// here is an address of the pool, by its last two bytes.
func here(rest string) string { return pool() + rest }

// cloud is a network under test and what is around it.
type cloud struct {
	*Network
	t testing.TB
	// world is where connections to the world are led, by address; others fail.
	world map[string]string
	// resolver answers every question with its name and "!".
	resolver netip.AddrPort
}

func newCloud(t testing.TB, change ...func(*Options)) *cloud {
	t.Helper()
	c := &cloud{t: t, world: map[string]string{}, resolver: startResolver(t)}
	o := Options{
		Log:        slog.New(slog.DiscardHandler),
		PublicPool: netip.MustParsePrefix(here("0.0/16")),
		// Ports that any user may bind, where a machine has no firewall.
		Ports:     []uint16{22, 8080},
		Resolvers: func() []netip.AddrPort { return []netip.AddrPort{c.resolver} },
		Dial:      c.dial,
	}
	for _, f := range change {
		f(&o)
	}
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c.Network = n
	t.Cleanup(func() { n.Close() })
	return c
}

func (c *cloud) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, ok := c.world[network+" "+address]
	if !ok {
		return nil, errors.New("nobody is there")
	}
	var d net.Dialer
	return d.DialContext(ctx, network, to)
}

// startResolver is a DNS server in so far as that it answers.
func startResolver(t testing.TB) netip.AddrPort {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(append(b[:n], '!'), from)
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// machineAt describes machine number n, public and in the VPC "lan".
func describeMachine(dir string, n byte) vnet.Machine {
	return vnet.Machine{
		ID: string('a' + rune(n)), Dir: dir,
		PublicMAC: net.HardwareAddr{0x52, 0x54, 0, 0, 0, n}.String(), PrivateMAC: net.HardwareAddr{0x52, 0x54, 0, 1, 0, n}.String(),
		Network: engine.Network{
			PublicIPv4: here(fmt.Sprintf("77.%d", n)), PublicPrefix: 16, PublicGateway: here("0.1"),
			VPC: "lan", PrivateIPv4: netip.AddrFrom4([4]byte{10, 10, 0, n}).String(), PrivatePrefix: 20, PrivateGateway: "10.10.0.1",
		},
		Metadata: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "machine "+string('a'+rune(n))+" "+r.URL.Path)
		}),
	}
}

// plug plugs a machine.
func (c *cloud) plug(m vnet.Machine) {
	c.t.Helper()
	nics, err := c.Plug(context.Background(), m)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, nic := range nics {
		if nic.Netdev == "" || nic.MAC == "" || nic.File != nil {
			c.t.Fatalf("a device %+v", nic)
		}
	}
}

func (c *cloud) update(m vnet.Machine) {
	c.t.Helper()
	if err := c.Update(context.Background(), m); err != nil {
		c.t.Fatal(err)
	}
}

// card is QEMU's end of a link.
type card struct {
	t    testing.TB
	conn *net.UnixConn
	to   *net.UnixAddr
}

func newCard(t testing.TB, dir, name string) *card {
	t.Helper()
	path := filepath.Join(dir, name+".qemu")
	_ = os.Remove(path)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &card{t, conn, &net.UnixAddr{Name: filepath.Join(dir, name+".net"), Net: "unixgram"}}
}

func (c *card) send(b []byte) {
	c.t.Helper()
	if _, err := c.conn.WriteToUnix(b, c.to); err != nil {
		c.t.Fatal(err)
	}
}

// next is the next frame that comes.
func (c *card) next() []byte {
	c.t.Helper()
	b := make([]byte, 2000)
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	n, err := c.conn.Read(b)
	if err != nil {
		c.t.Fatal(err)
	}
	return b[:n]
}

// computer is a guest with a network stack of its own.
type computer struct {
	t     testing.TB
	stack *stack.Stack
	nics  tcpip.NICID
}

func newComputer(t testing.TB) *computer {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{arp.NewProtocol, ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	sack := tcpip.TCPSACKEnabled(true)
	must(s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack))
	return &computer{t: t, stack: s}
}

// attach gives the guest a device. Its cable is the card.
func (g *computer) attach(c *card, hw string, link vnet.Link) {
	g.t.Helper()
	g.nics++
	parsed := parseMAC(hw)
	wire := channel.New(4096, mtu, tcpip.LinkAddress(parsed[:]))
	must(g.stack.CreateNIC(g.nics, ethernet.New(wire)))
	table := g.stack.GetRouteTable()
	for _, a := range []struct {
		prefix  netip.Prefix
		gateway netip.Addr
		number  tcpip.NetworkProtocolNumber
		empty   tcpip.Subnet
	}{
		{link.IPv4, link.IPv4Gateway, ipv4.ProtocolNumber, header.IPv4EmptySubnet},
		{link.IPv6, link.IPv6Gateway, ipv6.ProtocolNumber, header.IPv6EmptySubnet},
	} {
		if !a.prefix.IsValid() {
			continue
		}
		address := tcpip.ProtocolAddress{Protocol: a.number, AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: tcpipAddr(a.prefix.Addr()), PrefixLen: a.prefix.Bits(),
		}}
		must(g.stack.AddProtocolAddress(g.nics, address, stack.AddressProperties{}))
		subnet := address.AddressWithPrefix.Subnet()
		table = append(table, tcpip.Route{Destination: subnet, NIC: g.nics})
		if a.gateway.IsValid() {
			table = append(table, tcpip.Route{Destination: a.empty, Gateway: tcpipAddr(a.gateway), NIC: g.nics})
		}
	}
	g.stack.SetRouteTable(table)

	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{}, 2)
	go func() {
		for p := wire.ReadContext(ctx); p != nil; p = wire.ReadContext(ctx) {
			view := p.ToView()
			_, _ = c.conn.WriteToUnix(view.AsSlice(), c.to)
			view.Release()
			p.DecRef()
		}
		stopped <- struct{}{}
	}()
	go func() {
		b := make([]byte, 2000)
		for {
			n, err := c.conn.Read(b)
			if err != nil {
				break
			}
			p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b[:n])})
			wire.InjectInbound(0, p)
			p.DecRef()
		}
		stopped <- struct{}{}
	}()
	g.t.Cleanup(func() {
		cancel()
		c.conn.Close()
		<-stopped
		<-stopped
	})
}

// boot is machine n, plugged, with a guest that runs on all its devices.
func (c *cloud) boot(n byte, change ...func(*vnet.Machine)) (*computer, vnet.Machine) {
	c.t.Helper()
	m := describeMachine(c.t.TempDir(), n)
	for _, f := range change {
		f(&m)
	}
	c.plug(m)
	return c.run(m), m
}

// run starts the guest of a plugged machine.
func (c *cloud) run(m vnet.Machine) *computer {
	c.t.Helper()
	g, guest := newComputer(c.t), c.Guest(m)
	c.t.Cleanup(g.stack.Destroy)
	if guest.Public.IPv4.IsValid() {
		g.attach(newCard(c.t, m.Dir, "public"), m.PublicMAC, guest.Public)
	}
	if guest.Private.IPv4.IsValid() {
		guest.Private.IPv4Gateway = netip.Addr{}
		g.attach(newCard(c.t, m.Dir, "private"), m.PrivateMAC, guest.Private)
	}
	return g
}

func target4(to string) tcpip.FullAddress {
	a := netip.MustParseAddrPort(to)
	return tcpip.FullAddress{Addr: tcpipAddr(a.Addr()), Port: a.Port()}
}

// dial connects from the guest, briefly.
func (g *computer) dial(to string) (net.Conn, error) {
	return g.dialFor(to, patience)
}

func (g *computer) dialFor(to string, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	protocol := ipv4.ProtocolNumber
	if netip.MustParseAddrPort(to).Addr().Is6() {
		protocol = ipv6.ProtocolNumber
	}
	conn, err := gonet.DialContextTCP(ctx, g.stack, target4(to), protocol)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn, nil
}

// dialUDP is a socket of the guest's that sends to an address.
func (g *computer) dialUDP(to string) net.Conn {
	g.t.Helper()
	address := target4(to)
	conn, err := gonet.DialUDP(g.stack, nil, &address, ipv4.ProtocolNumber)
	if err != nil {
		g.t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// serve has the guest answer on a TCP port with its greeting, the address of
// who asks, and what it was sent.
func (g *computer) serve(port uint16, greeting string) {
	g.t.Helper()
	listener, err := gonet.ListenTCP(g.stack, tcpip.FullAddress{Port: port}, ipv4.ProtocolNumber)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { listener.Close() })
	go answer(listener, greeting)
}

// accept has the guest take one connection and do nothing with it.
func (g *computer) accept(port uint16, accepted chan<- net.Conn) {
	g.t.Helper()
	listener, err := gonet.ListenTCP(g.stack, tcpip.FullAddress{Port: port}, ipv4.ProtocolNumber)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { listener.Close() })
	go func() {
		if conn, err := listener.Accept(); err == nil {
			accepted <- conn
		}
	}()
}

// serveUDP has the guest send datagrams back.
func (g *computer) serveUDP(port uint16) {
	g.t.Helper()
	conn, err := gonet.DialUDP(g.stack, &tcpip.FullAddress{Port: port}, nil, ipv4.ProtocolNumber)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 2000)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(append([]byte("udp "), b[:n]...), from)
		}
	}()
}

func answer(listener net.Listener, greeting string) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			from, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			_, _ = io.WriteString(conn, greeting+" "+from+" ")
			_, _ = io.Copy(conn, conn)
		}()
	}
}

// listen is a server of the world's, as a listener of this host.
func listen(t testing.TB, greeting string) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go answer(listener, greeting)
	return listener.Addr().String()
}

// exchange sends something, ends, and reads all.
func exchange(t testing.TB, conn net.Conn, err error, text string) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.(halfCloser).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// refused dials from this host and wants to get nothing.
func refused(t testing.TB, at string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp4", at, patience)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(conn); err == nil || len(b) > 0 {
		t.Errorf("%s answers %q", at, b)
	}
}

func firewall(inbound, outbound []engine.FirewallRule) engine.Firewall {
	return engine.Firewall{On: true, Inbound: inbound, Outbound: outbound}
}

func anyone(protocol, ports string) engine.FirewallRule {
	return engine.FirewallRule{Protocol: protocol, Ports: ports, Addresses: []string{"0.0.0.0/0", "::/0"}}
}

func listenIPv6(g *computer, port uint16) (net.Listener, error) {
	return gonet.ListenTCP(g.stack, tcpip.FullAddress{Port: port}, ipv6.ProtocolNumber)
}

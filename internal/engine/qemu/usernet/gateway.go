package usernet

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const nicID = 1

// Limits of one machine's gateway.
const (
	maxDials    = 256
	dialTimeout = 20 * time.Second
	dnsTimeout  = 5 * time.Second
	dnsIdle     = 15 * time.Second
)

// gateway is the far end of a machine's link: a network stack in this process
// that has every address of the world, as the guest sees it, and carries what
// is sent to them further with sockets of this host.
type gateway struct {
	m     *machine
	stack *stack.Stack
	wire  *wire
	ctx   context.Context
	end   context.CancelFunc
	web   *connections
	http  *http.Server
	// metadataOnly is the gateway of a machine that has a private link alone.
	metadataOnly bool
}

// wire is the gateway's end of the link, below IP.
type wire struct {
	*channel.Endpoint
	emit func(protocol tcpip.NetworkProtocolNumber, packet []byte)
}

// WritePackets sends what the stack has for the guest.
func (w *wire) WritePackets(all stack.PacketBufferList) (int, tcpip.Error) {
	for _, p := range all.AsSlice() {
		view := p.ToView()
		w.emit(p.NetworkProtocolNumber, view.AsSlice())
		view.Release()
	}
	return all.Len(), nil
}

func newGateway(m *machine, metadataOnly bool) *gateway {
	g := &gateway{m: m, metadataOnly: metadataOnly, web: newConnections()}
	g.ctx, g.end = context.WithCancel(context.Background())
	g.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	g.wire = &wire{Endpoint: channel.New(1, mtu, ""), emit: g.toGuest}
	must(g.stack.CreateNIC(nicID, g.wire))
	must(g.stack.SetPromiscuousMode(nicID, true)) // it has every address
	must(g.stack.SetSpoofing(nicID, true))        // and answers from each
	g.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nicID}, {Destination: header.IPv6EmptySubnet, NIC: nicID},
	})
	g.tuneTCP()
	g.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(g.stack, 0, maxDials, g.acceptTCP).HandlePacket)
	g.stack.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(g.stack, g.acceptUDP).HandlePacket)
	g.http = &http.Server{
		Handler:           http.HandlerFunc(m.serveMetadata),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(m.net.log.Handler(), slog.LevelDebug),
	}
	go func() { _ = g.http.Serve(g.web) }()
	return g
}

// tuneTCP bounds what a connection can hold, which is what a guest can make
// this process hold.
func (g *gateway) tuneTCP() {
	sack := tcpip.TCPSACKEnabled(true)
	must(g.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &sack))
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: 128 << 10, Max: 1 << 20}
	must(g.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &receive))
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: 128 << 10, Max: 1 << 20}
	must(g.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &send))
}

// must is for settings that fail only where the program is wrong.
func must(err tcpip.Error) {
	if err != nil {
		panic("network stack: " + err.String())
	}
}

// fromGuest takes an IP packet of the guest's.
func (g *gateway) fromGuest(p packet) {
	protocol := ipv4.ProtocolNumber
	if p.src.Is6() {
		protocol = ipv6.ProtocolNumber
	}
	b := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p.ip)})
	g.wire.InjectInbound(protocol, b)
	b.DecRef()
}

// toGuest sends an IP packet to the guest.
func (g *gateway) toGuest(protocol tcpip.NetworkProtocolNumber, b []byte) {
	kind, to := uint16(etherIPv4), g.m.state.Load()
	if protocol == ipv6.ProtocolNumber {
		kind = etherIPv6
	}
	if g.metadataOnly {
		g.m.private.send(wrap(to.privateMAC, kind, b))
		return
	}
	f := wrap(to.publicMAC, kind, b)
	if p, ok := parse(f.bytes()); !ok || !g.m.admitFromGateway(p) {
		f.free()
		return
	}
	g.m.public.send(f)
}

func (g *gateway) close() {
	g.end()
	_ = g.http.Close()
	g.web.Close()
	g.stack.Destroy()
}

// acceptTCP decides about a connection that the guest opens. It may wait.
func (g *gateway) acceptTCP(r *tcp.ForwarderRequest) {
	id := r.ID()
	to := netip.AddrPortFrom(addrOf(id.LocalAddress), id.LocalPort)
	switch {
	case to == metadataAt:
		if conn := connect(r); conn != nil {
			g.web.push(conn)
		}
	case g.metadataOnly || g.ctx.Err() != nil:
		r.Complete(true)
	case to == dnsAt:
		g.carry(r, to, g.dialResolver)
	case g.m.net.world.closedTo(to.Addr()):
		r.Complete(true)
	default:
		g.carry(r, to, func(ctx context.Context) (net.Conn, error) {
			return g.m.net.world.dial(ctx, "tcp", to.String())
		})
	}
}

// connect accepts the guest's connection.
func connect(r *tcp.ForwarderRequest) *guestConn {
	var queue waiter.Queue
	end, err := r.CreateEndpoint(&queue)
	r.Complete(err != nil)
	if err != nil {
		return nil
	}
	return newGuestConn(&queue, end)
}

// carry connects the guest with what dial leads to. The guest's connection is
// refused where that is.
func (g *gateway) carry(r *tcp.ForwarderRequest, to netip.AddrPort, dial func(context.Context) (net.Conn, error)) {
	ctx, cancel := context.WithTimeout(g.ctx, dialTimeout)
	outside, err := dial(ctx)
	cancel()
	if err != nil {
		r.Complete(true)
		return
	}
	inside := connect(r)
	if inside == nil {
		outside.Close()
		return
	}
	s := &session{proto: protoTCP, port: to.Port(), peer: to.Addr()}
	s.conns = append(s.conns, outside, inside)
	g.m.sessions.run(s, func() { splice(inside, outside) })
}

// acceptUDP decides about the first datagram of the guest's to somewhere. What
// it does not take is answered as unreachable.
func (g *gateway) acceptUDP(r *udp.ForwarderRequest) bool {
	id := r.ID()
	to := netip.AddrPortFrom(addrOf(id.LocalAddress), id.LocalPort)
	dns := to == dnsAt
	if g.metadataOnly || g.ctx.Err() != nil || !dns && g.m.net.world.closedTo(to.Addr()) {
		return false
	}
	var outside net.Conn
	if !dns {
		conn, err := g.m.net.world.dial(g.ctx, "udp", to.String())
		if err != nil {
			return false
		}
		outside = conn
	}
	var queue waiter.Queue
	end, err := r.CreateEndpoint(&queue)
	if err != nil {
		if outside != nil {
			outside.Close()
		}
		return true
	}
	inside := gonet.NewUDPConn(&queue, end)
	s := &session{proto: protoUDP, port: to.Port(), peer: to.Addr()}
	s.conns = append(s.conns, inside)
	if dns {
		go g.m.sessions.run(s, func() { g.serveDNS(inside) })
		return true
	}
	s.conns = append(s.conns, outside)
	go g.m.sessions.run(s, func() { spliceDatagrams(inside, outside, udpIdle) })
	return true
}

// temporary says whether an error of a socket is about one datagram only.
func temporary(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) ||
		errors.Is(err, syscall.EMSGSIZE)
}

// dialGuestUDP makes a socket that sends to a port of the guest.
func (g *gateway) dialGuestUDP(guest netip.AddrPort) (net.Conn, error) {
	from, to := tcpip.FullAddress{NIC: nicID, Addr: tcpipAddr(gatewayIPv4)}, fullAddress(guest)
	conn, err := gonet.DialUDP(g.stack, &from, &to, ipv4.ProtocolNumber)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func fullAddress(a netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nicID, Addr: tcpipAddr(a.Addr()), Port: a.Port()}
}

func tcpipAddr(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func addrOf(a tcpip.Address) netip.Addr {
	addr, _ := netip.AddrFromSlice(a.AsSlice())
	return addr
}

// connections is a listener whose connections come from the gateway.
type connections struct {
	queue  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newConnections() *connections {
	return &connections{queue: make(chan net.Conn), closed: make(chan struct{})}
}

func (c *connections) push(conn net.Conn) {
	select {
	case c.queue <- conn:
	case <-c.closed:
		conn.Close()
	}
}

// Accept waits for the next connection.
func (c *connections) Accept() (net.Conn, error) {
	select {
	case conn := <-c.queue:
		return conn, nil
	case <-c.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (c *connections) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// Addr is where the metadata is.
func (c *connections) Addr() net.Addr { return net.TCPAddrFromAddrPort(metadataAt) }

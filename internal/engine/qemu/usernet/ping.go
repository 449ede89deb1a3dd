package usernet

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ping sends an echo request to the world, if this host lets its user do so
// (net.ipv4.ping_group_range), and the answer back. Where it does not, nothing
// answers.
func (g *gateway) ping(p packet) {
	if g.metadataOnly || p.more || g.ctx.Err() != nil || g.m.net.world.closedTo(p.dst) {
		return
	}
	conn, err := g.m.net.world.ping(p.dst)
	if err != nil {
		return
	}
	request := append([]byte(nil), p.payload...)
	p.payload = request
	s := &session{proto: p.proto, peer: p.dst}
	s.conns = append(s.conns, conn)
	go g.m.sessions.run(s, func() { g.awaitEcho(conn, p) })
}

// awaitEcho waits for the answer to one request.
func (g *gateway) awaitEcho(conn net.Conn, p packet) {
	_ = conn.SetDeadline(time.Now().Add(dnsTimeout))
	if _, err := conn.Write(p.payload); err != nil {
		return
	}
	buffer := make([]byte, mtu)
	n, err := conn.Read(buffer)
	if err != nil || n < 8 || n > mtu-40 {
		return
	}
	// The kernel gave the request an identifier of its own; the answer is the
	// guest's again with what came back.
	binary.BigEndian.PutUint16(buffer[4:], p.srcPort)
	p.payload = buffer[:n]
	kind := uint16(etherIPv4)
	if p.src.Is6() {
		kind = etherIPv6
	}
	f := wrap(g.m.state.Load().publicMAC, kind, echoReply(p))
	if answer, ok := parse(f.bytes()); ok && g.m.flows.continues(answer) {
		g.m.public.send(f)
		return
	}
	f.free()
}

// hostPing is a socket for one echo request.
func hostPing(to netip.Addr) (net.Conn, error) {
	if local(netip.AddrPortFrom(to, 7)) {
		return nil, &net.AddrError{Err: "it is an address of this host", Addr: to.String()}
	}
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	var address unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte(to.AsSlice()[:4])}
	if to.Is6() {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
		address = &unix.SockaddrInet6{Addr: to.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, address); err != nil {
		unix.Close(fd)
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "ping")
	defer file.Close()
	return net.FileConn(file)
}

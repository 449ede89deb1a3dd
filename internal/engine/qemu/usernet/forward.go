package usernet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// Bounds of what is forwarded to one machine: each port is a socket of this
// host, on each of the machine's addresses.
const (
	maxRange = 256
	maxPorts = 1024
)

// sshFallback is where the search for a port that leads to port 22 begins.
const (
	sshFallback = 2222
	sshTries    = 100
)

// port is a port of the guest's.
type port struct {
	proto  uint8
	number uint16
}

func (p port) String() string {
	if p.proto == protoUDP {
		return fmt.Sprintf("udp %d", p.number)
	}
	return fmt.Sprintf("tcp %d", p.number)
}

// ports are those to forward under rules, and those of them that a rule names.
// Without rules, and for a rule that opens all ports, they are a fixed set:
// there cannot be 65,535 listeners for each machine.
func (n *Network) portsOf(r *rules) (all, named []port, err error) {
	add := func(p port) {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	usual := func() {
		for _, number := range n.ports {
			add(port{protoTCP, number})
		}
	}
	if r == nil {
		usual()
		return all, nil, nil
	}
	for _, one := range r.inbound {
		switch {
		case one.proto == protoICMP || len(one.prefixes) == 0:
		case one.all():
			if one.proto == protoTCP {
				usual()
			}
		case int(one.to)-int(one.from) >= maxRange:
			return nil, nil, refusal("the firewall opens the ports %d-%d; without root, a rule can open at most %d ports, or all", one.from, one.to, maxRange)
		default:
			for number := max(int(one.from), 1); number <= int(one.to); number++ {
				add(port{one.proto, uint16(number)})
				named = append(named, port{one.proto, uint16(number)})
			}
		}
	}
	if len(all) > maxPorts {
		return nil, nil, refusal("the firewall opens %d ports; without root, at most %d can be", len(all), maxPorts)
	}
	return all, named, nil
}

// Check fails for good where this network cannot keep a firewall.
//
// Rules are kept in full, with their addresses and outbound ones too, for
// traffic between machines, public and private, and for what machines send to
// the world, but for ICMP to the world, which passes only where this host lets
// its user send it. What comes in from this host, and so from anywhere, comes
// by sockets, one for each port: so a rule can name at most 256 ports, all
// rules of a machine together 1,024, and no port that this user may not bind,
// except 22, which moves. A rule for all ports opens to this host what is open
// without a firewall: Options.Ports, which are of TCP; one for all UDP ports
// opens none. Guests see such connections come from their gateway, and one to a
// port on which the guest does not listen is accepted and reset. Pings to a
// public address are answered by this host itself, whatever the rules.
func (n *Network) Check(f engine.Firewall) error {
	r, err := compile(f)
	if err != nil {
		return err
	}
	_, named, err := n.portsOf(r)
	if err != nil {
		return err
	}
	var closed []string
	for _, p := range named {
		if p.number != 22 && p.number < 1024 && !n.bindable(p) && !slices.Contains(closed, p.String()) {
			closed = append(closed, p.String())
		}
	}
	if len(closed) > 0 {
		return refusal("this user may not listen on %s; \"sysctl net.ipv4.ip_unprivileged_port_start=22\" allows it", strings.Join(closed, ", "))
	}
	return nil
}

// bindable says whether this process may bind a port, in use or not.
func (n *Network) bindable(p port) bool {
	kind := unix.SOCK_STREAM
	if p.proto == protoUDP {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(p.number), Addr: n.pool.Addr().As4()})
	return !errors.Is(err, fs.ErrPermission)
}

// forwardKey is a port of the guest's, at an address of this host.
type forwardKey struct {
	port
	at netip.Addr
}

// forwards are what leads from this host to a machine.
type forwards struct {
	m *machine

	mu     sync.Mutex
	open   map[forwardKey]*forward
	closed bool
}

// forward is one of them.
type forward struct {
	m      *machine
	port   port
	at     netip.AddrPort
	closer interface{ Close() error }
	done   chan struct{}
}

func (f *forward) close() {
	f.closer.Close()
	<-f.done
}

// set opens what a state asks for and closes the rest. It fails for good, with
// all that is possible done, where a rule names a port that is not to be had.
func (all *forwards) set(s *state) error {
	n := all.m.net
	ports, named, err := n.portsOf(s.rules)
	wanted := map[forwardKey]bool{}
	for _, at := range s.addresses {
		for _, p := range ports {
			wanted[forwardKey{p, at}] = true
		}
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	for key, f := range all.open {
		if !wanted[key] {
			f.close()
			delete(all.open, key)
		}
	}
	if err != nil || all.closed || all.m.gateway == nil {
		return err
	}
	return n.report(all.m.id, all.openAll(s, ports), named)
}

// openAll opens what is not open, the port of ssh last: it may have to take
// one that nobody else wants.
func (all *forwards) openAll(s *state, ports []port) (failed map[forwardKey]error) {
	failed = map[forwardKey]error{}
	if all.open == nil {
		all.open = map[forwardKey]*forward{}
	}
	ssh := port{protoTCP, 22}
	ordered := slices.DeleteFunc(slices.Clone(ports), func(p port) bool { return p == ssh })
	if len(ordered) < len(ports) {
		ordered = append(ordered, ssh)
	}
	for _, at := range s.addresses {
		for _, p := range ordered {
			key := forwardKey{p, at}
			if all.open[key] != nil {
				continue
			}
			f, err := all.m.listen(key, ports)
			if err != nil {
				failed[key] = err
				continue
			}
			all.open[key] = f
		}
	}
	return failed
}

// report logs what could not be opened, and is an error where a rule names it.
func (n *Network) report(id string, failed map[forwardKey]error, named []port) error {
	var reasons []string
	for key, err := range failed {
		if errors.Is(err, fs.ErrPermission) && !slices.Contains(named, key.port) {
			n.unbindable.Do(func() {
				n.log.Warn("this user may not listen on all of the ports that are forwarded without a firewall", "first", key.String(),
					"remedy", "sysctl net.ipv4.ip_unprivileged_port_start=22")
			})
			continue
		}
		n.log.Warn("a port of a machine is not forwarded", "machine", id, "address", key.at, "port", key.String(), "error", err)
		if slices.Contains(named, key.port) {
			reasons = append(reasons, fmt.Sprintf("%s of %s cannot be listened on: %s", key.port, key.at, reason(err)))
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	slices.Sort(reasons)
	return refusal("%s", strings.Join(reasons, "; "))
}

func reason(err error) string {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return "another program of this host has it"
	case errors.Is(err, fs.ErrPermission):
		return "this user may not"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "it is no address of this host"
	}
	return err.Error()
}

// listen opens a forward. The port of ssh is the one that is preferred, or the
// next that is free and leads nowhere else.
func (m *machine) listen(key forwardKey, taken []port) (*forward, error) {
	if key.port != (port{protoTCP, 22}) {
		return m.listenAt(key.port, netip.AddrPortFrom(key.at, key.number))
	}
	f, err := m.listenAt(key.port, netip.AddrPortFrom(key.at, m.net.ssh))
	for next := uint16(sshFallback); err != nil && next < sshFallback+sshTries; next++ {
		if !slices.Contains(taken, port{protoTCP, next}) {
			f, err = m.listenAt(key.port, netip.AddrPortFrom(key.at, next))
		}
	}
	return f, err
}

func (m *machine) listenAt(p port, at netip.AddrPort) (*forward, error) {
	f := &forward{m: m, port: p, at: at, done: make(chan struct{})}
	if p.proto == protoUDP {
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
		if err != nil {
			return nil, err
		}
		f.closer = conn
		go f.serveUDP(conn)
		return f, nil
	}
	listener, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	f.closer = listener
	go f.serveTCP(listener)
	return f, nil
}

// sshAt is where the guest's port 22 is.
func (all *forwards) sshAt() netip.AddrPort {
	all.mu.Lock()
	defer all.mu.Unlock()
	s := all.m.state.Load()
	for _, at := range s.addresses {
		if f := all.open[forwardKey{port{protoTCP, 22}, at}]; f != nil {
			return f.at
		}
	}
	return netip.AddrPort{}
}

func (all *forwards) close() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.closed = true
	for key, f := range all.open {
		f.close()
		delete(all.open, key)
	}
}

// admits is the guest's end for a peer that the rules let in.
func (f *forward) admits(peer netip.Addr) (guest netip.AddrPort, ok bool) {
	s := f.m.state.Load()
	return netip.AddrPortFrom(s.guest, f.port.number), s.guest.IsValid() && s.rules.allowInbound(f.port.proto, f.port.number, peer)
}

func (f *forward) serveTCP(listener *net.TCPListener) {
	defer close(f.done)
	for {
		conn, err := listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(50 * time.Millisecond) // no file numbers are left; some may come back
			continue
		}
		peer := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		guest, ok := f.admits(peer)
		if !ok {
			abort(conn)
			continue
		}
		s := &session{inbound: true, proto: protoTCP, port: f.port.number, peer: peer}
		s.conns = append(s.conns, conn)
		go f.m.sessions.run(s, func() { f.m.carryIn(s, conn, guest) })
	}
}

// carryIn connects a connection to this host with the guest.
func (m *machine) carryIn(s *session, outside *net.TCPConn, guest netip.AddrPort) {
	ctx, cancel := context.WithTimeout(m.gateway.ctx, dialTimeout)
	inside, err := m.gateway.dialGuest(ctx, guest)
	cancel()
	if err != nil {
		abort(outside)
		return
	}
	// With the session it ends even when the guest, which is gone, does not end it.
	m.sessions.add(s, inside)
	defer inside.Close()
	splice(outside, inside)
}

package usernet

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// serveUDP gives each peer a socket at the gateway, so that answers find back.
func (f *forward) serveUDP(conn *net.UDPConn) {
	defer close(f.done)
	var mu sync.Mutex
	peers := map[netip.AddrPort]net.Conn{}
	buffer := make([]byte, 65535)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		guest, ok := f.admits(from.Addr())
		if !ok {
			continue
		}
		mu.Lock()
		inside := peers[from]
		mu.Unlock()
		if inside == nil {
			if inside, err = f.m.gateway.dialGuestUDP(guest); err != nil {
				continue
			}
			mu.Lock()
			peers[from] = inside
			mu.Unlock()
			s := &session{inbound: true, proto: protoUDP, port: f.port.number, peer: from.Addr()}
			s.conns = append(s.conns, inside)
			go f.m.sessions.run(s, func() {
				f.answerUDP(conn, from, inside)
				mu.Lock()
				delete(peers, from)
				mu.Unlock()
			})
		}
		_, _ = inside.Write(buffer[:n])
	}
	mu.Lock()
	defer mu.Unlock()
	for _, inside := range peers {
		inside.Close()
	}
}

// answerUDP carries the guest's answers to one peer until there are none for a
// while.
func (f *forward) answerUDP(conn *net.UDPConn, to netip.AddrPort, inside net.Conn) {
	buffer := make([]byte, 65535)
	for {
		_ = inside.SetReadDeadline(time.Now().Add(udpIdle))
		n, err := inside.Read(buffer)
		if err != nil {
			return
		}
		_, _ = conn.WriteToUDPAddrPort(buffer[:n], to)
	}
}

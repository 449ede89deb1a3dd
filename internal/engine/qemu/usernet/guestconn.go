package usernet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// guestConn is a TCP connection with the guest that can be cut off, which is
// not the same as ended: who reads until the end must not take a part for all.
type guestConn struct {
	*gonet.TCPConn
	end tcpip.Endpoint
}

func newGuestConn(queue *waiter.Queue, end tcpip.Endpoint) *guestConn {
	end.SocketOptions().SetKeepAlive(true)
	return &guestConn{gonet.NewTCPConn(queue, end), end}
}

// Abort resets the connection.
func (c *guestConn) Abort() {
	c.end.Abort()
	c.Close()
}

// abort resets a connection, where that can be.
func abort(conn interface{ Close() error }) {
	switch c := conn.(type) {
	case *guestConn:
		c.Abort()
	case *net.TCPConn:
		_ = c.SetLinger(0)
		c.Close()
	default:
		c.Close()
	}
}

// A guest that boots answers nothing. Whoever waits for it should not wait for
// the second and third repetition of a SYN besides, which come after seconds.
const (
	eagerDials = 12
	eagerWait  = 400 * time.Millisecond
)

// dialGuest connects to a port of the guest, as its gateway: anew every now and
// then, and at last with all the time that is left, as a guest may be slow.
func (g *gateway) dialGuest(ctx context.Context, guest netip.AddrPort) (*guestConn, error) {
	for range eagerDials {
		eager, cancel := context.WithTimeout(ctx, eagerWait)
		conn, err := g.dialGuestOnce(eager, guest)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return conn, err
		}
	}
	return g.dialGuestOnce(ctx, guest)
}

func (g *gateway) dialGuestOnce(ctx context.Context, guest netip.AddrPort) (*guestConn, error) {
	var queue waiter.Queue
	end, err := g.stack.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if err != nil {
		return nil, errors.New(err.String())
	}
	entry, connected := waiter.NewChannelEntry(waiter.WritableEvents)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	err = end.Bind(tcpip.FullAddress{NIC: nicID, Addr: tcpipAddr(gatewayIPv4)})
	if err == nil {
		err = end.Connect(fullAddress(guest))
	}
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ctx.Done():
			end.Abort()
			return nil, ctx.Err()
		case <-connected:
		}
		err = end.LastError()
	}
	if err != nil {
		end.Close()
		return nil, errors.New(err.String())
	}
	return newGuestConn(&queue, end), nil
}

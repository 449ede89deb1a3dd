package usernet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

var errNoResolver = errors.New("no resolver answers")

// dialResolver connects to the first resolver of this host that takes it. They
// may be on its loopback: it is this process that asks.
func (g *gateway) dialResolver(ctx context.Context) (net.Conn, error) {
	for _, resolver := range g.m.net.world.resolvers() {
		d := net.Dialer{Timeout: dnsTimeout}
		if conn, err := d.DialContext(ctx, "tcp", resolver.String()); err == nil {
			return conn, nil
		}
	}
	return nil, errNoResolver
}

// serveDNS answers the questions that come from one socket of the guest's.
func (g *gateway) serveDNS(guest *gonet.UDPConn) {
	limit := make(chan struct{}, 64)
	buffer := make([]byte, 65535)
	for {
		_ = guest.SetReadDeadline(time.Now().Add(dnsIdle))
		n, err := guest.Read(buffer)
		if err != nil {
			break
		}
		question := append([]byte(nil), buffer[:n]...)
		limit <- struct{}{}
		go func() {
			defer func() { <-limit }()
			if answer, err := g.resolve(question); err == nil {
				_, _ = guest.Write(answer)
			}
		}()
	}
	for range cap(limit) { // until the last was answered
		limit <- struct{}{}
	}
}

// resolve asks the resolvers, one after the other, until one answers.
func (g *gateway) resolve(question []byte) ([]byte, error) {
	if len(question) < 12 {
		return nil, errNoResolver
	}
	for _, resolver := range g.m.net.world.resolvers() {
		if answer, err := g.ask(resolver, question); err == nil {
			return answer, nil
		}
	}
	return nil, errNoResolver
}

func (g *gateway) ask(resolver netip.AddrPort, question []byte) ([]byte, error) {
	var d net.Dialer
	conn, err := d.DialContext(g.ctx, "udp", resolver.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(g.ctx, func() { conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(dnsTimeout))
	if _, err := conn.Write(question); err != nil {
		return nil, err
	}
	buffer := make([]byte, 65535)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		if n >= 12 && buffer[0] == question[0] && buffer[1] == question[1] {
			return buffer[:n], nil
		}
	}
}

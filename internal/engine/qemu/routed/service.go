//go:build linux

package routed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"
)

// service is what the host offers on one link: the metadata of the machine that
// is behind it, and DHCP. The link says which machine asks, whatever address it
// asks from.
type service struct {
	metadata atomic.Pointer[http.Handler]
	offer    atomic.Pointer[offer]
	server   *http.Server
	dhcp     net.PacketConn
	index    int // of the link: one that is made anew has another
}

// metadataPort is where the metadata are served. Guests ask at port 80.
const metadataPort = 20680

// metadataConnections is how many of its own metadata's connections a guest may
// have open.
const metadataConnections = 32

// serve starts the services of a machine's links, and tells those that run what
// is new.
func (n *Network) serve(m *machine) error {
	for _, p := range m.ports {
		link, err := net.InterfaceByName(p.link)
		if err != nil {
			return fmt.Errorf("the link %s: %w", p.link, err)
		}
		s := m.services[p.link]
		if s != nil && s.index != link.Index {
			s.stop()
			s = nil
		}
		started := s != nil
		if !started {
			s = &service{index: link.Index}
		}
		s.metadata.Store(&m.Metadata)
		s.offer.Store(n.offerFor(m, p))
		if started {
			continue
		}
		if err := s.start(p.link, n.log); err != nil {
			return fmt.Errorf("the services on %s: %w", p.link, err)
		}
		m.services[p.link] = s
	}
	return nil
}

func (m *machine) stop() {
	for link, s := range m.services {
		s.stop()
		delete(m.services, link)
	}
}

func (s *service) stop() {
	_ = s.server.Close()
	_ = s.dhcp.Close()
}

func (s *service) start(link string, log *slog.Logger) error {
	listener, err := listenOn(link).Listen(context.Background(), "tcp4", netip.AddrPortFrom(metadataAddr, metadataPort).String())
	if err != nil {
		return err
	}
	if s.dhcp, err = listenOn(link).ListenPacket(context.Background(), "udp4", "0.0.0.0:67"); err != nil {
		listener.Close()
		return err
	}
	s.server = &http.Server{
		Handler:           http.HandlerFunc(s.answer),
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       10 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() { _ = s.server.Serve(netutil.LimitListener(listener, metadataConnections)) }() // until it is closed
	go s.lease(ipv4.NewPacketConn(s.dhcp), log.With("link", link))
	return nil
}

func (s *service) answer(w http.ResponseWriter, r *http.Request) {
	handler := *s.metadata.Load()
	if handler == nil {
		http.NotFound(w, r)
		return
	}
	handler.ServeHTTP(w, r)
}

// listenOn makes sockets that only see one link. They are transparent: they
// answer from addresses that the host has on this link only.
func listenOn(link string) *net.ListenConfig {
	return &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		control := c.Control(func(fd uintptr) {
			err = errors.Join(
				unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, link),
				unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1),
			)
		})
		return errors.Join(control, err)
	}}
}

// hostResolvers are the name servers of the host that guests can reach too: not
// those on its loopback.
func hostResolvers() []netip.Addr {
	for _, path := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if list := parseResolvers(string(text)); len(list) > 0 {
			return list
		}
	}
	return []netip.Addr{netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("8.8.8.8")}
}

func parseResolvers(text string) []netip.Addr {
	var list []netip.Addr
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil && !addr.IsLoopback() && !addr.IsLinkLocalUnicast() {
			list = append(list, addr)
		}
	}
	return list
}

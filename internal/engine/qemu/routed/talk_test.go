//go:build linux

package routed

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

// serveText answers each connection with a text.
func (w *world) serveText(at place, address, text string) {
	w.Helper()
	w.within(at, func() error {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		w.Cleanup(func() { listener.Close() })
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, text)
				c.Close()
			}
		}()
		return nil
	})
}

// reachesFrom connects from an address and port of its own. The connection is
// reset at its end, so that the port is free again.
func (w *world) reachesFrom(from place, own, address string) {
	w.Helper()
	local, err := net.ResolveTCPAddr("tcp", own)
	w.must(err)
	w.within(from, func() error {
		c, err := (&net.Dialer{LocalAddr: local, Timeout: patient}).Dial("tcp", address)
		if err != nil {
			return err
		}
		_, err = io.ReadAll(c)
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
		return err
	})
}

// flow is a connection over which lines go to and fro.
type flow struct {
	testing.TB
	near, far net.Conn
}

// talk connects one place to a server at another.
func (w *world) talk(from, at place, address string) *flow {
	w.Helper()
	f := &flow{TB: w.TB}
	var listener net.Listener
	w.within(at, func() (err error) {
		listener, err = net.Listen("tcp", ":80")
		if err != nil { // somebody serves there already
			listener, err = net.Listen("tcp", ":8081")
		}
		return err
	})
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	w.within(from, func() (err error) {
		f.near, err = net.DialTimeout("tcp", net.JoinHostPort(address, port), patient)
		return err
	})
	far, err := listener.Accept()
	w.must(err)
	listener.Close()
	f.far = far
	w.Cleanup(func() { f.near.Close(); f.far.Close() })
	f.works()
	return f
}

func (f *flow) says(wait time.Duration) error {
	fmt.Fprintln(f.near, "hello")
	_ = f.far.SetReadDeadline(time.Now().Add(wait))
	_, err := bufio.NewReader(f.far).ReadString('\n')
	return err
}

func (f *flow) works() {
	f.Helper()
	if err := f.says(patient); err != nil {
		f.Errorf("the connection is cut: %v", err)
	}
}

func (f *flow) silent() {
	f.Helper()
	if f.says(blocked) == nil {
		f.Error("the connection goes on")
	}
}

// ear is a socket that hears what is said to it.
type ear struct {
	testing.TB
	net.PacketConn
}

func (w *world) hears(at place, network, address string) ear {
	w.Helper()
	e := ear{TB: w.TB}
	w.within(at, func() (err error) {
		e.PacketConn, err = net.ListenPacket(network, address)
		return err
	})
	w.Cleanup(func() { e.Close() })
	return e
}

// next is what is heard first.
func (e ear) next(want string) {
	e.Helper()
	_ = e.SetReadDeadline(time.Now().Add(patient))
	buffer := make([]byte, 100)
	n, from, err := e.ReadFrom(buffer)
	if got := string(buffer[:n]); got != want {
		e.Errorf("heard %q from %v, want %q; error %v", got, from, want, err)
	}
}

func (w *world) say(from place, network, own, to, text string) {
	w.Helper()
	w.within(from, func() error {
		local, err := net.ResolveUDPAddr(network, own)
		if err != nil {
			return err
		}
		c, err := (&net.Dialer{LocalAddr: local}).Dial(network, to)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = io.WriteString(c, text)
		return err
	})
}

// told fails the test unless a guest's metadata are these.
func (w *world) told(g *guestOf, own, want string) {
	w.Helper()
	dialer := &net.Dialer{Timeout: patient}
	if own != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(own)}
	}
	var got string
	w.within(g.place, func() error {
		c, err := dialer.Dial("tcp", "169.254.169.254:80")
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patient))
		request, _ := http.NewRequest(http.MethodGet, "http://169.254.169.254/", nil)
		if err := request.Write(c); err != nil {
			return err
		}
		answer, err := http.ReadResponse(bufio.NewReader(c), request)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(answer.Body)
		got = string(text)
		return err
	})
	if got != want {
		w.Errorf("%s was told %q, want %q", g.m.ID, got, want)
	}
}

// same fails the test unless the host is as it was.
func (w *world) same(before, after string) {
	w.Helper()
	if diff := cmp.Diff(before, after); diff != "" {
		w.Error(diff)
	}
}

// lease gets what a guest is told by DHCP on one of its links.
func (w *world) lease(g *guestOf, link, mac string) *dhcpv4.DHCPv4 {
	w.Helper()
	var conn net.PacketConn
	w.within(g.place, func() (err error) {
		conn, err = listenOn(link).ListenPacket(w.Context(), "udp4", "0.0.0.0:68")
		return err
	})
	defer conn.Close()
	hw, err := net.ParseMAC(mac)
	w.must(err)
	discover, err := dhcpv4.NewDiscovery(hw)
	w.must(err)
	offered := w.exchange(conn, discover)
	request, err := dhcpv4.NewRequestFromOffer(offered)
	w.must(err)
	ack := w.exchange(conn, request)
	if ack.MessageType() != dhcpv4.MessageTypeAck {
		w.Error(ack.Summary())
	}
	request.UpdateOption(dhcpv4.OptRequestedIPAddress(net.IPv4(198, 18, 1, 99)))
	if no := w.exchange(conn, request); no.MessageType() != dhcpv4.MessageTypeNak {
		w.Error(no.Summary())
	}
	return ack
}

func (w *world) exchange(conn net.PacketConn, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	w.Helper()
	_, err := conn.WriteTo(m.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 67})
	w.must(err)
	buffer := make([]byte, 1500)
	_ = conn.SetReadDeadline(time.Now().Add(patient))
	n, _, err := conn.ReadFrom(buffer)
	w.must(err)
	answer, err := dhcpv4.FromBytes(buffer[:n])
	w.must(err)
	return answer
}

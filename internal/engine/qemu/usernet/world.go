package usernet

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// closedRanges are addresses that machines may reach nowhere outside: they mean
// this host, its link, or nobody.
var closedRanges = prefixes(
	"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "198.18.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
	"::/127", "fe80::/10", "ff00::/8",
)

// translated are ranges of IPv6 with an IPv4 address inside, at a byte: what is
// closed must not be reached under such a name either.
var translated = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("::/96"), 12},
	{netip.MustParsePrefix("::ffff:0:0/96"), 12},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12},
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
}

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// world is what is outside of this process.
type world struct {
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	resolvers func() []netip.AddrPort
	ping      func(to netip.Addr) (net.Conn, error)

	mu    sync.Mutex
	own   []netip.Prefix // the addresses of this host, with their networks
	asked time.Time
}

// closedTo says whether machines may not reach an address.
func (w *world) closedTo(a netip.Addr) bool {
	if a.Is4In6() {
		return true // nobody has such an address on a wire
	}
	for _, prefix := range closedRanges {
		if prefix.Contains(a) {
			return true
		}
	}
	for _, t := range translated {
		if t.prefix.Contains(a) {
			b := a.As16()
			return w.closedTo(netip.AddrFrom4([4]byte(b[t.at : t.at+4])))
		}
	}
	for _, own := range w.ownAddresses() {
		if a == own.Addr() || a == broadcastOf(own) {
			return true
		}
	}
	return false
}

// ownAddresses are those of this host's interfaces, a second old at the most.
// Where they cannot be read, the last ones hold.
func (w *world) ownAddresses() []netip.Prefix {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.asked) < time.Second {
		return w.own
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return w.own
	}
	var own []netip.Prefix
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil {
			own = append(own, netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()))
		}
	}
	w.own, w.asked = own, time.Now()
	return own
}

// broadcastOf is the last address of an IPv4 network, which all its hosts have.
func broadcastOf(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return netip.Addr{}
	}
	b := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

// local says whether packets to an address would stay on this host, by a route
// that no interface's address tells of: only then is its own address the one
// that they would come from. Asking sends nothing.
func local(to netip.AddrPort) bool {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return false
	}
	defer conn.Close()
	from, ok := conn.LocalAddr().(*net.UDPAddr)
	return ok && from.AddrPort().Addr().Unmap() == to.Addr()
}

// hostDial connects from this host.
func hostDial(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if local(to) {
		return nil, &net.AddrError{Err: "it is an address of this host", Addr: address}
	}
	d := net.Dialer{KeepAlive: time.Minute}
	return d.DialContext(ctx, network, address)
}

// hostResolvers are the resolvers that this host asks.
func hostResolvers() []netip.AddrPort {
	file, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	defer file.Close()
	var all []netip.AddrPort
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if address, err := netip.ParseAddr(fields[1]); err == nil {
			all = append(all, netip.AddrPortFrom(address, 53))
		}
	}
	return all
}

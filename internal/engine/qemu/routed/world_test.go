//go:build linux

package routed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// blocked is how long it takes to believe that nothing comes through.
const blocked = 300 * time.Millisecond

// patient is how long it takes to believe that something that should come
// through does not.
const patient = 10 * time.Second

// world is a host, what its uplink leads to, and guests, each in a network
// namespace of its own, so that nothing of the machine that tests is touched.
type world struct {
	testing.TB
	host, beyond place
	net          *Network
	options      Options
	guests       map[string]*guestOf // by machine
	moving       place               // where links that are made lead to
	real         bool                // links are taps, not made to look like ones
}

type guestOf struct {
	place
	world *world
	m     vnet.Machine
	nics  []vnet.NIC
}

var (
	hostAddr   = netip.MustParsePrefix("198.18.255.1/30")
	beyondAddr = netip.MustParsePrefix("198.18.255.2/30")
	hostAddr6  = netip.MustParsePrefix("2001:db8:ff::1/64")
	beyond6    = netip.MustParsePrefix("2001:db8:ff::2/64")
	publicPool = netip.MustParsePrefix("198.18.1.0/24")
	reserves   = netip.MustParsePrefix("198.18.2.0/24")
	pool6      = netip.MustParsePrefix("2001:db8:1::/64")
)

// needsRoot ends a test that cannot run here. With CI=true it fails.
func needsRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the routed network needs root")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("the routed network needs /dev/net/tun: ", err)
	}
	for _, program := range []string{"ip", "nft"} { // to see what the host has, with other eyes than ours
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("the tests of the routed network need ", program, ", of Debian's iproute2 and nftables: ", err)
		}
	}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := bareWorld(t)
	w.start()
	return w
}

// bareWorld is a world whose host has no network for machines yet.
func bareWorld(t testing.TB) *world {
	t.Helper()
	needsRoot(t)
	w := &world{TB: t, host: namespace(t), beyond: namespace(t), guests: map[string]*guestOf{}}
	w.within(w.host, func() error {
		return errors.Join(connect("up0", w.beyond, "w0", nil), writeSetting(conf6, "up0", "accept_dad", "0"))
	})
	w.within(w.beyond, func() error { return writeSetting(conf6, "w0", "accept_dad", "0") })
	w.within(w.host, func() error { return errors.Join(give("up0", hostAddr), give("up0", hostAddr6), up("lo")) })
	w.within(w.beyond, func() error {
		return errors.Join(give("w0", beyondAddr), give("w0", beyond6), up("lo"),
			via("198.18.0.0/16", hostAddr.Addr(), "w0"), via("2001:db8::/32", hostAddr6.Addr(), "w0"))
	})
	for _, end := range []struct {
		place
		link string
	}{{w.host, "up0"}, {w.beyond, "w0"}} { // the kernel says so a little later
		w.eventually(func() bool {
			var is bool
			w.within(end.place, func() (err error) { is, err = settled(end.link); return err })
			return is
		})
	}
	w.options = Options{
		Public: []netip.Prefix{publicPool}, Reserved: []netip.Prefix{reserves}, IPv6: []netip.Prefix{pool6},
		Uplink: "up0", Routed: true, Resolvers: []netip.Addr{netip.MustParseAddr("198.18.255.2")}, Namespace: int(w.host),
	}
	return w
}

// settled reports whether a link is up and is reached at all its addresses of
// IPv6, one of which it makes itself.
func settled(name string) (bool, error) {
	link, err := netlink.LinkByName(name)
	if err != nil || link.Attrs().OperState != netlink.OperUp {
		return false, err
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return false, err
	}
	at := &netlink.Route{LinkIndex: link.Attrs().Index, Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, at, netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
	return len(addrs) == 2 && len(routes) == len(addrs), err
}

func (w *world) start() {
	w.Helper()
	n, err := open(context.Background(), w.options, w.openLink)
	if err != nil {
		w.Fatal(err)
	}
	w.net = n
	w.Cleanup(func() { _ = n.Close() })
}

// namespace makes a network namespace that ends with the test.
func namespace(t testing.TB) place {
	t.Helper()
	made := make(chan int)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			made <- -1
			return
		}
		fd, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
		}
		made <- fd
	}()
	fd := <-made
	if fd < 0 {
		t.Fatal("no network namespace")
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return place(fd)
}

func (w *world) within(p place, f func() error) {
	w.Helper()
	if err := p.do(f); err != nil {
		w.Fatal(err)
	}
}

// connect joins this namespace to another by a pair of links.
func connect(name string, other place, otherName string, mac net.HardwareAddr) error {
	pair := netlink.NewVeth(netlink.LinkAttrs{Name: name})
	pair.PeerName, pair.PeerNamespace, pair.PeerHardwareAddr = otherName, netlink.NsFd(int(other)), mac
	return netlink.LinkAdd(pair)
}

func up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

func give(name string, p netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	addr := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return errors.Join(netlink.AddrReplace(link, addr), netlink.LinkSetUp(link))
}

func via(to string, gateway netip.Addr, link string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{
		Dst: ipNet(netip.MustParsePrefix(to)), Gw: gateway.AsSlice(), LinkIndex: l.Attrs().Index,
	})
}

// openLink makes a link whose other end is in a guest's namespace.
func (w *world) openLink(name, mac string) (*os.File, error) {
	if w.real {
		return openTap(name, mac)
	}
	if linkExists(name) {
		return nil, nil
	}
	hw, err := net.ParseMAC(mac)
	if err != nil {
		return nil, err
	}
	return nil, connect(name, w.moving, "eth"+name[len(name)-1:], hw)
}

// described is a machine: number 7 of network "a" is 198.18.1.7 and 198.19.0.7.
func described(n int, vpc string) vnet.Machine {
	return vnet.Machine{
		ID: fmt.Sprint(vpc, n), PublicMAC: fmt.Sprintf("02:00:00:00:%02x:%02x", vpc[0], n), PrivateMAC: fmt.Sprintf("02:00:00:01:%02x:%02x", vpc[0], n),
		Network: engine.Network{
			VPC: vpc, PrivateIPv4: fmt.Sprintf("198.19.0.%d", n), PrivatePrefix: 24, PrivateGateway: "198.19.0.1",
			PublicIPv4: fmt.Sprintf("198.18.1.%d", n), PublicPrefix: 24, PublicGateway: "198.18.1.1",
			PublicIPv6: fmt.Sprintf("2001:db8:1::%d", n), IPv6Prefix: 64, IPv6Gateway: "2001:db8:1::1",
		},
		Metadata: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, vpc, n) }),
	}
}

// plug starts a machine with a guest that is set up as it is to be.
func (w *world) plug(m vnet.Machine) *guestOf {
	w.Helper()
	g := w.guests[m.ID]
	fresh := g == nil
	if fresh {
		g = &guestOf{place: namespace(w.TB), world: w}
		w.guests[m.ID] = g
	}
	g.m, w.moving = m, g.place
	nics, err := w.net.Plug(context.Background(), m)
	if err != nil {
		w.Fatal(err)
	}
	g.nics = nics
	if fresh {
		w.within(g.place, func() error { return g.setUp(w.net.Guest(m)) })
		w.eventually(func() (is bool) { // the kernel notices a little later
			w.within(w.host, func() error { is = linked(m.ID); return nil })
			return is
		})
	}
	return g
}

// linked reports whether the links that a machine has are up.
func linked(id string) bool {
	public, private := linkNames(id)
	for _, name := range []string{public, private} {
		link, err := netlink.LinkByName(name)
		if err == nil && link.Attrs().OperState != netlink.OperUp {
			return false
		}
	}
	return true
}

func (g *guestOf) setUp(of vnet.Guest) error {
	if err := up("lo"); err != nil {
		return err
	}
	if p := of.Public; p.IPv4.IsValid() {
		if err := errors.Join(give("eth0", p.IPv4), via("0.0.0.0/0", p.IPv4Gateway, "eth0")); err != nil {
			return err
		}
		if p.IPv6.IsValid() {
			if err := errors.Join(give("eth0", p.IPv6), via("::/0", p.IPv6Gateway, "eth0")); err != nil {
				return err
			}
		}
	}
	if p := of.Private; p.IPv4.IsValid() {
		return give("eth1", p.IPv4)
	}
	return nil
}

// must fails the test on an error.
func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) update(m vnet.Machine) {
	w.Helper()
	w.must(w.net.Update(context.Background(), m))
}

// serve answers each connection to an address with the address that it comes
// from.
func (w *world) serve(at place, address string) {
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
				host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				_, _ = io.WriteString(c, host)
				c.Close()
			}
		}()
		return nil
	})
}

// ask connects to what serve has started and returns the source that was seen.
func ask(from place, address string, wait time.Duration) (seen string, err error) {
	err = from.do(func() error {
		c, err := net.DialTimeout("tcp", address, wait)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patient))
		text, err := io.ReadAll(c)
		seen = string(text)
		return err
	})
	return seen, err
}

// reaches fails the test unless a connection comes through, seen as coming from
// an address, if that is given.
func (w *world) reaches(from place, address, as string) {
	w.Helper()
	seen, err := ask(from, address, patient)
	if err != nil || as != "" && seen != as {
		w.Errorf("%s: seen as %q, want %q; error %v\n%s", address, seen, as, err, w.show())
	}
}

func (w *world) cannotReach(from place, address string) {
	w.Helper()
	if seen, err := ask(from, address, blocked); err == nil {
		w.Errorf("%s was reached, as %s", address, seen)
	}
}

// run is what a command says on the host.
func (w *world) run(name string, args ...string) string {
	var out []byte
	err := w.host.do(func() (err error) {
		out, err = exec.Command(name, args...).CombinedOutput()
		return err
	})
	if err != nil {
		return fmt.Sprintln(string(out), err)
	}
	return string(out)
}

// show is all that could be ours on the host.
func (w *world) show() string {
	var text strings.Builder
	for _, command := range []string{
		"ip -o link", "ip -o addr", "ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all", "ip neigh show proxy",
		"ip neigh show nud permanent", "nft list ruleset", "grep -rs . /proc/sys/net/ipv4/conf/up0 /proc/sys/net/ipv6/conf/up0 /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding",
	} {
		words := strings.Fields(command)
		fmt.Fprintf(&text, "# %s\n%s", command, w.run(words[0], words[1:]...))
	}
	return text.String()
}

// eventually waits for what another goroutine does.
func (w *world) eventually(is func() bool) {
	w.Helper()
	for deadline := time.Now().Add(patient); !is(); {
		if time.Now().After(deadline) {
			w.Fatal("it never came about")
		}
	}
}

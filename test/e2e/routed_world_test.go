//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"github.com/vishvananda/netlink"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/image/imagetest"
)

const (
	// blocked is how long it takes to believe that nothing comes through, and
	// patient that something does not which should.
	blocked = 400 * time.Millisecond
	patient = 20 * time.Second

	hostAddress, hostAddress6 = "198.19.255.1", "2001:db8:ff::1"
	echoPort                  = "7"
)

// space is a network namespace, by a file descriptor.
type space int

// routedCloud is a cloud with real machines whose server is in a network
// namespace, with an uplink to another, which is the world. Nothing of the host
// that tests is touched.
type routedCloud struct {
	*realCloud
	host, world space
	// near and far are the world's two addresses.
	near, far place
	flags     []string
	v6        bool
	whole     *testing.T
	shells    map[int]*ssh.Client // by Droplet
	// before is what the network was without a server, and base what it was
	// with one without machines.
	before, base string
}

// place is where connections come from.
type place struct {
	space
	address string // or any of its own
}

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

func newRoutedCloud(t *testing.T) *routedCloud {
	t.Helper()
	r := newRoutedHost(t)
	r.host.within(t, func() { r.realCloud = newRealCloud(t, r.flags...) })
	r.base = r.listing(t)
	r.echo()
	return r
}

// newRoutedHost is the host of a cloud that has no server yet, with its world.
func newRoutedHost(t *testing.T) *routedCloud {
	t.Helper()
	needsRoot(t)
	imagetest.Tiny(t) // which may have to be built, with the host's own network
	r := &routedCloud{whole: t, shells: map[int]*ssh.Client{}, host: namespace(t), world: namespace(t)}
	r.near, r.far = place{r.world, "198.19.255.2"}, place{r.world, "198.19.255.3"}
	r.connect(t)
	port := r.bridge(t)
	// The world has a route to the one pool, and the other is a part of the
	// uplink's own network.
	r.flags = []string{
		"--network", "routed", "--listen", "127.0.0.1:" + port, "--public-pool", "198.18.1.0/24", "--reserved-pool", "198.19.255.128/25",
	}
	if r.v6 {
		r.flags = append(r.flags, "--ipv6-pool", "2001:db8:1::/48")
	}
	r.before = r.listing(t)
	return r
}

// namespace makes a network namespace that ends with the test and the processes
// that are in it.
func namespace(t testing.TB) space {
	t.Helper()
	made := make(chan error)
	fd := -1
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			fd, err = ownNamespace()
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal("a network namespace: ", err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return space(fd)
}

func ownNamespace() (fd int, err error) {
	return unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// within runs f in a namespace: what it dials, listens on and starts belongs
// there. The thread comes back, also where f ends the test.
func (s space) within(t testing.TB, f func()) {
	t.Helper()
	runtime.LockOSThread()
	home, err := ownNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(unix.Setns(home, unix.CLONE_NEWNET), unix.Close(home)); err != nil {
			t.Error("leaving a network namespace: ", err) // the thread ends with this goroutine
			return
		}
		runtime.UnlockOSThread()
	}()
	if err := unix.Setns(int(s), unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	f()
}

// connect lays the uplink, and puts something on the host that is not ours.
func (r *routedCloud) connect(t *testing.T) {
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	_, err := os.Stat("/proc/sys/net/ipv6/conf")
	r.v6 = err == nil
	r.host.within(t, func() {
		pair := netlink.NewVeth(netlink.LinkAttrs{Name: "up0"})
		pair.PeerName, pair.PeerNamespace = "w0", netlink.NsFd(int(r.world))
		must(netlink.LinkAdd(pair))
		must(give("lo"))
		must(give("up0", hostAddress+"/24", hostAddress6+"/64"))
		must(via("0.0.0.0/0", r.near.address, "up0"))
		if r.v6 {
			must(forwardOldKernels())
		}
		nft := exec.Command("nft", "-f", "-")
		nft.Stdin = strings.NewReader("table inet cistern_not {\n chain input {\n type filter hook input priority 0; policy accept;\n tcp dport 1 drop\n }\n}\n")
		if out, err := nft.CombinedOutput(); err != nil {
			t.Fatalf("nft: %v: %s", err, out)
		}
	})
	r.world.within(t, func() {
		must(give("lo"))
		must(give("w0", r.near.address+"/24", r.far.address+"/24", "2001:db8:ff::2/64"))
		must(via("198.18.1.0/24", hostAddress, "w0"))
		if r.v6 {
			must(via("2001:db8:1::/48", hostAddress6, "w0"))
		}
	})
	r.host.within(t, func() {
		must(poll(patient, "the uplink to be up", r.isUp)) // the kernel says so a little later
	})
}

// isUp reports whether the uplink and its addresses are what they will be. The
// one that the kernel gives it comes last.
func (r *routedCloud) isUp() (bool, error) {
	link, err := netlink.LinkByName("up0")
	if err != nil || link.Attrs().OperState != netlink.OperUp {
		return false, err
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	tentative := func(a netlink.Addr) bool { return a.Flags&unix.IFA_F_TENTATIVE != 0 }
	given := func(a netlink.Addr) bool { return a.IP.To4() == nil && a.IP.IsLinkLocalUnicast() }
	return err == nil && !slices.ContainsFunc(addrs, tentative) && (!r.v6 || slices.ContainsFunc(addrs, given)), err
}

// forwardOldKernels does what the documents ask for where the kernel forwards
// IPv6 for all links or for none.
func forwardOldKernels() error {
	const conf = "/proc/sys/net/ipv6/conf/"
	if _, err := os.Stat(conf + "up0/force_forwarding"); err == nil {
		return nil
	}
	return os.WriteFile(conf+"all/forwarding", []byte("1"), 0o644)
}

// give sets a link up with addresses.
func give(name string, prefixes ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, text := range prefixes {
		addr, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		if addr.IP.To4() == nil {
			addr.Flags = unix.IFA_F_NODAD
			if err := netlink.AddrAdd(link, addr); err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EACCES) {
				return err
			}
			continue
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

func via(to, gateway, name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	_, destination, err := net.ParseCIDR(to)
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{Dst: destination, Gw: net.ParseIP(gateway), LinkIndex: link.Attrs().Index})
}

// bridge takes connections on a port of this process's own loopback to the same
// port in the host's namespace, where the server will be.
func (r *routedCloud) bridge(t *testing.T) (port string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go serveEach(listener, func(outer net.Conn) {
		inner, err := r.host.dial(t, "", listener.Addr().String(), patient)
		if err != nil {
			return // the server is down
		}
		defer inner.Close()
		go func() {
			_, _ = io.Copy(inner, outer)
			inner.Close()
		}()
		_, _ = io.Copy(outer, inner)
	})
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port
}

// serveEach serves connections until the listener is closed.
func serveEach(listener net.Listener, serve func(net.Conn)) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

// echo tells who connects to the world how it is seen.
func (r *routedCloud) echo() {
	r.world.within(r, func() {
		listener, err := net.Listen("tcp", ":"+echoPort)
		r.good(err)
		r.Cleanup(func() { listener.Close() })
		go serveEach(listener, func(c net.Conn) {
			seen, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			fmt.Fprintln(c, seen)
		})
	})
}

// dial connects from a namespace.
func (s space) dial(t testing.TB, from, to string, wait time.Duration) (c net.Conn, err error) {
	dialer := net.Dialer{Timeout: wait}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	s.within(t, func() { c, err = dialer.DialContext(t.Context(), "tcp", to) })
	return c, err
}

// ask asks a guest's server for its name, with a new connection.
func (r *routedCloud) ask(from place, address string, wait time.Duration) (string, error) {
	conn, err := from.dial(r, from.address, at(address, "8080"), wait)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patient)) // fails on closed connections only
	fmt.Fprint(conn, "GET /name HTTP/1.0\r\n\r\n")
	text, err := io.ReadAll(conn)
	_, body, _ := strings.Cut(string(text), "\r\n\r\n")
	return strings.TrimSpace(body), err
}

func at(address, port string) string { return net.JoinHostPort(address, port) }

// reaches fails the test unless a guest's server answers with its name.
func (r *routedCloud) reaches(from place, address, name string) {
	r.Helper()
	if got, err := r.ask(from, address, patient); err != nil || got != name {
		r.Errorf("%s from %q: %q, %v, want %s\n%s", address, from.address, got, err, name, r.listing(r))
	}
}

func (r *routedCloud) cannotReach(from place, address string) {
	r.Helper()
	if got, err := r.ask(from, address, blocked); err == nil {
		r.Errorf("%s is reached from %q: %q\n%s", address, from.address, got, r.listing(r))
	}
}

// becomes waits until an address is answered for by a name, or by nobody.
func (r *routedCloud) becomes(from place, address, name string) {
	r.Helper()
	r.until(fmt.Sprintf("%s to be %q from %q", address, name, from.address), func() (bool, error) {
		got, _ := r.ask(from, address, blocked)
		return got == name, nil
	})
}

// on runs a command in a guest, which must succeed. The connection to it is kept,
// whatever becomes of firewalls and servers: what was let in once stays.
func (r *routedCloud) on(g guest, command string) string {
	r.Helper()
	client := r.shells[g.id]
	if client == nil {
		var err error
		client, err = r.login(place{r.host, ""}, g.public())
		r.good(err)
		r.shells[g.id] = client
		r.whole.Cleanup(func() { client.Close() })
	}
	out, err := inSession(client, command)
	if err != nil {
		r.Fatalf("%s: %s: %v: %s", g.name, command, err, out)
	}
	return out
}

func (r *routedCloud) expects(g guest, command, want string) {
	r.Helper()
	if got := r.on(g, command); got != want {
		r.Errorf("%s: %s: %q, want %q\n%s", g.name, command, got, want, r.listing(r))
	}
}

// denies runs a command in a guest that must not succeed, nor wait for long.
func (r *routedCloud) denies(g guest, command string) {
	r.Helper()
	if out := r.on(g, "if timeout 2 "+command+"; then echo it succeeds; fi 2>&1"); strings.Contains(out, "it succeeds") {
		r.Errorf("%s: %s: %s\n%s", g.name, command, out, r.listing(r))
	}
}

// login connects to a guest's ssh without asking the server anything.
func (r *routedCloud) login(from place, address string) (*ssh.Client, error) {
	conn, err := from.dial(r, from.address, at(address, "22"), patient)
	if err != nil {
		return nil, err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(r.signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec // keys are new with each guest
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

func inSession(client *ssh.Client, command string) (string, error) {
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	out, err := session.CombinedOutput(command)
	return string(bytes.TrimSpace(out)), err
}

// ssh runs a command in a guest by a connection of its own.
func (r *routedCloud) ssh(from place, address, command string) (string, error) {
	client, err := r.login(from, address)
	if err != nil {
		return "", err
	}
	defer client.Close()
	return inSession(client, command)
}

func (r *routedCloud) loginFrom(from place, address, name string) {
	r.Helper()
	if got, err := r.ssh(from, address, "hostname"); err != nil || got != name {
		r.Errorf("ssh to %s from %q: %q, %v, want %s\n%s", address, from.address, got, err, name, r.listing(r))
	}
}

// restart starts a server where the former one was.
func (r *routedCloud) restart() {
	r.Helper()
	r.host.within(r, func() { r.serve(r.flags...) })
}

// clean runs cistern network clean on the host.
func (r *routedCloud) clean(args ...string) (out string, err error) {
	r.host.within(r, func() { out, err = r.cistern(append([]string{"network", "clean"}, args...)...) })
	return out, err
}

// listing is all that could be ours on the host.
func (r *routedCloud) listing(t testing.TB) string {
	var text strings.Builder
	r.host.within(t, func() {
		for _, command := range []string{
			"ip -o link", "ip -o addr", "ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all",
			"ip neigh show proxy", "ip -6 neigh show proxy", "ip neigh show nud permanent", "nft list ruleset",
			"grep -rs . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf /proc/sys/net/ipv4/ip_forward",
		} {
			out, _ := exec.Command("sh", "-c", command).CombinedOutput() // grep fails where it may not read
			fmt.Fprintf(&text, "# %s\n%s", command, out)
		}
	})
	return text.String()
}

// isAgain fails the test where the host is not what it was.
func (r *routedCloud) isAgain(was string) {
	r.Helper()
	now := r.listing(r)
	if now == was {
		return
	}
	r.Errorf("the host is not what it was: there is no longer\n%s\nand there is\n%s", without(was, now), without(now, was))
}

// without are the lines of a text that another does not have.
func without(text, other string) string {
	has := map[string]bool{}
	for line := range strings.Lines(other) {
		has[line] = true
	}
	var left strings.Builder
	for line := range strings.Lines(text) {
		if !has[line] {
			left.WriteString(line)
		}
	}
	return left.String()
}

// public is a guest's address.
func (g guest) public() string {
	g.Helper()
	address, err := g.droplet().PublicIPv4()
	g.good(err)
	return address
}

func (g guest) private() string {
	g.Helper()
	address, err := g.droplet().PrivateIPv4()
	g.good(err)
	return address
}

func (g guest) public6() string {
	g.Helper()
	address, err := g.droplet().PublicIPv6()
	g.good(err)
	if _, err := netip.ParseAddr(address); err != nil {
		g.Fatalf("%s has no IPv6 address: %v", g.name, err)
	}
	return address
}

// destroy makes a Droplet be no more.
func (r *routedCloud) destroy(g guest) {
	r.Helper()
	_, err := r.api.Droplets.Delete(r.Context(), g.id)
	r.good(err)
	r.gone(g)
}

// gone waits until a Droplet is no more.
func (r *routedCloud) gone(g guest) {
	r.Helper()
	r.until(g.name+" to be gone", func() (bool, error) {
		_, res, err := r.api.Droplets.Get(r.Context(), g.id)
		return res != nil && res.StatusCode == http.StatusNotFound, ignoreAnswer(err)
	})
}

// ignoreAnswer leaves only errors of the way to the server.
func ignoreAnswer(err error) error {
	if _, is := errors.AsType[*godo.ErrorResponse](err); is {
		return nil
	}
	return err
}

// Package usernet joins virtual machines to each other and to the world
// without root: each link is a pair of datagram sockets between QEMU and this
// process, which is the gateway, the switch and the firewall.
package usernet

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	stacklog "gvisor.dev/gvisor/pkg/log"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// Options say how a network is made.
type Options struct {
	// PublicPool is where public addresses come from: addresses of this host, so
	// a part of 127.0.0.0/8, no larger than a /16. The zero value is
	// 127.100.0.0/16.
	PublicPool netip.Prefix
	// SSHPort is the first choice for the port that leads to a machine's port 22;
	// zero is 22. Where it is not to be had, it is the next free one from 2222 on.
	SSHPort uint16
	// Ports are the TCP ports that are forwarded to machines without a firewall,
	// and to those whose firewall opens all of them. Others, and UDP, need a rule
	// that names them. Nil is DefaultPorts.
	Ports []uint16
	// Log is told what could not be done. Nil is the default logger.
	Log *slog.Logger
	// Resolvers are whom machines' questions for names are handed to. Nil is
	// those of /etc/resolv.conf, read anew for each question.
	Resolvers func() []netip.AddrPort
	// Dial connects machines with the world, once it is clear that they may. Nil
	// is a connection from this host.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// DefaultPorts are the ports that are forwarded where all are open: there
// cannot be 65,535 listeners for each machine.
var DefaultPorts = []uint16{22, 80, 443, 3000, 5000, 8000, 8080, 8443}

// Network is the network of all machines of this process.
type Network struct {
	pool  netip.Prefix
	ssh   uint16
	ports []uint16
	log   *slog.Logger
	world *world

	unbindable sync.Once // that some usual ports are not to be had is told once

	// aliases are public addresses by those inside. It has no lock that anybody holds
	// while he waits for another.
	aliases sync.Map

	// busy keeps two calls about one machine apart.
	busy keyed

	mu       sync.RWMutex
	machines map[string]*machine
	byAddr   map[netip.Addr]*machine // by the guests' public addresses
	lans     map[string]*lan
	peerings map[string]peering
	closed   bool
}

var _ vnet.Network = (*Network)(nil)

// silence is what the stack's own log goes to. It would write to standard error
// of odd packets, which guests can send at will, in a form of its own.
type silence struct{}

func (silence) Emit(int, stacklog.Level, time.Time, string, ...any) {}

var hush = sync.OnceFunc(func() {
	stacklog.SetLevel(stacklog.Warning) // of the log that parts of the stack hold on to
	stacklog.SetTarget(silence{})
})

// New makes a network without machines.
func New(o Options) (*Network, error) {
	hush()
	n := &Network{
		pool: o.PublicPool, ssh: o.SSHPort, ports: o.Ports, log: o.Log,
		world:    &world{dial: o.Dial, resolvers: o.Resolvers, ping: hostPing},
		machines: map[string]*machine{}, byAddr: map[netip.Addr]*machine{},
		lans: map[string]*lan{}, peerings: map[string]peering{},
	}
	if !n.pool.IsValid() {
		n.pool = netip.MustParsePrefix("127.100.0.0/16")
	}
	if !n.pool.Addr().Is4() || n.pool.Bits() < 16 {
		return nil, errors.New("the public addresses of machines must be an IPv4 range no larger than a /16, such as 127.100.0.0/16")
	}
	n.pool = n.pool.Masked()
	if n.ssh == 0 {
		n.ssh = 22
	}
	if n.ports == nil {
		n.ports = DefaultPorts
	}
	if n.log == nil {
		n.log = slog.Default()
	}
	if n.world.dial == nil {
		n.world.dial = hostDial
	}
	if n.world.resolvers == nil {
		n.world.resolvers = hostResolvers
	}
	return n, nil
}

// Plug makes a machine's links, or takes over those of one that runs. Ports
// that cannot be forwarded keep no machine from starting: they are logged.
func (n *Network) Plug(_ context.Context, m vnet.Machine) ([]vnet.NIC, error) {
	defer n.busy.lock(m.ID)()
	s, err := n.describe(m)
	if err != nil {
		return nil, err
	}
	one := n.machine(m.ID)
	if one != nil && !one.intact(m.Dir, s) {
		n.withdraw(one)
		one.close()
		one = nil
	}
	if one == nil {
		if one, err = n.newMachine(m, s); err != nil {
			return nil, err
		}
	}
	if err := n.enter(one, s); err != nil {
		n.withdraw(one)
		one.close()
		return nil, err
	}
	if err := one.apply(s); err != nil {
		n.log.Warn("not all ports of a machine are forwarded", "machine", m.ID, "error", err)
	}
	return nics(m, one), nil
}

func nics(m vnet.Machine, one *machine) (all []vnet.NIC) {
	if one.public != nil {
		all = append(all, vnet.NIC{MAC: m.PublicMAC, Netdev: netdev(one.public.name)})
	}
	if one.private != nil {
		all = append(all, vnet.NIC{MAC: m.PrivateMAC, Netdev: netdev(one.private.name)})
	}
	return all
}

// netdev is QEMU's end of a link, by names in the machine's folder.
func netdev(name string) string {
	return "dgram,local.type=unix,local.path=" + name + ".qemu,remote.type=unix,remote.path=" + name + ".net"
}

// Update makes a machine's addresses and rules what is described. It fails for
// good, with a vnet.Partly, where a rule's port cannot be forwarded.
func (n *Network) Update(_ context.Context, m vnet.Machine) error {
	defer n.busy.lock(m.ID)()
	one := n.machine(m.ID)
	if one == nil {
		return engine.ErrNotFound
	}
	s, err := n.describe(m)
	if err != nil {
		return err
	}
	if one.public == nil {
		s.guest, s.addresses = netip.Addr{}, nil // a device comes with the next start
	}
	if one.private == nil {
		s.private = netip.Addr{}
	}
	if err := n.enter(one, s); err != nil {
		return err
	}
	return vnet.KeptPartly(one.apply(s))
}

// Unplug removes a machine's links and forwards.
func (n *Network) Unplug(_ context.Context, id string) error {
	defer n.busy.lock(id)()
	one := n.machine(id)
	if one == nil {
		return nil
	}
	n.withdraw(one)
	one.remove()
	one.close()
	return nil
}

// Peer lets the machines of two VPCs reach each other, if their guests send
// what is for the other's range to their VPC's gateway.
func (n *Network) Peer(_ context.Context, p engine.Peering) error {
	one, err := newPeering(p)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.peerings[p.ID] = one
	return nil
}

// Unpeer ends that.
func (n *Network) Unpeer(_ context.Context, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.peerings, id)
	return nil
}

// SSH is where port 22 of a machine is reached.
func (n *Network) SSH(id string) netip.AddrPort {
	if one := n.machine(id); one != nil {
		return one.forwards.sshAt()
	}
	return netip.AddrPort{}
}

// Close ends all links' ends here. Their sockets' files stay, for the next
// process to take over.
func (n *Network) Close() error {
	n.mu.Lock()
	n.closed = true
	all := n.machines
	n.machines, n.byAddr, n.lans = map[string]*machine{}, map[netip.Addr]*machine{}, map[string]*lan{}
	n.mu.Unlock()
	for _, one := range all {
		unlock := n.busy.lock(one.id)
		one.close()
		unlock()
	}
	return nil
}

func (n *Network) machine(id string) *machine {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.machines[id]
}

// machineAt is the machine whose guest has a public address.
func (n *Network) machineAt(a netip.Addr) *machine {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.byAddr[a]
}

// enter makes a machine known by its addresses, in place of what it was known
// by. A network that was closed takes none, and none that would be taken for
// another inside.
func (n *Network) enter(m *machine, s *state) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return net.ErrClosed
	}
	if other := n.byAddr[s.guest]; s.guest.IsValid() && other != nil && other.id != m.id {
		return refusal("%s and %s of machine %s are the same address inside, %s; take a snapshot of one of the two, and make it anew from that",
			s.shown, other.state.Load().shown, other.id, s.guest)
	}
	n.forget(m)
	n.machines[m.id] = m
	if s.guest.IsValid() {
		n.aliases.Store(s.guest, s.shown)
	}
	for _, a := range []netip.Addr{s.guest, s.guestIPv6} {
		if a.IsValid() {
			n.byAddr[a] = m
		}
	}
	if !s.private.IsValid() {
		return nil
	}
	segment := n.lans[s.vpc]
	if segment == nil {
		segment = &lan{byMAC: map[mac]*machine{}, byAddr: map[netip.Addr]*machine{}}
		n.lans[s.vpc] = segment
	}
	segment.byMAC[s.privateMAC], segment.byAddr[s.private] = m, m
	return nil
}

func (n *Network) withdraw(m *machine) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forget(m)
	delete(n.machines, m.id)
}

// forget removes a machine from every index of addresses.
func (n *Network) forget(m *machine) {
	forget(n.byAddr, m)
	for vpc, segment := range n.lans {
		forget(segment.byMAC, m)
		forget(segment.byAddr, m)
		if len(segment.byMAC) == 0 {
			delete(n.lans, vpc)
		}
	}
}

func forget[K comparable](index map[K]*machine, m *machine) {
	for key, one := range index {
		if one == m {
			delete(index, key)
		}
	}
}

// keyed is a lock for each name.
type keyed struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	sync.Mutex
	users int
}

// lock waits for a name and returns what gives it back.
func (k *keyed) lock(name string) func() {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*keyedLock{}
	}
	l := k.locks[name]
	if l == nil {
		l = &keyedLock{}
		k.locks[name] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, name)
		}
	}
}

package usernet

import (
	"net/http"
	"net/netip"
	"sync/atomic"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// machine is a plugged machine.
type machine struct {
	net      *Network
	id       string
	dir      string
	state    atomic.Pointer[state]
	flows    *flowTable
	sessions sessions
	forwards forwards
	// Links that the machine has not are nil, and so is the gateway of one that
	// has none.
	public, private *link
	gateway         *gateway
}

// state is what is known of a machine, which is replaced as a whole.
type state struct {
	rules                 *rules
	metadata              http.Handler
	publicMAC, privateMAC mac
	// shown is the public address that the cloud shows.
	shown netip.Addr
	// The guest's own addresses, not valid where it has none.
	guest, guestIPv6 netip.Addr
	lease            lease
	ipv6Gateway      netip.Addr
	private          netip.Addr
	privateGateway   netip.Addr
	vpc              string
	// What leads to the machine from this host.
	addresses []netip.Addr
}

// describe is the state that a network is asked for.
func (n *Network) describe(m vnet.Machine) (*state, error) {
	r, err := compile(m.Firewall)
	if err != nil {
		return nil, err
	}
	guest := n.Guest(m)
	s := &state{
		rules: r, metadata: m.Metadata,
		publicMAC: parseMAC(m.PublicMAC), privateMAC: parseMAC(m.PrivateMAC),
		guest: guest.Public.IPv4.Addr(), guestIPv6: guest.Public.IPv6.Addr(),
		lease:       lease{address: guest.Public.IPv4, gateway: gatewayIPv4},
		ipv6Gateway: guest.Public.IPv6Gateway,
		private:     guest.Private.IPv4.Addr(), privateGateway: guest.Private.IPv4Gateway,
		vpc: m.Network.VPC,
	}
	if m.Network.PublicIPv4 != "" && !s.guest.IsValid() {
		return nil, refusal("the public address %s leads to no machine without root: it is none of 127.0.0.0/8, or is kept for the network itself", m.Network.PublicIPv4)
	}
	if s.guest.IsValid() && s.publicMAC == (mac{}) || s.private.IsValid() && s.privateMAC == (mac{}) {
		return nil, refusal("machine %s has an address without a MAC address", m.ID)
	}
	if s.guest.IsValid() {
		s.shown, _ = netip.ParseAddr(m.Network.PublicIPv4) // which it follows from
	}
	for _, text := range []string{m.Network.PublicIPv4, m.Network.ReservedIPv4} {
		if address, err := netip.ParseAddr(text); err == nil && address.Is4() && s.guest.IsValid() {
			s.addresses = append(s.addresses, address)
		}
	}
	return s, nil
}

// newMachine makes the links of a machine.
func (n *Network) newMachine(m vnet.Machine, s *state) (*machine, error) {
	one := &machine{net: n, id: m.ID, dir: m.Dir, flows: newFlowTable(n.alias)}
	one.forwards.m = one
	one.state.Store(s)
	one.flows.setRules(s.rules)
	if s.guest.IsValid() || s.private.IsValid() {
		one.gateway = newGateway(one, !s.guest.IsValid())
	}
	var err error
	if s.guest.IsValid() {
		one.public, err = openLink(m.Dir, "public", one.fromPublic)
	}
	if err == nil && s.private.IsValid() {
		one.private, err = openLink(m.Dir, "private", one.fromPrivate)
	}
	if err != nil {
		one.close()
		return nil, err
	}
	for _, l := range []*link{one.public, one.private} {
		if l != nil {
			l.start()
		}
	}
	return one, nil
}

// intact says whether a machine's links are those that a state needs.
func (m *machine) intact(dir string, s *state) bool {
	return m.dir == dir &&
		(m.public != nil) == s.guest.IsValid() && (m.public == nil || m.public.intact(dir)) &&
		(m.private != nil) == s.private.IsValid() && (m.private == nil || m.private.intact(dir))
}

// apply makes a state hold, and ends what it does not let pass any more.
func (m *machine) apply(s *state) error {
	m.state.Store(s)
	m.flows.setRules(s.rules)
	m.sessions.end(func(one *session) bool { return m.allows(s.rules, one) })
	return m.forwards.set(s)
}

// allows says whether rules let a session be.
func (m *machine) allows(r *rules, s *session) bool {
	if s.inbound {
		return r.allowInbound(s.proto, s.port, s.peer)
	}
	return s.peer == gatewayIPv4 || r.allowOutbound(s.proto, s.port, s.peer)
}

// close ends what runs for the machine here.
func (m *machine) close() {
	m.forwards.close()
	// Nothing may come in any more before the gateway goes.
	if m.public != nil {
		m.public.close()
	}
	if m.private != nil {
		m.private.close()
	}
	if m.gateway != nil {
		m.gateway.end()
	}
	m.sessions.close()
	if m.gateway != nil {
		m.gateway.close()
	}
}

// remove removes the machine's sockets.
func (m *machine) remove() {
	for _, l := range []*link{m.public, m.private} {
		if l != nil {
			l.remove()
		}
	}
}

func (m *machine) serveMetadata(w http.ResponseWriter, r *http.Request) {
	if h := m.state.Load().metadata; h != nil {
		h.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

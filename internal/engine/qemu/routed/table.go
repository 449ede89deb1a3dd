//go:build linux

package routed

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The tables: one for what is forwarded and what the host itself gets, one for
// the frames of each link. What is the same for all machines is written when
// Cistern starts; what belongs to one machine is in chains of its own, which
// maps lead to by the link's name. So one machine's rules are replaced without
// the others', and those of machines that ran before a restart stay in force
// until they are told anew.
var (
	inet   = &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}
	netdev = &nftables.Table{Name: tableName, Family: nftables.TableFamilyNetdev}
)

func verdicts(name string) *nftables.Set {
	return &nftables.Set{Table: inet, Name: name, IsMap: true, KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian, DataType: nftables.TypeVerdict}
}

func addresses(name string, of nftables.SetDatatype) *nftables.Set {
	return &nftables.Set{Table: inet, Name: name, IsMap: true, KeyType: of, DataType: of}
}

func links(name string) *nftables.Set {
	return &nftables.Set{Table: inet, Name: name, KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}
}

// sets are the maps and sets that have something of each machine. They have
// numbers only within one transaction, so each makes them anew.
type sets struct {
	zone, sent, received, reserved4, reserved6, hairpin *nftables.Set
}

func newSets() sets {
	return sets{
		zone: verdicts("zone"), sent: verdicts("sent"), received: verdicts("received"),
		reserved4: addresses("reserved4", nftables.TypeIPAddr), reserved6: addresses("reserved6", nftables.TypeIP6Addr),
		hairpin: &nftables.Set{
			Table: inet, Name: "hairpin", Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIFName),
		},
	}
}

func (s sets) list() []*nftables.Set {
	return []*nftables.Set{s.zone, s.sent, s.received, s.reserved4, s.reserved6, s.hairpin}
}

// chain is a chain with all of its rules.
type chain struct {
	nftables.Chain
	rules [][]expr.Any
}

func plain(name string, rules ...[]expr.Any) chain {
	return chain{Chain: nftables.Chain{Table: inet, Name: name}, rules: rules}
}

func hooked(name string, kind nftables.ChainType, hook *nftables.ChainHook, at *nftables.ChainPriority, rules ...[]expr.Any) chain {
	policy := nftables.ChainPolicyAccept
	c := plain(name, rules...)
	c.Type, c.Hooknum, c.Priority, c.Policy = kind, hook, at, &policy
	return c
}

const icmp6 = unix.IPPROTO_ICMPV6

// Kinds of ICMPv6 that hosts on a link need to find each other.
const (
	routerSolicit   = 133
	neighborSolicit = 135
	neighborAdvert  = 136
	listenerReport  = 143
)

// base are the chains that are the same for all machines. The chains that a
// hook leads to let everything else of the host's pass.
func (n *Network) base(s sets) []chain {
	return []chain{
		hooked("track", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw,
			// Guests may share link-local addresses, so their connections to the
			// metadata would be taken for each other's.
			all(fromGuests(), v4, destination.is(metadataAddr), notrack, accept),
			all(fromGuests(), v4, dhcp(destination), notrack, accept),
			all(byLink(expr.MetaKeyIIFNAME, s.zone)),
		),
		// The metadata are served at another port, as whoever listens at port 80 of
		// all addresses of the host would keep us from it, or we them.
		hooked("metadata", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityMangle,
			all(fromGuests(), v4, destination.is(metadataAddr), tcp(destination, 80), deliver(metadataAddr, metadataPort))),
		hooked("track_own", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityRaw,
			all(toGuests(), v4, source.is(metadataAddr), notrack),
			all(toGuests(), v4, dhcp(source), notrack),
		),
		hooked("input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter,
			all(fromGuests(), goingTo("host"))),
		plain("host", n.hostRules()...),
		hooked("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter, n.forwardRules()...),
		// Guests reach each other and what is behind the uplink. Other networks of
		// the host, such as those of containers, are services of the host.
		plain("machines",
			all(established, accept),
			all(invalid, drop),
			all(fromGuests(), notToGuests(), notTo(n.uplink), drop),
			all(fromGuests(), jump("by_sender")),
			all(toGuests(), jump("by_receiver")),
			all(accept),
		),
		// A machine's chain goes back to where by_sender was jumped to from, or
		// drops. Links that no machine is known of send and get nothing.
		plain("by_sender", all(byLink(expr.MetaKeyIIFNAME, s.sent)), all(drop)),
		plain("by_receiver", all(byLink(expr.MetaKeyOIFNAME, s.received)), all(drop)),
		hooked("output", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter,
			all(toGuests(), goingTo("from_host"))),
		plain("from_host",
			all(established, accept),
			all(untracked, accept),
			all(v6, icmpType(icmp6, neighborSolicit), accept),
			all(v6, icmpType(icmp6, neighborAdvert), accept),
			all(v6, icmpType(icmp6, listenerReport), accept),
			all(goingTo("by_receiver")),
		),
		hooked("reserved", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest,
			all(v4, translate(true, s.reserved4)), all(v6, translate(false, s.reserved6))),
		hooked("reserved_own", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest,
			all(v4, translate(true, s.reserved4)), all(v6, translate(false, s.reserved6))),
		hooked("leaving", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, n.leaving(s)...),
	}
}

// hostRules are what guests may ask of the host, at any of its addresses. Only
// our own listener is transparent, so that no other takes its place while this
// process is down.
func (n *Network) hostRules() [][]expr.Any {
	transparent := term{&expr.Socket{Key: expr.SocketKeyTransparent, Register: 1}, equal([]byte{1})}
	rules := [][]expr.Any{
		all(established, accept),
		all(v4, destination.is(metadataAddr), tcp(destination, 80), transparent, accept),
		all(v4, dhcp(destination), accept),
		all(v4, icmpType(unix.IPPROTO_ICMP, 8), accept),
	}
	for _, kind := range []byte{128, routerSolicit, neighborSolicit, neighborAdvert} { // 128 is an echo request
		rules = append(rules, all(v6, icmpType(icmp6, kind), accept))
	}
	return append(rules, all(drop))
}

// forwardRules lead what is a guest's to its rules. Where the host was no router
// before, it is one for guests alone.
func (n *Network) forwardRules() [][]expr.Any {
	rules := [][]expr.Any{all(fromGuests(), goingTo("machines")), all(toGuests(), goingTo("machines"))}
	if n.opened4 {
		rules = append(rules, all(v4, from(n.uplink), drop))
	}
	if n.opened6 {
		rules = append(rules, all(v6, from(n.uplink), drop))
	}
	return rules
}

// leaving translates sources: of what a machine sends to its own reserved IP,
// and of private addresses on their way to the world.
func (n *Network) leaving(s sets) [][]expr.Any {
	rules := [][]expr.Any{all(term{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 2},
		&expr.Lookup{SourceRegister: 1, SetName: s.hairpin.Name, SetID: s.hairpin.ID},
	}, masquerade)}
	for _, private := range n.options.translated() {
		rules = append(rules, all(fromGuests(), to(n.uplink), of(private.Addr()), source.in(private), masquerade))
	}
	return rules
}

// write replaces chains with all their rules.
func write(c *nftables.Conn, chains []chain) {
	for i := range chains {
		c.AddChain(&chains[i].Chain)
		c.FlushChain(&chains[i].Chain)
	}
	for i := range chains {
		for _, rule := range chains[i].rules {
			c.AddRule(&nftables.Rule{Table: chains[i].Table, Chain: &chains[i].Chain, Exprs: rule})
		}
	}
}

// dial returns a connection to nftables with room for a transaction of a machine
// with the largest firewall, and for the kernel's answers to it.
func dial() (*nftables.Conn, error) {
	const room = 8 << 20
	return nftables.New(nftables.WithSockOptions(func(c *netlink.Conn) error {
		return errors.Join(c.SetWriteBuffer(room), c.SetReadBuffer(room))
	}))
}

// begin starts a transaction in which the tables and what they always have are
// there.
func begin() (*nftables.Conn, sets, error) {
	c, err := dial()
	if err != nil {
		return nil, sets{}, err
	}
	c.AddTable(inet)
	c.AddTable(netdev)
	s := newSets()
	for _, set := range s.list() {
		if err := c.AddSet(set, nil); err != nil {
			return nil, sets{}, err
		}
	}
	return c, s, nil
}

// writeBase writes what is the same for all machines, with the record of what
// was changed on the host. The elements of the maps stay.
func (n *Network) writeBase() error {
	c, s, err := begin()
	if err != nil {
		return err
	}
	for _, record := range []struct {
		of     forwarding
		opened bool
	}{{forwarding4, n.opened4}, {forwarding6, n.opened6}} {
		set := links(record.of.record)
		if err := c.AddSet(set, nil); err != nil {
			return err
		}
		if record.opened {
			if err := c.SetAddElements(set, []nftables.SetElement{{Key: named(n.uplink)}}); err != nil {
				return err
			}
		}
	}
	write(c, n.base(s))
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

// standing reports whether our tables are there, both of them.
func standing() (bool, error) {
	c, err := dial()
	if err != nil {
		return false, err
	}
	for _, table := range []*nftables.Table{inet, netdev} {
		tables, err := c.ListTablesOfFamily(table.Family)
		if err != nil {
			return false, fmt.Errorf("nftables: %w", err)
		}
		if !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == tableName }) {
			return false, nil
		}
	}
	return true, nil
}

// recorded are the links whose forwarding was off before us.
func recorded(f forwarding) (names []string, err error) {
	rules, err := rulesOf("")
	if err != nil {
		return nil, err
	}
	for _, r := range rules {
		if r.Priority == f.priority {
			names = append(names, r.IifName)
		}
	}
	there, err := standing()
	if err != nil || !there {
		return names, err
	}
	c, err := dial()
	if err != nil {
		return nil, err
	}
	elements, err := c.GetSetElements(links(f.record))
	for _, e := range elements {
		if name := string(bytes.TrimRight(e.Key, "\x00")); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, err
}

//go:build linux

package routed

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// allowance is a rule of a firewall as it is kept.
type allowance struct {
	protocol    string
	first, last uint16 // ports; 0 to 65535 is all of them
	v4, v6      []span
}

// span is a range of addresses, both ends included.
type span struct{ first, last netip.Addr }

func parseRule(r engine.FirewallRule) (a allowance, err error) {
	a = allowance{protocol: r.Protocol, last: 65535}
	if !slices.Contains([]string{"tcp", "udp", "icmp"}, r.Protocol) {
		return a, &engine.Error{Message: fmt.Sprintf("a firewall rule cannot be about protocol %q; it is about tcp, udp or icmp", r.Protocol)}
	}
	if r.Protocol != "icmp" && r.Ports != "0" {
		if a.first, a.last, err = parsePorts(r.Ports); err != nil {
			return a, err
		}
	}
	for _, text := range r.Addresses {
		s, err := parseSpan(text)
		if err != nil {
			return a, err
		}
		if s.first.Is4() {
			a.v4 = append(a.v4, s)
		} else {
			a.v6 = append(a.v6, s)
		}
	}
	a.v4, a.v6 = merged(a.v4), merged(a.v6)
	return a, nil
}

func parsePorts(text string) (first, last uint16, err error) {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	a, err1 := strconv.ParseUint(low, 10, 16)
	b, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil || a > b {
		return 0, 0, &engine.Error{Message: fmt.Sprintf("%q is neither a port nor a range of ports", text)}
	}
	return uint16(a), uint16(b), nil
}

func parseSpan(text string) (span, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return span{addr.Unmap(), addr.Unmap()}, nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return span{}, &engine.Error{Message: fmt.Sprintf("%q is neither an address nor a range of addresses", text)}
	}
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	prefix = prefix.Masked()
	last := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	end, _ := netip.AddrFromSlice(last)
	return span{prefix.Addr(), end}, nil
}

// merged are spans of one family that neither overlap nor touch, in order: the
// kernel takes no others.
func merged(list []span) []span {
	slices.SortFunc(list, func(a, b span) int { return a.first.Compare(b.first) })
	var out []span
	for _, s := range list {
		if len(out) > 0 {
			prev := &out[len(out)-1]
			if after := prev.last.Next(); !after.IsValid() || s.first.Compare(after) <= 0 {
				if s.last.Compare(prev.last) > 0 {
					prev.last = s.last
				}
				continue
			}
		}
		out = append(out, s)
	}
	return out
}

// everything reports whether spans are all addresses of their family.
func everything(list []span) bool {
	return len(list) == 1 && list[0].first.IsUnspecified() && !list[0].last.Next().IsValid()
}

// spansInRule is how many spans go into one rule: a message of the kernel's has
// no room for many more.
const spansInRule = 400

// allow returns the rules that an allowance is, with the given side being the
// other end, each ending in going back to where the chain was jumped to from.
func allow(c *nftables.Conn, a allowance, peer side) ([][]expr.Any, error) {
	var rules [][]expr.Any
	for _, family := range []struct {
		spans []span
		is4   bool
	}{{a.v4, true}, {a.v6, false}} {
		if len(family.spans) == 0 {
			continue
		}
		what := a.traffic(family.is4)
		if everything(family.spans) {
			rules = append(rules, all(what, back))
			continue
		}
		for chunk := range slices.Chunk(family.spans, spansInRule) {
			set, err := spanSet(c, chunk, family.is4)
			if err != nil {
				return nil, err
			}
			rules = append(rules, all(what, peer.inSet(family.is4, set), back))
		}
	}
	return rules, nil
}

// traffic is what an allowance is about, in one family.
func (a allowance) traffic(is4 bool) term {
	family, icmp := v4, byte(unix.IPPROTO_ICMP)
	if !is4 {
		family, icmp = v6, icmp6
	}
	switch a.protocol {
	case "icmp":
		return slices.Concat(family, protocolIs(icmp))
	case "tcp":
		return slices.Concat(family, protocolIs(unix.IPPROTO_TCP), a.ports())
	default:
		return slices.Concat(family, protocolIs(unix.IPPROTO_UDP), a.ports())
	}
}

func (a allowance) ports() term {
	if a.first == 0 && a.last == 65535 {
		return nil
	}
	return destination.ports(a.first, a.last)
}

func spanSet(c *nftables.Conn, spans []span, is4 bool) (*nftables.Set, error) {
	kind := nftables.TypeIP6Addr
	if is4 {
		kind = nftables.TypeIPAddr
	}
	set := &nftables.Set{Table: inet, Anonymous: true, Constant: true, Interval: true, KeyType: kind}
	var elements []nftables.SetElement
	for _, s := range spans {
		elements = append(elements, nftables.SetElement{Key: s.first.AsSlice()})
		if end := s.last.Next(); end.IsValid() { // else it goes on to the last address
			elements = append(elements, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	return set, c.AddSet(set, elements)
}

// firewall are the rules of one direction of a firewall. Without one, or where a
// rule allows it, a packet goes back to where the chain was jumped to from.
func firewall(c *nftables.Conn, on bool, rules []engine.FirewallRule, peer side) ([][]expr.Any, error) {
	if !on {
		return nil, nil
	}
	var list [][]expr.Any
	for _, r := range rules {
		a, err := parseRule(r)
		if err != nil {
			return nil, err
		}
		allowed, err := allow(c, a, peer)
		if err != nil {
			return nil, err
		}
		list = append(list, allowed...)
	}
	return append(list, all(drop)), nil
}

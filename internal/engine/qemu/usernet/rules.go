package usernet

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// rules are a machine's firewall in a form that packets are held against. Nil
// lets everything pass.
type rules struct {
	inbound, outbound []rule
}

// rule lets traffic pass from or to some addresses.
type rule struct {
	proto    uint8
	from, to uint16 // ports, all of them from 0 to 65535; unused by ICMP
	prefixes []netip.Prefix
}

// compile reads a firewall. What it cannot read is refused for good.
func compile(f engine.Firewall) (*rules, error) {
	if !f.On {
		return nil, nil
	}
	var r rules
	for _, direction := range []struct {
		from []engine.FirewallRule
		to   *[]rule
	}{{f.Inbound, &r.inbound}, {f.Outbound, &r.outbound}} {
		for _, described := range direction.from {
			one, err := compileRule(described)
			if err != nil {
				return nil, err
			}
			*direction.to = append(*direction.to, one)
		}
	}
	return &r, nil
}

func compileRule(described engine.FirewallRule) (r rule, err error) {
	switch described.Protocol {
	case "tcp":
		r.proto = protoTCP
	case "udp":
		r.proto = protoUDP
	case "icmp":
		r.proto = protoICMP
	default:
		return r, refusal("a firewall rule can be for tcp, udp or icmp, not %q", described.Protocol)
	}
	if r.proto != protoICMP {
		if r.from, r.to, err = parsePorts(described.Ports); err != nil {
			return r, err
		}
	}
	for _, text := range described.Addresses {
		prefix, err := parsePrefix(text)
		if err != nil {
			return r, refusal("a firewall rule has the address %q; an IP address or a range such as 192.0.2.0/24 would be right", text)
		}
		r.prefixes = append(r.prefixes, prefix)
	}
	return r, nil
}

// parsePorts reads one port, a range, or "0" and nothing for all.
func parsePorts(text string) (from, to uint16, err error) {
	if text == "" || text == "0" || text == "all" {
		return 0, 65535, nil
	}
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	low, err1 := strconv.ParseUint(first, 10, 16)
	high, err2 := strconv.ParseUint(last, 10, 16)
	if err1 != nil || err2 != nil || high < low {
		return 0, 0, refusal("a firewall rule has the ports %q; a port, a range such as 8000-9000, or 0 for all would be right", text)
	}
	return uint16(low), uint16(high), nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		prefix, err := netip.ParsePrefix(text)
		return prefix.Masked(), err
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	address = address.Unmap()
	return netip.PrefixFrom(address, address.BitLen()), nil
}

// refusal is a failure that no repetition mends.
func refusal(format string, values ...any) error {
	return &engine.Error{Message: fmt.Sprintf(format, values...)}
}

// allow says whether rules let traffic of a protocol pass to or from a port.
// The peer has several addresses where it has one name for the cloud and
// another in here; a rule may use either.
func allow(list []rule, proto uint8, port uint16, peer ...netip.Addr) bool {
	if proto == protoICMPv6 {
		proto = protoICMP
	}
	return slices.ContainsFunc(list, func(r rule) bool {
		return r.proto == proto && (proto == protoICMP || r.from <= port && port <= r.to) && r.covers(peer)
	})
}

func (r rule) covers(peer []netip.Addr) bool {
	return slices.ContainsFunc(peer, func(a netip.Addr) bool {
		return a.IsValid() && slices.ContainsFunc(r.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

// all says whether the rule is for every port.
func (r rule) all() bool { return r.from <= 1 && r.to == 65535 }

func (r *rules) allowInbound(proto uint8, port uint16, peer ...netip.Addr) bool {
	return r == nil || allow(r.inbound, proto, port, peer...)
}

func (r *rules) allowOutbound(proto uint8, port uint16, peer ...netip.Addr) bool {
	return r == nil || allow(r.outbound, proto, port, peer...)
}

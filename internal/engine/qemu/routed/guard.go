//go:build linux

package routed

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// guard is the chain that every frame of a link passes first. Only what bears
// the machine's own addresses gets in; of a guest that has none yet, what it
// needs to get one.
func guard(p port) chain {
	policy := nftables.ChainPolicyDrop
	c := chain{Chain: nftables.Chain{
		Table: netdev, Name: p.link, Device: p.link, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityRaw, Policy: &policy,
	}}
	c.rules = append(c.rules, all(term{payload(expr.PayloadBaseLLHeader, 6, 6), unequal(p.mac)}, drop))
	c.rules = append(c.rules, guardARP(p)...)
	c.rules = append(c.rules, guard4(p)...)
	c.rules = append(c.rules, guard6(p)...)
	return c
}

func guardARP(p port) [][]expr.Any {
	const senderMAC, senderAddr = 8, 14
	network := expr.PayloadBaseNetworkHeader
	arp := term{}
	arp = append(arp, carrying(unix.ETH_P_ARP)...)
	arp = append(arp, at(network, 0, []byte{0, 1, 8, 0, 6, 4})...) // Ethernet and IPv4
	arp = append(arp, at(network, senderMAC, p.mac)...)
	rules := [][]expr.Any{all(arp, at(network, senderAddr, []byte{0, 0, 0, 0}), accept)} // asks whether an address is free
	if p.ipv4.IsValid() {
		rules = append(rules, all(arp, at(network, senderAddr, p.ipv4.Addr().AsSlice()), accept))
	}
	mask := []byte{255, 255, 0, 0}
	return append(rules,
		all(arp, at(network, senderAddr, metadataAddr.AsSlice()), drop),
		all(arp, term{
			payload(network, senderAddr, 4),
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
			equal(linkLocal.Addr().AsSlice()),
		}, accept))
}

func guard4(p port) [][]expr.Any {
	ip := carrying(unix.ETH_P_IP)
	rules := [][]expr.Any{all(ip, source.is(netip.IPv4Unspecified()), dhcp(destination), accept)}
	if p.ipv4.IsValid() {
		rules = append(rules, all(ip, source.is(p.ipv4.Addr()), accept))
	}
	return append(rules,
		all(ip, source.is(metadataAddr), drop),
		all(ip, source.in(linkLocal), destination.is(metadataAddr), tcp(destination, 80), accept))
}

func guard6(p port) [][]expr.Any {
	if !p.ipv6.IsValid() {
		return nil
	}
	ip := carrying(unix.ETH_P_IPV6)
	return [][]expr.Any{
		all(ip, source.is(p.ipv6), accept),
		all(ip, source.is(netip.IPv6Unspecified()), icmpType(icmp6, neighborSolicit), accept),
		all(ip, source.is(gateway6), drop),
		all(ip, source.in(netip.MustParsePrefix("fe80::/10")), protocolIs(icmp6), accept),
	}
}

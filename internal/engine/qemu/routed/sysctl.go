//go:build linux

package routed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Where the kernel is told how it treats a link.
const (
	conf4  = "/proc/sys/net/ipv4/conf"
	neigh4 = "/proc/sys/net/ipv4/neigh"
	conf6  = "/proc/sys/net/ipv6/conf"
)

func readSetting(dir, link, name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, link, name))
	return strings.TrimSpace(string(text)), err
}

func writeSetting(dir, link, name, value string) error {
	if have, err := readSetting(dir, link, name); err == nil && have == value {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, link, name), []byte(value), 0o644); err != nil {
		return fmt.Errorf("setting %s of %s: %w", name, link, err)
	}
	return nil
}

// settings are those of a link that a guest is behind. The host answers for
// whatever else it has a route to, and believes nothing that the guest says
// about routes. Sources are checked where frames come in, so the check by the
// main routing table, which knows no private network, is off.
var settings = []struct{ dir, name, value string }{
	{conf4, "forwarding", "1"},
	{conf4, "proxy_arp", "1"},
	{neigh4, "proxy_delay", "0"},
	{conf4, "rp_filter", "0"},
	{conf4, "send_redirects", "0"},
	{conf4, "accept_redirects", "0"},
	{conf4, "accept_source_route", "0"},
	{conf4, "route_localnet", "0"},
	{conf6, "accept_ra", "0"},
	{conf6, "autoconf", "0"},
	{conf6, "accept_redirects", "0"},
	{conf6, "addr_gen_mode", "1"}, // no address of its own making
}

// setUpLink sets what the kernel does with a link's packets.
func setUpLink(link string, v6 bool) error {
	for _, s := range settings {
		err := writeSetting(s.dir, link, s.name, s.value)
		if errors.Is(err, fs.ErrNotExist) && s.dir == conf6 {
			continue // this kernel has no IPv6
		}
		if err != nil {
			return err
		}
	}
	if !v6 {
		err := writeSetting(conf6, link, "disable_ipv6", "1")
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := writeSetting(conf6, link, "disable_ipv6", "0"); err != nil {
		return err
	}
	return forward6(link)
}

// forward6 lets IPv6 be forwarded from a link. Old kernels forward everywhere
// or nowhere, which New has seen to.
func forward6(link string) error {
	if err := writeSetting(conf6, link, "forwarding", "1"); err != nil {
		return err
	}
	err := writeSetting(conf6, link, "force_forwarding", "1")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// forwarding is a setting that lets packets be forwarded which come in by the
// uplink. The record of which were off is kept in the kernel, so that it ends
// with the setting: beside the firewall's rules, and as a policy rule, as there
// are services of hosts that flush the one or the other when they restart.
type forwarding struct {
	dir, name, record string
	priority          int // of the policy rule
}

var (
	forwarding4 = forwarding{conf4, "forwarding", "uplink_forwarding", ruleForwarding4}
	forwarding6 = forwarding{conf6, "force_forwarding", "uplink_forwarding6", ruleForwarding6}
)

// note records that a link's forwarding was off.
func (f forwarding) note(link string) error {
	r := inward(link, f.priority, 0)
	r.Type = nl.FR_ACT_NOP
	if err := ignoring(netlink.RuleAdd(&r), unix.EEXIST); err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	return nil
}

// off reports whether a link does not forward what comes in by it. Where there
// is no such setting, an old kernel has one for all links, which is on.
func (f forwarding) off(link string) (bool, error) {
	value, err := readSetting(f.dir, link, f.name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return value == "0", err
}

// checkHost fails where a setting of the whole host is in the way, with the
// command that mends it.
func checkHost(uplink string, v6 bool) error {
	if all, err := readSetting(conf4, "all", "rp_filter"); err == nil && all == "1" {
		return &Unready{
			"the host drops what its main routing table would not answer by the same way (net.ipv4.conf.all.rp_filter is 1), " +
				"so that private networks cannot work", "sysctl -w net.ipv4.conf.all.rp_filter=2",
		}
	}
	if !v6 {
		return nil
	}
	all, err := readSetting(conf6, "all", "forwarding")
	if err != nil {
		return fmt.Errorf("there are pools of IPv6 addresses, but the host has no IPv6: %w", err)
	}
	if _, err := readSetting(conf6, uplink, forwarding6.name); err != nil && all == "0" {
		return &Unready{
			"there are pools of IPv6 addresses, but this kernel forwards IPv6 for all interfaces or for none",
			fmt.Sprintf("sysctl -w net.ipv6.conf.%s.accept_ra=2 net.ipv6.conf.all.forwarding=1", uplink),
		}
	}
	return nil
}

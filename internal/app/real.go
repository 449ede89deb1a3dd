package app

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/routed"
)

// Names of engines and networks, as the flags have them.
const (
	engineSim     = "sim"
	engineQEMU    = "qemu"
	networkUser   = "user"
	networkRouted = "routed"
)

// Real are the flags of engines with real machines.
type Real struct {
	// Network is "user" or "routed", and Accel "auto", "kvm" or "tcg".
	Network, Accel string
	// VMUser is who machines run as where the server is root.
	VMUser string
	// DiskOvercommit is how many times the disk that there is may be promised, such
	// as "1.5"; empty is once.
	DiskOvercommit string
	// VMUIDs are user IDs of which each machine has one to itself: FIRST-LAST, or
	// off; empty is the default.
	VMUIDs string
	// ImportAllow are networks that images may be fetched from although they are
	// not public.
	ImportAllow []string
	// RegionAliases are such as "nyc3=local1".
	RegionAliases []string
	// The pools of a routed network are CIDRs; Uplink is the interface that leads
	// to the world.
	PublicPool, ReservedPool, IPv6Pool, Uplink string
}

// The pools of networks where none are named. Those of a routed network are
// private addresses, which reach the world through the host's own.
var defaultPools = map[string][2]string{
	networkUser:   {"127.100.0.0/16", "127.101.0.0/16"},
	networkRouted: {"198.18.0.0/16", "198.19.0.0/16"},
}

// realSettings is a Real that was read and found good.
type realSettings struct {
	// public, reserved and ipv6 are the pools, and addresses the same for the
	// cloud.
	public, reserved, ipv6 netip.Prefix
	addresses              cloud.Addresses
	importAllow            []netip.Prefix
	aliases                []string
	vmUser                 *vmUser // nil leaves machines to whoever serves
	vmUIDs                 vmUIDs  // none leaves them all to vmUser
	diskOvercommit         float64
}

// given are the flags that only real machines take and that are not as they
// are by default.
func (r Real) given() string {
	for _, flag := range []struct {
		name string
		is   bool
	}{
		{"--network", r.Network != "" && r.Network != networkUser}, {"--accel", r.Accel != "" && r.Accel != "auto"},
		{"--vm-user", r.VMUser != ""}, {"--vm-uids", r.VMUIDs != ""}, {"--import-allow", len(r.ImportAllow) > 0}, {"--region-alias", len(r.RegionAliases) > 0},
		{"--public-pool", r.PublicPool != ""}, {"--reserved-pool", r.ReservedPool != ""}, {"--ipv6-pool", r.IPv6Pool != ""},
		{"--uplink", r.Uplink != ""}, {"--disk-overcommit", r.DiskOvercommit != "" && r.DiskOvercommit != "1"},
	} {
		if flag.is {
			return flag.name
		}
	}
	return ""
}

// checkEngine refuses an engine that there is not, and flags of another one.
func (c Config) checkEngine(root bool) (r realSettings, err error) {
	switch c.Engine {
	case engineSim:
		if flag := c.given(); flag != "" {
			return r, fmt.Errorf("%s is for --engine qemu; simulated machines have none of that", flag)
		}
		return r, nil
	case engineQEMU:
	default:
		return r, fmt.Errorf("--engine %s: use sim or qemu", c.Engine)
	}
	switch {
	case c.Ephemeral:
		return r, errors.New("--engine qemu keeps machines, which --ephemeral would forget; use --data FOLDER")
	case c.Database != "":
		return r, errors.New("--engine qemu keeps machines in a folder of this host, and their state has to be beside them; use --data FOLDER in place of --database")
	case c.Catalog != "":
		return r, errors.New("--catalog is for --engine sim; with real machines the catalogue is what fits this host, and the images that are there")
	case c.SimLatency != "" && c.SimLatency != "0":
		return r, errors.New("--sim-latency is for --engine sim; real machines take the time that they take")
	}
	if r, err = c.Real.check(root); err != nil {
		return r, err
	}
	return r, r.vmUser.reaches(c.Data)
}

func (r Real) check(root bool) (s realSettings, err error) {
	if r.Accel != "auto" && r.Accel != host.KVM && r.Accel != host.TCG {
		return s, fmt.Errorf("--accel %s: use auto, kvm or tcg", r.Accel)
	}
	if s.diskOvercommit, err = parseOvercommit(r.DiskOvercommit); err != nil {
		return s, err
	}
	if err := s.readPools(r, root); err != nil {
		return s, err
	}
	for _, text := range r.RegionAliases {
		alias, err := cloud.ParseRegionAlias(text)
		if err != nil {
			return s, fmt.Errorf("--region-alias %w", err)
		}
		s.aliases = append(s.aliases, alias)
	}
	if s.importAllow, err = parseAllowed(r.ImportAllow); err != nil {
		return s, err
	}
	if s.vmUser, err = findVMUser(r.VMUser, root); err != nil {
		return s, err
	}
	s.vmUIDs, err = findVMUIDs(r.VMUIDs, root)
	return s, err
}

func parseOvercommit(text string) (float64, error) {
	if text == "" {
		return 1, nil
	}
	factor, err := strconv.ParseFloat(text, 64)
	if err != nil || !(factor >= 1 && factor <= 1000) { // which not a number is not either
		return 0, fmt.Errorf("--disk-overcommit %s: use a factor from 1, which promises no more than there is, to 1000", text)
	}
	return factor, nil
}

// readPools reads where addresses come from.
func (s *realSettings) readPools(r Real, root bool) (err error) {
	defaults, known := defaultPools[r.Network]
	routedFlags := Real{IPv6Pool: r.IPv6Pool, Uplink: r.Uplink}.given()
	switch {
	case !known:
		return fmt.Errorf("--network %s: use user or routed", r.Network)
	case r.Network == networkUser && routedFlags != "":
		return fmt.Errorf("%s is for --network routed; use that as root, or leave %s out", routedFlags, routedFlags)
	case r.Network == networkRouted && !root:
		return errors.New("--network routed makes links and routes, which takes root; run cistern as root, or use --network user")
	}
	if s.public, s.addresses.Droplets, err = readPool("--public-pool", r.PublicPool, defaults[0]); err != nil {
		return err
	}
	if s.reserved, s.addresses.Reserved, err = readPool("--reserved-pool", r.ReservedPool, defaults[1]); err != nil {
		return err
	}
	for i, pool := range []struct {
		flag    string
		network netip.Prefix
	}{{"--public-pool", s.public}, {"--reserved-pool", s.reserved}} {
		if r.Network == networkUser && !inLoopback(pool.network) {
			return fmt.Errorf("%s %s: with --network user, addresses are this host's own; use a part of 127.0.0.0/8 no larger than a /16, such as %s",
				pool.flag, pool.network, defaults[i])
		}
	}
	if s.addresses.Droplets.Overlaps(s.addresses.Reserved) {
		return fmt.Errorf("--public-pool %s and --reserved-pool %s have addresses in common", s.public, s.reserved)
	}
	if r.IPv6Pool == "" {
		return nil
	}
	if s.ipv6, err = netip.ParsePrefix(r.IPv6Pool); err == nil {
		s.addresses.IPv6, err = cloud.NewIPv6Pool(s.ipv6)
	}
	if err != nil {
		return fmt.Errorf("--ipv6-pool: %w; use a prefix such as 2001:db8:1::/48", err)
	}
	return nil
}

// inLoopback reports whether the network without root can have a range: every
// address of 127.0.0.0/8 is this host's, and guests see the last 16 bits of it.
func inLoopback(pool netip.Prefix) bool { return pool.Addr().IsLoopback() && pool.Bits() >= 16 }

func readPool(flag, text, otherwise string) (network netip.Prefix, pool cloud.Pool, err error) {
	if text == "" {
		text = otherwise
	}
	if network, err = netip.ParsePrefix(text); err == nil {
		pool, err = cloud.NewPool(network)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w; use a range such as %s", flag, err, otherwise)
	}
	return network, pool, err
}

// routed is what a routed network is made with.
func (s realSettings) routed(uplink string) routed.Options {
	o := routed.Options{Public: []netip.Prefix{s.public}, Reserved: []netip.Prefix{s.reserved}, Uplink: uplink}
	if s.ipv6.IsValid() {
		o.IPv6 = []netip.Prefix{s.ipv6}
	}
	return o
}

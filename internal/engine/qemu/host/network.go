package host

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// UnprivilegedPort is the lowest port that a process may listen on without
// being root.
func UnprivilegedPort() uint16 {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		return 1024 // where it cannot be set
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 16)
	if err != nil {
		return 1024
	}
	return uint16(n)
}

// CanListen fails if this process cannot listen on an address and port now.
func CanListen(ctx context.Context, at netip.AddrPort) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", at.String())
	if err != nil {
		return err
	}
	return l.Close()
}

// TunDevice is what links of machines are made with.
const TunDevice = "/dev/net/tun"

// CanTun fails if no links can be made with [TunDevice].
func CanTun() error {
	file, err := os.OpenFile(TunDevice, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

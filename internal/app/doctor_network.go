package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/routed"
)

// secondSSHPort is the first port that SSH gets where it cannot have 22.
const secondSSHPort = 2222

// network checks what machines are to be joined by.
func (d Doctor) network(ctx context.Context, real realSettings) []Check {
	if d.Network == networkRouted {
		uplink, err := routed.Ready(real.routed(d.Uplink))
		return []Check{d.checkRoot(host.Root()), checkTun(host.CanTun()), d.checkUplink(uplink, err)}
	}
	first := real.public.Masked().Addr().Next()
	return []Check{checkPorts(first, func(at netip.AddrPort) error { return host.CanListen(ctx, at) })}
}

// checkPorts looks at the ports of a Droplet's address for people.
func checkPorts(at netip.Addr, listen func(netip.AddrPort) error) Check {
	c := Check{Name: "network user"}
	ssh, other := listen(netip.AddrPortFrom(at, 22)), listen(netip.AddrPortFrom(at, 0))
	switch {
	case ssh == nil:
		c.State, c.Found = CheckOK, "port 22 can be listened on at "+at.String()
	case other != nil:
		c.State, c.Found = CheckProblem, fmt.Sprintf("nothing can be listened on at %s: %v", at, reasonOf(other))
		c.Fix = asRoot("ip link set lo up")
	case errors.Is(ssh, fs.ErrPermission):
		c.State, c.Found = CheckWarning, fmt.Sprintf("port 22 is root's (the lowest for others is %d); SSH gets a port from %d on", host.UnprivilegedPort(), secondSSHPort)
		c.Fix = asRoot("sysctl net.ipv4.ip_unprivileged_port_start=22")
	default:
		c.State, c.Found = CheckWarning, fmt.Sprintf("port 22 is taken at %s: %v; SSH gets a port from %d on", at, reasonOf(ssh), secondSSHPort)
		c.Fix = asRoot("ss -ltnp 'sport = :22'") + " # what listens on all addresses is to listen on one"
	}
	return c
}

func (d Doctor) checkRoot(root bool) Check {
	if !root {
		return Check{"network routed", CheckProblem, "it takes root to make links and rules", "sudo cistern serve --engine qemu --network routed"}
	}
	return Check{"network routed", CheckOK, "this is root, who makes links and rules", ""}
}

func checkTun(err error) Check {
	if err != nil {
		return Check{"tun", CheckProblem, err.Error(), asRoot("modprobe tun")}
	}
	return Check{"tun", CheckOK, host.TunDevice, ""}
}

// checkUplink looks at how machines would get to the world, and with which
// addresses.
func (d Doctor) checkUplink(name string, err error) Check {
	c := Check{Name: "uplink", State: CheckOK, Found: name + " has the default route; no pool has an address of this host"}
	if d.Uplink != "" {
		c.Found = "there is " + name + "; no pool has an address of this host"
	}
	if err == nil {
		return c
	}
	c.State, c.Found = CheckProblem, err.Error()
	if unready, is := errors.AsType[*routed.Unready](err); is {
		c.Found, c.Fix = unready.Why, asRoot(unready.Command)
	}
	return c
}

// reasonOf is the system's own word for what went wrong.
func reasonOf(err error) error {
	if e, is := errors.AsType[*os.SyscallError](err); is {
		return e.Err
	}
	return err
}

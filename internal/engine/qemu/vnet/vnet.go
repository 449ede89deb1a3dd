// Package vnet says what a network of virtual machines must do, whichever way
// it is made: the engine knows no more of it than this.
package vnet

import (
	"context"
	"net/http"
	"net/netip"
	"os"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// Network joins machines to each other and to the world. Every call may be
// repeated, and calls about different machines may come at once. What it needs
// to remember over a restart, it is told again: the engine plugs each machine
// that runs and makes each peering anew.
type Network interface {
	// Guest is the network as the machine's guest is to configure it. It differs
	// from what the cloud shows where addresses are translated on the way.
	Guest(m Machine) Guest
	// Plug makes the links of a machine whose process is about to start, or takes
	// over those of one that runs already, and returns its network devices in
	// the order in which the guest sees them: public first, where there is a
	// public address, then private.
	Plug(ctx context.Context, m Machine) ([]NIC, error)
	// Update makes the addresses and rules of a plugged machine what is described.
	// It fails with a Partly where it keeps not all of the rules.
	Update(ctx context.Context, m Machine) error
	// Unplug removes everything of a machine, whose process has ended.
	Unplug(ctx context.Context, id string) error
	// Check fails with a final engine.Error that says what of a firewall this
	// network cannot keep.
	Check(f engine.Firewall) error
	// Peer lets two private networks reach each other; Unpeer ends that.
	Peer(ctx context.Context, p engine.Peering) error
	Unpeer(ctx context.Context, id string) error
	// SSH is where port 22 of a plugged machine is reached from this host; it is
	// not valid where nothing leads there.
	SSH(id string) netip.AddrPort
	// Close ends what runs in this process. Machines run on.
	Close() error
}

// Machine is what a network needs to know of a machine.
type Machine struct {
	ID string
	// Dir is the machine's folder. The process runs in it, so that names of
	// sockets on its command line are relative to it.
	Dir                   string
	PublicMAC, PrivateMAC string
	Network               engine.Network
	Firewall              engine.Firewall
	// Metadata answers the machine's own requests to 169.254.169.254.
	Metadata http.Handler
}

// NIC is a network device for a process that is about to start.
type NIC struct {
	MAC string
	// Netdev is the value of QEMU's -netdev option without its id, such as
	// "dgram,local.type=unix,local.path=net0,remote.type=unix,remote.path=net0.peer".
	// Where File is not nil, "%d" in it stands for the number that the file has in
	// the process.
	Netdev string
	File   *os.File
}

// Guest is the network from a guest's point of view. Links that it has not are
// zero.
type Guest struct {
	Public, Private Link
	Nameservers     []netip.Addr
}

// Link is one network device as the guest configures it.
type Link struct {
	IPv4, IPv6               netip.Prefix // the address with its prefix length
	IPv4Gateway, IPv6Gateway netip.Addr
}

// Partly is why a network does not keep all of a machine's firewall, having done
// all else that it was told.
type Partly struct{ error }

// Unwrap is the reason.
func (p Partly) Unwrap() error { return p.error }

// KeptPartly is that for a reason, and nil for none.
func KeptPartly(reason error) error {
	if reason == nil {
		return nil
	}
	return Partly{reason}
}

// Package engine says what a hypervisor must do for the cloud, and nothing
// about how. It imports the standard library only.
//
// Every call starts or resumes keyed work and returns within a second: done,
// pending with progress, or an error. A pending call is repeated until it is
// done. Calls may be repeated after they were done and may arrive late, so
// every implementation keeps these rules (enginetest checks them):
//
//   - A call whose key is already done answers done again and changes nothing.
//   - Whatever is destroyed leaves a tombstone: creating it again under the
//     same ID is refused with ErrGone, so a late create cannot raise the dead.
//   - Destroying what is not there is done.
//   - Undoing a key (Work.Undo) makes later calls with that key fail with
//     ErrUndone, so a late attach cannot overtake its own undo.
package engine

import (
	"context"
	"errors"
	"time"
)

// Engine is a hypervisor.
type Engine interface {
	// Name is the engine's name on the command line, such as "sim".
	Name() string

	MachineEngine
	ImageEngine
	VolumeEngine
	PeeringEngine

	// Machine returns the state of a machine as the hypervisor sees it, or
	// ErrNotFound.
	Machine(ctx context.Context, id string) (MachineState, error)
}

// MachineEngine is what an Engine does with machines.
type MachineEngine interface {
	// CreateMachine makes a machine with its disk and network, not yet running.
	CreateMachine(ctx context.Context, w Work, m Machine) (Progress, error)
	StartMachine(ctx context.Context, w Work, machine Ref) (Progress, error)
	StopMachine(ctx context.Context, w Work, machine Ref, how Stop) (Progress, error)
	// ResetMachine restarts a running machine: at once when hard, else after
	// asking the guest. A machine that does not run is refused.
	ResetMachine(ctx context.Context, w Work, machine Ref, hard bool) (Progress, error)
	// ResizeMachine gives a stopped machine another shape. Its disk only grows,
	// except that taking the work back, with the shape that the machine had
	// before, makes it what it was: nothing has run on it meanwhile. A machine
	// that has the shape already is left alone.
	ResizeMachine(ctx context.Context, w Work, machine Ref, shape Shape) (Progress, error)
	// DestroyMachine removes a machine and its disk, running or not. Volumes
	// that are attached become free; they are never removed with it.
	DestroyMachine(ctx context.Context, w Work, machine Ref) (Progress, error)
	// ResetPassword has a machine's guest give root a new random password when
	// it starts next, and show it on the machine's console. Nobody else is told.
	ResetPassword(ctx context.Context, w Work, machine Ref) (Progress, error)
	// ApplyNetwork makes a machine's network what is described, whatever it was.
	ApplyNetwork(ctx context.Context, w Work, machine Ref, network Network) (Progress, error)
	// ApplyFirewall makes what may pass to and from a machine what is described,
	// whatever it was. A machine keeps the newest version that it was given: an
	// older one that comes late is done without effect.
	ApplyFirewall(ctx context.Context, w Work, machine Ref, firewall Firewall) (Progress, error)
}

// ImageEngine is what an Engine does with images.
type ImageEngine interface {
	// CopyImage copies a machine's disk into a new image; the machine may run.
	// When done, Progress.SizeGigabytes is the image's size.
	CopyImage(ctx context.Context, w Work, machine, image Ref) (Progress, error)
	// ReplaceImage puts a fresh copy of an image in place of a stopped machine's
	// disk. The former disk is kept aside for as long as a done key is known, or
	// until it is replaced again or destroyed, so that taking the work back puts
	// it back in place, whatever the machine has done since.
	ReplaceImage(ctx context.Context, w Work, machine Ref, image Image) (Progress, error)
	// ImportImage makes an image from what a URL leads to. When done,
	// Progress.SizeGigabytes is the image's size.
	ImportImage(ctx context.Context, w Work, image Import) (Progress, error)
	// TransferImage makes an image available in one more region.
	TransferImage(ctx context.Context, w Work, image Ref, region string) (Progress, error)
	// WithdrawImage takes an image out of a region. Where it is not, that is
	// done.
	WithdrawImage(ctx context.Context, w Work, image Ref, region string) (Progress, error)
	DeleteImage(ctx context.Context, w Work, image Ref) (Progress, error)
}

// VolumeEngine is what an Engine does with block storage volumes.
type VolumeEngine interface {
	CreateVolume(ctx context.Context, w Work, v Volume) (Progress, error)
	ResizeVolume(ctx context.Context, w Work, volume Ref, sizeGigabytes int64) (Progress, error)
	// DeleteVolume removes a volume that is attached nowhere.
	DeleteVolume(ctx context.Context, w Work, volume Ref) (Progress, error)
	AttachVolume(ctx context.Context, w Work, volume, machine Ref) (Progress, error)
	// DetachVolume takes a volume off a machine. One that is not attached there
	// is done.
	DetachVolume(ctx context.Context, w Work, volume, machine Ref) (Progress, error)
	// SnapshotVolume copies a volume at one point in time. When done,
	// Progress.SizeGigabytes is the size of what was copied.
	SnapshotVolume(ctx context.Context, w Work, volume, snapshot Ref) (Progress, error)
	DeleteVolumeSnapshot(ctx context.Context, w Work, snapshot Ref) (Progress, error)
}

// PeeringEngine is what an Engine does with private networks that are joined.
type PeeringEngine interface {
	// CreatePeering lets the machines of two private networks reach each other.
	CreatePeering(ctx context.Context, w Work, p Peering) (Progress, error)
	DeletePeering(ctx context.Context, w Work, peering Ref) (Progress, error)
}

// Ref names a thing of an account's. ID is unique for ever; Name is what its
// owner calls it, for labels and messages.
type Ref struct {
	Account int64
	ID      string
	Name    string
}

// Work identifies one piece of work of one durable operation.
type Work struct {
	// Key is the same each time the same piece of work is asked for, and
	// different for every other piece.
	Key string
	// Undo says that this call takes back what Key did or might still do.
	Undo bool
}

// Progress is how far a piece of work is.
type Progress struct {
	Done    bool
	Percent int
	// After is how long to wait before asking again, when not done.
	After time.Duration
	// SizeGigabytes is the size of a finished copy.
	SizeGigabytes float64
	// Host names the physical host that a machine was created on or is started
	// on.
	Host string
}

// Shape is a machine's size. Memory is in MiB, Disk in GiB. Operations store
// shapes, so the names in JSON stay the same.
type Shape struct {
	VCPUs  int64 `json:"vcpus"`
	Memory int64 `json:"memory"`
	Disk   int64 `json:"disk"`
}

// Image is what a machine's disk is made from. Base images belong to the
// catalogue and are known to the engine by Slug; others by Ref.ID.
type Image struct {
	Ref
	Slug string
	Base bool
}

// Import is what ImportImage makes.
type Import struct {
	Ref
	URL    string
	Region string
}

// Network is the whole network of a machine. Addresses are text; empty means
// none. Prefixes are lengths in bits.
type Network struct {
	VPC            string
	PrivateIPv4    string
	PrivatePrefix  int
	PrivateGateway string
	PublicIPv4     string
	PublicPrefix   int
	PublicGateway  string
	PublicIPv6     string
	IPv6Prefix     int
	IPv6Gateway    string
	// ReservedIPv4 is the reserved IP that is routed to the machine.
	ReservedIPv4 string
	// ReservedIPv6 is the reserved IPv6 address that is.
	ReservedIPv6 string
}

// Firewall is all that may pass to and from a machine. The zero value lets
// everything pass.
type Firewall struct {
	// Version rises with every change of one machine's.
	Version int64
	// On says that only what a rule allows passes.
	On                bool
	Inbound, Outbound []FirewallRule
}

// FirewallRule lets traffic pass from or to some addresses.
type FirewallRule struct {
	Protocol string // tcp, udp or icmp
	// Ports is one port, or a range such as "8000-9000", or "0" for all.
	Ports string
	// Addresses are IPv4 and IPv6 addresses and ranges. With none, nothing
	// passes by this rule.
	Addresses []string
}

// Machine is what CreateMachine makes.
type Machine struct {
	Ref
	Shape
	Region     string
	Image      Image
	Network    Network
	Firewall   Firewall
	PublicKeys []string
	UserData   string
}

// Volume is what CreateVolume makes.
type Volume struct {
	Ref
	Region          string
	SizeGigabytes   int64
	FilesystemType  string
	FilesystemLabel string
	// Snapshot is the volume snapshot to fill it from; its ID is empty for an
	// empty volume.
	Snapshot Ref
}

// Peering is what CreatePeering makes. Ranges are those of the VPCs, in the same
// order.
type Peering struct {
	Ref
	VPCs   [2]string
	Ranges [2]string
}

// Stop says how a machine is stopped: the guest is asked and given Grace to
// obey; if it has not, Force pulls the plug, else the machine runs on.
type Stop struct {
	Grace time.Duration
	Force bool
}

// MachineState is what runs, as the hypervisor sees it.
type MachineState struct {
	Running bool
	Host    string
}

// Error is a failure that the hypervisor explains. It is final unless it is
// Transient. Any other error of an engine call is worth another try.
type Error struct {
	Message   string
	Transient bool
}

func (e *Error) Error() string { return e.Message }

// Errors that every engine reports the same way.
var (
	ErrNotFound = &Error{Message: "no such machine, image or volume"}
	ErrGone     = &Error{Message: "it was destroyed and cannot come back under the same ID"}
	ErrUndone   = &Error{Message: "this work was taken back"}
)

// IsFinal reports whether trying again is pointless.
func IsFinal(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && !e.Transient
}

package cloud

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// ActionType is what an action does. Those that users may ask for have the
// same name in the request.
type ActionType string

// The types of actions. ActionNone is a durable operation that the API has no
// action for.
const (
	ActionNone                    ActionType = ""
	ActionCreate                  ActionType = "create"
	ActionDestroy                 ActionType = "destroy"
	ActionPowerOn                 ActionType = "power_on"
	ActionPowerOff                ActionType = "power_off"
	ActionShutdown                ActionType = "shutdown"
	ActionReboot                  ActionType = "reboot"
	ActionPowerCycle              ActionType = "power_cycle"
	ActionRename                  ActionType = "rename"
	ActionSnapshot                ActionType = "snapshot"
	ActionResize                  ActionType = "resize"
	ActionRebuild                 ActionType = "rebuild"
	ActionRestore                 ActionType = "restore"
	ActionPasswordReset           ActionType = "password_reset"
	ActionEnableIPv6              ActionType = "enable_ipv6"
	ActionEnablePrivateNetworking ActionType = "enable_private_networking"
	ActionTransfer                ActionType = "transfer"
	ActionConvert                 ActionType = "convert"
	ActionAttachVolume            ActionType = "attach_volume"
	ActionDetachVolume            ActionType = "detach_volume"
	ActionResizeVolume            ActionType = "resize_volume"
	ActionAssignIP                ActionType = "assign_ip"
	ActionUnassignIP              ActionType = "unassign_ip"

	ActionEnableBackups      ActionType = "enable_backups"
	ActionDisableBackups     ActionType = "disable_backups"
	ActionChangeBackupPolicy ActionType = "change_backup_policy"
	// ActionBackup is an automatic backup: nobody asks for it, and whoever meets
	// a Droplet that it holds can see why.
	ActionBackup ActionType = "backup"
)

// ActionStatus is how an action stands.
type ActionStatus string

// An action ends completed or errored, and stays so.
const (
	InProgress ActionStatus = "in-progress"
	Completed  ActionStatus = "completed"
	Errored    ActionStatus = "errored"
)

// Kind is a family of resources, as actions, holds and tags name them.
type Kind string

// The kinds of resources.
const (
	KindDroplet        Kind = "droplet"
	KindImage          Kind = "image"
	KindVolume         Kind = "volume"
	KindVolumeSnapshot Kind = "volume_snapshot"
	KindReservedIP     Kind = "reserved_ip"
	KindFloatingIP     Kind = "floating_ip"
	KindReservedIPv6   Kind = "reserved_ipv6"
	KindTag            Kind = "tag"
	KindVPCPeering     Kind = "vpc_peering"
)

// Action is the visible side of a durable operation.
type Action struct {
	ID           int64
	Account      int64
	Type         ActionType
	Status       ActionStatus
	ResourceType Kind
	ResourceID   string
	Region       string // slug; empty where there is none
	StartedAt    time.Time
	CompletedAt  time.Time // zero while in progress
	// Error says why an action is errored.
	Error string
}

// NumericResource returns the resource's ID as the API shows it: a Droplet's
// or image's own, the value of an address (of an IPv6 address the last 32 bits),
// and nothing for volumes, whose UUIDs do not fit.
func (a Action) NumericResource() (int64, bool) {
	switch a.ResourceType {
	case KindReservedIP, KindFloatingIP, KindReservedIPv6:
		return AddressValue(a.ResourceID)
	case KindDroplet, KindImage:
		return ParseID(a.ResourceID)
	}
	return 0, false
}

// AddressValue returns an IPv4 address as a number, and of an IPv6 address the
// last 32 bits.
func AddressValue(ip string) (int64, bool) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return 0, false
	}
	bytes := addr.As16()
	return int64(binary.BigEndian.Uint32(bytes[12:])), true
}

// Ref names one resource, to hold it or to say what an action is about.
type Ref struct {
	Kind Kind
	ID   string
}

// Pending is what everyone is told who asks for something while an action
// holds what it needs. Clients match the text byte for byte and try again.
func Pending() *Error { return Invalid("Droplet already has a pending event.") }

package cloud

import (
	"regexp"
	"time"
)

// DropletStatus is what the API shows of a Droplet's power.
type DropletStatus string

// A Droplet is new until its create action completes.
const (
	DropletNew     DropletStatus = "new"
	DropletActive  DropletStatus = "active"
	DropletOff     DropletStatus = "off"
	DropletArchive DropletStatus = "archive"
)

// Droplet is a virtual machine as its owner sees it.
type Droplet struct {
	ID      int64
	Account int64
	Name    string
	Region  string // slug
	Size    string // slug
	// VCPUs, Memory (MiB) and Disk (GiB) are the Droplet's own. They may
	// differ from its size's after a resize that kept the disk.
	VCPUs, Memory, Disk int64
	Image               Image
	Status              DropletStatus
	CreatedAt           time.Time

	IPv6, Monitoring, Agent, PublicNetworking bool

	VPC         string
	VPCRange    string
	PrivateIPv4 string
	PublicIPv4  string // empty without public networking
	PublicRange string // the network that it is in; see Pool.Network
	PublicIPv6  string // empty without IPv6
	IPv6Gateway string
	Host        string
	UserData    string
	PublicKeys  []string

	Tags        []string
	VolumeIDs   []string
	SnapshotIDs []int64
	BackupIDs   []int64
	ReservedIP  string // the address assigned to it, if any

	ReservedIPv6 string // likewise

	// Backups is when it is backed up, and BackupWindow when the next window
	// opens, or the one that is open and has no backup yet; zero without backups.
	Backups      BackupPolicy
	BackupWindow time.Time

	// HeldBy is the action that holds the Droplet, or 0, and HeldFor its type.
	HeldBy  int64
	HeldFor ActionType
	// DestroyedBy is the accepted destroy that will end the Droplet, or 0.
	DestroyedBy int64
}

// Locked is what the API calls locked: an action runs, other than the create.
// A destroy does not lock, as clients wait for unlocked before they look
// whether the Droplet is gone.
func (d Droplet) Locked() bool {
	return d.HeldBy != 0 && d.HeldFor != ActionCreate && d.HeldFor != ActionDestroy
}

// Ref names the Droplet for holds and actions.
func (d Droplet) Ref() Ref { return Ref{KindDroplet, FormatID(d.ID)} }

// Free returns Pending when something holds the Droplet or is about to destroy
// it.
func (d Droplet) Free() error {
	if d.HeldBy != 0 || d.DestroyedBy != 0 {
		return Pending()
	}
	return nil
}

// Allow says whether an action may begin now. What holds the Droplet is told
// before its power state, since that is what clients wait for. Power may be
// asked for at any time: Ansible does so right after each create.
func (d Droplet) Allow(action ActionType) error {
	if err := d.Free(); err != nil {
		return err
	}
	on := d.Status == DropletActive
	switch action {
	case ActionPowerOff:
		if !on {
			return Invalid("Droplet is already powered off")
		}
	case ActionReboot, ActionPowerCycle:
		if !on {
			return Invalid("Droplet is currently off. Please power it on to run this event.")
		}
	case ActionResize:
		if on {
			return Invalid("Droplet is currently on. Please power it off to run this event.")
		}
	case ActionEnableBackups:
		if d.Backups.Enabled() {
			return Invalid("Backups have already been enabled on this Droplet.")
		}
	case ActionDisableBackups:
		if !d.Backups.Enabled() {
			return Invalid("Backups have already been disabled on this Droplet.")
		}
	case ActionChangeBackupPolicy:
		if !d.Backups.Enabled() {
			return Invalid("Backups are not enabled on this Droplet. Enable them with enable_backups.")
		}
	}
	return nil
}

// AllowDelete says whether a plain delete may begin: not while an action other
// than the create runs.
func (d Droplet) AllowDelete() error {
	if d.DestroyedBy != 0 || (d.HeldBy != 0 && d.HeldFor != ActionCreate) {
		return Pending()
	}
	return nil
}

// MaxUserData is how many bytes of user data a Droplet takes.
const MaxUserData = 64 << 10

// MaxDropletsPerCreate is how many Droplets one request makes.
const MaxDropletsPerCreate = 10

// MaxVolumesPerDroplet is how many volumes a Droplet holds.
const MaxVolumesPerDroplet = 15

var hostnamePattern = regexp.MustCompile(`^[a-zA-Z0-9]?[a-z0-9A-Z.\-]*[a-z0-9A-Z]$`)

// CheckDropletName refuses what is not a hostname.
func CheckDropletName(name string) error {
	if len(name) > 255 {
		return Invalid("Name is too long (maximum is 255 characters)")
	}
	if !hostnamePattern.MatchString(name) {
		return Invalid("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
	}
	return nil
}

// PublicGateway is the gateway beside the Droplet's public IPv4 address, and the
// prefix length of their network.
func (d Droplet) PublicGateway() (gateway string, bits int) {
	return PublicGateway(d.PublicIPv4, d.PublicRange)
}

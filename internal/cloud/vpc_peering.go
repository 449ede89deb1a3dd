package cloud

import (
	"regexp"
	"time"
)

// VPCPeering joins two VPCs of an account, so that their members reach each
// other by their private addresses.
type VPCPeering struct {
	ID        string // UUID
	Account   int64
	Name      string
	VPCs      [2]string
	Status    PeeringStatus
	CreatedAt time.Time
}

// PeeringStatus is how a peering stands.
type PeeringStatus string

// A peering is provisioned, active, and deleted; there is no status for one
// that could not be made, which is gone.
const (
	PeeringProvisioning PeeringStatus = "PROVISIONING"
	PeeringActive       PeeringStatus = "ACTIVE"
	PeeringDeleting     PeeringStatus = "DELETING"
)

// Ref names the peering for operations.
func (p VPCPeering) Ref() Ref { return Ref{KindVPCPeering, p.ID} }

const maxPeeringName = 255

var peeringNamePattern = regexp.MustCompile(`^[a-zA-Z0-9\-]+$`)

// CheckPeeringName refuses what cannot be a peering's name.
func CheckPeeringName(name string) error {
	switch {
	case name == "":
		return Invalid("name is required")
	case len(name) > maxPeeringName:
		return Invalid("name is too long (maximum is %d characters)", maxPeeringName)
	case !peeringNamePattern.MatchString(name):
		return Invalid("name %q: VPC peering names have letters, digits and dashes", name)
	}
	return nil
}

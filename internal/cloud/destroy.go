package cloud

import (
	"fmt"
	"time"
)

// AssociatedKind is one of the lists of resources that belong to a Droplet.
type AssociatedKind string

// The kinds of associated resources, in the order in which a destroy goes
// through them: what was made from something goes before it.
const (
	AssociatedVolumeSnapshot AssociatedKind = "volume_snapshots"
	AssociatedVolume         AssociatedKind = "volumes"
	AssociatedSnapshot       AssociatedKind = "snapshots"
	AssociatedReservedIP     AssociatedKind = "reserved_ips"
)

// AssociatedKinds lists the kinds in the order of a destroy.
var AssociatedKinds = []AssociatedKind{
	AssociatedVolumeSnapshot, AssociatedVolume, AssociatedSnapshot, AssociatedReservedIP,
}

// Associated is one resource that belongs to a Droplet.
type Associated struct {
	Kind AssociatedKind
	ID   string // of a reserved IP: its internal number
	Name string // of a reserved IP: its address
	// SizeGigabytes is what is paid for; reserved IPs have a price each.
	SizeGigabytes float64
}

// What keeping a resource costs, in US dollars a month.
const (
	volumePrice     = 0.10 // a GiB
	snapshotPrice   = 0.06 // a GB
	reservedIPPrice = 4.00 // each
)

// MonthlyCost is what keeping the resource costs in a month, in US dollars
// with two decimals.
func (a Associated) MonthlyCost() string {
	switch a.Kind {
	case AssociatedVolume:
		return dollars(a.SizeGigabytes * volumePrice)
	case AssociatedReservedIP:
		return dollars(reservedIPPrice)
	default:
		return dollars(a.SizeGigabytes * snapshotPrice)
	}
}

func dollars(amount float64) string { return fmt.Sprintf("%.2f", amount) }

// Destroy is one request to destroy a Droplet with associated resources, and
// what became of it. It stays when the Droplet is gone.
type Destroy struct {
	ID          int64
	Account     int64
	Droplet     int64
	DropletName string
	Region      string // slug, of the Droplet
	// Action is the operation that works on it now, or did last.
	Action      int64
	CreatedAt   time.Time
	CompletedAt time.Time // zero while it runs
	// DestroyedAt is when the Droplet went, and Error why it did not.
	DestroyedAt time.Time
	Error       string
	Resources   []DestroyResource
}

// Running reports whether the destroy is still at work.
func (d Destroy) Running() bool { return d.CompletedAt.IsZero() }

// Failures counts what could not be destroyed, the Droplet included.
func (d Destroy) Failures() int {
	n := 0
	if d.Error != "" {
		n++
	}
	for _, r := range d.Resources {
		if r.Error != "" {
			n++
		}
	}
	return n
}

// DestroyResource is one resource of a Destroy.
type DestroyResource struct {
	Kind        AssociatedKind
	ID          string
	Name        string
	DestroyedAt time.Time // zero while it is there
	Error       string    // why it could not be destroyed
	Attempts    int64     // how often in a row it failed in a way worth another try
}

// Finished reports whether this run of the destroy is done with the resource.
func (r DestroyResource) Finished() bool { return !r.DestroyedAt.IsZero() || r.Error != "" }

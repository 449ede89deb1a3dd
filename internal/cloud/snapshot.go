package cloud

import "time"

// Snapshot is a Droplet's or a volume's snapshot as the list of both shows it.
type Snapshot struct {
	ID            string // an image's number, or a volume snapshot's UUID
	Name          string
	CreatedAt     time.Time
	Regions       []string
	ResourceID    string // what it was made from, which may be gone
	ResourceType  Kind   // KindDroplet or KindVolume
	MinDiskSize   int64
	SizeGigabytes float64
	Tags          []string
}

package cloud

import (
	"regexp"
	"time"
	"unicode/utf8"
)

// Volume is a block storage volume.
type Volume struct {
	ID              string // UUID
	Account         int64
	Name            string
	Region          string // slug
	Description     string
	SizeGigabytes   int64 // GiB
	FilesystemType  string
	FilesystemLabel string
	Tags            []string
	Droplet         int64 // 0 while attached nowhere
	DropletName     string
	CreatedAt       time.Time
	HeldBy          int64 // the action that holds it, or 0
}

// Ref names the volume for holds and actions.
func (v Volume) Ref() Ref { return Ref{KindVolume, v.ID} }

const maxVolumeDescription = 1024

// MaxVolumeSize is the largest volume in GiB.
const MaxVolumeSize = 16384

// Underscores are accepted beside the documented characters because the API
// reference's own samples have them.
var volumeNamePattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// Check refuses a new volume that the API would refuse.
func (v Volume) Check() error {
	if !volumeNamePattern.MatchString(v.Name) {
		return Invalid("name must start with a lower-case letter and have only lower-case letters, digits and hyphens, 64 at most")
	}
	if utf8.RuneCountInString(v.Description) > maxVolumeDescription {
		return Invalid("description is too long (maximum is %d characters)", maxVolumeDescription)
	}
	if err := CheckVolumeSize(v.SizeGigabytes); err != nil {
		return err
	}
	longest, ok := map[string]int{"": 0, "ext4": 16, "xfs": 12}[v.FilesystemType]
	switch {
	case !ok:
		return Invalid("filesystem_type must be ext4 or xfs")
	case v.FilesystemType == "" && v.FilesystemLabel != "":
		return Invalid("filesystem_label needs a filesystem_type")
	case len(v.FilesystemLabel) > longest:
		return Invalid("filesystem_label has at most %d characters with %s", longest, v.FilesystemType)
	}
	return nil
}

// CheckVolumeSize refuses a size outside 1 to MaxVolumeSize GiB.
func CheckVolumeSize(gigabytes int64) error {
	if gigabytes < 1 || gigabytes > MaxVolumeSize {
		return Invalid("size_gigabytes must be between 1 and %d", MaxVolumeSize)
	}
	return nil
}

// VolumeSnapshot is a copy of a volume at one point in time. It outlives the
// volume.
type VolumeSnapshot struct {
	ID            string // UUID
	Account       int64
	Volume        string
	Name          string
	Region        string
	MinDiskSize   int64
	SizeGigabytes float64
	Tags          []string
	CreatedAt     time.Time
}

// Ref names the snapshot for holds.
func (s VolumeSnapshot) Ref() Ref { return Ref{KindVolumeSnapshot, s.ID} }

package cloud

import (
	"fmt"
	"time"
)

// ImageType says where an image comes from.
type ImageType string

// The documents call public images "snapshot" too; Base is told apart by
// being public, so it is only ours.
const (
	ImageBase     ImageType = "base"
	ImageSnapshot ImageType = "snapshot"
	ImageBackup   ImageType = "backup"
	ImageCustom   ImageType = "custom"
)

// ImageStatus is how an image stands. ImageCreating is ours: the image is not
// shown until it is complete.
type ImageStatus string

// The states of images.
const (
	ImageCreating  ImageStatus = "creating"
	ImageAvailable ImageStatus = "available"
	ImageRetired   ImageStatus = "retired"
	ImageDeleted   ImageStatus = "deleted"
)

// Image is what a Droplet's disk is made from: of the catalogue, or an
// account's own.
type Image struct {
	ID            int64
	Account       int64  // 0 for those of the catalogue
	Slug          string // empty for private and retired ones
	Name          string
	Type          ImageType
	Kind          string // "distribution" or "application", of the catalogue's
	Distribution  string
	Regions       []string
	MinDiskSize   int64   // GiB
	SizeGigabytes float64 // GB
	Description   string
	Status        ImageStatus
	Tags          []string
	// SourceDroplet is the Droplet that a snapshot or backup was made from.
	SourceDroplet int64
	CreatedAt     time.Time
}

// Public reports whether everybody may use the image.
func (i Image) Public() bool { return i.Account == 0 && i.Status != ImageRetired }

// TakesIPv6 reports whether a Droplet with the image may have an IPv6 address:
// nobody knows how a custom image sets up its network.
func (i Image) TakesIPv6() bool { return i.Type != ImageCustom }

// Ref names the image for holds and actions.
func (i Image) Ref() Ref { return Ref{KindImage, FormatID(i.ID)} }

// DefaultSnapshotName names a snapshot that was given no name, as the API
// does: the Droplet's name and the time in milliseconds.
func DefaultSnapshotName(droplet string, now time.Time) string {
	return fmt.Sprintf("%s-%d", droplet, now.UnixMilli())
}

// CheckImageName refuses names that the API would.
func CheckImageName(name string) error {
	if name == "" || len(name) > 255 {
		return Invalid("Name is invalid: it must have 1 to 255 characters")
	}
	return nil
}

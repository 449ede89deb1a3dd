package cloud

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"
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
	ImageNew       ImageStatus = "NEW" // to be imported
	ImagePending   ImageStatus = "pending"
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
	// Error says why an image could not be imported.
	Error     string
	CreatedAt time.Time
	// Given is what the image was to those that have given it away.
	Given []GivenImage
}

// GivenImage is what a snapshot was to an account when that gave it away, of
// what a snapshot's owner may change. The names of its fields are those it is
// stored under.
type GivenImage struct {
	Account int64  `json:"account"`
	Name    string `json:"name"`
}

// GiveTo makes the image another account's, and keeps what it was to the one
// that gives it. The Droplet that it was made from and its tags stay behind.
func (i *Image) GiveTo(account int64) {
	i.Given = slices.DeleteFunc(i.Given, func(g GivenImage) bool { return g.Account == i.Account || g.Account == account })
	i.Given = append(i.Given, GivenImage{i.Account, i.Name})
	i.Account, i.SourceDroplet, i.Tags = account, 0, nil
}

// ShownTo is the image as an account's Droplets show it. One that the account
// gave away is gone for it: it shows what it was then, and nothing of what
// its owner does with it.
func (i Image) ShownTo(account int64) Image {
	if i.Account == 0 || i.Account == account {
		return i
	}
	i.Name = ""
	for _, g := range i.Given {
		if g.Account == account {
			i.Name = g.Name
		}
	}
	i.Status, i.SourceDroplet, i.Regions, i.Tags, i.Error, i.Given = ImageDeleted, 0, nil, nil, "", nil
	return i
}

// Public reports whether everybody may use the image.
func (i Image) Public() bool { return i.Account == 0 && i.Status != ImageRetired }

// TakesIPv6 reports whether a Droplet with the image may have an IPv6 address:
// nobody knows how a custom image sets up its network.
func (i Image) TakesIPv6() bool { return i.Type != ImageCustom }

// Ref names the image for holds and actions.
func (i Image) Ref() Ref { return Ref{KindImage, FormatID(i.ID)} }

// MaxImageDescription is how many characters describe an image.
const MaxImageDescription = 1024

// customDistributions are what a custom image may be of. "Unknown OS" is not
// documented, but some clients send it and want it back.
var customDistributions = []string{
	"Arch Linux", "CentOS", "CoreOS", "Debian", "Fedora", "Fedora Atomic", "FreeBSD", "Gentoo", "openSUSE",
	"RancherOS", "Rocky Linux", "Ubuntu", "Unknown", "Unknown OS",
}

// CustomDistribution is the distribution of a custom image that is said to be
// of one: any that is not known counts as Unknown.
func CustomDistribution(name string) string {
	if slices.Contains(customDistributions, name) {
		return name
	}
	return "Unknown"
}

// CheckImageDescription refuses a description that is too long.
func CheckImageDescription(text string) error {
	if utf8.RuneCountInString(text) > MaxImageDescription {
		return Invalid("description is too long (maximum is %d characters)", MaxImageDescription)
	}
	return nil
}

// maxImageURL is more than any browser takes.
const maxImageURL = 2048

// CheckImageURL refuses what an image cannot be imported from.
func CheckImageURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return Invalid("url must be an http or https URL, such as https://example.com/debian-12.qcow2")
	}
	if len(text) > maxImageURL {
		return Invalid("url is too long (maximum is %d characters)", maxImageURL)
	}
	return nil
}

// MinDisk is the smallest disk in GiB that takes an image of a size.
func MinDisk(sizeGigabytes float64) int64 { return int64(math.Ceil(sizeGigabytes)) }

// ImageTransfer is an offer of an image to another account. It lasts until it
// is accepted, declined or cancelled, or the image is gone.
type ImageTransfer struct {
	ID        int64
	Image     int64
	Sender    int64 // account
	Recipient int64 // account
	CreatedAt time.Time
}

// DefaultSnapshotName names a snapshot that was given no name, as the API
// does: the Droplet's name and the time in milliseconds.
func DefaultSnapshotName(droplet string, now time.Time) string {
	return nameAfter(droplet, fmt.Sprintf("-%d", now.UnixMilli()))
}

const maxImageName = 255

// nameAfter names an image after a Droplet, whose own name may be as long as an
// image's can be. Droplets' names are ASCII.
func nameAfter(droplet, end string) string {
	return droplet[:min(len(droplet), maxImageName-len(end))] + end
}

// CheckImageName refuses names that the API would.
func CheckImageName(name string) error {
	if name == "" || len(name) > maxImageName {
		return Invalid("Name is invalid: it must have 1 to %d characters", maxImageName)
	}
	return nil
}

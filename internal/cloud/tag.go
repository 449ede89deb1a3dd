package cloud

import (
	"regexp"
	"time"
)

// Tag is a name that resources bear. It keeps the case that it was first
// written in, and is one whatever its case.
type Tag struct {
	Name      string
	CreatedAt time.Time
	// Uses says what bears the tag, for each kind of which something does.
	Uses map[Kind]TagUse
}

// TagUse is what of one kind bears a tag.
type TagUse struct {
	Count  int64
	LastID string // of the resource that was tagged last
	LastAt time.Time
}

// TaggableKinds are the kinds of resources that bear tags.
var TaggableKinds = []Kind{KindDroplet, KindImage, KindVolume, KindVolumeSnapshot}

var tagPattern = regexp.MustCompile(`^[a-zA-Z0-9_\-:]{1,255}$`)

// CheckTag refuses what cannot be a tag's name.
func CheckTag(name string) error {
	if !tagPattern.MatchString(name) {
		return Invalid("tag %q: tags have 1 to 255 letters, digits, dashes, underscores and colons", name)
	}
	return nil
}

// CheckTags refuses the first that cannot be a tag's name.
func CheckTags(names []string) error {
	for _, name := range names {
		if err := CheckTag(name); err != nil {
			return err
		}
	}
	return nil
}

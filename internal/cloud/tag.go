package cloud

import "regexp"

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

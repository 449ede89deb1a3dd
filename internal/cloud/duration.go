package cloud

import (
	"regexp"
	"strconv"
	"time"
)

// maxDays is how many days a duration may have: Go's are shorter than 293 years.
const maxDays = 100_000

// longParts are the weeks and days that a duration may begin with.
var longParts = regexp.MustCompile(`^(?:([0-9]+)w)?(?:([0-9]+)d)?`)

// ParseDuration reads a duration as Go does, which may begin with weeks and
// days: 1w, 8d, 1d12h, 90m. A day has 24 hours.
func ParseDuration(text string) (time.Duration, bool) {
	parts := longParts.FindStringSubmatch(text)
	var days int64
	for i, length := range []int64{7, 1} {
		if parts[i+1] == "" {
			continue
		}
		n, err := strconv.ParseInt(parts[i+1], 10, 16)
		if err != nil {
			return 0, false
		}
		days += n * length
	}
	if days > maxDays {
		return 0, false
	}
	d := time.Duration(days) * 24 * time.Hour
	rest := text[len(parts[0]):]
	if rest == "" {
		return d, parts[0] != ""
	}
	more, err := time.ParseDuration(rest)
	if err != nil || parts[0] != "" && more < 0 {
		return 0, false
	}
	total := d + more
	return total, total >= d || more < 0
}

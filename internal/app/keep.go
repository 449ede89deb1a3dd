package app

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// parseKeep reads how long to keep something: a duration that may begin with
// days, such as 90d or 1d12h. 0 and forever are 0, which keeps all.
func parseKeep(text string) (time.Duration, error) {
	if text == "forever" || text == "0" || text == "" {
		return 0, nil
	}
	keep, err := ParseSpan(text)
	if err != nil {
		return 0, errors.New("use a duration such as 90d or 36h, or forever")
	}
	return keep, nil
}

// ParseSpan reads a duration that may begin with days, such as 90d or 1d12h.
func ParseSpan(text string) (span time.Duration, err error) {
	wrong := errors.New("use a duration such as 90d or 36h")
	days, rest, found := strings.Cut(text, "d")
	if found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, wrong
		}
		span = time.Duration(n) * 24 * time.Hour
	} else {
		rest = text
	}
	if rest != "" || !found {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 {
			return 0, wrong
		}
		span += more
	}
	return span, nil
}

package cloud

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Where the counters start. Small made-up IDs stay unknown, and all stay
// below 2^31 for clients that hold them in 32 bits.
const (
	FirstID             int64 = 1_000_000
	FirstPrivateImageID int64 = 300_000_000
)

// NewUUID makes a random UUID (version 4).
func NewUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// IsUUID reports whether id has the form of a UUID, in lower case.
func IsUUID(id string) bool { return uuidPattern.MatchString(id) }

// LowerUUID writes a UUID in lower case, as it is kept. What is none stays as
// it is.
func LowerUUID(id string) string {
	if lower := strings.ToLower(id); IsUUID(lower) {
		return lower
	}
	return id
}

// FormatTime writes a time as the API does: RFC 3339, UTC, whole seconds.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// ParseTime reads an RFC 3339 time.
func ParseTime(text string) (time.Time, error) { return time.Parse(time.RFC3339, text) }

// FormatID writes a numeric ID.
func FormatID(id int64) string { return strconv.FormatInt(id, 10) }

// ParseID reads a numeric ID as clients send it: digits only, above 0 and
// without leading zeros, so that each thing has one ID.
func ParseID(text string) (int64, bool) {
	if text == "" || text[0] < '1' || text[0] > '9' {
		return 0, false
	}
	id, err := strconv.ParseInt(text, 10, 64)
	return id, err == nil && id > 0
}

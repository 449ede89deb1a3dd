package cloud

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/mail"
	"strings"
	"time"
)

// Account owns resources. Nothing of one account exists for another.
type Account struct {
	ID        int64
	UUID      string
	Name      string
	Email     string
	ProjectID string // the default project's UUID
	CreatedAt time.Time

	DropletLimit    int64
	VolumeLimit     int64
	ReservedIPLimit int64
}

// DefaultLimit is how many Droplets, volumes and reserved IPs an account may
// have until told otherwise.
const DefaultLimit = 10_000

// Token is a bearer token as the store knows it; the secret itself is kept
// nowhere but with its owner.
type Token struct {
	ID        int64
	Account   int64
	Name      string
	Scopes    Scopes
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
}

// Expired reports whether the token has ended at now.
func (t Token) Expired(now time.Time) bool {
	return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt)
}

// NewSecret makes a token's secret: "dop_v1_" and 64 hexadecimal digits.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return "dop_v1_" + hex.EncodeToString(b[:])
}

// HashSecret returns what the store keeps of a secret. Secrets that we make
// are 256 random bits, so one SHA-256 is enough: there is nothing to guess.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// CheckEmail refuses what is no email address.
func CheckEmail(email string) error {
	address, err := mail.ParseAddress(email)
	if err != nil || address.Address != email || address.Name != "" || len(email) > 254 {
		return fmt.Errorf("%q is no email address; use one such as ann@example.com", email)
	}
	return nil
}

// CheckSecret refuses a secret that could not be sent as a bearer token.
func CheckSecret(secret string) error {
	if len(secret) < 8 {
		return fmt.Errorf("a token has at least 8 characters")
	}
	if strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("a token has printable ASCII characters only, and no spaces")
	}
	return nil
}

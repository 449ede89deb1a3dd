package cloud

import (
	"crypto/md5" // the fingerprint that the API uses
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// SSHKey is a public key that new Droplets may be given.
type SSHKey struct {
	ID          int64
	Account     int64
	Name        string
	PublicKey   string
	Fingerprint string
}

// keyFields is how many fields each type of key has after its type, as ssh
// writes them (RFC 4253, 5656 and 8709, and OpenSSH's PROTOCOL.u2f).
var keyFields = map[string]int{
	"ssh-rsa":                            2,
	"ssh-dss":                            4,
	"ssh-ed25519":                        1,
	"ecdsa-sha2-nistp256":                2,
	"ecdsa-sha2-nistp384":                2,
	"ecdsa-sha2-nistp521":                2,
	"sk-ssh-ed25519@openssh.com":         2,
	"sk-ecdsa-sha2-nistp256@openssh.com": 3,
}

// MaxKeyName is how many bytes the name of a key has at most.
const MaxKeyName = 255

// CheckKeyName refuses a name that is too long.
func CheckKeyName(name string) error {
	if len(name) > MaxKeyName {
		return Invalid("name is too long (maximum is %d characters)", MaxKeyName)
	}
	return nil
}

// KeyFingerprint checks an OpenSSH public key and returns its MD5 fingerprint
// in colon-separated hexadecimal. The type inside the key must be the type it
// says it is, and the key as long as its fields are.
func KeyFingerprint(publicKey string) (string, error) {
	invalid := Invalid("Key invalid, key should be of the format `type key [comment]`")
	fields := strings.Fields(publicKey)
	if len(fields) < 2 || strings.ContainsAny(publicKey, "\r\n\x00") {
		return "", invalid
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil || !isKey(fields[0], blob) {
		return "", invalid
	}
	sum := md5.Sum(blob)
	return colonHex(sum[:]), nil
}

// isKey reports whether a blob has the fields of a type of key, and nothing
// more.
func isKey(kind string, blob []byte) bool {
	n, known := keyFields[kind]
	inside, rest, ok := cutField(blob)
	if !known || !ok || string(inside) != kind {
		return false
	}
	for range n {
		var field []byte
		if field, rest, ok = cutField(rest); !ok || len(field) == 0 || kind == "ssh-ed25519" && len(field) != 32 {
			return false
		}
	}
	return len(rest) == 0
}

// cutField splits a length with that many bytes from what follows them.
func cutField(blob []byte) (field, rest []byte, ok bool) {
	if len(blob) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(blob))
	if n > uint64(len(blob)-4) {
		return nil, nil, false
	}
	return blob[4 : 4+n], blob[4+n:], true
}

func colonHex(b []byte) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, len(b)*3)
	for i, c := range b {
		if i > 0 {
			out = append(out, ':')
		}
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

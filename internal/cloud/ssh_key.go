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

// KeyFingerprint checks an OpenSSH public key and returns its MD5 fingerprint
// in colon-separated hexadecimal. The type inside the key must be the type it
// says it is.
func KeyFingerprint(publicKey string) (string, error) {
	invalid := Invalid("Key invalid, key should be of the format `type key [comment]`")
	fields := strings.Fields(publicKey)
	if len(fields) < 2 || strings.ContainsAny(publicKey, "\r\n\x00") {
		return "", invalid
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil || len(blob) < 4 {
		return "", invalid
	}
	n := binary.BigEndian.Uint32(blob)
	if uint64(n) > uint64(len(blob)-4) || string(blob[4:4+n]) != fields[0] || int(n) == len(blob)-4 {
		return "", invalid
	}
	sum := md5.Sum(blob)
	return colonHex(sum[:]), nil
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

package cloud

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// The fingerprints are those that "ssh-keygen -l -E md5" shows.
var keys = map[string]string{
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMvX85mBNnnXBbV+kX6veiaFzU20gP3ZE0gptX3QK/QN me@ed25519":                                                                               "0a:dd:32:a8:1f:ed:72:95:68:eb:46:52:e7:ba:43:bb",
	"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBI+KYqfxgTQ0BaAq3tQoX+FjE4yuHEyo3vWCxa955S245g5UseOui2xZSx1eVW80fDUNs66x6+dkaAYT7Gmqg74= me@ecdsa": "40:be:1e:9e:45:ba:f2:f3:4b:7c:7f:12:5e:d6:8a:0b",
	"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC1CH05+pau28R63ZxenXqgvFerKSrN2ZBTEuml5uhYPNowszt39Hap005hPgRWaP5W1xo1RgRrED5e+kpx5wPflyIqCUVRHVgqjj/5eU/J9z9++WxH7pAH4QglYsOTS9781CXC80h7jqs3L/TmAF/mrMpZkpNA1UafAjzI8680R5x5HkJZ3qwODLVt57xBeMcq5rHWNvtNepjZCTnuxjSSGdsreiIqwyVOQPn1smV7+Uq5CP8EsMLGBJxdfxTa9l5eAgZOaYSteZihpFDHhqZWTVFiEW88DJdRgBijk+erisoDE1tqB8lR198Ky9DJnKNioYOK4/clQQK7Ovm7dOWUg1mo5tcy65uDsEXIgYrIVwrQm/wYV48ouzqgrW0oPZshTw/UK8mjyUrOSAtk+3wnleGpTFg6RoUOSfAAzPAIEvrZDUbLtBw2VPiw7GbfPUgW1if4kbRJZ9p1lXtDp4cpwxGtSqJ3j5wCRZKOnuJO9Uy37a+YoVh3Z1mlWXpaNf8= me@rsa": "a0:1b:d4:36:cc:b7:58:be:00:16:e0:51:94:4e:4e:f9",
}

func TestKeyFingerprint(t *testing.T) {
	for key, want := range keys {
		fields := strings.Fields(key)
		for _, text := range []string{key, fields[0] + " " + fields[1], "  " + key + " and more\t"} {
			if got, err := KeyFingerprint(text); err != nil || got != want {
				t.Errorf("%q: %s, %v; want %s", text, got, err, want)
			}
		}
	}
}

// blob encodes the fields of a key.
func blob(fields ...string) string {
	var b []byte
	for _, field := range fields {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(field))), field...)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// Each type of key that ssh knows is taken.
func TestKeyTypes(t *testing.T) {
	for kind, n := range keyFields {
		fields := append([]string{kind}, slices.Repeat([]string{strings.Repeat("x", 32)}, n)...)
		if _, err := KeyFingerprint(kind + " " + blob(fields...)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// What ssh would not take as a key is refused, with the text of the API.
func TestKeyFingerprintRefuses(t *testing.T) {
	const ed25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIB+QgE6YlxmFhx9nFY0YBRkdQbdOkHxQXlbJQ4Sg8i0Z"
	for name, key := range map[string]string{
		"nothing":             "",
		"no data":             "ssh-ed25519",
		"no base64":           "ssh-ed25519 !!!",
		"data cut off":        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
		"a length too long":   "ssh-ed25519 /////w==",
		"too short a length":  "ssh-ed25519 AAA=",
		"another type inside": "ssh-rsa " + ed25519,
		"two keys":            "ssh-ed25519 " + ed25519 + "\nssh-ed25519 " + ed25519,
		"a NUL":               "ssh-ed25519 " + ed25519 + " me\x00",
		"an unknown type":     "ssh-foo " + blob("ssh-foo", "x"),
		"a certificate":       "ssh-ed25519-cert-v01@openssh.com " + blob("ssh-ed25519-cert-v01@openssh.com", "x"),
		"a field too few":     "ssh-rsa " + blob("ssh-rsa", "e"),
		"a field too many":    "ssh-rsa " + blob("ssh-rsa", "e", "n", "x"),
		"an empty field":      "ssh-rsa " + blob("ssh-rsa", "e", ""),
		"a short ed25519":     "ssh-ed25519 " + blob("ssh-ed25519", "x"),
		"more after it":       "ssh-ed25519 " + ed25519[:len(ed25519)-1] + "ZAAAA",
		"options before it":   `no-pty ssh-ed25519 ` + ed25519,
	} {
		if got, err := KeyFingerprint(key); CodeOf(err) != CodeInvalid || !strings.HasPrefix(err.Error(), "Key invalid, key should be of the format") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

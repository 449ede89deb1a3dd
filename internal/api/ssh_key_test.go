package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	sampleKey   = "ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAIEAiPWx6WM4lhHNedGfBpPJNPpZ7yKu+dnn1SJejgt4596k6YjzGGphH2TUxwKzxcKDKKezwkpfnxPkSMkuEspGRt/aZZ9wa++Oi7Qkr8prgHc4soW6NUlfDzpvZK2H5E7eQaSeP3SAwGmQKUFHCddNaP0L+hM7zhFNzjFvpaMgJw0= user@example"
	badKeyText  = "Key invalid, key should be of the format `type key [comment]`"
	bothText    = "Both name and public_key are required"
	keyUsedText = "SSH Key is already in use on your account"
)

func TestSSHKeysRefused(t *testing.T) {
	blob := strings.Fields(sampleKey)[1]
	tests := []struct {
		name string
		body any
		want string
	}{
		{"nothing", nil, bothText},
		{"null", "null", bothText},
		{"no name", map[string]any{"public_key": sampleKey}, bothText},
		{"no key", map[string]any{"name": "k"}, bothText},
		{"a number for a name", map[string]any{"name": 1, "public_key": sampleKey}, "name must be a string, not number"},
		{"an object for a key", map[string]any{"name": "k", "public_key": map[string]any{}}, "public_key must be a string, not object"},
		{"no key at all", key("nonsense"), badKeyText},
		{"a type only", key("ssh-rsa"), badKeyText},
		{"a key only", key(blob), badKeyText},
		{"no base64", key("ssh-rsa AAAA!"), badKeyText},
		{"another type", key("ssh-ed25519 " + blob), badKeyText},
		{"cut off", key("ssh-rsa AAAAB3NzaC1y"), badKeyText},
		{"nothing but the type", key("ssh-rsa AAAAB3NzaC1yc2E="), badKeyText},
		{"two lines", key(sampleKey + "\n" + sampleKey), badKeyText},
		{"spaces", key("   "), badKeyText},
		{"a long name", map[string]any{"name": strings.Repeat("k", 256), "public_key": sampleKey}, "name is too long (maximum is 255 characters)"},
		{"a private key", key("-----BEGIN OPENSSH PRIVATE KEY-----"), badKeyText},
	}
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) { a.within(t).post("/v2/account/keys", test.body).invalid(test.want) })
		}
		a.put(fmt.Sprintf("/v2/account/keys/%d", a.key("k")), map[string]any{"name": ""}).invalid("name is required")
		a.put(fmt.Sprintf("/v2/account/keys/%d", a.key("k")), map[string]any{"name": strings.Repeat("k", 256)}).invalid("name is too long (maximum is 255 characters)")
		a.put(fmt.Sprintf("/v2/account/keys/%d", a.key("k")), nil).invalid("name is required")
	})
}

func key(publicKey string) map[string]any {
	return map[string]any{"name": "k", "public_key": publicKey}
}

func TestSSHKeys(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		a.get("/v2/account/keys").shows("", `{"ssh_keys": [], "links": {}, "meta": {"total": 0}}`)
		made := a.post("/v2/account/keys", key(sampleKey)).is(http.StatusCreated) // 1024 bits only
		id := made.number("ssh_key.id")
		want := fmt.Sprintf(`{"id": %d, "name": "k", "public_key": %q, "fingerprint": "*"}`, id, sampleKey)
		made.shows("ssh_key", want)
		a.post("/v2/account/keys", key(sampleKey)).invalid(keyUsedText)
		a.post("/v2/account/keys", key(strings.TrimSuffix(sampleKey, " user@example"))).invalid(keyUsedText)
		other.post("/v2/account/keys", key(sampleKey)).is(http.StatusCreated)
		print := made.text("ssh_key.fingerprint")
		if print != "a0:e1:40:47:74:ca:98:26:9d:df:8a:e4:b3:9f:68:dc" { // which ssh-keygen -l -E md5 says
			t.Errorf("the fingerprint is %s", print)
		}
		for _, path := range []string{fmt.Sprint(id), print, strings.ReplaceAll(print, ":", "%3A")} {
			a.get("/v2/account/keys/"+path).is(http.StatusOK).shows("ssh_key", want)
		}
		a.get("/v2/account/keys").shows("ssh_keys", "["+want+"]")
		renamed := a.put("/v2/account/keys/"+strings.ReplaceAll(print, ":", "%3a"), map[string]any{"name": "new", "public_key": publicKey()})
		renamed.is(http.StatusOK).shows("ssh_key", strings.Replace(want, `"k"`, `"new"`, 1))
		a.del("/v2/account/keys/" + strings.ReplaceAll(print, ":", "%3A")).empty(http.StatusNoContent)
		a.get(fmt.Sprintf("/v2/account/keys/%d", id)).notFound()
		a.del("/v2/account/keys/" + print).notFound()
		other.get("/v2/account/keys/" + print).is(http.StatusOK)
	})
}

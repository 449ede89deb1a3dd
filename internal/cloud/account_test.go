package cloud

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNewSecret(t *testing.T) {
	form := regexp.MustCompile(`^dop_v1_[0-9a-f]{64}$`)
	one, other := NewSecret(), NewSecret()
	if !form.MatchString(one) || one == other {
		t.Errorf("two new tokens are %s and %s", one, other)
	}
	if hash := HashSecret(one); hash == HashSecret(other) || strings.Contains(hash, one[7:]) || len(hash) != 64 {
		t.Errorf("%s is kept as %s", one, hash)
	}
	if err := CheckSecret(one); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "short", "two words", "tab\tbed-in", "né-ascii-token", "line\nline"} {
		if err := CheckSecret(bad); err == nil {
			t.Errorf("%q could be a token", bad)
		}
	}
}

func TestTokenExpired(t *testing.T) {
	end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	token := Token{ExpiresAt: end}
	if token.Expired(end.Add(-time.Nanosecond)) || !token.Expired(end) || !token.Expired(end.Add(time.Hour)) {
		t.Error("a token does not end at its end")
	}
	if (Token{}).Expired(end) {
		t.Error("a token without an end has ended")
	}
}

func TestParseScopes(t *testing.T) {
	for text, want := range map[string]Scopes{
		"full":                                 {FullAccess},
		"*":                                    {FullAccess},
		"droplet:read,full":                    {FullAccess},
		"droplet:read":                         {"droplet:read"},
		"vpc:read , droplet:read,droplet:read": {"droplet:read", "vpc:read"},
	} {
		got, err := ParseScopes(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for text, complaint := range map[string]string{
		"": "no scopes given", ",": "no scopes given", "droplet": `unknown scope "droplet"`, "droplet:list": `unknown scope "droplet:list"`,
		"droplet:read vpc:read": "unknown scope", "Droplet:Read": "unknown scope",
	} {
		if got, err := ParseScopes(text); err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%q: %v, %v; want one with %q", text, got, err, complaint)
		}
	}
}

// "read" is every scope that reads and no other.
func TestReadScopes(t *testing.T) {
	read, err := ParseScopes("read")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range AllScopes() {
		if reads := strings.HasSuffix(string(s), ":read"); read.Has(s) != reads {
			t.Errorf("read has %s: %v", s, read.Has(s))
		}
	}
	if read.Has(FullAccess) {
		t.Error("read is full access")
	}
	if again, err := ParseScopes(read.String()); err != nil || !slices.Equal(again, read) {
		t.Errorf("written and read back: %v, %v", again, err)
	}
}

func TestRequire(t *testing.T) {
	some := Actor{Scopes: Scopes{"droplet:read", "droplet:create"}}
	full := Actor{Scopes: Scopes{FullAccess}}
	for _, test := range []struct {
		actor   Actor
		scopes  []Scope
		allowed bool
	}{
		{some, nil, true},
		{some, []Scope{"droplet:read"}, true},
		{some, []Scope{"droplet:read", "droplet:create"}, true},
		{some, []Scope{"droplet:read", "droplet:delete"}, false},
		{some, []Scope{FullAccess}, false},
		{Actor{}, []Scope{"droplet:read"}, false},
		{full, []Scope{"droplet:delete", FullAccess}, true},
	} {
		err := test.actor.Require(test.scopes...)
		if test.allowed != (err == nil) || err != nil && CodeOf(err) != CodeForbidden {
			t.Errorf("%v with %v: %v", test.scopes, test.actor.Scopes, err)
		}
	}
}

package cloud

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Scope is one permission of a token, such as "droplet:read".
type Scope string

// FullAccess is the scope of a token that may do everything its account may.
const FullAccess Scope = "*"

// Scopes is what a token may do.
type Scopes []Scope

// Has reports whether the scopes include s.
func (ss Scopes) Has(s Scope) bool {
	return slices.Contains(ss, FullAccess) || slices.Contains(ss, s)
}

// HasAll reports whether the scopes include each of wanted.
func (ss Scopes) HasAll(wanted ...Scope) bool {
	for _, s := range wanted {
		if !ss.Has(s) {
			return false
		}
	}
	return true
}

// String joins the scopes with commas; ParseScopes reads it back.
func (ss Scopes) String() string {
	words := make([]string, len(ss))
	for i, s := range ss {
		words[i] = string(s)
	}
	return strings.Join(words, ",")
}

// scopeVerbs lists the verbs that each scoped resource has, for the families
// that Cistern serves.
var scopeVerbs = map[string]string{
	"account":                "read",
	"actions":                "read",
	"block_storage":          "read create update delete",
	"block_storage_action":   "read create",
	"block_storage_snapshot": "read create delete",
	"droplet":                "read create update delete admin",
	"firewall":               "read create update delete",
	"image":                  "read create update delete",
	"project":                "read create update delete assign_resource",
	"regions":                "read",
	"reserved_ip":            "read create update delete",
	"sizes":                  "read",
	"snapshot":               "read delete",
	"ssh_key":                "read create update delete",
	"tag":                    "read create delete",
	"vpc":                    "read create update delete",
	"vpc_peering":            "read create update delete",
}

// AllScopes lists every scope that a token may have, sorted, without
// FullAccess.
func AllScopes() Scopes {
	var all Scopes
	for resource, verbs := range scopeVerbs {
		for verb := range strings.FieldsSeq(verbs) {
			all = append(all, Scope(resource+":"+verb))
		}
	}
	slices.Sort(all)
	return all
}

// ParseScopes reads a comma-separated list. "full" (or "*") is full access and
// "read" is every read scope. An unknown scope is an error that names it.
func ParseScopes(text string) (Scopes, error) {
	var scopes Scopes
	for word := range strings.SplitSeq(text, ",") {
		switch word = strings.TrimSpace(word); word {
		case "":
		case "full", string(FullAccess):
			return Scopes{FullAccess}, nil
		case "read":
			for _, s := range AllScopes() {
				if strings.HasSuffix(string(s), ":read") {
					scopes = append(scopes, s)
				}
			}
		default:
			if !slices.Contains(AllScopes(), Scope(word)) {
				return nil, unknownScope(word)
			}
			scopes = append(scopes, Scope(word))
		}
	}
	if len(scopes) == 0 {
		return nil, errors.New("no scopes given; use full, read, or a list such as droplet:read,image:read")
	}
	slices.Sort(scopes)
	return slices.Compact(scopes), nil
}

// unknownScope says what is near to a scope that there is not: those of its
// resource, else the resources.
func unknownScope(word string) error {
	resource, _, _ := strings.Cut(strings.ToLower(word), ":")
	if verbs, ok := scopeVerbs[resource]; ok {
		return fmt.Errorf("unknown scope %q; %s can be followed by :%s", word, resource, strings.ReplaceAll(verbs, " ", ", :"))
	}
	return fmt.Errorf("unknown scope %q; use full, read, or a list such as droplet:read,image:read; what can be named is %s",
		word, strings.Join(slices.Sorted(maps.Keys(scopeVerbs)), ", "))
}

// Actor is who asks: an account, through one of its tokens.
type Actor struct {
	Account   int64
	Token     int64
	TokenName string
	Scopes    Scopes
}

// Require returns Forbidden unless the actor's token has every scope.
func (a Actor) Require(scopes ...Scope) error {
	if !a.Scopes.HasAll(scopes...) {
		return Forbidden("You are not authorized to perform this operation")
	}
	return nil
}

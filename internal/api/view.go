package api

import (
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// view turns what the control plane answers into what one caller may see: what
// a token's scopes leave out is left out of its answers, not refused.
type view struct {
	catalog *catalogViews
	scopes  cloud.Scopes
	base    string
	// images are those that this answer has shown already, by ID.
	images map[int64]*wireImage
}

func (c *call) view() view {
	return view{c.server.catalogViews(), c.Actor.Scopes, c.baseURL(), map[int64]*wireImage{}}
}

// sees reports whether the caller may read a family.
func (v view) sees(scope cloud.Scope) bool { return v.scopes.Has(scope) }

// list is a slice that is never null, and empty unless it may be seen.
func list[T any](visible bool, items []T) []T {
	if !visible || items == nil {
		return []T{}
	}
	return items
}

// each maps a slice.
func each[T, U any](items []T, f func(T) U) []U {
	out := make([]U, len(items))
	for i, item := range items {
		out[i] = f(item)
	}
	return out
}

// stamp is a time as the API writes it.
func stamp(t time.Time) string { return cloud.FormatTime(t) }

// optionalStamp is a time that may be missing: null when it is.
func optionalStamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := stamp(t)
	return &text
}

package api

import (
	"net/http"
	"slices"
)

// Route is a line of the route table, for the tests that look at all of them.
type Route = route

// Routes is the whole route table.
func Routes() []Route { return routes() }

// IsPaged reports whether a route answers a list in pages.
func IsPaged(r Route) bool {
	d, _ := describe(r)
	return r.Method == http.MethodGet && slices.Contains(d.query, "per_page")
}

// TakesBody reports whether a route reads its request's body.
func TakesBody(r Route) bool {
	d, _ := describe(r)
	return d.takes != nil
}

// RequestBodies has a value of every type that a request body is decoded into,
// by the route that takes it, so that a test can try all of their fields. The
// clock is left out: it is the whole server's.
var RequestBodies = requestBodies()

func requestBodies() map[string]any {
	all := map[string]any{}
	for name, d := range described() {
		if d.takes != nil && name != "POST /_sim/clock" {
			all[name] = d.takes
		}
	}
	return all
}

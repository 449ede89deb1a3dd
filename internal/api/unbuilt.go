package api

import "strings"

// unbuilt lists the operations of the API's compute families that this server
// does not have yet. They answer 501 and say so, so that nobody takes them for
// a mistake in the path.
const unbuilt = `
`

func unbuiltRoutes() []route {
	var all []route
	for line := range strings.Lines(unbuilt) {
		if method, pattern, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			all = append(all, route{Method: method, Pattern: pattern, Unbuilt: true})
		}
	}
	return all
}

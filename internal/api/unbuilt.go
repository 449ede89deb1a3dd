package api

import "strings"

// unbuilt lists the operations of the API's families here that this server does
// not have yet. They answer 501 and say so, so that nobody takes them for a
// mistake in the path.
const unbuilt = `
POST /v2/projects
PUT /v2/projects/{project_id}
PATCH /v2/projects/{project_id}
DELETE /v2/projects/{project_id}
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

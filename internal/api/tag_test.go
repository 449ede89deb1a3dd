package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// unused is what a tag shows of each kind when nothing bears it.
const unused = `{"count": 0, "droplets": {"count": 0}, "images": {"count": 0}, "volumes": {"count": 0},
	"volume_snapshots": {"count": 0}, "databases": {"count": 0}}`

// tag makes a tag.
func (a *account) tag(name string) {
	a.t.Helper()
	a.post("/v2/tags", map[string]any{"name": name}).is(http.StatusCreated)
}

// bearing is a request to tag things: kinds and IDs in turn.
func bearing(kindsAndIDs ...any) map[string]any {
	list := []any{}
	for i := 0; i < len(kindsAndIDs); i += 2 {
		list = append(list, map[string]any{"resource_type": kindsAndIDs[i], "resource_id": kindsAndIDs[i+1]})
	}
	return map[string]any{"resources": list}
}

func (a *account) untag(tag string, body map[string]any) *answer {
	a.t.Helper()
	return a.do(http.MethodDelete, "/v2/tags/"+tag+"/resources", body)
}

func TestTagNamesRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.tag("kept")
		for _, name := range []string{"", "has space", "a/b", "web.1", "é", strings.Repeat("t", 256)} {
			body := map[string]any{"name": name}
			want := fmt.Sprintf("tag %q: tags have 1 to 255 letters, digits, dashes, underscores and colons", name)
			for _, refused := range []*answer{a.post("/v2/tags", body), a.put("/v2/tags/kept", body)} {
				refused.refused(http.StatusBadRequest, cloud.CodeBadRequest, want)
			}
		}
		spaced := a.post("/v2/tags", map[string]any{"name": "has space"})
		spaced.shows("error", `"Error validating resource tag: \"tag-name \\\"has space\\\" contains invalid characters\""`)
		spaced.shows("messages", `null`)
		spaced.shows("root_causes", `["rpc error: code = InvalidArgument desc = Error validating resource tag: \"tag-name \\\"has space\\\" contains invalid characters\""]`)
		a.post("/v2/tags", map[string]any{"name": 1}).invalid("name must be a string, not number")
		a.get("/v2/tags").shows("meta.total", "1")
	})
}

func TestTaggingRefused(t *testing.T) {
	tests := []struct {
		name string
		body any
		want string
	}{
		{"nothing", nil, "resources is required: a list of objects with resource_id and resource_type"},
		{"an object", map[string]any{"resources": map[string]any{}}, "resources must be a list, not object"},
		{"an unknown kind", bearing("banana", "1"), `resource_type must be droplet, image, volume or volume_snapshot, not "banana"`},
		{"no kind", bearing("", "1"), `resource_type must be droplet, image, volume or volume_snapshot, not ""`},
		{"no ID", bearing("droplet", ""), "resource_id is required"},
		{"a list for an ID", bearing("droplet", []int{1}), "resources.resource_id must be a number or a string, not [1]"},
	}
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.tag("x")
		droplet := a.droplet("web")
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				a := a.within(t)
				a.post("/v2/tags/x/resources", test.body).invalid(test.want)
				a.do(http.MethodDelete, "/v2/tags/x/resources", test.body).invalid(test.want)
			})
		}
		web := bearing("droplet", droplet)
		a.post("/v2/tags/x/resources", bearing("domain", "example.com")).notFound()
		for _, unknown := range []string{"y", "X", "x%20y"} { // another case is another name
			a.post("/v2/tags/"+unknown+"/resources", web).notFound()
			a.untag(unknown, web).notFound()
			a.get("/v2/tags/" + unknown).notFound()
			a.del("/v2/tags/" + unknown).notFound()
			a.put("/v2/tags/"+unknown, map[string]any{"name": "z"}).notFound()
		}
		stranger := s.newAccount(t)
		stranger.get("/v2/tags/x").notFound()
		stranger.del("/v2/tags/x").notFound()
		stranger.put("/v2/tags/x", map[string]any{"name": "z"}).notFound()
		stranger.post("/v2/tags/x/resources", web).notFound()
		stranger.tag("x")
		stranger.post("/v2/tags/x/resources", web).empty(http.StatusNoContent) // there is no such Droplet for it
		stranger.get("/v2/tags/x").shows("tag.resources", unused)
		a.get("/v2/tags/x").shows("tag.resources", unused)
	})
}

// Putting a tag on something changes that as well, and takes the scope for it.
func TestTaggingScopes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.tag("x")
		for kind, scope := range map[string]cloud.Scope{
			"droplet": "droplet:update", "image": "image:update", "volume": "block_storage:update",
			"volume_snapshot": "block_storage_snapshot:create",
		} {
			a.mayAllBut(scope).post("/v2/tags/x/resources", bearing(kind, "1")).forbidden()
			a.mayAllBut(scope).untag("x", bearing(kind, "1")).forbidden()
			a.may("tag:create", scope).post("/v2/tags/x/resources", bearing(kind, "1")).empty(http.StatusNoContent)
			a.may("tag:delete", scope).untag("x", bearing(kind, "1")).empty(http.StatusNoContent)
		}
	})
}

func TestTags(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.get("/v2/tags").shows("", `{"tags": [], "links": {}, "meta": {"total": 0}}`)
		made := a.post("/v2/tags", map[string]any{"name": "Prod:eu"}).is(http.StatusCreated)
		made.shows("", `{"tag": {"name": "Prod:eu", "resources": `+unused+`}}`)
		again := a.post("/v2/tags", map[string]any{"name": "PROD:EU"}).is(http.StatusCreated)
		again.shows("tag.name", `"Prod:eu"`)
		a.get("/v2/tags/Prod%3Aeu").shows("tag.name", `"Prod:eu"`)
		a.get("/v2/tags/Prod:eu").shows("tag.name", `"Prod:eu"`)
		a.droplet("web", "tags", []string{"prod:EU", "other"})
		if diff := cmp.Diff([]string{"Prod:eu", "other"}, a.get("/v2/tags").texts("tags", "name")); diff != "" {
			t.Error(diff)
		}
		a.get("/v2/tags?per_page=1").shows("tags.0.resources.droplets.count", `1`)
		a.get("/v2/tags?per_page=1&page=2").shows("tags.0.name", `"other"`)
		a.del("/v2/tags/Prod:eu").empty(http.StatusNoContent)
		a.del("/v2/tags/Prod:eu").notFound()
		a.get("/v2/droplets").shows("droplets.0.tags", `["other"]`)
		a.get("/v2/droplets?tag_name=Prod:eu").shows("droplets", `[]`)
	})
}

// The counts are of what is there, whatever comes and goes, and the last is the
// last that is there.
func TestTagCounts(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		volume := a.volume("data", "tags", []string{"x"})
		first := a.droplet("first", "tags", []string{"x"})
		snapshot := a.post("/v2/volumes/"+volume+"/snapshots", map[string]any{"name": "s", "tags": []string{"x"}}).
			is(http.StatusCreated).text("snapshot.id")
		second := a.droplet("second")
		image := a.snapshot(second, "image")
		body := bearing("droplet", second, "droplet", fmt.Sprint(second), "droplet", "17", "droplet", "word",
			"image", image, "image", 159651797, "firewall", "x", "database", "y", "volume", strings.ToUpper(volume))
		for range 2 { // what is tagged already stays as it is
			a.post("/v2/tags/x/resources", body).empty(http.StatusNoContent)
		}
		base := s.URL
		uri := func(path string, id any) string {
			return fmt.Sprintf(`"last_tagged_uri": "%s/v2/%s/%v"`, base, path, id)
		}
		got := a.get("/v2/tags/x").is(http.StatusOK)
		got.shows("tag", `{"name": "x", "resources": {
			"count": 5, "last_tagged_uri": "*",
			"droplets": {"count": 2, `+uri("droplets", second)+`}, "images": {"count": 1, `+uri("images", image)+`},
			"volumes": {"count": 1, `+uri("volumes", volume)+`}, "volume_snapshots": {"count": 1, `+uri("snapshots", snapshot)+`},
			"databases": {"count": 0}}}`)
		a.get(fmt.Sprintf("/v2/images/%d", image)).shows("image.tags", `["x"]`)
		a.get(fmt.Sprintf("/v2/snapshots/%d", image)).shows("snapshot.tags", `["x"]`)
		a.get("/v2/images?tag_name=x").shows("images.0.tags", `["x"]`)

		a.untag("x", bearing("droplet", second, "droplet", second, "volume", "nothing")).empty(http.StatusNoContent)
		a.untag("x", bearing("droplet", second)).empty(http.StatusNoContent)
		a.get("/v2/tags/x").shows("tag.resources.droplets", `{"count": 1, `+uri("droplets", first)+`}`)
		a.del(dropletPath(first)).empty(http.StatusNoContent)
		a.gone(first)
		a.del(fmt.Sprintf("/v2/images/%d", image)).empty(http.StatusNoContent)
		a.del("/v2/volumes/" + volume).empty(http.StatusNoContent)
		a.get("/v2/tags/x").shows("tag.resources", `{"count": 1, `+uri("snapshots", snapshot)+`,
			"droplets": {"count": 0}, "images": {"count": 0}, "volumes": {"count": 0},
			"volume_snapshots": {"count": 1, `+uri("snapshots", snapshot)+`}, "databases": {"count": 0}}`)
		a.del("/v2/snapshots/" + snapshot).empty(http.StatusNoContent)
		a.get("/v2/tags/x").shows("tag.resources", unused)
	})
}

func TestRenameTag(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		droplet := a.droplet("web", "tags", []string{"old", "other"})
		a.put("/v2/tags/old", map[string]any{"name": "OTHER"}).invalid("there is a tag named OTHER already")
		a.put("/v2/tags/old", map[string]any{"name": "new"}).is(http.StatusOK).shows("tag.resources.droplets.count", "1")
		a.get(dropletPath(droplet)).shows("droplet.tags", `["new","other"]`)
		a.get("/v2/tags/old").notFound()
		a.put("/v2/tags/new", map[string]any{"name": "NEW"}).is(http.StatusOK).shows("tag.name", `"NEW"`)
		a.get("/v2/droplets?tag_name=NEW").shows("meta.total", "1")
	})
}

func TestGodoTags(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		c, ctx := a.godo(), context.Background()
		web := []godo.Resource{{ID: fmt.Sprint(a.droplet("web")), Type: godo.DropletResourceType}}
		ok(c.Tags.Create(ctx, &godo.TagCreateRequest{Name: "env:prod"}))(t)
		res, err := c.Tags.TagResources(ctx, "env:prod", &godo.TagResourcesRequest{Resources: web})
		done(t, res, err)
		if tags := ok(c.Tags.List(ctx, nil))(t); len(tags) != 1 || tags[0].Resources.Droplets.Count != 1 {
			t.Errorf("got %+v", tags)
		}
		res, err = c.Tags.UntagResources(ctx, "env:prod", &godo.UntagResourcesRequest{Resources: web})
		done(t, res, err)
		if tag := ok(c.Tags.Get(ctx, "env:prod"))(t); tag.Resources.Count != 0 {
			t.Errorf("got %+v", tag)
		}
		res, err = c.Tags.Delete(ctx, "env:prod")
		done(t, res, err)
	})
}

// A body that cannot be read is refused in the shape of the family's errors.
func TestUnreadableTagHasACause(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const text = "error parsing request body: it is not a JSON object"
		got := s.newAccount(t).post("/v2/tags", "[]")
		got.refused(http.StatusBadRequest, cloud.CodeBadRequest, text)
		got.shows("error", `"`+text+`"`)
		got.shows("root_causes", `["rpc error: code = InvalidArgument desc = `+text+`"]`)
	})
}

package api_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/digitalocean/godo"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// imageBody is what a custom image is made with, and more fields in turn.
func imageBody(name string, more ...any) map[string]any {
	body := map[string]any{"name": name, "url": "https://images.example.com/debian.qcow2", "region": "nyc3"}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return body
}

func imagePath(id int64, rest ...string) string {
	return fmt.Sprintf("/v2/images/%d", id) + strings.Join(rest, "")
}

// customImage imports an image and waits for it.
func (a *account) customImage(name string, more ...any) int64 {
	a.t.Helper()
	id := a.post("/v2/images", imageBody(name, more...)).is(http.StatusAccepted).number("image.id")
	a.imported(id)
	return id
}

// imported waits until an image is imported, or is not.
func (a *account) imported(image int64) *answer {
	a.t.Helper()
	for {
		got := a.get(imagePath(image)).is(http.StatusOK)
		switch got.text("image.status") {
		case "NEW", "pending":
			continue
		}
		return got
	}
}

const badURLText = "url must be an http or https URL, such as https://example.com/debian-12.qcow2"

func TestImportImageRefused(t *testing.T) {
	const nameText = "Name is invalid: it must have 1 to 255 characters"
	tests := []struct {
		field string
		value any
		want  string
	}{
		{"name", nil, nameText},
		{"name", "", nameText},
		{"name", strings.Repeat("a", 256), nameText},
		{"name", 1, "name must be a string, not number"},
		{"url", nil, badURLText},
		{"url", "", badURLText},
		{"url", "debian.qcow2", badURLText},
		{"url", "https://", badURLText},
		{"url", "https://:80/x", badURLText},
		{"url", "file:///etc/passwd", badURLText},
		{"url", "ftp://example.com/x", badURLText},
		{"url", "HTTPS//example.com", badURLText},
		{"url", "http://exa mple.com", badURLText},
		{"url", "https://example.com/" + strings.Repeat("a", 2048), "url is too long (maximum is 2048 characters)"},
		{"region", nil, "region is required"},
		{"region", "moon1", `region "moon1" does not exist`},
		{"region", "sfo1", "sfo1 is unavailable."},
		{"description", strings.Repeat("é", 1025), "description is too long (maximum is 1024 characters)"},
		{"distribution", 1, "distribution must be a string, not number"},
		{"tags", []string{"a b"}, `tag "a b": tags have 1 to 255 letters, digits, dashes, underscores and colons`},
	}
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		for _, test := range tests {
			t.Run(fmt.Sprintf("%s %.20v", test.field, test.value), func(t *testing.T) {
				a.within(t).post("/v2/images", imageBody("own", test.field, test.value)).invalid(test.want)
			})
		}
		a.mayAllBut("tag:create").post("/v2/images", imageBody("own", "tags", []string{"x"})).forbidden()
		a.get("/v2/images?private=true").shows("images", `[]`)
	})
}

func TestImportImage(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		made := a.post("/v2/images", imageBody("own", "region", "NYC3", "distribution", "Debian",
			"description", "mine", "tags", []string{"base", "prod"})).is(http.StatusAccepted)
		made.shows("", `{"image": {"id": "*", "name": "own", "type": "custom", "distribution": "Debian", "regions": [],
			"created_at": "*", "description": "mine", "tags": ["base", "prod"], "status": "NEW", "error_message": ""}}`)
		id := made.number("image.id")
		a.imported(id).shows("image", `{"id": "*", "name": "own", "type": "custom", "distribution": "Debian", "slug": null,
			"public": false, "regions": ["nyc3"], "created_at": "*", "min_disk_size": 3, "size_gigabytes": 2.36,
			"description": "mine", "tags": ["base", "prod"], "status": "available", "error_message": ""}`)
		a.get("/v2/images?private=true").shows("images.0.name", `"own"`)
		s.newAccount(t).get(imagePath(id)).notFound()
		a.droplet("web", "image", id)
		a.post("/v2/droplets", dropletBody("six", "image", id, "ipv6", true)).invalid("image is not compatible with ipv6")

		for sent, shown := range map[string]string{"": "Unknown", "AlmaLinux": "Unknown", "Unknown OS": "Unknown OS", "Gentoo": "Gentoo"} {
			a.post("/v2/images", imageBody("own", "distribution", sent)).shows("image.distribution", `"`+shown+`"`)
		}
	})
}

// A custom image is shown while it is made, cannot be used or deleted until it
// is there, and stays as deleted.
func TestCustomImageStates(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.fault("image.import", "slow", "delay", "10h")
		slow := a.post("/v2/images", imageBody("slow")).is(http.StatusAccepted).number("image.id")
		for a.get(imagePath(slow)).text("image.status") == "NEW" { // for a moment
			continue
		}
		a.get(imagePath(slow)).shows("image.status", `"pending"`)
		a.get("/v2/images?private=true").shows("images.0.status", `"pending"`)
		a.post("/v2/droplets", dropletBody("web", "image", slow)).invalid("You specified an invalid image for Droplet creation.")
		a.post(imagePath(slow, "/actions"), map[string]any{"type": "transfer", "region": "ams3"}).invalid("The image is not available yet.")
		a.del(imagePath(slow)).pending()

		a.fault("image.import", "https://images.example.com/broken.raw", "error", "it is not an image")
		broken := a.post("/v2/images", imageBody("broken", "tags", []string{"x"}, "url", "https://images.example.com/broken.raw")).
			is(http.StatusAccepted).number("image.id")
		failed := a.imported(broken)
		failed.shows("image.status", `"deleted"`)
		failed.shows("image.error_message", `"it is not an image"`)
		failed.shows("image.tags", `[]`)
		a.del(imagePath(broken)).invalid("Image Can not delete an already deleted image.")

		own := a.customImage("own")
		a.del(imagePath(own)).empty(http.StatusNoContent)
		a.get(imagePath(own)).is(http.StatusOK).shows("image.status", `"deleted"`)
		a.del(imagePath(own)).invalid("Image Can not delete an already deleted image.")
		a.put(imagePath(own), map[string]any{"name": "x"}).notFound()
		s.newAccount(t).del(imagePath(own)).notFound()
		a.get("/v2/images?private=true").shows("meta.total", "1")
	})
}

func TestUpdateImage(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		custom, snapshot := a.customImage("own"), a.snapshot(a.droplet("web"), "snap")
		a.put(imagePath(custom), nil).invalid("name is required; custom images may be given a distribution and a description, too")
		a.put(imagePath(custom), map[string]any{"name": ""}).invalid("Name is invalid: it must have 1 to 255 characters")
		a.put(imagePath(custom), map[string]any{"description": strings.Repeat("a", 1025)}).
			invalid("description is too long (maximum is 1024 characters)")
		for _, field := range []string{"distribution", "description"} {
			a.put(imagePath(snapshot), map[string]any{"name": "x", field: "x"}).
				invalid("only custom images can be given another distribution or description")
		}
		a.put(imagePath(159651797), map[string]any{"name": "x"}).refused(http.StatusForbidden, cloud.CodeForbidden,
			"You do not have access for the attempted action.")
		a.put("/v2/images/debian-12-x64", map[string]any{"name": "x"}).notFound()

		a.put(imagePath(snapshot), map[string]any{"name": "kept"}).is(http.StatusOK).shows("image.name", `"kept"`)
		all := map[string]any{"name": "new", "distribution": "Fedora", "description": "better"}
		a.put(imagePath(custom), all).is(http.StatusOK)
		a.put(imagePath(custom), map[string]any{"description": ""}).is(http.StatusOK)
		got := a.get(imagePath(custom))
		got.shows("image.name", `"new"`)
		got.shows("image.distribution", `"Fedora"`)
		got.shows("image.description", `""`)
	})
}

func TestImageActionsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		path := imagePath(a.snapshot(a.droplet("web"), "snap"), "/actions")
		for _, test := range []struct {
			body any
			want string
		}{
			{nil, "type must be transfer or convert"},
			{map[string]any{"type": "resize"}, "type must be transfer or convert"},
			{map[string]any{"type": 1}, "type must be a string, not number"},
			{map[string]any{"type": "transfer"}, "region is required"},
			{map[string]any{"type": "transfer", "region": "moon1"}, `region "moon1" does not exist`},
			{map[string]any{"type": "transfer", "region": "sfo1"}, "sfo1 is unavailable."},
			{map[string]any{"type": "transfer", "region": "nyc3"}, "The image is in nyc3 already."},
			{map[string]any{"type": "convert"}, "Only backups can be converted to snapshots."},
		} {
			a.post(path, test.body).invalid(test.want)
		}
		a.post(imagePath(159651797, "/actions"), map[string]any{"type": "transfer", "region": "ams3"}).
			refused(http.StatusForbidden, cloud.CodeForbidden, "You do not have access for the attempted action.")
		a.get(path).shows("", `{"actions": [], "links": {}, "meta": {"total": 0}}`)
	})
}

func TestTransferImage(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		image := a.snapshot(a.droplet("web"), "snap")
		path := imagePath(image, "/actions")
		started := a.post(path, map[string]any{"type": "transfer", "region": "AMS3"}).is(http.StatusCreated)
		started.shows("action.type", `"transfer"`)
		started.shows("action.resource_type", `"image"`)
		started.shows("action.resource_id", fmt.Sprint(image))
		started.shows("action.region_slug", `"ams3"`)
		a.settle(started)
		a.get(imagePath(image)).shows("image.regions", `["nyc3", "ams3"]`)
		a.get(path).shows("actions.0.status", `"completed"`)
		a.get(fmt.Sprint(path, "/", started.number("action.id"))).shows("action.status", `"completed"`)
		a.droplet("far", "region", "ams3", "image", image)

		a.fault("image.transfer", fmt.Sprint(image), "error", "the line is down", "times", 1)
		failed := a.settle(a.post(path, map[string]any{"type": "transfer", "region": "fra1"}).is(http.StatusCreated))
		if failed.Status != cloud.Errored || failed.Error != "the line is down" {
			t.Errorf("got %+v", failed)
		}
		a.get(imagePath(image)).shows("image.regions", `["nyc3", "ams3"]`)
	})
}

func TestGodoCustomImages(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		c, ctx := a.godo(), t.Context()
		made := ok(c.Images.Create(ctx, &godo.CustomImageCreateRequest{
			Name: "own", Url: "http://images.example.com/x.raw", Region: "nyc3", Distribution: "Ubuntu",
		}))(t)
		a.imported(int64(made.ID))
		if got := ok(c.Images.GetByID(ctx, made.ID))(t); got.Status != "available" || got.Type != "custom" {
			t.Errorf("got %+v", got)
		}
		ok(c.Images.Update(ctx, made.ID, &godo.ImageUpdateRequest{Name: "renamed"}))(t)
		action := ok(c.ImageActions.Transfer(ctx, made.ID, &godo.ActionRequest{"type": "transfer", "region": "ams3"}))(t)
		a.wait(int64(action.ID))
		if got := ok(c.ImageActions.Get(ctx, made.ID, action.ID))(t); got.Status != godo.ActionCompleted {
			t.Errorf("got %+v", got)
		}
		res, err := c.Images.Delete(ctx, made.ID)
		done(t, res, err)
	})
}

// makeBackup makes an image look like a backup.
func (a *account) makeBackup(image int64) {
	a.t.Helper()
	err := a.s.db.Write(a.t.Context(), func(tx *database.Tx) error {
		_, err := tx.Exec("UPDATE images SET type = 'backup' WHERE id = $1", image)
		return err
	})
	if err != nil {
		a.t.Fatal(err)
	}
}

// A backup that is converted is a snapshot, on the Droplet as well.
func TestGodoConvertsBackups(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		c, ctx := a.godo(), t.Context()
		droplet := a.droplet("web")
		image := int(a.snapshot(droplet, "weekly"))
		a.makeBackup(int64(image))
		action := ok(c.ImageActions.Convert(ctx, image))(t)
		a.wait(int64(action.ID))
		href := a.s.URL + imagePath(int64(image), "/actions/") + strconv.Itoa(action.ID)
		if got := ok(c.ImageActions.GetByURI(ctx, href))(t); got.Status != godo.ActionCompleted || got.Type != "convert" {
			t.Errorf("got %+v", got)
		}
		a.get(dropletPath(droplet)).shows("droplet.backup_ids", `[]`)
		a.get(dropletPath(droplet)).shows("droplet.snapshot_ids", "["+strconv.Itoa(image)+"]")
	})
}

package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func TestCreateVolumeRefused(t *testing.T) {
	const (
		badName = "name must start with a lower-case letter and have only lower-case letters, digits and hyphens, 64 at most"
		badSize = "size_gigabytes must be between 1 and 16384"
	)
	tests := []struct {
		name   string
		fields map[string]any
		want   string
	}{
		{"no name", map[string]any{"name": nil}, badName},
		{"capitals", map[string]any{"name": "Data"}, badName},
		{"a digit first", map[string]any{"name": "1data"}, badName},
		{"a space", map[string]any{"name": "my data"}, badName},
		{"65 letters", map[string]any{"name": strings.Repeat("a", 65)}, badName},
		{"a number for a name", map[string]any{"name": 1}, "name must be a string, not number"},
		{"no size", map[string]any{"size_gigabytes": nil}, badSize},
		{"size 0", map[string]any{"size_gigabytes": 0}, badSize},
		{"below 0", map[string]any{"size_gigabytes": -1}, badSize},
		{"above the most", map[string]any{"size_gigabytes": 16385}, badSize},
		{"half a gigabyte", map[string]any{"size_gigabytes": 0.5}, "size_gigabytes must be a whole number, not 0.5"},
		{"a word for a size", map[string]any{"size_gigabytes": "big"}, `size_gigabytes must be a whole number, not "big"`},
		{"no region", map[string]any{"region": nil}, `region "" does not exist`},
		{"an unknown region", map[string]any{"region": "mars1"}, `region "mars1" does not exist`},
		{"a prefix of one", map[string]any{"region": "nyc"}, `region "nyc" does not exist`},
		{"a closed region", map[string]any{"region": "sfo1"}, "sfo1 is unavailable."},
		{"a number for a region", map[string]any{"region": 3}, "region must be a string, not number"},
		{"an unknown filesystem", map[string]any{"filesystem_type": "zfs"}, "filesystem_type must be ext4 or xfs"},
		{"a label without a filesystem", map[string]any{"filesystem_label": "x"}, "filesystem_label needs a filesystem_type"},
		{
			"a label too long for ext4", map[string]any{"filesystem_type": "ext4", "filesystem_label": strings.Repeat("x", 17)},
			"filesystem_label has at most 16 characters with ext4",
		},
		{
			"a label too long for xfs", map[string]any{"filesystem_type": "xfs", "filesystem_label": strings.Repeat("x", 13)},
			"filesystem_label has at most 12 characters with xfs",
		},
		{"an unknown snapshot", map[string]any{"snapshot_id": "x"}, "snapshot x does not exist"},
		{"a bad tag", map[string]any{"tags": []string{"a b"}}, `tag "a b": tags have 1 to 255 letters, digits, dashes, underscores and colons`},
		{"a text for tags", map[string]any{"tags": "a"}, "tags must be a list, not string"},
	}
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				body := map[string]any{"name": "data", "region": "nyc3", "size_gigabytes": 10}
				for field, v := range test.fields {
					body[field] = v
				}
				a.within(t).post("/v2/volumes", body).invalid(test.want)
			})
		}
		a.post("/v2/volumes", nil).invalid(`region "" does not exist`)
		a.mayAllBut("tag:create").post("/v2/volumes", map[string]any{
			"name": "data", "region": "nyc3", "size_gigabytes": 1, "tags": []string{"a"},
		}).forbidden()
		a.get("/v2/volumes").shows("", `{"volumes": [], "links": {}, "meta": {"total": 0}}`)
		a.volume("data")
		a.post("/v2/volumes", map[string]any{"name": "data", "region": "NYC3", "size_gigabytes": 1}).
			refused(http.StatusConflict, cloud.CodeConflict, "failed to create volume: volume data in nyc3 already exists")
		a.volume("data", "region", "ams3")
		s.newAccount(t).volume("data")
	})
}

func TestVolumes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		made := a.post("/v2/volumes", map[string]any{ // as godo writes it
			"region": "NYC3", "name": "data_1", "description": "all of it", "size_gigabytes": 100, "snapshot_id": "",
			"filesystem_type": "ext4", "filesystem_label": "big", "tags": []string{"B", "a"},
		}).is(http.StatusCreated)
		made.shows("volume", `{
			"id": "*", "region": {"name": "New York 3", "slug": "nyc3", "features": "*", "available": true, "sizes": "*"},
			"droplet_ids": [], "name": "data_1", "description": "all of it", "size_gigabytes": 100, "filesystem_type": "ext4",
			"filesystem_label": "big", "created_at": "*", "tags": ["B", "a"]}`)
		id := made.text("volume.id")
		a.volume("plain", "tags", nil, "filesystem_type", "", "size_gigabytes", "20")
		a.volume("plain", "region", "ams3", "size_gigabytes", 1)
		for _, same := range []any{a.get("/v2/volumes/" + id).at("volume"), a.get("/v2/volumes/" + strings.ToUpper(id)).at("volume"), a.get("/v2/volumes").at("volumes.0")} {
			if diff := cmp.Diff(made.at("volume"), same); diff != "" {
				t.Error(diff)
			}
		}
		for query, want := range map[string][]string{
			"":                       {"data_1", "plain", "plain"},
			"name=plain":             {"plain", "plain"},
			"name=Plain":             {},
			"name=data%25":           {},
			"region=nyc3":            {"data_1", "plain"},
			"region=Ams3":            {"plain"},
			"region=nyc":             {},
			"name=plain&region=nyc3": {"plain"},
		} {
			if diff := cmp.Diff(want, a.get("/v2/volumes?"+query).is(http.StatusOK).texts("volumes", "name")); diff != "" {
				t.Errorf("%s (-want +got)\n%s", query, diff)
			}
		}
		a.del("/v2/volumes/" + strings.ToUpper(id)).empty(http.StatusNoContent)
		a.del("/v2/volumes/" + id).notFound()
		a.get("/v2/volumes/" + id).notFound()
	})
}

func TestCreateVolumeFromSnapshot(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		snapshot := a.volumeSnapshot(a.volume("data", "size_gigabytes", 30), "nightly")
		create := func(name string, more ...any) *answer {
			body := map[string]any{"name": name, "snapshot_id": snapshot}
			for i := 0; i < len(more); i += 2 {
				body[more[i].(string)] = more[i+1]
			}
			return a.post("/v2/volumes", body)
		}
		create("small", "size_gigabytes", 29).invalid("size_gigabytes must be at least the snapshot's, 30")
		create("far", "region", "ams3").invalid("the snapshot is in nyc3, not in ams3")
		theirs := other.volumeSnapshot(other.volume("data"), "theirs")
		create("theirs", "snapshot_id", theirs).invalid("snapshot " + theirs + " does not exist")
		made := create("same").is(http.StatusCreated)
		made.shows("volume.size_gigabytes", `30`)
		made.shows("volume.region.slug", `"nyc3"`)
		create("godo", "size_gigabytes", 0, "region", "nyc3").is(http.StatusCreated).shows("volume.size_gigabytes", `30`)
		create("capitals", "region", "NYC3").is(http.StatusCreated)
		create("larger", "size_gigabytes", 31).is(http.StatusCreated).shows("volume.size_gigabytes", `31`)
	})
}

func TestDeleteAttachedVolume(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		volume := a.volume("data")
		a.attach(volume, a.droplet("web"))
		a.del("/v2/volumes/"+volume).refused(http.StatusConflict, cloud.CodeConflict,
			"failed to delete volume: attached volume cannot be deleted")
	})
}

// A create that the engine fails is told in its words, and leaves nothing.
func TestCreateVolumeFails(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.fault("volume.create", "data", "error", "the pool is full", "times", 1)
		body := map[string]any{"name": "data", "region": "nyc3", "size_gigabytes": 1}
		a.failing().post("/v2/volumes", body).refused(http.StatusInternalServerError, cloud.CodeInternal, "the pool is full")
		a.get("/v2/volumes").shows("volumes", `[]`)
		a.post("/v2/volumes", body).is(http.StatusCreated)
	})
}

func TestVolumeActionsRefused(t *testing.T) {
	const unknown = "type must be attach, detach or resize"
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		volume, droplet, theirs := a.volume("data"), a.droplet("web"), other.droplet("theirs")
		far := a.droplet("far", "region", "ams3")
		for _, test := range []struct {
			name string
			body any
			want string
		}{
			{"nothing", nil, unknown},
			{"null", "null", unknown},
			{"no type", map[string]any{"droplet_id": droplet}, unknown},
			{"an unknown type", map[string]any{"type": "format"}, unknown},
			{"the action's own type", map[string]any{"type": "attach_volume", "droplet_id": droplet}, unknown},
			{"a number for a type", map[string]any{"type": 1}, "type must be a string, not number"},
			{"a word for a Droplet", map[string]any{"type": "attach", "droplet_id": "web"}, `droplet_id must be a whole number, not "web"`},
			{"another region", map[string]any{"type": "attach", "droplet_id": far}, "The volume is in nyc3 and the Droplet is in ams3."},
			{"a bad tag", map[string]any{"type": "attach", "droplet_id": droplet, "tags": []string{"a b"}}, `tag "a b": tags have 1 to 255 letters, digits, dashes, underscores and colons`},
			{"a text for tags", map[string]any{"type": "attach", "droplet_id": droplet, "tags": "a"}, "tags must be a list, not string"},
			{"detach what is not attached", map[string]any{"type": "detach", "droplet_id": droplet}, "Attachment not found"},
			{"detach from nowhere", map[string]any{"type": "detach"}, "Attachment not found"},
			{"no size", map[string]any{"type": "resize"}, "size_gigabytes must be between 1 and 16384"},
			{"a size too large", map[string]any{"type": "resize", "size_gigabytes": 16385}, "size_gigabytes must be between 1 and 16384"},
			{"the same size", map[string]any{"type": "resize", "size_gigabytes": 10}, "size_gigabytes must be above the present size, 10"},
			{"smaller", map[string]any{"type": "resize", "size_gigabytes": 9}, "size_gigabytes must be above the present size, 10"},
		} {
			t.Run(test.name, func(t *testing.T) {
				a.within(t).post("/v2/volumes/"+volume+"/actions", test.body).invalid(test.want)
			})
		}
		for _, id := range []any{nil, 0, -1, 4711, theirs} {
			a.post("/v2/volumes/"+volume+"/actions", map[string]any{"type": "attach", "droplet_id": id}).notFound()
		}
		a.get("/v2/volumes/"+volume+"/actions").shows("", `{"actions": [], "links": {}, "meta": {"total": 0}}`)
	})
}

func TestVolumeActions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		volume, droplet, other := a.volume("data"), a.droplet("web"), a.droplet("other")
		path := "/v2/volumes/" + volume + "/actions"
		attach := map[string]any{"type": "attach", "droplet_id": droplet, "region": "nyc3", "volume_id": volume}
		began := a.post(path, attach).is(http.StatusAccepted)
		began.shows("action", `{
			"id": "*", "status": "in-progress", "type": "attach_volume", "started_at": "*", "completed_at": null,
			"resource_id": null, "resource_type": "volume", "region": "*", "region_slug": "nyc3"}`)
		a.settle(began)

		a.get(path+"/"+began.text("action.id")).is(http.StatusOK).shows("action.status", `"completed"`)
		a.get("/v2/volumes/"+volume).shows("volume.droplet_ids", fmt.Sprintf(`[%d]`, droplet))
		a.get(dropletPath(droplet)).shows("droplet.volume_ids", fmt.Sprintf(`[%q]`, volume))
		a.post(path, attach).invalid("This volume is already attached")
		a.post(path, map[string]any{"type": "attach", "droplet_id": other}).invalid("This volume is already attached")
		a.post(path, map[string]any{"type": "detach", "droplet_id": other}).invalid("Attachment not found")

		a.settle(a.post(path, map[string]any{"type": "resize", "size_gigabytes": "20.0", "region": "nyc3"}).is(http.StatusAccepted))
		a.get("/v2/volumes/"+volume).shows("volume.size_gigabytes", `20`)
		a.settle(a.post(path, map[string]any{"type": "detach", "droplet_id": fmt.Sprint(droplet)}).is(http.StatusAccepted))
		a.get("/v2/volumes/"+volume).shows("volume.droplet_ids", `[]`)
		a.get(dropletPath(droplet)).shows("droplet.volume_ids", `[]`)
		got := a.get(path).is(http.StatusOK)
		if diff := cmp.Diff([]string{"detach_volume", "resize_volume", "attach_volume"}, got.texts("actions", "type")); diff != "" {
			t.Error(diff)
		}
		loose := a.volume("loose")
		a.get("/v2/volumes/" + loose + "/actions/" + began.text("action.id")).notFound()
		a.get(path + "/1").notFound()
		a.del("/v2/volumes/" + volume).empty(http.StatusNoContent)
	})
}

// An attach has the Droplet and the volume for itself.
func TestAttachHoldsBoth(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		volume, another, droplet, other := a.volume("data"), a.volume("more"), a.droplet("web"), a.droplet("other")
		path := "/v2/volumes/" + volume + "/actions"
		a.fault("volume.attach", volume, "delay", "10h")
		a.post(path, map[string]any{"type": "attach", "droplet_id": droplet}).is(http.StatusAccepted)
		a.post(path, map[string]any{"type": "attach", "droplet_id": droplet}).pending()
		a.post(path, map[string]any{"type": "attach", "droplet_id": other}).pending()
		a.post(path, map[string]any{"type": "resize", "size_gigabytes": 20}).pending()
		a.post(path, map[string]any{"type": "detach", "droplet_id": droplet}).invalid("Attachment not found")
		a.post("/v2/volumes/"+volume+"/snapshots", map[string]any{"name": "x"}).pending()
		a.del("/v2/volumes/" + volume).pending()
		a.post("/v2/volumes/"+another+"/actions", map[string]any{"type": "attach", "droplet_id": droplet}).pending()
		a.post(dropletPath(droplet, "/actions"), map[string]any{"type": "reboot"}).pending()
		a.get(dropletPath(droplet)).shows("droplet.locked", `true`)
		a.get(dropletPath(other)).shows("droplet.locked", `false`)
	})
}

// A Droplet takes 15 volumes, running or not.
func TestVolumesPerDroplet(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		ids := []string{}
		for i := range 16 {
			ids = append(ids, a.volume(fmt.Sprintf("data-%d", i), "size_gigabytes", 1))
		}
		droplet := a.droplet("web", "volumes", ids[:14])
		a.act(droplet, "power_off")
		a.attach(ids[14], droplet)
		a.post("/v2/volumes/"+ids[15]+"/actions", map[string]any{"type": "attach", "droplet_id": droplet}).
			invalid("cannot attach more volumes to the Droplet")
	})
}

// Tags that come with an attach are the volume's once it is attached.
func TestAttachWithTags(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		volume, droplet := a.volume("data", "tags", []string{"old"}), a.droplet("web")
		path := "/v2/volumes/" + volume + "/actions"
		attach := func(tags ...string) map[string]any {
			return map[string]any{"type": "attach", "droplet_id": droplet, "tags": tags}
		}
		a.mayAllBut("tag:create").post(path, attach("new")).forbidden()
		fault := a.fault("volume.attach", volume, "error", "no slot is free")
		a.settle(a.post(path, attach("new")).is(http.StatusAccepted))
		a.get("/v2/volumes/"+volume).shows("volume.tags", `["old"]`)
		a.del(fmt.Sprintf("/_sim/faults/%d", fault)).is(http.StatusNoContent)

		a.settle(a.post(path, attach("new", "old", "new")).is(http.StatusAccepted))
		a.get("/v2/volumes/"+volume).shows("volume.tags", `["new", "old"]`)
		a.get(dropletPath(droplet)).shows("droplet.tags", `[]`)
		a.get("/v2/tags/new").shows("tag.resources.volumes.count", `1`)
		a.settle(a.post(path, map[string]any{"type": "detach", "droplet_id": droplet}).is(http.StatusAccepted))
		a.settle(a.mayAllBut("tag:create").post(path, attach()).is(http.StatusAccepted))
		a.get("/v2/volumes/"+volume).shows("volume.tags", `["new", "old"]`)
	})
}

// An attach that fails leaves both sides as they were.
func TestAttachFails(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		volume, droplet := a.volume("data"), a.droplet("web")
		a.fault("volume.attach", volume, "error", "no slot is free", "times", 1)
		began := a.post("/v2/volumes/"+volume+"/actions", map[string]any{"type": "attach", "droplet_id": droplet}).is(http.StatusAccepted)
		if ended := a.settle(began); ended.Status != cloud.Errored {
			t.Errorf("the action is %s", ended.Status)
		}
		a.get("/v2/volumes/"+volume).shows("volume.droplet_ids", `[]`)
		a.get(dropletPath(droplet)).shows("droplet.locked", `false`)
		a.attach(volume, droplet)
	})
}

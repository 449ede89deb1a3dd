package api_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func TestDropletActionRefused(t *testing.T) {
	const unknown = "You specified an invalid action type."
	tests := []struct {
		name string
		body any
		want string
	}{
		{"no body", nil, unknown},
		{"null", "null", unknown},
		{"no type", map[string]any{}, unknown},
		{"an unknown type", map[string]any{"type": "explode"}, unknown},
		{"a type of the system", map[string]any{"type": "create"}, unknown},
		{"destroy", map[string]any{"type": "destroy"}, unknown},
		{"a type in capitals", map[string]any{"type": "REBOOT"}, unknown},
		{"a legacy type", map[string]any{"type": "upgrade"}, unknown},
		{"a number for a type", map[string]any{"type": 1}, "type must be a string, not number"},
		{"no new name", map[string]any{"type": "rename"}, hostnameText},
		{"a bad new name", map[string]any{"type": "rename", "name": "a b"}, hostnameText},
		{"a number for a name", map[string]any{"type": "rename", "name": 1}, "name must be a string, not number"},
	}
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		path := dropletPath(a.droplet("web"), "/actions")
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) { a.within(t).post(path, test.body).invalid(test.want) })
		}
		for _, kind := range []string{
			"resize", "rebuild", "restore", "password_reset", "change_kernel", "enable_ipv6", "enable_private_networking",
		} {
			a.post(path, map[string]any{"type": kind}).is(http.StatusNotImplemented)
		}
		a.may("droplet:update").post(path, map[string]any{"type": "snapshot"}).forbidden()
		a.may("droplet:update", "image:create").post(path, map[string]any{"type": "snapshot"}).is(http.StatusCreated)
		a.post("/v2/droplets/1/actions", map[string]any{"type": "explode"}).notFound()
	})
}

// Each action ends in its state, and the states refuse what makes no sense.
func TestPowerActions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		status := func(want string) {
			t.Helper()
			a.get(dropletPath(id)).shows("droplet.status", `"`+want+`"`)
		}
		refuse := func(kind, message string) {
			t.Helper()
			a.post(dropletPath(id, "/actions"), map[string]any{"type": kind}).invalid(message)
		}
		a.act(id, "reboot")
		status("active")
		a.act(id, "power_cycle")
		status("active")
		a.act(id, "power_off")
		status("off")
		refuse("power_off", "Droplet is already powered off")
		refuse("reboot", "Droplet is currently off. Please power it on to run this event.")
		refuse("power_cycle", "Droplet is currently off. Please power it on to run this event.")
		a.act(id, "shutdown") // is no error while it is off
		status("off")
		a.act(id, "power_on")
		status("active")
		a.act(id, "power_on") // nor is this one while it is on
		status("active")
		a.act(id, "shutdown")
		status("off")
		a.act(id, "snapshot")
		a.act(id, "rename", "name", "web-2")
		a.get(dropletPath(id)).shows("droplet.name", `"web-2"`)
		status("off")
	})
}

func TestDropletActionAnswer(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		a.fault("machine.stop", fmt.Sprint(id), "delay", "10h")
		began := a.post(dropletPath(id, "/actions"), map[string]any{"type": "power_off"}).is(http.StatusCreated)
		began.shows("", fmt.Sprintf(`{"action": {
			"id": "*", "status": "in-progress", "type": "power_off", "started_at": "*", "completed_at": null,
			"resource_id": %d, "resource_type": "droplet", "region_slug": "nyc3",
			"region": {"name": "New York 3", "slug": "nyc3", "features": "*", "available": true, "sizes": "*"}}}`, id))
		got := a.get(dropletPath(id))
		got.shows("droplet.locked", `true`)
		got.shows("droplet.status", `"active"`)
		for _, kind := range []string{"power_off", "power_on", "reboot", "rename", "snapshot"} {
			a.post(dropletPath(id, "/actions"), map[string]any{"type": kind, "name": "x"}).pending()
		}
	})
}

// The action's end, the unlock and the new state are seen together: whoever
// sees one of them in an answer sees all in the next.
func TestActionEndsWithItsEffect(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		for _, step := range []struct{ kind, want string }{{"power_off", "off"}, {"power_on", "active"}, {"shutdown", "off"}} {
			action := a.post(dropletPath(id, "/actions"), map[string]any{"type": step.kind}).is(http.StatusCreated)
			path := dropletPath(id, "/actions/", action.text("action.id"))
			for deadline := time.Now().Add(30 * time.Second); ; {
				if time.Now().After(deadline) {
					t.Fatal("the action does not end")
				}
				before := a.get(dropletPath(id))
				ended := a.get(path).text("action.status") == "completed"
				after := a.get(dropletPath(id))
				if before.text("droplet.status") == step.want && (before.at("droplet.locked") == true || !ended) {
					t.Fatalf("%s: the state came before the end of the action: %s", step.kind, before.body)
				}
				if ended {
					after.shows("droplet.status", `"`+step.want+`"`)
					after.shows("droplet.locked", `false`)
					break
				}
			}
		}
	})
}

// Terraform finds a snapshot by the time at which its action started.
func TestSnapshotIsFoundByItsActionsStart(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		a.fault("image.copy", fmt.Sprint(id), "delay", "1100ms", "times", 1) // into another second
		began := a.post(dropletPath(id, "/actions"), map[string]any{"type": "snapshot", "name": "nightly"}).is(http.StatusCreated)
		a.settle(began)
		ended := a.get("/v2/actions/" + began.text("action.id"))
		ended.shows("action.started_at", `"`+began.text("action.started_at")+`"`)
		for _, list := range []string{
			dropletPath(id, "/snapshots"), "/v2/snapshots?resource_type=droplet",
		} {
			a.get(list).shows("snapshots.0.created_at", `"`+began.text("action.started_at")+`"`)
		}
		image := a.get("/v2/images?private=true")
		image.shows("images.0.created_at", `"`+began.text("action.started_at")+`"`)
		if _, err := time.Parse("2006-01-02T15:04:05Z", began.text("action.started_at")); err != nil {
			t.Error(err)
		}
	})
}

// A snapshot is shown nowhere until it is complete.
func TestUnfinishedSnapshot(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		a.fault("image.copy", fmt.Sprint(id), "delay", "10h")
		a.post(dropletPath(id, "/actions"), map[string]any{"type": "snapshot"}).is(http.StatusCreated)
		a.get(dropletPath(id, "/snapshots")).shows("snapshots", `[]`)
		a.get("/v2/snapshots").shows("snapshots", `[]`)
		a.get("/v2/images?private=true").shows("images", `[]`)
		a.get(dropletPath(id)).shows("droplet.snapshot_ids", `[]`)
		a.get(dropletPath(id, "/destroy_with_associated_resources")).shows("snapshots", `[]`)
	})
}

// A snapshot without a name gets one, and names may repeat.
func TestSnapshotNames(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		a.act(id, "snapshot")
		a.act(id, "snapshot", "name", "same")
		a.act(id, "snapshot", "name", "same")
		names := a.get(dropletPath(id, "/snapshots")).texts("snapshots", "name")
		if diff := cmp.Diff([]string{"same", "same"}, names[1:]); diff != "" {
			t.Error(diff)
		}
		if len(names[0]) != len("web-1595954862243") {
			t.Errorf("the snapshot is named %s", names[0])
		}
	})
}

// An action that fails says so, and leaves the Droplet as it was.
func TestDropletActionFails(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		a.fault("image.copy", fmt.Sprint(id), "error", "the disk is gone")
		if ended := a.act(id, "snapshot"); ended.Status != cloud.Errored {
			t.Fatalf("the action is %s", ended.Status)
		}
		got := a.get(dropletPath(id))
		got.shows("droplet.locked", `false`)
		got.shows("droplet.snapshot_ids", `[]`)
		a.get(dropletPath(id, "/actions")).shows("actions.0.status", `"errored"`)
	})
}

func TestDropletActionLists(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		one, two := a.droplet("one"), a.droplet("two")
		first := a.act(one, "reboot").ID
		a.act(one, "power_off")
		other := a.act(two, "reboot").ID
		got := a.get(dropletPath(one, "/actions")).is(http.StatusOK)
		if diff := cmp.Diff([]string{"power_off", "reboot", "create"}, got.texts("actions", "type")); diff != "" {
			t.Error(diff)
		}
		got.shows("links", `{}`)
		got.shows("meta", `{"total": 3}`)
		a.get(dropletPath(one, fmt.Sprintf("/actions/%d", first))).shows("action.type", `"reboot"`)
		a.get(dropletPath(one, fmt.Sprintf("/actions/%d", other))).notFound()
		a.get(dropletPath(two, fmt.Sprintf("/actions/%d", first))).notFound()
		a.get(dropletPath(one, "/actions/1")).notFound()
		a.get(dropletPath(one, "/actions/x")).notFound()
		a.get("/v2/droplets/1/actions/1").notFound()
	})
}

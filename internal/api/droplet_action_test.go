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
		{"a legacy type", map[string]any{"type": "upgrade"}, "There is nothing to upgrade this Droplet to."},
		{"a kernel", map[string]any{"type": "change_kernel", "kernel": 7515}, "Droplets run the kernel of their own system; change it from within the Droplet."},
		{"resize while on", map[string]any{"type": "resize", "size": "s-1vcpu-2gb"}, "Droplet is currently on. Please power it off to run this event."},
		{"a number for a size", map[string]any{"type": "resize", "size": 1}, "size must be a string, not number"},
		{"a word for a disk", map[string]any{"type": "resize", "disk": "all"}, `disk must be true or false, not "all"`},
		{"rebuild from nothing", map[string]any{"type": "rebuild"}, "Image can't be blank"},
		{"rebuild from null", map[string]any{"type": "rebuild", "image": nil}, "Image can't be blank"},
		{"rebuild from what is not there", map[string]any{"type": "rebuild", "image": "beos-5"}, "You specified an invalid image for the Droplet."},
		{"rebuild from a list", map[string]any{"type": "rebuild", "image": []int{1}}, "image must be a number or a string, not [1]"},
		{"restore from nothing", map[string]any{"type": "restore"}, "Image can't be blank"},
		{"restore from a slug", map[string]any{"type": "restore", "image": "debian-12-x64"}, "The image is not a backup of this Droplet."},
		{"restore from what is not there", map[string]any{"type": "restore", "image": 7}, "The image is not a backup of this Droplet."},
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
		for _, kind := range []string{"snapshot", "resize", "rebuild", "restore", "password_reset"} {
			a.may("droplet:update").post(path, map[string]any{"type": kind, "image": "debian-12-x64"}).forbidden()
		}
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

// The steps that Terraform's own tests take, and what they expect of the disk.
func TestResize(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		path := dropletPath(id, "/actions")
		a.act(id, "power_off")
		for _, test := range []struct {
			size string
			disk any
			want string
		}{
			{"s-1vcpu-1gb", true, "The droplet is already set to this size."},
			{"s-1vcpu-512mb-10gb", true, "Size can not decrease size of Droplet's disk image"},
			{"s-1vcpu-512mb-10gb", false, "Size can not decrease size of Droplet's disk image"},
			{"S-1VCPU-2GB", false, "You specified an invalid size for the Droplet."},
			{"", false, "You specified an invalid size for the Droplet."},
			{"gpu-h100x1-80gb", false, "Size is not available in this region."},
		} {
			a.post(path, map[string]any{"type": "resize", "size": test.size, "disk": test.disk}).invalid(test.want)
		}
		for _, step := range []struct {
			size         string
			disk         any
			memory, want int64
		}{
			{"s-1vcpu-2gb", false, 2048, 25},
			{"s-1vcpu-1gb", true, 1024, 25},
			{"s-1vcpu-2gb", "False", 2048, 25}, // as DOBOTO writes it
			{"s-1vcpu-2gb", "true", 2048, 50},  // the disk alone
		} {
			a.settle(a.post(path, map[string]any{"type": "resize", "size": step.size, "disk": step.disk}).is(http.StatusCreated))
			got := a.get(dropletPath(id))
			got.shows("droplet.status", `"off"`)
			got.shows("droplet.size_slug", `"`+step.size+`"`)
			got.shows("droplet.size.slug", `"`+step.size+`"`)
			got.shows("droplet.memory", fmt.Sprint(step.memory))
			got.shows("droplet.disk", fmt.Sprint(step.want))
			got.shows("droplet.disk_info", fmt.Sprintf(`[{"type": "local", "size": {"amount": %d, "unit": "gib"}}]`, step.want))
		}
		a.act(id, "power_on")
		a.act(id, "snapshot", "name", "after")
		a.get(dropletPath(id, "/snapshots")).shows("snapshots.0.min_disk_size", `50`)
	})
}

// A resize that fails leaves the Droplet as it was, off and usable.
func TestResizeFails(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		a.act(id, "power_off")
		before := a.get(dropletPath(id))
		a.fault("machine.resize", fmt.Sprint(id), "error", "no room", "times", 1)
		if ended := a.act(id, "resize", "size", "s-1vcpu-2gb", "disk", "true"); ended.Status != cloud.Errored {
			t.Errorf("the action is %s", ended.Status)
		}
		if diff := cmp.Diff(before.decoded(), a.get(dropletPath(id)).decoded()); diff != "" {
			t.Error(diff)
		}
		a.act(id, "power_on")
	})
}

// A rebuild keeps all but the image; it takes an image as a slug or an ID, in
// whatever form clients write that.
func TestRebuild(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web", "ipv6", true, "tags", []string{"x"})
		snapshot := a.snapshot(id, "golden")
		before := a.get(dropletPath(id)).at("droplet").(map[string]any)
		for _, step := range []struct {
			image any
			want  string
		}{
			{"ubuntu-22-04-x64", `"Ubuntu"`},
			{snapshot, `"Debian"`},
			{"ubuntu-24-04-x64", `"Ubuntu"`},
			{fmt.Sprint(snapshot), `"Debian"`},
			{float64(snapshot) + 0.0, `"Debian"`},
		} {
			a.settle(a.post(dropletPath(id, "/actions"), map[string]any{"type": "rebuild", "image": step.image}).is(http.StatusCreated))
			a.get(dropletPath(id)).shows("droplet.image.distribution", step.want)
		}
		after := a.get(dropletPath(id)).at("droplet").(map[string]any)
		delete(before, "image")
		delete(after, "image")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Error(diff)
		}
		a.act(id, "power_off")
		a.act(id, "rebuild", "image", "debian-12-x64")
		a.get(dropletPath(id)).shows("droplet.status", `"active"`)
		foreign := a.snapshot(a.droplet("other", "size", "s-1vcpu-2gb"), "large")
		a.post(dropletPath(id, "/actions"), map[string]any{"type": "rebuild", "image": foreign}).
			invalid("The image you specified requires a larger disk than the Droplet has.")
		a.post(dropletPath(id, "/actions"), map[string]any{"type": "restore", "image": snapshot}).
			invalid("The image is not a backup of this Droplet.")
		theirs := s.newAccount(t)
		private := theirs.snapshot(theirs.droplet("theirs"), "private")
		a.post(dropletPath(id, "/actions"), map[string]any{"type": "rebuild", "image": private}).
			invalid("You specified an invalid image for the Droplet.")
	})
}

// A rebuild whose machine does not start leaves the former image in place.
func TestRebuildFails(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		before := a.get(dropletPath(id))
		a.fault("machine.start", fmt.Sprint(id), "error", "no memory", "times", 1)
		if ended := a.act(id, "rebuild", "image", "ubuntu-22-04-x64"); ended.Status != cloud.Errored {
			t.Errorf("the action is %s", ended.Status)
		}
		if diff := cmp.Diff(before.decoded(), a.get(dropletPath(id)).decoded()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPasswordReset(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		a.act(id, "password_reset")
		a.get(dropletPath(id)).shows("droplet.status", `"active"`)
		a.act(id, "power_off")
		a.act(id, "password_reset")
		a.get(dropletPath(id)).shows("droplet.status", `"active"`)
	})
}

// The address, the feature and the end of the action are seen together.
func TestEnableIPv6(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id, private := a.droplet("web"), a.droplet("private", "public_networking", false)
		ip := a.reservedIP(id)
		a.get(dropletPath(id)).shows("droplet.networks.v6", `[]`)
		a.act(id, "enable_ipv6")
		got := a.get(dropletPath(id))
		got.shows("droplet.networks.v6", `[{"ip_address": "*", "netmask": 64, "gateway": "*", "type": "public"}]`)
		got.shows("droplet.features", `["droplet_agent", "ipv6", "private_networking"]`)
		a.get("/v2/reserved_ips/"+ip).shows("reserved_ip.droplet.id", fmt.Sprint(id))
		a.post(dropletPath(id, "/actions"), map[string]any{"type": "enable_ipv6"}).
			invalid("IPv6 has already been enabled on this Droplet.")
		a.post(dropletPath(private, "/actions"), map[string]any{"type": "enable_ipv6"}).
			invalid("The droplet has no public networking.")
		a.act(id, "power_off")
		a.act(id, "enable_private_networking") // what older clients ask for
		a.get(dropletPath(id)).shows("droplet.features", `["droplet_agent", "ipv6", "private_networking"]`)
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

func TestTaggedActionsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		on, off := a.droplet("on", "tags", []string{"web", "x"}), a.droplet("off", "tags", []string{"web"})
		a.act(off, "power_off")
		other.droplet("theirs", "tags", []string{"theirs"})
		const path = "/v2/droplets/actions?tag_name="
		a.post("/v2/droplets/actions", map[string]any{"type": "power_on"}).
			invalid("tag_name is required: the tag of the Droplets that this is about")
		for _, tag := range []string{"nobody", "theirs", "WEB"} {
			a.post(path+tag, map[string]any{"type": "shutdown"}).notFound()
		}
		a.post(path+"web", nil).invalid("You specified an invalid action type.")
		a.post(path+"web", map[string]any{"type": "change_kernel"}).
			invalid("Droplets run the kernel of their own system; change it from within the Droplet.")
		for _, kind := range []string{"reboot", "resize", "password_reset"} {
			a.post(path+"web", map[string]any{"type": kind}).invalid("The action " + kind + " cannot be asked for by tag.")
		}
		a.may("droplet:read").post(path+"web", map[string]any{"type": "shutdown"}).forbidden()
		a.may("droplet:update").post(path+"web", map[string]any{"type": "snapshot"}).forbidden()
		// What one of them refuses is refused for all.
		a.post(path+"web", map[string]any{"type": "power_off"}).invalid("Droplet is already powered off")
		a.get(dropletPath(on)).shows("droplet.status", `"active"`)
		a.get(dropletPath(on)).shows("droplet.locked", `false`)
		a.busy(on)
		a.post(path+"web", map[string]any{"type": "snapshot"}).
			invalid("there are currently blocking events processing for one or more of the droplets")
		a.get(dropletPath(off)).shows("droplet.locked", `false`)
		a.get("/v2/images?private=true").shows("images", `[]`)
		a.del("/v2/droplets?tag_name=web").invalid("there are currently blocking events processing for one or more of the droplets")
		a.get("/v2/droplets").shows("meta.total", `2`)
	})
}

func TestTaggedActions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		one, two := a.droplet("one", "tags", []string{"web"}), a.droplet("two", "tags", []string{"web", "b"})
		a.droplet("three", "tags", []string{"c"})
		const path = "/v2/droplets/actions?tag_name=web"
		for _, kind := range []string{
			"power_cycle", "shutdown", "power_on", "power_off", "enable_ipv6", "enable_private_networking", "snapshot",
			"enable_backups", "disable_backups",
		} {
			began := a.post(path, map[string]any{"type": kind}).is(http.StatusCreated)
			if diff := cmp.Diff([]string{fmt.Sprint(one), fmt.Sprint(two)}, began.texts("actions", "resource_id")); diff != "" {
				t.Errorf("%s: %s", kind, diff)
			}
			for i := range 2 {
				if ended := a.wait(began.number(fmt.Sprintf("actions.%d.id", i))); ended.Status != cloud.Completed || string(ended.Type) != kind {
					t.Errorf("%s: got %+v", kind, ended)
				}
			}
		}
		a.get("/v2/images?private=true").shows("meta.total", `2`)
		a.get(dropletPath(two)).shows("droplet.status", `"off"`)

		// A tag that no Droplet has.
		a.del(dropletPath(two)).empty(http.StatusNoContent)
		a.gone(two)
		a.post("/v2/droplets/actions?tag_name=b", map[string]any{"type": "shutdown"}).is(http.StatusCreated).shows("", `{"actions": []}`)
	})
}

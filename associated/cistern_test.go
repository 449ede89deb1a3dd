package associated_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/cistern-cloud/cistern/associated"
	"github.com/cistern-cloud/cistern/cisterntest"
)

// soon waits for simulated work, which takes no time.
var soon = &associated.WaitOptions{Interval: time.Millisecond, MaxInterval: 20 * time.Millisecond, Timeout: time.Minute}

// cloud is a server with a Droplet that has one associated resource of each
// kind.
type cloud struct {
	*testing.T
	srv     *cisterntest.Server
	godo    *godo.Client
	client  *associated.Client
	droplet int
}

func request(name string, tags ...string) *godo.DropletCreateRequest {
	return &godo.DropletCreateRequest{
		Name: name, Region: "nyc3", Size: "s-1vcpu-1gb", Image: godo.DropletCreateImage{Slug: "debian-12-x64"}, Tags: tags,
	}
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	srv := cisterntest.New(t)
	c := &cloud{T: t, srv: srv, godo: srv.Client()}
	c.client = associated.New(c.godo)
	ctx := t.Context()
	made, _, err := c.client.EnsureDroplet(ctx, request("web"))
	c.must(err)
	c.droplet = made.Droplet.ID
	_, err = c.client.WaitForDroplet(ctx, c.droplet, "active", soon)
	c.must(err)

	volume, _, err := c.godo.Storage.CreateVolume(ctx, &godo.VolumeCreateRequest{Name: "data", Region: "nyc3", SizeGigaBytes: 10})
	c.must(err)
	action, _, err := c.godo.StorageActions.Attach(ctx, volume.ID, c.droplet)
	c.wait(action, err)
	_, _, err = c.godo.Storage.CreateSnapshot(ctx, &godo.SnapshotCreateRequest{VolumeID: volume.ID, Name: "data-1"})
	c.must(err)
	action, _, err = c.godo.DropletActions.Snapshot(ctx, c.droplet, "web-1")
	c.wait(action, err)
	_, response, err := c.godo.ReservedIPs.Create(ctx, &godo.ReservedIPCreateRequest{DropletID: c.droplet})
	c.must(err)
	_, err = c.client.WaitForAction(ctx, response.Links.Actions[0].ID, soon)
	c.must(err)
	return c
}

func (c *cloud) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *cloud) wait(action *godo.Action, err error) {
	c.Helper()
	c.must(err)
	_, err = c.client.WaitForAction(c.Context(), action.ID, soon)
	c.must(err)
}

// left lists what is still there of each kind.
func (c *cloud) left() string {
	c.Helper()
	ctx := c.Context()
	var left []string
	add := func(what string, n int, err error) {
		c.must(err)
		if n > 0 {
			left = append(left, what)
		}
	}
	droplets, _, err := c.godo.Droplets.List(ctx, nil)
	add("droplet", len(droplets), err)
	ips, _, err := c.godo.ReservedIPs.List(ctx, nil)
	add("reserved_ip", len(ips), err)
	snapshots, _, err := c.godo.Snapshots.ListDroplet(ctx, nil)
	add("snapshot", len(snapshots), err)
	volumes, _, err := c.godo.Storage.ListVolumes(ctx, nil)
	add("volume", len(volumes), err)
	copies, _, err := c.godo.Snapshots.ListVolume(ctx, nil)
	add("volume_snapshot", len(copies), err)
	return strings.Join(left, " ")
}

func (c *cloud) wantLeft(want string) {
	c.Helper()
	if got := c.left(); got != want {
		c.Errorf("left: %q, want %q", got, want)
	}
}

func TestDestroyDangerous(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	list, _, err := c.client.List(t.Context(), c.droplet)
	c.must(err)
	for _, kind := range associated.Kinds {
		if len(associated.Of(list, kind)) != 1 {
			t.Errorf("%d %s", len(associated.Of(list, kind)), kind)
		}
	}
	response, err := c.client.DestroyDangerous(t.Context(), c.droplet)
	c.must(err)
	if response.StatusCode != http.StatusAccepted {
		t.Errorf("accepted with %d", response.StatusCode)
	}
	var told []string
	options := *soon
	options.Progress = func(r associated.Resource) { told = append(told, string(r.Kind)) }
	status, err := c.client.Wait(t.Context(), c.droplet, &options)
	c.must(err)
	if status.Droplet.DestroyedAt.IsZero() || status.CompletedAt.IsZero() || len(status.All()) != 4 {
		t.Errorf("ended as %+v", status)
	}
	slices.Sort(told)
	if got := strings.Join(told, " "); got != " reserved_ips snapshots volume_snapshots volumes" {
		t.Errorf("told of %s", got)
	}
	c.wantLeft("")
}

func TestDestroySelective(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	list, _, err := c.client.List(t.Context(), c.droplet)
	c.must(err)
	_, err = c.client.DestroySelective(t.Context(), c.droplet, associated.Select(list, associated.Volumes, associated.ReservedIPs))
	c.must(err)
	_, err = c.client.Wait(t.Context(), c.droplet, soon)
	c.must(err)
	c.wantLeft("snapshot volume_snapshot")
}

// Whatever fails is named with its reason, everything else goes, and a retry
// finishes the rest.
func TestRetry(t *testing.T) {
	tests := []struct {
		operation string
		kind      associated.Kind
		left      string
	}{
		{"volume.delete", associated.Volumes, "volume"},
		{"volume_snapshot.delete", associated.VolumeSnapshots, "volume_snapshot"},
		{"image.delete", associated.Snapshots, "snapshot"},
		{"machine.destroy", "", "droplet"},
	}
	for _, test := range tests {
		t.Run(test.operation, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			mend := c.srv.Fail(test.operation, cisterntest.Fault{Error: "the disk is on fire"})
			_, err := c.client.DestroyDangerous(t.Context(), c.droplet)
			c.must(err)
			_, err = c.client.Wait(t.Context(), c.droplet, soon)
			failed, is := errors.AsType[*associated.FailedError](err)
			if !is || len(failed.Failed) != 1 || failed.Failed[0].Kind != test.kind ||
				!strings.Contains(failed.Failed[0].ErrorMessage, "the disk is on fire") {
				t.Fatalf("the wait returned %v", err)
			}
			c.wantLeft(test.left)
			mend()
			_, err = c.client.Retry(t.Context(), c.droplet)
			c.must(err)
			_, err = c.client.Wait(t.Context(), c.droplet, soon)
			c.must(err)
			c.wantLeft("")
		})
	}
}

// What the server's own tries get over is nobody's failure.
func TestTransientFaults(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.srv.Fail("volume.delete", cisterntest.Fault{Error: "busy", Transient: true, Times: 1})
	_, err := c.client.DestroyDangerous(t.Context(), c.droplet)
	c.must(err)
	_, err = c.client.Wait(t.Context(), c.droplet, soon)
	c.must(err)
	c.wantLeft("")
}

func TestErrorsAreGodos(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	_, _, err := c.client.Status(t.Context(), c.droplet) // never asked for
	if e, is := errors.AsType[*godo.ErrorResponse](err); !is || e.Response.StatusCode != http.StatusNotFound {
		t.Errorf("status: %v", err)
	}
	_, err = c.client.DestroySelective(t.Context(), c.droplet, &associated.Selection{Volumes: []string{"no-volume"}})
	if e, is := errors.AsType[*godo.ErrorResponse](err); !is || e.Response.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a volume of nobody: %v", err)
	}
	c.wantLeft("droplet reserved_ip snapshot volume volume_snapshot")
}

func TestEnsureDroplet(t *testing.T) {
	t.Parallel()
	client := cisterntest.New(t).Client()
	c := associated.New(client)
	ensure := func(name string, tags ...string) *associated.Ensured {
		t.Helper()
		e, _, err := c.EnsureDroplet(t.Context(), request(name, tags...))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first := ensure("web")
	if again := ensure("web"); !first.Created || again.Created || again.Droplet.ID != first.Droplet.ID {
		t.Errorf("first %+v, again %+v", first, again)
	}
	staging := ensure("web", "staging")
	if again := ensure("web", "Staging"); !staging.Created || again.Created || again.Droplet.ID != staging.Droplet.ID {
		t.Errorf("with a tag: first %+v, again %+v", staging, again)
	}
	_, _, err := c.EnsureDroplet(t.Context(), request("web"))
	if e, is := errors.AsType[*associated.AmbiguousError](err); !is || len(e.Droplets) != 2 {
		t.Errorf("two of a name: %v", err)
	}
	for _, name := range []string{"", " "} {
		if _, _, err := c.EnsureDroplet(t.Context(), request(name)); err == nil {
			t.Errorf("ensured %q", name)
		}
	}
	if _, _, err := c.EnsureDroplet(t.Context(), nil); err == nil {
		t.Error("ensured nil")
	}
}

func TestEnsureDroplets(t *testing.T) {
	t.Parallel()
	client := cisterntest.New(t).Client()
	c := associated.New(client)
	names := []string{}
	for i := range 12 {
		names = append(names, "web-"+string(rune('a'+i)))
	}
	one, _, err := c.EnsureDroplet(t.Context(), request(names[5], "blue"))
	if err != nil {
		t.Fatal(err)
	}
	all := &godo.DropletMultiCreateRequest{
		Names: names, Region: "nyc3", Size: "s-1vcpu-1gb", Image: godo.DropletCreateImage{Slug: "debian-12-x64"}, Tags: []string{"blue"},
	}
	for _, created := range []int{11, 0} {
		got, _, err := c.EnsureDroplets(t.Context(), all)
		if err != nil || len(got) != len(names) || got[5].Droplet.ID != one.Droplet.ID {
			t.Fatalf("%+v, %v", got, err)
		}
		for i, e := range got {
			if e.Droplet.Name != names[i] {
				t.Errorf("%d is %s", i, e.Droplet.Name)
			}
			if e.Created {
				created--
			}
		}
		if created != 0 {
			t.Errorf("%d too few were created", created)
		}
	}
	all.Names = []string{"x", "x"}
	if _, _, err := c.EnsureDroplets(t.Context(), all); err == nil {
		t.Error("a name twice was taken")
	}
}

func TestWaitForActionThatFails(t *testing.T) {
	t.Parallel()
	srv := cisterntest.New(t)
	srv.Fail("machine.create")
	_, response, err := srv.Client().Droplets.Create(t.Context(), request("web"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = associated.New(srv.Client()).WaitForAction(t.Context(), response.Links.Actions[0].ID, soon)
	if e, is := errors.AsType[*associated.ActionError](err); !is || !strings.Contains(e.Error(), "create of droplet") {
		t.Errorf("the wait returned %v", err)
	}
}

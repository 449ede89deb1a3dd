package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/cistern-cloud/cistern/associated"
	"github.com/cistern-cloud/cistern/cisterntest"
)

// desk is where somebody runs commands that ask a server.
type desk struct {
	*testing.T
	srv    *cisterntest.Server
	api    *godo.Client
	client *associated.Client
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	localFolder(t)
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm-256color")
	srv := cisterntest.New(t)
	api := srv.Client()
	return &desk{t, srv, api, associated.New(api)}
}

// arguments are those of a command, with the server to ask.
func (d *desk) arguments(line string) []string {
	return append(strings.Fields(line), "--api-url", d.srv.URL, "--token", d.srv.Token)
}

func (d *desk) run(line string) (status int, stdout, stderr string) {
	d.Helper()
	return run(d.T, d.arguments(line)...)
}

// want runs a command and expects a status, and texts in what it prints.
func (d *desk) want(line string, status int, texts ...string) string {
	d.Helper()
	got, stdout, stderr := d.run(line)
	if got != status {
		d.Fatalf("cistern %s: %d, want %d\n%s%s", line, got, status, stdout, stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stdout+stderr, text) {
			d.Errorf("cistern %s: no %q in\n%s%s", line, text, stdout, stderr)
		}
	}
	if strings.Contains(stdout+stderr, "\x1b") {
		d.Errorf("cistern %s writes escape codes to no terminal: %q", line, stdout+stderr)
	}
	return stdout
}

// document runs a command with -o json: its standard output is one document.
func (d *desk) document(line string, status int, into any) {
	d.Helper()
	got, stdout, stderr := d.run(line + " -o json")
	if got != status {
		d.Fatalf("cistern %s: %d, want %d\n%s%s", line, got, status, stdout, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		d.Fatalf("cistern %s: %v in\n%s", line, err, stdout)
	}
}

// droplet makes a Droplet, with one resource of each kind if asked.
func (d *desk) droplet(name string, full bool, tags ...string) int {
	d.Helper()
	ctx := d.Context()
	made, _, err := d.api.Droplets.Create(ctx, &godo.DropletCreateRequest{
		Name: name, Region: "nyc3", Size: "s-1vcpu-1gb", Image: godo.DropletCreateImage{Slug: "debian-12-x64"}, Tags: tags,
	})
	d.must(err)
	_, err = d.client.WaitForDroplet(ctx, made.ID, "active", soon)
	d.must(err)
	if !full {
		return made.ID
	}
	volume, _, err := d.api.Storage.CreateVolume(ctx, &godo.VolumeCreateRequest{Name: name + "-data", Region: "nyc3", SizeGigaBytes: 100})
	d.must(err)
	d.wait(d.api.StorageActions.Attach(ctx, volume.ID, made.ID))
	_, _, err = d.api.Storage.CreateSnapshot(ctx, &godo.SnapshotCreateRequest{VolumeID: volume.ID, Name: name + "-copy"})
	d.must(err)
	d.wait(d.api.DropletActions.Snapshot(ctx, made.ID, name+"-monday"))
	_, response, err := d.api.ReservedIPs.Create(ctx, &godo.ReservedIPCreateRequest{DropletID: made.ID})
	d.must(err)
	_, err = d.client.WaitForAction(ctx, response.Links.Actions[0].ID, soon)
	d.must(err)
	return made.ID
}

var soon = &associated.WaitOptions{Interval: time.Millisecond, MaxInterval: 20 * time.Millisecond, Timeout: time.Minute}

func (d *desk) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *desk) wait(action *godo.Action, _ *godo.Response, err error) {
	d.Helper()
	d.must(err)
	_, err = d.client.WaitForAction(d.Context(), action.ID, soon)
	d.must(err)
}

// left says how much there is of each kind: Droplets, volumes, snapshots of
// both kinds, reserved IPs.
func (d *desk) left() string {
	d.Helper()
	ctx := d.Context()
	droplets, _, err := d.api.Droplets.List(ctx, nil)
	d.must(err)
	volumes, _, err := d.api.Storage.ListVolumes(ctx, nil)
	d.must(err)
	snapshots, _, err := d.api.Snapshots.List(ctx, nil)
	d.must(err)
	ips, _, err := d.api.ReservedIPs.List(ctx, nil)
	d.must(err)
	return fmt.Sprint(len(droplets), len(volumes), len(snapshots), len(ips))
}

func (d *desk) wantLeft(want string) {
	d.Helper()
	if got := d.left(); got != want {
		d.Errorf("left are %s of each kind, want %s", got, want)
	}
}

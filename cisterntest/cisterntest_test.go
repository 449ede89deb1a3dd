package cisterntest_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/cistern-cloud/cistern/associated"
	"github.com/cistern-cloud/cistern/cisterntest"
	"github.com/cistern-cloud/cistern/internal/app"
)

var web = &godo.DropletCreateRequest{
	Name: "web", Region: "nyc3", Size: "s-1vcpu-1gb", Image: godo.DropletCreateImage{Slug: "debian-12-x64"},
}

// create makes a Droplet and waits until it is active.
func create(t *testing.T, client *godo.Client, request *godo.DropletCreateRequest) *godo.Droplet {
	t.Helper()
	made, _, err := client.Droplets.Create(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	droplet, err := associated.New(client).WaitForDroplet(t.Context(), made.ID, "active", soon)
	if err != nil {
		t.Fatal(err)
	}
	return droplet
}

// soon waits for simulated work, which takes no time.
var soon = &associated.WaitOptions{Interval: time.Millisecond, MaxInterval: 20 * time.Millisecond, Timeout: time.Minute}

func TestServersAreAlone(t *testing.T) {
	for range 100 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			client := cisterntest.New(t).Client()
			create(t, client, web)
			list, _, err := client.Droplets.List(t.Context(), nil)
			if err != nil || len(list) != 1 {
				t.Errorf("%d Droplets, %v; want the one", len(list), err)
			}
		})
	}
}

func TestFail(t *testing.T) {
	srv := cisterntest.New(t)
	client := srv.Client()
	mend := srv.Fail("machine.create", cisterntest.Fault{Resource: "web", Error: "no room"})
	made, response, err := client.Droplets.Create(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	action, err := associated.New(client).WaitForAction(t.Context(), response.Links.Actions[0].ID, soon)
	if _, failed := errors.AsType[*associated.ActionError](err); !failed || action.Status != "errored" {
		t.Errorf("create %d: %+v, %v; want it to fail", made.ID, action, err)
	}
	mend()
	create(t, client, web)
}

func TestLatency(t *testing.T) {
	srv := cisterntest.New(t, cisterntest.WithLatency(time.Hour))
	made, _, err := srv.Client().Droplets.Create(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := associated.New(srv.Client()).WaitForDroplet(ctx, made.ID, "active", soon); err == nil {
		t.Error("a create that takes an hour is done")
	}
}

func TestRateLimit(t *testing.T) {
	client := cisterntest.New(t, cisterntest.WithRateLimit("3/h,2/m")).Client()
	for range 2 {
		if _, _, err := client.Account.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, response, err := client.Account.Get(t.Context()); err == nil || response.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the third request: %v", err)
	}
}

// A server that cannot start ends the test with the reason.
func TestBadOptions(t *testing.T) {
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		cisterntest.New(f, cisterntest.WithRateLimit("lots"))
	}()
	<-done
	if !strings.Contains(f.message, "lots") {
		t.Errorf("the message is %q", f.message)
	}
}

// A Droplet with daily backups has its seven after eight days.
func TestAdvance(t *testing.T) {
	srv := cisterntest.New(t)
	client := srv.Client()
	request := *web
	request.Backups = true
	droplet := create(t, client, &request)
	before := srv.Now()
	after := srv.Advance(8 * 24 * time.Hour)
	if passed := after.Sub(before); passed < 8*24*time.Hour || passed > 8*24*time.Hour+time.Minute {
		t.Errorf("%s have passed", passed)
	}
	backups, _, err := client.Droplets.Backups(t.Context(), droplet.ID, nil)
	if err != nil || len(backups) != 7 {
		t.Errorf("%d backups, %v; want 7", len(backups), err)
	}
}

// A server that is given a state has it from the start, at that state's time.
func TestWithState(t *testing.T) {
	kept := app.Storage{Data: t.TempDir()}
	source := cisterntest.New(t, func(c *app.Config) { c.Storage = kept })
	create(t, source.Client(), web)
	source.Advance(24 * time.Hour)
	seed, err := os.Create(filepath.Join(t.TempDir(), "seed.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer seed.Close()
	if err := app.ExportState(t.Context(), kept, 0, seed); err != nil {
		t.Fatal(err)
	}

	srv := cisterntest.New(t, cisterntest.WithState(seed.Name()))
	if now := srv.Now(); now.Before(source.Now().Add(-time.Minute)) {
		t.Errorf("it is %s only", now)
	}
	client := srv.Client()
	droplets, _, err := client.Droplets.List(t.Context(), nil)
	if err != nil || len(droplets) != 1 || droplets[0].ID != 1000000 || droplets[0].Name != "web" {
		t.Fatalf("the Droplets are %v, %v", droplets, err)
	}
	if next := create(t, client, web); next.ID != 1000001 {
		t.Errorf("the next Droplet's number is %d", next.ID)
	}
	if _, err := client.Droplets.Delete(t.Context(), droplets[0].ID); err != nil {
		t.Error(err)
	}
}

func TestAccountLimits(t *testing.T) {
	client := cisterntest.New(t, cisterntest.WithAccountLimits(1, 0, 0)).Client()
	create(t, client, web)
	if _, response, err := client.Droplets.Create(t.Context(), web); err == nil || response.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("the second Droplet: %v", err)
	}
	if _, response, err := client.Storage.CreateVolume(t.Context(), &godo.VolumeCreateRequest{Name: "data", Region: "nyc3", SizeGigaBytes: 1}); err == nil ||
		response.StatusCode < 400 {
		t.Errorf("a volume: %v", err)
	}
}

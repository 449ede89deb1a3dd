package cisterntest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/cistern-cloud/cistern/associated"
	"github.com/cistern-cloud/cistern/cisterntest"
)

// tearDown destroys a Droplet with all that belongs to it. What could not be
// destroyed is tried again twice.
func tearDown(ctx context.Context, client *godo.Client, droplet int, wait *associated.WaitOptions) error {
	destroyer := associated.New(client)
	_, err := destroyer.DestroyDangerous(ctx, droplet)
	for tries := 3; err == nil; tries-- {
		_, err = destroyer.Wait(ctx, droplet, wait)
		if _, failed := errors.AsType[*associated.FailedError](err); !failed || tries == 1 {
			return err
		}
		_, err = destroyer.Retry(ctx, droplet)
	}
	return err
}

func TestTearDownTriesAgain(t *testing.T) {
	t.Parallel()
	cloud := cisterntest.New(t)
	client, wait := cloud.Client(), &associated.WaitOptions{Interval: time.Millisecond}
	volume, _, err := client.Storage.CreateVolume(t.Context(), &godo.VolumeCreateRequest{Name: "data", Region: "nyc3", SizeGigaBytes: 10})
	if err != nil {
		t.Fatal(err)
	}
	web, _, err := client.Droplets.Create(t.Context(), &godo.DropletCreateRequest{
		Name: "web", Region: "nyc3", Size: "s-1vcpu-1gb", Image: godo.DropletCreateImage{Slug: "debian-12-x64"},
		Volumes: []godo.DropletCreateVolume{{ID: volume.ID}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := associated.New(client).WaitForDroplet(t.Context(), web.ID, "active", wait); err != nil {
		t.Fatal(err)
	}

	cloud.Fail("volume.delete", cisterntest.Fault{Resource: "data", Error: "disk is on fire", Times: 2})
	if err := tearDown(t.Context(), client, web.ID, wait); err != nil {
		t.Error(err)
	}
	if _, left, err := client.Storage.GetVolume(t.Context(), volume.ID); err == nil || left.StatusCode != http.StatusNotFound {
		t.Errorf("the volume is still there: %v", err)
	}
}

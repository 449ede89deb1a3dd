package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func TestImagesRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.get("/v2/images?type=backup").invalid("type must be distribution or application")
		a.mayAllBut("tag:read").get("/v2/images?tag_name=x").forbidden()
		a.get("/v2/images/debian-99-x64").notFound()
		a.get("/v2/images/DEBIAN-12-X64").notFound()
		a.del("/v2/images/debian-12-x64").notFound()
		a.del("/v2/images/168639140").refused(http.StatusForbidden, cloud.CodeForbidden,
			"You do not have access for the attempted action.")
	})
}

func TestListImages(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		other.snapshot(other.droplet("theirs"), "theirs")
		a.snapshot(a.droplet("web"), "mine")
		all := a.get("/v2/images?per_page=200").is(http.StatusOK).texts("images", "name")
		if all[len(all)-1] != "mine" || slices.Contains(all, "theirs") {
			t.Errorf("got %v", all)
		}
		for _, query := range []string{"private=true", "private=True", "private=1"} {
			if diff := cmp.Diff([]string{"mine"}, a.get("/v2/images?"+query).texts("images", "name")); diff != "" {
				t.Errorf("%s: %s", query, diff)
			}
		}
		for _, query := range []string{"private=false", "private=", "private=0"} {
			if got := a.get("/v2/images?"+query+"&per_page=200").texts("images", "name"); len(got) != len(all) {
				t.Errorf("%s: got %v", query, got)
			}
		}
		systems := a.get("/v2/images?type=distribution&per_page=200").texts("images", "slug")
		apps := a.get("/v2/images?type=application&per_page=200").texts("images", "slug")
		if !slices.Contains(systems, "debian-12-x64") || slices.Contains(systems, "docker-20-04") ||
			!slices.Contains(apps, "docker-20-04") || len(systems)+len(apps) != len(all)-1 {
			t.Errorf("systems %v, applications %v", systems, apps)
		}
		a.get("/v2/images?tag_name=nobody").shows("images", `[]`)
		a.get("/v2/images?private=true").shows("links", `{"pages": {}}`)
	})
}

func TestGetImage(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		byID, bySlug := a.get("/v2/images/159651797").is(http.StatusOK), a.get("/v2/images/ubuntu-22-04-x64").is(http.StatusOK)
		byID.shows("image", `{
			"id": 159651797, "name": "22.04 (LTS) x64", "type": "snapshot", "distribution": "Ubuntu",
			"slug": "ubuntu-22-04-x64", "public": true, "regions": "*", "created_at": "*", "min_disk_size": 7,
			"size_gigabytes": "*", "description": "*", "tags": [], "status": "available", "error_message": ""}`)
		if diff := cmp.Diff(byID.at("image"), bySlug.at("image")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDeleteImage(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		droplet := a.droplet("web")
		image := fmt.Sprintf("/v2/images/%d", a.snapshot(droplet, "snap"))
		made := a.droplet("copy", "image", strings.TrimPrefix(image, "/v2/images/"))
		a.del(image).empty(http.StatusNoContent)
		a.del(image).notFound()
		a.get(image).notFound()
		a.get(dropletPath(droplet)).shows("droplet.snapshot_ids", `[]`)
		got := a.get(dropletPath(made)) // it keeps what it was made from
		got.shows("droplet.image.name", `"snap"`)
		got.shows("droplet.image.status", `"deleted"`)
		a.post("/v2/droplets", dropletBody("more", "image", strings.TrimPrefix(image, "/v2/images/"))).
			invalid("You specified an invalid image for Droplet creation.")
	})
}

// A snapshot is where its Droplet was, and takes a disk as large.
func TestCreateDropletFromSnapshot(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		snap := a.snapshot(a.droplet("web", "size", "s-1vcpu-2gb"), "snap")
		a.post("/v2/droplets", dropletBody("small", "image", snap)).
			invalid("The image you specified requires a larger disk than the selected size provides.")
		a.post("/v2/droplets", dropletBody("far", "image", snap, "region", "ams3", "size", "s-1vcpu-2gb")).
			invalid("The image you specified is not available in the selected region.")
		anywhere := a.post("/v2/droplets", dropletBody("any", "image", snap, "region", "", "size", "s-1vcpu-2gb")).is(http.StatusAccepted)
		anywhere.shows("droplet.region.slug", `"nyc3"`)
	})
}

// An engine that cannot delete an image is a server error with its words, and
// the image stays.
func TestDeleteImageFails(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		image := a.snapshot(a.droplet("web"), "snap")
		a.fault("image.delete", fmt.Sprint(image), "error", "the disk is in use", "times", 1)
		a.failing().del(fmt.Sprintf("/v2/images/%d", image)).
			refused(http.StatusInternalServerError, cloud.CodeInternal, "the disk is in use")
		a.get(fmt.Sprintf("/v2/images/%d", image)).is(http.StatusOK)
		a.del(fmt.Sprintf("/v2/images/%d", image)).empty(http.StatusNoContent)
	})
}

package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func TestSnapshotsRefused(t *testing.T) {
	const noSnapshot = "the resource is not a snapshot"
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.get("/v2/snapshots?resource_type=image").invalid("resource_type must be droplet or volume")
		a.get("/v2/snapshots/168639140").refused(http.StatusBadRequest, cloud.CodeBadRequest, noSnapshot)
		a.del("/v2/snapshots/168639140").refused(http.StatusBadRequest, cloud.CodeBadRequest, noSnapshot)
		a.get("/v2/snapshots/debian-12-x64").notFound()
		a.get("/v2/snapshots/" + a.volume("data")).notFound()
	})
}

func TestSnapshots(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		a.get("/v2/snapshots").shows("", `{"snapshots": [], "links": {}, "meta": {"total": 0}}`)
		other.volumeSnapshot(other.volume("data"), "theirs")
		droplet := a.droplet("web")
		image := a.snapshot(droplet, "of-web")
		volume := a.volume("data")
		copied := a.volumeSnapshot(volume, "of-data")
		far := a.volumeSnapshot(a.volume("far", "region", "ams3"), "of-far")

		got := a.get("/v2/snapshots").is(http.StatusOK)
		if diff := cmp.Diff([]string{fmt.Sprint(image), copied, far}, got.texts("snapshots", "id")); diff != "" {
			t.Error(diff)
		}
		got.shows("snapshots.0", fmt.Sprintf(`{
			"id": "%d", "name": "of-web", "created_at": "*", "regions": ["nyc3"], "resource_id": "%d",
			"resource_type": "droplet", "min_disk_size": 25, "size_gigabytes": "*", "tags": []}`, image, droplet))
		got.shows("snapshots.1", fmt.Sprintf(`{
			"id": %q, "name": "of-data", "created_at": "*", "regions": ["nyc3"], "resource_id": %q,
			"resource_type": "volume", "min_disk_size": 10, "size_gigabytes": 0, "tags": []}`, copied, volume))
		for i, id := range got.texts("snapshots", "id") {
			one := a.get("/v2/snapshots/" + id).is(http.StatusOK)
			if diff := cmp.Diff(got.at(fmt.Sprintf("snapshots.%d", i)), one.at("snapshot")); diff != "" {
				t.Error(diff)
			}
		}
		for query, want := range map[string][]string{
			"resource_type=droplet":            {"of-web"},
			"resource_type=volume":             {"of-data", "of-far"},
			"region=nyc3":                      {"of-web", "of-data"},
			"region=NYC3":                      {"of-web", "of-data"},
			"region=ams3&resource_type=volume": {"of-far"},
			"region=lon1":                      {},
			"region=nyc":                       {},
			"region=%25":                       {},
			"region=nyc_":                      {},
		} {
			if diff := cmp.Diff(want, a.get("/v2/snapshots?"+query).texts("snapshots", "name")); diff != "" {
				t.Errorf("%s (-want +got)\n%s", query, diff)
			}
		}
	})
}

func TestDeleteSnapshot(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		droplet := a.droplet("web")
		image, copied := a.snapshot(droplet, "of-web"), a.volumeSnapshot(a.volume("data"), "of-data")
		for _, path := range []string{fmt.Sprintf("/v2/snapshots/%d", image), "/v2/snapshots/" + copied} {
			a.del(path).empty(http.StatusNoContent)
			a.del(path).notFound()
			a.get(path).notFound()
		}
		a.get(dropletPath(droplet)).shows("droplet.snapshot_ids", `[]`)
		a.get(fmt.Sprintf("/v2/images/%d", image)).notFound()
		a.get("/v2/volumes/snapshots/" + copied).notFound()
	})
}

func TestSnapshotVolumeRefused(t *testing.T) {
	const badName = "Name is invalid: it must have 1 to 255 characters"
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		path := "/v2/volumes/" + a.volume("data") + "/snapshots"
		a.post(path, nil).invalid(badName)
		a.post(path, map[string]any{"name": ""}).invalid(badName)
		a.post(path, map[string]any{"name": 5}).invalid("name must be a string, not number")
		a.post(path, map[string]any{"name": "x", "tags": []string{"a b"}}).
			invalid(`tag "a b": tags have 1 to 255 letters, digits, dashes, underscores and colons`)
		a.post(path, map[string]any{"name": "x", "tags": make([]string, 1001)}).
			invalid("tags lists 1001 items; at most 1000 can be given")
		a.mayAllBut("tag:create").post(path, map[string]any{"name": "x", "tags": []string{"a"}}).forbidden()
		a.post(path, map[string]any{"name": "x"}).is(http.StatusCreated)
		a.post(path, map[string]any{"name": "x"}).
			refused(http.StatusConflict, cloud.CodeConflict, "a snapshot named x already exists for this volume")
		other := a.volume("other")
		a.post("/v2/volumes/"+other+"/snapshots", map[string]any{"name": "x"}).is(http.StatusCreated)
	})
}

func TestVolumeSnapshots(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		volume := a.volume("data", "size_gigabytes", 7)
		list := "/v2/volumes/" + volume + "/snapshots"
		a.get(list).shows("", `{"snapshots": [], "links": {}, "meta": {"total": 0}}`)
		made := a.post(list, map[string]any{ // as godo writes it
			"volume_id": volume, "name": "nightly", "description": "", "tags": []string{"B", "a"},
		}).is(http.StatusCreated)
		made.shows("snapshot", fmt.Sprintf(`{
			"id": "*", "name": "nightly", "created_at": "*", "regions": ["nyc3"], "resource_id": %q,
			"resource_type": "volume", "min_disk_size": 7, "size_gigabytes": 0, "tags": ["B", "a"]}`, volume))
		path := "/v2/volumes/snapshots/" + made.text("snapshot.id")
		for _, same := range []any{a.get(path).at("snapshot"), a.get(list).at("snapshots.0"), a.get("/v2/snapshots").at("snapshots.0")} {
			if diff := cmp.Diff(made.at("snapshot"), same); diff != "" {
				t.Error(diff)
			}
		}
		a.del("/v2/volumes/" + volume).empty(http.StatusNoContent)
		a.get(path).is(http.StatusOK) // it outlives the volume
		a.get(list).notFound()
		a.del(path).empty(http.StatusNoContent)
		a.del(path).notFound()
	})
}

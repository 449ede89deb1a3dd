package api_test

import (
	"net/http"
	"testing"
)

func TestVolumeByName(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		droplet, volume := a.droplet("web"), a.volume("data")
		a.volume("data", "region", "ams3")
		const path = "/v2/volumes/actions"
		act := func(more ...any) map[string]any {
			body := map[string]any{"type": "attach", "volume_name": "data", "region": "nyc3", "droplet_id": droplet}
			for i := 0; i < len(more); i += 2 {
				body[more[i].(string)] = more[i+1]
			}
			return body
		}
		const types = "type must be attach or detach; other actions take the volume's ID"
		a.post(path, nil).invalid(types)
		a.post(path, act("type", "resize", "size_gigabytes", 20)).invalid(types)
		a.post(path, act("volume_name", nil)).invalid("volume_name and region are required")
		a.post(path, act("region", "")).invalid("volume_name and region are required")
		a.post(path, act("volume_name", "other")).notFound()
		a.post(path, act("region", "fra1")).notFound()
		s.newAccount(t).post(path, act()).notFound()
		a.post(path, act("type", "detach")).invalid("Attachment not found")
		a.del("/v2/volumes").invalid("name and region are required")
		a.del("/v2/volumes?name=data").invalid("name and region are required")
		a.del("/v2/volumes?name=other&region=nyc3").notFound()
		s.newAccount(t).del("/v2/volumes?name=data&region=nyc3").notFound()

		attached := a.post(path, act("region", "NYC3")).is(http.StatusAccepted)
		attached.shows("action.type", `"attach_volume"`)
		a.settle(attached)
		a.get(dropletPath(droplet)).shows("droplet.volume_ids", `["`+volume+`"]`)
		a.settle(a.post(path, act("type", "detach")).is(http.StatusAccepted))
		a.del("/v2/volumes?name=data&region=NYC3").empty(http.StatusNoContent)
		a.get("/v2/volumes/" + volume).notFound()
		a.get("/v2/volumes").shows("meta.total", "1")
	})
}

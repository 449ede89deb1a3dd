package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The list of all actions has those of every family, newest first, and none
// of what users do not know as actions.
func TestActions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		a.get("/v2/actions").shows("", `{"actions": [], "links": {}, "meta": {"total": 0}}`)
		other.droplet("theirs")
		id := a.droplet("web")
		volume := a.volume("data")
		a.attach(volume, id)
		a.volumeSnapshot(volume, "snap")
		ip := a.reservedIP(id)
		a.act(id, "reboot")
		got := a.get("/v2/actions").is(http.StatusOK)
		want := []string{"reboot", "assign_ip", "attach_volume", "create"}
		if diff := cmp.Diff(want, got.texts("actions", "type")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"droplet", "reserved_ip", "volume", "droplet"}, got.texts("actions", "resource_type")); diff != "" {
			t.Error(diff)
		}
		got.shows("actions.2.resource_id", `null`)
		for i, action := range got.texts("actions", "id") {
			one := a.get("/v2/actions/" + action).is(http.StatusOK)
			if diff := cmp.Diff(got.at(fmt.Sprintf("actions.%d", i)), one.at("action")); diff != "" {
				t.Error(diff)
			}
			other.get("/v2/actions/" + action).notFound()
		}
		family := a.get("/v2/reserved_ips/" + ip + "/actions")
		family.shows("actions.0.resource_id", fmt.Sprint(addressNumber(t, ip)))
		got.shows("actions.1.resource_id", fmt.Sprint(addressNumber(t, ip)))
	})
}

// addressNumber is the 32-bit number that an IPv4 address is.
func addressNumber(t *testing.T, ip string) uint32 {
	t.Helper()
	var b [4]uint32
	if _, err := fmt.Sscanf(ip, "%d.%d.%d.%d", &b[0], &b[1], &b[2], &b[3]); err != nil {
		t.Fatal(err)
	}
	return b[0]<<24 | b[1]<<16 | b[2]<<8 | b[3]
}

// An action is there when what it was about no longer is.
func TestActionsOutliveTheirResources(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		reboot := a.act(id, "reboot").ID
		a.del(dropletPath(id)).empty(http.StatusNoContent)
		destroy := a.gone(id).ID
		for _, action := range []int64{reboot, destroy} {
			a.get(fmt.Sprintf("/v2/actions/%d", action)).shows("action.resource_id", fmt.Sprint(id))
			a.get(dropletPath(id, fmt.Sprintf("/actions/%d", action))).is(http.StatusOK)
		}
	})
}

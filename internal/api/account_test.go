package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

func TestAccount(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.get("/v2/account").is(http.StatusOK).shows("", `{"account": {
			"droplet_limit": 10000, "floating_ip_limit": 10000, "reserved_ip_limit": 10000, "volume_limit": 10000,
			"name": "*", "email": "*", "uuid": "*", "email_verified": true, "status": "active", "status_message": "",
			"team": {"uuid": "*", "name": "*"}}}`)
	})
}

// A limit is shown to who may read what it limits.
func TestAccountByScope(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		for field, scope := range map[string]cloud.Scope{
			"droplet_limit": "droplet:read", "floating_ip_limit": "reserved_ip:read",
			"reserved_ip_limit": "reserved_ip:read", "volume_limit": "block_storage:read",
		} {
			if !a.may("account:read", scope).get("/v2/account").has("account." + field) {
				t.Errorf("%s does not show %s", scope, field)
			}
			if a.mayAllBut(scope).get("/v2/account").has("account." + field) {
				t.Errorf("without %s, %s is shown", scope, field)
			}
		}
	})
}

// limit sets one of the account's limits.
func (a *account) limit(what string, n int64) {
	a.t.Helper()
	err := a.s.db.Write(a.t.Context(), func(tx *database.Tx) error {
		_, err := tx.Exec(fmt.Sprintf("UPDATE accounts SET %s = %d WHERE id = %d", what, n, a.id))
		return err
	})
	if err != nil {
		a.t.Fatal(err)
	}
}

func TestLimits(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.limit("droplet_limit", 2)
		a.limit("volume_limit", 1)
		a.limit("reserved_ip_limit", 1)
		a.get("/v2/account").shows("account.droplet_limit", `2`)

		const droplets = "creating this/these droplet(s) will exceed your droplet limit"
		a.post("/v2/droplets", dropletBody("", "name", nil, "names", []string{"a", "b", "c"})).invalid(droplets)
		id := a.droplet("a")
		a.post("/v2/droplets", dropletBody("", "name", nil, "names", []string{"b", "c"})).invalid(droplets)
		a.droplet("b")
		a.post("/v2/droplets", dropletBody("c")).invalid(droplets)
		a.del(dropletPath(id)).empty(http.StatusNoContent)
		a.gone(id)
		a.droplet("c")

		a.volume("data")
		a.post("/v2/volumes", map[string]any{"name": "more", "region": "nyc3", "size_gigabytes": 1}).refused(
			http.StatusForbidden, cloud.CodeForbidden, "failed to create volume: volume/snapshot capacity limit exceeded")
		a.reservedIP(0)
		a.post("/v2/reserved_ips", map[string]any{"region": "nyc3"}).invalid("reserving this IP will exceed your reserved IP limit")
	})
}

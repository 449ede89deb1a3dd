package api_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/digitalocean/godo"
)

// What godo asks of all Droplets with a tag begins an action on each.
func TestGodoByTag(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c, first, second := a.godo(), a.droplet("first", "tags", []string{"web"}), a.droplet("second", "tags", []string{"web"})
		does := c.DropletActions
		for _, step := range []struct {
			kind string
			ask  func(context.Context, string) ([]godo.Action, *godo.Response, error)
		}{
			{"shutdown", does.ShutdownByTag},
			{"power_on", does.PowerOnByTag},
			{"power_cycle", does.PowerCycleByTag},
			{"power_off", does.PowerOffByTag},
			{"enable_ipv6", does.EnableIPv6ByTag},
			{"enable_private_networking", does.EnablePrivateNetworkingByTag},
			{"enable_backups", does.EnableBackupsByTag},
			{"disable_backups", does.DisableBackupsByTag},
			{"snapshot", func(ctx context.Context, tag string) ([]godo.Action, *godo.Response, error) {
				return does.SnapshotByTag(ctx, tag, "copy")
			}},
		} {
			actions := ok(step.ask(ctx, "web"))(t)
			if len(actions) != 2 || actions[0].ResourceID != int(first) || actions[1].ResourceID != int(second) {
				t.Fatalf("%s: got %v", step.kind, actions)
			}
			for _, action := range actions {
				if ended := a.wait(int64(action.ID)); action.Type != step.kind || ended.Error != "" {
					t.Errorf("%s: got %s, %s", step.kind, action.Type, ended.Error)
				}
			}
		}
		if kernels := ok(c.Droplets.Kernels(ctx, int(first), nil))(t); len(kernels) != 0 {
			t.Errorf("got %v", kernels)
		}
		res, err := c.Droplets.DeleteByTag(ctx, "web")
		done(t, res, err)
		a.gone(first)
		a.gone(second)
		_, err = c.Droplets.DeleteByTag(ctx, "nobody")
		fails(t, http.StatusNotFound, err)
	})
}

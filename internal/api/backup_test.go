package api_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func TestBackupsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		id, theirs := a.droplet("web"), other.droplet("web")
		for _, path := range []string{
			dropletPath(id, "/backups"), dropletPath(id, "/backups/policy"),
			"/v2/droplets/backups/policies", "/v2/droplets/backups/supported_policies",
		} {
			newClient(t, s, "").get(path).refused(http.StatusUnauthorized, cloud.CodeUnauthorized, "Unable to authenticate you.")
			a.mayAllBut("droplet:read").get(path).forbidden()
			a.may("droplet:read").get(path).is(http.StatusOK)
		}
		for _, droplet := range []string{fmt.Sprint(theirs), "1", "web", "0"} {
			a.get("/v2/droplets/" + droplet + "/backups").notFound()
			a.get("/v2/droplets/" + droplet + "/backups/policy").notFound()
		}
	})
}

func TestBackupActionsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		off, on := a.droplet("off"), a.droplet("on", "backups", true)
		with := func(kind string, fields ...any) map[string]any {
			p := map[string]any{}
			for i := 0; i < len(fields); i += 2 {
				p[fields[i].(string)] = fields[i+1]
			}
			return map[string]any{"type": kind, "backup_policy": p}
		}
		const (
			plan     = "backup_policy.plan must be daily or weekly"
			weekday  = "backup_policy.weekday must be one of SUN, MON, TUE, WED, THU, FRI, SAT"
			hour     = "backup_policy.hour must be one of 0, 4, 8, 12, 16, 20"
			required = "backup_policy is required, with its plan: daily or weekly"
		)
		for _, test := range []struct {
			droplet int64
			body    any
			want    string
		}{
			{off, with("enable_backups", "plan", "hourly"), plan},
			{off, with("enable_backups", "plan", "weekly", "weekday", "sun"), weekday},
			{off, with("enable_backups", "hour", 24), hour},
			{off, with("enable_backups", "hour", -4), hour},
			{off, with("enable_backups", "hour", "noon"), `backup_policy.hour must be a whole number, not "noon"`},
			{off, map[string]any{"type": "enable_backups", "backup_policy": "daily"}, "backup_policy must be an object, not string"},
			{on, map[string]any{"type": "enable_backups"}, "Backups have already been enabled on this Droplet."},
			{off, map[string]any{"type": "disable_backups"}, "Backups have already been disabled on this Droplet."},
			{on, map[string]any{"type": "change_backup_policy"}, required},
			{on, with("change_backup_policy"), required},
			{on, with("change_backup_policy", "plan", "hourly"), plan},
			{on, with("change_backup_policy", "plan", "weekly", "weekday", 1), "backup_policy.weekday must be a string, not number"},
			{on, with("change_backup_policy", "plan", "daily", "hour", 5), hour},
			{off, with("change_backup_policy", "plan", "daily"), "Backups are not enabled on this Droplet. Enable them with enable_backups."},
		} {
			a.post(dropletPath(test.droplet, "/actions"), test.body).invalid(test.want)
		}
		a.mayAllBut("droplet:update").post(dropletPath(off, "/actions"), map[string]any{"type": "enable_backups"}).forbidden()
		a.busy(off)
		a.post(dropletPath(off, "/actions"), map[string]any{"type": "enable_backups"}).pending()
	})
}

// window is the JSON of the next window that begins after now. A test that runs
// over its beginning sees another, so a second's difference is asked for again.
func window(p cloud.BackupPolicy) string {
	start := p.NextWindow(time.Now())
	return fmt.Sprintf(`{"start": %q, "end": %q}`, cloud.FormatTime(start), cloud.FormatTime(start.Add(cloud.BackupWindow)))
}

func TestBackupPolicies(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.get("/v2/droplets/backups/policies").shows("", `{"policies": {}, "links": {}, "meta": {"total": 0}}`)
		plain := a.droplet("plain")
		// As godo asks, which sends every field.
		made := a.post("/v2/droplets", dropletBody("daily", "backups", true,
			"backup_policy", map[string]any{"plan": "daily", "weekday": "", "hour": 20})).is(http.StatusAccepted)
		made.shows("droplet.features", `["backups", "droplet_agent"]`)
		made.shows("droplet.next_backup_window", `null`)
		a.settle(made)
		daily := made.number("droplet.id")
		at20 := window(cloud.BackupPolicy{Plan: cloud.BackupDaily, Hour: 20})
		a.get(dropletPath(daily)).shows("droplet.next_backup_window", at20)
		a.get(dropletPath(daily)).shows("droplet.features", `["backups", "droplet_agent", "private_networking"]`)
		a.get(dropletPath(plain)).shows("droplet.next_backup_window", `null`)

		off := fmt.Sprintf(`{"droplet_id": %d, "backup_enabled": false}`, plain)
		on := fmt.Sprintf(`{"droplet_id": %d, "backup_enabled": true, "next_backup_window": %s,
			"backup_policy": {"plan": "daily", "hour": 20, "window_length_hours": 4, "retention_period_days": 7}}`, daily, at20)
		a.get(dropletPath(plain, "/backups/policy")).shows("", `{"policy": `+off+`}`)
		a.get(dropletPath(daily, "/backups/policy")).shows("", `{"policy": `+on+`}`)
		a.get("/v2/droplets/backups/policies").shows("", fmt.Sprintf(
			`{"policies": {"%d": %s, "%d": %s}, "links": {}, "meta": {"total": 2}}`, plain, off, daily, on))
		second := a.get("/v2/droplets/backups/policies?per_page=1&page=2").is(http.StatusOK)
		second.shows("policies", fmt.Sprintf(`{"%d": %s}`, daily, on))
		second.shows("meta", `{"total": 2}`)
		a.get(dropletPath(daily, "/backups")).shows("", `{"backups": [], "links": {}, "meta": {"total": 0}}`)
	})
}

func TestBackupActions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		id := a.droplet("web")
		started := a.post(dropletPath(id, "/actions"), map[string]any{
			"type": "enable_backups", "backup_policy": map[string]any{"plan": "weekly", "weekday": "SAT", "hour": "8"},
		}).is(http.StatusCreated)
		started.shows("action.type", `"enable_backups"`)
		a.settle(started)
		at8 := window(cloud.BackupPolicy{Plan: cloud.BackupWeekly, Weekday: "SAT", Hour: 8})
		a.get(dropletPath(id, "/backups/policy")).shows("policy", fmt.Sprintf(`{
			"droplet_id": %d, "backup_enabled": true, "next_backup_window": %s,
			"backup_policy": {"plan": "weekly", "weekday": "SAT", "hour": 8, "window_length_hours": 4, "retention_period_days": 28}}`, id, at8))
		a.settle(a.post(dropletPath(id, "/actions"), map[string]any{
			"type": "change_backup_policy", "backup_policy": map[string]any{"plan": "daily", "weekday": "", "hour": 0},
		}).is(http.StatusCreated))
		a.get(dropletPath(id, "/backups/policy")).shows("policy.backup_policy",
			`{"plan": "daily", "hour": 0, "window_length_hours": 4, "retention_period_days": 7}`)
		a.act(id, "disable_backups")
		a.get(dropletPath(id)).shows("droplet.next_backup_window", `null`)
		a.get(dropletPath(id)).shows("droplet.features", `["droplet_agent", "private_networking"]`)
		a.act(id, "enable_backups") // daily, as nothing is said
		a.get(dropletPath(id, "/backups/policy")).shows("policy.backup_policy.plan", `"daily"`)
	})
}

func TestSupportedBackupPolicies(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.newAccount(t).get("/v2/droplets/backups/supported_policies").shows("", `{"supported_policies": [
			{"name": "weekly", "possible_window_starts": [0, 4, 8, 12, 16, 20], "window_length_hours": 4, "retention_period_days": 28,
				"possible_days": ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]},
			{"name": "daily", "possible_window_starts": [0, 4, 8, 12, 16, 20], "window_length_hours": 4, "retention_period_days": 7,
				"possible_days": []}]}`)
	})
}

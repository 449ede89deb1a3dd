package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func TestClockRefused(t *testing.T) {
	s := alone(t)
	a, other := s.newAccount(t), s.newAccount(t)
	advance := func(by any) map[string]any { return map[string]any{"advance": by} }
	newClient(t, s, "").get("/_sim/clock").refused(http.StatusUnauthorized, cloud.CodeUnauthorized, "Unable to authenticate you.")
	newClient(t, s, "").post("/_sim/clock", advance("1h")).refused(http.StatusUnauthorized, cloud.CodeUnauthorized, "Unable to authenticate you.")
	a.may(cloud.AllScopes()...).get("/_sim/clock").forbidden()
	a.may(cloud.AllScopes()...).post("/_sim/clock", advance("1h")).forbidden()
	const theirs = "The clock is everybody's; only the first account may see and move it."
	other.get("/_sim/clock").refused(http.StatusForbidden, cloud.CodeForbidden, theirs)
	other.post("/_sim/clock", advance("1h")).refused(http.StatusForbidden, cloud.CodeForbidden, theirs)
	other.post("/_sim/clock", advance("x")).refused(http.StatusForbidden, cloud.CodeForbidden, theirs)
	const duration = "advance must be a duration such as 8d, 36h or 90m"
	for _, bad := range []any{nil, "", "x", "8", "-1d", "1.5d", "d", "99999999d"} {
		a.post("/_sim/clock", advance(bad)).invalid(duration)
	}
	a.post("/_sim/clock", nil).invalid(duration)
	a.post("/_sim/clock", advance(8)).invalid("advance must be a string, not number")
	a.post("/_sim/clock", advance("-1h")).invalid("the clock cannot go back; advance it by a duration such as 8d, 36h or 90m")
	a.post("/_sim/clock", advance("53w")).invalid("the clock is advanced by 366d at most at a time")
	a.get("/_sim/clock").shows("ahead", `"0s"`)
}

func TestClock(t *testing.T) {
	s := alone(t)
	a := s.newAccount(t)
	short, _ := a.newToken(t, s, time.Hour, cloud.FullAccess)
	newClient(t, s, short).get("/_sim/clock").is(http.StatusOK)
	moved := a.post("/_sim/clock", map[string]any{"advance": "1w1d"}).is(http.StatusOK)
	now, err := time.Parse(time.RFC3339, moved.text("now"))
	if err != nil || time.Until(now).Round(time.Minute) != 8*24*time.Hour {
		t.Errorf("it is %s: %v", now, err)
	}
	newClient(t, s, short).get("/_sim/clock").refused(http.StatusUnauthorized, cloud.CodeUnauthorized, "Unable to authenticate you.")
	id := a.droplet("web")
	if made := a.get(dropletPath(id)).text("droplet.created_at"); made < moved.text("now") {
		t.Errorf("created at %s, before %s", made, moved.text("now"))
	}
	a.post("/_sim/clock", map[string]any{"advance": "0s"}).is(http.StatusOK)
}

// A week of backups passes in one request; the eighth day's takes the place of
// the first day's. They are no snapshots, and go with the Droplet.
func TestWeekOfBackups(t *testing.T) {
	s := alone(t)
	a := s.newAccount(t)
	id := a.droplet("web", "backups", true)
	a.post("/_sim/clock", map[string]any{"advance": "7d"}).is(http.StatusOK)
	week := a.get(dropletPath(id, "/backups")).is(http.StatusOK)
	week.shows("meta", `{"total": 7}`)
	day := strings.TrimSuffix(week.text("backups.0.created_at"), "T00:00:00Z")
	week.shows("backups.0", fmt.Sprintf(`{"id": "*", "name": "web- %s", "type": "backup", "distribution": "Debian", "slug": null,
		"public": false, "regions": ["nyc3"], "created_at": "%sT00:00:00Z", "min_disk_size": 25, "size_gigabytes": 2.36,
		"description": "", "tags": [], "status": "available", "error_message": ""}`, day, day))
	a.post("/_sim/clock", map[string]any{"advance": "1d"}).is(http.StatusOK)
	next := a.get(dropletPath(id, "/backups")).is(http.StatusOK)
	if next.number("meta.total") != 7 || next.number("backups.0.id") != week.number("backups.1.id") {
		t.Errorf("a day later there are %s", next.body)
	}
	newest := next.number("backups.6.id")
	a.get(dropletPath(id)).shows("droplet.backup_ids.6", fmt.Sprint(newest))
	a.get(dropletPath(id)).shows("droplet.snapshot_ids", `[]`)
	a.get("/v2/snapshots").shows("snapshots", `[]`)
	a.get(fmt.Sprintf("/v2/snapshots/%d", newest)).refused(http.StatusBadRequest, cloud.CodeBadRequest, "the resource is not a snapshot")
	a.get(fmt.Sprintf("/v2/images/%d", newest)).shows("image.type", `"backup"`)
	a.get("/v2/images?private=true").shows("meta", `{"total": 7}`)
	a.get(dropletPath(id, "/actions")).shows("actions.0.type", `"backup"`)
	a.get(dropletPath(id, "/destroy_with_associated_resources")).shows("snapshots", `[]`)

	restored := a.settle(a.post(dropletPath(id, "/actions"), map[string]any{"type": "restore", "image": newest}).is(http.StatusCreated))
	if restored.Status != cloud.Completed {
		t.Errorf("the restore is %+v", restored)
	}
	a.get(dropletPath(id, "/backups")).shows("meta", `{"total": 7}`)

	// From a backup a Droplet can be made, and it outlives the backup.
	copied := a.droplet("copy", "image", newest)
	a.del(dropletPath(id)).empty(http.StatusNoContent)
	a.gone(id)
	a.get("/v2/images?private=true").shows("images", `[]`)
	a.get(dropletPath(copied)).shows("droplet.status", `"active"`)
}

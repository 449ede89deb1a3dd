package api

import (
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

var backupRoutes = []route{
	get("/v2/droplets/{droplet_id}/backups", (*Server).listBackups, "droplet:read"),
	get("/v2/droplets/{droplet_id}/backups/policy", (*Server).getBackupPolicy, "droplet:read"),
	get("/v2/droplets/backups/policies", (*Server).listBackupPolicies, "droplet:read"),
	get("/v2/droplets/backups/supported_policies", (*Server).listSupportedBackups, "droplet:read"),
}

const windowHours = int64(cloud.BackupWindow / time.Hour)

type wireWindow struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

// backupWindow is the next window of a Droplet that is placed and backed up.
func backupWindow(d cloud.Droplet) *wireWindow {
	if !d.Backups.Enabled() || d.Status == cloud.DropletNew {
		return nil
	}
	return &wireWindow{stamp(d.BackupWindow), stamp(d.BackupWindow.Add(cloud.BackupWindow))}
}

func (w *wireWindow) appendTo(b []byte) []byte {
	o := newObject(b)
	o.string("start", w.Start)
	o.string("end", w.End)
	return o.end()
}

// wirePolicy is a Droplet's policy; only a weekly one has a day.
type wirePolicy struct {
	Plan          string `json:"plan"`
	Weekday       string `json:"weekday,omitempty"`
	Hour          int64  `json:"hour"`
	WindowHours   int64  `json:"window_length_hours"`
	RetentionDays int64  `json:"retention_period_days"`
}

// wirePolicyRecord is what a Droplet has. Without backups there is neither
// policy nor window.
type wirePolicyRecord struct {
	Droplet int64       `json:"droplet_id"`
	Enabled bool        `json:"backup_enabled"`
	Policy  *wirePolicy `json:"backup_policy,omitempty"`
	Window  *wireWindow `json:"next_backup_window,omitempty"`
}

func policyRecord(d cloud.Droplet) wirePolicyRecord {
	w := wirePolicyRecord{Droplet: d.ID, Enabled: d.Backups.Enabled()}
	if p := d.Backups; w.Enabled {
		w.Policy = &wirePolicy{string(p.Plan), p.Weekday, p.Hour, windowHours, p.Plan.RetentionDays()}
		w.Window = backupWindow(d)
	}
	return w
}

func (s *Server) listBackups(c *call) (*reply, error) {
	return s.listImagesOf(c, cloud.ImageBackup)
}

func (s *Server) getBackupPolicy(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	droplet, err := s.plane.Droplet(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	return ok(struct {
		Policy wirePolicyRecord `json:"policy"`
	}{policyRecord(droplet)}), nil
}

// listBackupPolicies answers a page of Droplets as a map by their IDs.
func (s *Server) listBackupPolicies(c *call) (*reply, error) {
	p := c.paging()
	droplets, total, err := s.plane.BackupPolicies(c.Context(), c.Actor, p.page())
	if err != nil {
		return nil, err
	}
	policies := map[string]wirePolicyRecord{}
	for _, d := range droplets {
		policies[cloud.FormatID(d.ID)] = policyRecord(d)
	}
	return ok(struct {
		Policies map[string]wirePolicyRecord `json:"policies"`
		Links    wireLinks                   `json:"links"`
		Meta     wireMeta                    `json:"meta"`
	}{policies, c.links(p, total), wireMeta{total}}), nil
}

type wireSupportedBackup struct {
	Name          string   `json:"name"`
	Hours         []int64  `json:"possible_window_starts"`
	WindowHours   int64    `json:"window_length_hours"`
	RetentionDays int64    `json:"retention_period_days"`
	Days          []string `json:"possible_days"`
}

func (s *Server) listSupportedBackups(*call) (*reply, error) {
	return ok(struct {
		Policies []wireSupportedBackup `json:"supported_policies"`
	}{each(cloud.SupportedBackups, func(b cloud.SupportedBackup) wireSupportedBackup {
		return wireSupportedBackup{string(b.Plan), b.Hours, windowHours, b.Plan.RetentionDays(), b.Days}
	})}), nil
}

type backupPolicy struct {
	Plan    string  `json:"plan"`
	Weekday string  `json:"weekday"`
	Hour    integer `json:"hour"`
}

// policy is what was given; nil stays nil.
func (p *backupPolicy) policy() *cloud.BackupPolicy {
	if p == nil {
		return nil
	}
	return &cloud.BackupPolicy{Plan: cloud.BackupPlan(p.Plan), Weekday: p.Weekday, Hour: int64(p.Hour)}
}

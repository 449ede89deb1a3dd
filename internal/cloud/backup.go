package cloud

import (
	"slices"
	"time"
)

// BackupPlan is how often a Droplet is backed up.
type BackupPlan string

// The plans that there are.
const (
	BackupDaily  BackupPlan = "daily"
	BackupWeekly BackupPlan = "weekly"
)

// BackupWindow is how long the window of a backup is open.
const BackupWindow = 4 * time.Hour

// Weekdays are the days of a weekly plan, in the order of time.Weekday.
var Weekdays = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}

// BackupHours are the hours at which a window may open, in UTC.
var BackupHours = []int64{0, 4, 8, 12, 16, 20}

// BackupPolicy is when a Droplet is backed up. The zero value is never.
type BackupPolicy struct {
	Plan    BackupPlan `json:"plan"`
	Weekday string     `json:"weekday,omitempty"` // of a weekly plan only
	Hour    int64      `json:"hour"`              // at which the window opens, in UTC
}

// Enabled reports whether there are backups at all.
func (p BackupPolicy) Enabled() bool { return p.Plan != "" }

// Check refuses what is no policy. What was left out becomes the default: a
// daily one, or Sundays, at midnight. A daily plan has no day, whatever was
// said.
func (p BackupPolicy) Check() (BackupPolicy, error) {
	switch {
	case p.Plan != "" && p.Plan != BackupDaily && p.Plan != BackupWeekly:
		return p, Invalid("backup_policy.plan must be daily or weekly")
	case p.Weekday != "" && !slices.Contains(Weekdays, p.Weekday):
		return p, Invalid("backup_policy.weekday must be one of SUN, MON, TUE, WED, THU, FRI, SAT")
	case !slices.Contains(BackupHours, p.Hour):
		return p, Invalid("backup_policy.hour must be one of 0, 4, 8, 12, 16, 20")
	}
	switch {
	case p.Plan != BackupWeekly:
		p.Plan, p.Weekday = BackupDaily, ""
	case p.Weekday == "":
		p.Weekday = Weekdays[time.Sunday]
	}
	return p, nil
}

// RetentionDays is how long a backup of the plan is kept.
func (p BackupPlan) RetentionDays() int64 {
	if p == BackupWeekly {
		return 28
	}
	return 7
}

// Retention is how long a backup is kept.
func (p BackupPolicy) Retention() time.Duration {
	return time.Duration(p.Plan.RetentionDays()) * 24 * time.Hour
}

// NextWindow is when the first window after a time opens.
func (p BackupPolicy) NextWindow(after time.Time) time.Time {
	year, month, day := after.UTC().Date()
	window := time.Date(year, month, day, int(p.Hour), 0, 0, 0, time.UTC)
	for !window.After(after) || p.Plan == BackupWeekly && Weekdays[window.Weekday()] != p.Weekday {
		window = window.AddDate(0, 0, 1)
	}
	return window
}

// BackupName names a backup as the API does: the Droplet's name and the day.
func BackupName(droplet string, now time.Time) string {
	return nameAfter(droplet, "- "+now.UTC().Format(time.DateOnly))
}

// SupportedBackup describes a plan.
type SupportedBackup struct {
	Plan  BackupPlan
	Hours []int64
	Days  []string
}

// SupportedBackups lists the plans that there are.
var SupportedBackups = []SupportedBackup{
	{BackupWeekly, BackupHours, Weekdays},
	{BackupDaily, BackupHours, []string{}},
}

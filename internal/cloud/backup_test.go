package cloud

import (
	"testing"
	"time"
)

func TestBackupPolicyIsCompleted(t *testing.T) {
	for _, test := range []struct{ given, want BackupPolicy }{
		{BackupPolicy{}, BackupPolicy{Plan: BackupDaily}},
		{BackupPolicy{Hour: 20}, BackupPolicy{Plan: BackupDaily, Hour: 20}},
		{BackupPolicy{Plan: BackupDaily, Weekday: "MON"}, BackupPolicy{Plan: BackupDaily}},
		{BackupPolicy{Plan: BackupWeekly, Hour: 8}, BackupPolicy{Plan: BackupWeekly, Weekday: "SUN", Hour: 8}},
		{BackupPolicy{Plan: BackupWeekly, Weekday: "SAT"}, BackupPolicy{Plan: BackupWeekly, Weekday: "SAT"}},
	} {
		got, err := test.given.Check()
		if err != nil || got != test.want {
			t.Errorf("%+v: got %+v, %v; want %+v", test.given, got, err, test.want)
		}
	}
}

func TestBackupPolicyRefused(t *testing.T) {
	for want, p := range map[string]BackupPolicy{
		"backup_policy.plan must be daily or weekly":                             {Plan: "hourly"},
		"backup_policy.weekday must be one of SUN, MON, TUE, WED, THU, FRI, SAT": {Plan: BackupWeekly, Weekday: "sun"},
		"backup_policy.hour must be one of 0, 4, 8, 12, 16, 20":                  {Plan: BackupDaily, Hour: 3},
	} {
		if _, err := p.Check(); err == nil || err.Error() != want {
			t.Errorf("%+v: got %v", p, err)
		}
	}
}

func TestNextWindow(t *testing.T) {
	daily := BackupPolicy{Plan: BackupDaily, Hour: 4}
	weekly := BackupPolicy{Plan: BackupWeekly, Weekday: "WED", Hour: 20}
	for _, test := range []struct {
		policy      BackupPolicy
		after, want string
	}{
		{daily, "2030-01-02T03:59:59.999999Z", "2030-01-02T04:00:00Z"},
		{daily, "2030-01-02T04:00:00Z", "2030-01-03T04:00:00Z"}, // a window that is open has begun
		{daily, "2030-12-31T05:00:00Z", "2031-01-01T04:00:00Z"},
		{daily, "2030-01-02T05:30:00+02:00", "2030-01-02T04:00:00Z"},
		{weekly, "2030-01-02T19:00:00Z", "2030-01-02T20:00:00Z"}, // a Wednesday
		{weekly, "2030-01-02T20:00:00Z", "2030-01-09T20:00:00Z"},
		{weekly, "2030-01-03T00:00:00Z", "2030-01-09T20:00:00Z"},
	} {
		after, err := time.Parse(time.RFC3339Nano, test.after)
		if err != nil {
			t.Fatal(err)
		}
		if got := test.policy.NextWindow(after).Format(time.RFC3339); got != test.want {
			t.Errorf("after %s: got %s, want %s", test.after, got, test.want)
		}
	}
}

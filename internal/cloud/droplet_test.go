package cloud

import (
	"strings"
	"testing"
)

// The API says which actions a Droplet's state refuses, and clients match the
// texts.
func TestDropletAllow(t *testing.T) {
	const (
		pending = "Droplet already has a pending event."
		isOff   = "Droplet is currently off. Please power it on to run this event."
	)
	on, off := Droplet{Status: DropletActive}, Droplet{Status: DropletOff}
	held, doomed := on, off
	held.HeldBy, held.HeldFor = 7, ActionSnapshot
	doomed.DestroyedBy = 8
	for _, test := range []struct {
		droplet Droplet
		action  ActionType
		refusal string
	}{
		{on, ActionPowerOn, ""},
		{off, ActionPowerOn, ""},
		{on, ActionPowerOff, ""},
		{off, ActionPowerOff, "Droplet is already powered off"},
		{on, ActionReboot, ""},
		{off, ActionReboot, isOff},
		{off, ActionPowerCycle, isOff},
		{off, ActionSnapshot, ""},
		{on, ActionRename, ""},
		// What holds it is told before its power state.
		{held, ActionPowerOn, pending},
		{held, ActionRename, pending},
		{doomed, ActionPowerOff, pending},
	} {
		err := test.droplet.Allow(test.action)
		if test.refusal == "" && err == nil {
			continue
		}
		if CodeOf(err) != CodeInvalid || err.Error() != test.refusal {
			t.Errorf("%s while %+v: %v, want %q", test.action, test.droplet, err, test.refusal)
		}
	}
}

// A Droplet may be deleted while it is created, and while nothing else runs.
func TestDropletAllowDelete(t *testing.T) {
	for _, test := range []struct {
		what    string
		droplet Droplet
		allowed bool
	}{
		{"idle", Droplet{}, true},
		{"being created", Droplet{HeldBy: 7, HeldFor: ActionCreate}, true},
		{"being snapshotted", Droplet{HeldBy: 7, HeldFor: ActionSnapshot}, false},
		{"being destroyed", Droplet{DestroyedBy: 7}, false},
		{"being created and destroyed", Droplet{HeldBy: 7, HeldFor: ActionCreate, DestroyedBy: 8}, false},
	} {
		if err := test.droplet.AllowDelete(); (err == nil) != test.allowed {
			t.Errorf("%s: %v, want allowed %v", test.what, err, test.allowed)
		}
	}
}

// Clients wait for unlocked before they look whether a Droplet is there, so
// neither its create nor its destroy locks it.
func TestDropletLocked(t *testing.T) {
	for action, locked := range map[ActionType]bool{
		ActionCreate: false, ActionDestroy: false, ActionSnapshot: true, ActionAttachVolume: true,
	} {
		if got := (Droplet{HeldBy: 7, HeldFor: action}).Locked(); got != locked {
			t.Errorf("held for %s: locked is %v", action, got)
		}
	}
	if (Droplet{}).Locked() {
		t.Error("locked while nothing runs")
	}
}

func TestCheckDropletName(t *testing.T) {
	for _, good := range []string{"a", "web-1", "Web.Example.COM", "3", "1-2.3", strings.Repeat("a", 255)} {
		if err := CheckDropletName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "web_1", "web 1", "web-", "web.", "wéb", "web\n", "web/1"} {
		err := CheckDropletName(bad)
		if CodeOf(err) != CodeInvalid || err.Error() != "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)" {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := CheckDropletName(strings.Repeat("a", 256)); err == nil || !strings.Contains(err.Error(), "255") {
		t.Errorf("256 characters: %v", err)
	}
}

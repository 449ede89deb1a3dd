package sim_test

import (
	"testing"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// Faults are found by anything that a call names, and by nothing else.
func TestFaultMatches(t *testing.T) {
	attach := func(l *lab) (engine.Progress, error) {
		return l.AttachVolume(l.Context(), l.work(), ref("v"), ref("1"))
	}
	copyImage := func(l *lab) (engine.Progress, error) {
		return l.CopyImage(l.Context(), l.work(), ref("1"), ref("i"))
	}
	snapshot := func(l *lab) (engine.Progress, error) {
		return l.SnapshotVolume(l.Context(), l.work(), ref("v"), ref("s"))
	}
	create := func(l *lab) (engine.Progress, error) { return l.create(l.work(), "2") }
	network := func(reserved string) func(*lab) (engine.Progress, error) {
		return func(l *lab) (engine.Progress, error) {
			return l.ApplyNetwork(l.Context(), l.work(), ref("1"), engine.Network{ReservedIPv4: reserved})
		}
	}
	tests := []struct {
		operation, resource string
		call                func(*lab) (engine.Progress, error)
		strikes             bool
	}{
		{"volume.attach", "no-such", attach, false},
		{"volume.detach", "*", attach, false},
		{"volume.attach", "*", attach, true},
		{"volume.attach", "v", attach, true},
		{"volume.attach", "name-v", attach, true},
		{"volume.attach", "1", attach, true},
		{"volume.attach", "name-1", attach, true},
		{"image.copy", "1", copyImage, true},
		{"image.copy", "name-i", copyImage, true},
		{"volume.snapshot", "name-v", snapshot, true},
		{"volume.snapshot", "s", snapshot, true},
		{"machine.create", "1", create, false},
		{"machine.create", "name-2", create, true},
		{"machine.create", "debian-12-x64", create, true},
		{"network.apply", "203.0.113.9", network("203.0.113.8"), false},
		{"network.apply", "1", network(""), true},
		{"network.apply", "203.0.113.8", network("203.0.113.8"), true},
		{"network.apply", "203.0.113.7", network(""), true}, // the one that is taken away
	}
	each(t, "0", func(l *lab) {
		l.must(l.create(l.work(), "1"))
		l.must(network("203.0.113.7")(l))
		l.must(l.volume(l.work(), "v", ""))
		for _, test := range tests {
			f := l.addFault(engine.Fault{Operation: test.operation, Resource: test.resource, Error: "boom"})
			if test.strikes {
				p, err := test.call(l)
				l.fails("boom", p, err)
				l.hits(1)
			} else if _, err := test.call(l); err != nil {
				l.Errorf("%s of %s struck: %v", test.operation, test.resource, err)
			}
			l.restore(f)
		}
	})
}

// restore takes away a fault and what calls that it missed have done.
func (l *lab) restore(f engine.Fault) {
	l.Helper()
	l.removes(nil, f.ID)
	l.must(l.DetachVolume(l.Context(), l.work(), ref("v"), ref("1")))
	l.must(l.ApplyNetwork(l.Context(), l.work(), ref("1"), engine.Network{ReservedIPv4: "203.0.113.7"}))
}

package host

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"
)

func TestChooseAccel(t *testing.T) {
	good := Probe{Usable: true, Why: "its test took 300µs", Figure: 300 * time.Microsecond}
	bad := Probe{Why: "its test took 257ms", Figure: 257 * time.Millisecond}
	for _, test := range []struct {
		want  string
		probe Probe
		name  string
		words string
	}{
		{"", good, "", `there is no accelerator ""`},
		{"hvf", good, "", "use auto, kvm or tcg"},
		{"kvm", bad, "", "KVM cannot be used: its test took 257ms; use auto or tcg"},
		{"kvm", good, "kvm", "300µs"},
		{"auto", good, "kvm", "300µs"},
		{"auto", bad, "tcg", "KVM cannot be used: its test took 257ms"},
		{"tcg", good, "tcg", "as asked for"},
	} {
		accel, err := choose(test.want, func() Probe { return test.probe })
		words := accel.Why
		if err != nil {
			words = err.Error()
		}
		if accel.Name != test.name || (err == nil) != (test.name != "") || !strings.Contains(words, test.words) {
			t.Errorf("%s: %+v, %v; want %s, %s", test.want, accel, err, test.name, test.words)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		figure time.Duration
		err    error
		usable bool
		why    string
	}{
		{0, &fs.PathError{Op: "open", Path: "/dev/kvm", Err: fs.ErrPermission}, false, "open /dev/kvm: permission denied"},
		{0, context.DeadlineExceeded, false, "did not end within 500ms"},
		{257123 * time.Microsecond, nil, false, "took 257ms, and processors with virtualisation need less than 25ms"},
		{25 * time.Millisecond, nil, false, "took 25ms"},
		{312345 * time.Nanosecond, nil, true, "took 310µs"},
	} {
		p := judge(test.figure, test.err)
		if p.Usable != test.usable || !strings.Contains(p.Why, test.why) || p.Figure != test.figure || !errors.Is(p.Err, test.err) {
			t.Errorf("%v, %v: %+v", test.figure, test.err, p)
		}
	}
}

// Whatever KVM is here, it is judged in time.
func TestProbeKVMEnds(t *testing.T) {
	began := time.Now()
	p := ProbeKVM(t.Context())
	if took := time.Since(began); took > 5*time.Second || p.Why == "" || p.Usable != (p.Err == nil && p.Figure < probeLimit) {
		t.Errorf("%+v after %v", p, took)
	}
	t.Logf("%+v", p)
}

package host

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Names of accelerators, as QEMU's -accel has them.
const (
	KVM = "kvm" // the processor runs guests itself
	TCG = "tcg" // QEMU translates their instructions: twenty times slower, and everywhere
)

const (
	// probeLoops is how often the probe's guest touches memory.
	probeLoops = 100_000
	// probeLimit is how long that may take. Processors need less than 1 ms; what
	// only looks like KVM took a quarter of a second.
	probeLimit = 25 * time.Millisecond
	// probeDeadline is when the probe gives up.
	probeDeadline = 500 * time.Millisecond
)

// Probe is what was found out about KVM.
type Probe struct {
	Usable bool
	Why    string        // in words that follow a colon
	Figure time.Duration // what the probe's guest took; 0 if it did not get that far
	Err    error         // what stood in the way, such as fs.ErrPermission
}

// ProbeKVM runs a guest of a few instructions: that /dev/kvm is there, and even
// that QEMU starts with it, says nothing about how fast it is.
func ProbeKVM(ctx context.Context) Probe {
	ctx, cancel := context.WithTimeout(ctx, probeDeadline)
	defer cancel()
	return judge(probe(ctx, "/dev/kvm", probeLoops))
}

func judge(figure time.Duration, err error) Probe {
	p := Probe{Figure: figure, Err: err}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		p.Why = fmt.Sprintf("its test did not end within %v", probeDeadline)
	case err != nil:
		p.Why = err.Error()
	case figure >= probeLimit:
		p.Why = fmt.Sprintf("its test took %v, and processors with virtualisation need less than %v", rounded(figure), probeLimit)
	default:
		p.Usable, p.Why = true, fmt.Sprintf("its test took %v", rounded(figure))
	}
	return p
}

func rounded(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// Accel is how guests run here.
type Accel struct {
	Name   string        // KVM or TCG
	Why    string        // why that one
	Figure time.Duration // of the probe of KVM; 0 if there was none
}

// ChooseAccel chooses how guests run: "kvm", "tcg", or with "auto" KVM where it is
// any good. It fails if KVM is wanted and is not.
func ChooseAccel(ctx context.Context, want string) (Accel, error) {
	return choose(want, func() Probe { return ProbeKVM(ctx) })
}

func choose(want string, probe func() Probe) (Accel, error) {
	switch want {
	case TCG:
		return Accel{Name: TCG, Why: "as asked for"}, nil
	case "auto", KVM:
	default:
		return Accel{}, fmt.Errorf("there is no accelerator %q: use auto, kvm or tcg", want)
	}
	p := probe()
	switch {
	case p.Usable:
		return Accel{KVM, "KVM can be used: " + p.Why, p.Figure}, nil
	case want == KVM:
		return Accel{}, fmt.Errorf("KVM cannot be used: %s; use auto or tcg to run machines without, which is slower", p.Why)
	default:
		return Accel{TCG, "KVM cannot be used: " + p.Why, p.Figure}, nil
	}
}

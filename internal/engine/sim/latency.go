package sim

import (
	"fmt"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// Latency is how long the simulated work takes.
type Latency struct {
	fixed time.Duration
	real  bool
}

// realLatencies are about what a cloud takes for each operation.
var realLatencies = map[string]time.Duration{
	"machine.create":         20 * time.Second,
	"machine.start":          5 * time.Second,
	"machine.stop":           5 * time.Second,
	"machine.reset":          5 * time.Second,
	"machine.resize":         15 * time.Second,
	"machine.destroy":        3 * time.Second,
	"machine.password":       2 * time.Second,
	"image.copy":             30 * time.Second,
	"image.replace":          20 * time.Second,
	"image.import":           time.Minute,
	"image.transfer":         45 * time.Second,
	"image.withdraw":         time.Second,
	"image.delete":           time.Second,
	"volume.create":          2 * time.Second,
	"volume.resize":          2 * time.Second,
	"volume.delete":          time.Second,
	"volume.attach":          3 * time.Second,
	"volume.detach":          3 * time.Second,
	"volume.snapshot":        2 * time.Second,
	"volume_snapshot.delete": time.Second,
	"network.apply":          time.Second,
	"firewall.apply":         time.Second,
	"peering.create":         8 * time.Second,
	"peering.delete":         5 * time.Second,
}

// plug is how long it takes to pull a machine's plug.
const plug = time.Second

// ParseLatency reads "0", a duration that all work takes such as "50ms", or
// "real" for what each operation takes on a real cloud.
func ParseLatency(text string) (Latency, error) {
	if text == "real" {
		return Latency{real: true}, nil
	}
	fixed, err := time.ParseDuration(text)
	if err != nil || fixed < 0 {
		return Latency{}, fmt.Errorf("latency %q is neither a duration such as 50ms nor \"real\"", text)
	}
	return Latency{fixed: fixed}, nil
}

// String is the text that ParseLatency reads.
func (l Latency) String() string {
	if l.real {
		return "real"
	}
	return l.fixed.String()
}

func (l Latency) of(operation string) time.Duration {
	if l.real {
		return realLatencies[operation]
	}
	return l.fixed
}

// stop is how long a machine takes to stop. Guests obey, so only the shortest
// grace cuts them off.
func (l Latency) stop(how engine.Stop) time.Duration {
	takes := l.of("machine.stop")
	if l.real && how.Force {
		return min(takes, max(how.Grace, plug))
	}
	return takes
}

// reset is how long a machine takes to restart.
func (l Latency) reset(hard bool) time.Duration {
	takes := l.of("machine.reset")
	if l.real && hard {
		return min(takes, 2*plug)
	}
	return takes
}

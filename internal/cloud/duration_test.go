package cloud

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"8d": 8 * day, "1w": 7 * day, "2w3d4h5m": 17*day + 4*time.Hour + 5*time.Minute, "1d12h": 36 * time.Hour,
		"36h": 36 * time.Hour, "1.5h": 90 * time.Minute, "0": 0, "0s": 0, "-1h": -time.Hour, "50ms": 50 * time.Millisecond,
	} {
		if got, ok := ParseDuration(text); !ok || got != want {
			t.Errorf("%q: got %s, %t; want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "x", "8", "d", "w", "-1d", "1.5d", "1d2w", "1d1d", "8 d", "1d-1h", "1d+", "99999999999d", "40000w", "30000w2562047h", "9999999999h",
	} {
		if got, ok := ParseDuration(text); ok {
			t.Errorf("%q: taken for %s", text, got)
		}
	}
}

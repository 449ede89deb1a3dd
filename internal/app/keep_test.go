package app

import (
	"testing"
	"time"
)

func TestParseKeep(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90d": 90 * 24 * time.Hour, "1d12h": 36 * time.Hour, "36h": 36 * time.Hour, "0": 0, "forever": 0, "0d": 0,
	} {
		if got, err := parseKeep(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"never", "d", "-1d", "-2h", "90", "1.5d", "70000d", "2d-1h", "1d2d"} {
		if got, err := parseKeep(text); err == nil {
			t.Errorf("%q: taken for %v", text, got)
		}
	}
}

package cloud

import "time"

// Clock tells the cloud's time: what created_at shows and when waiting work
// is due. Leases do not use it; they follow real time.
type Clock interface {
	Now() time.Time
}

// RealClock is the machine's own clock, in UTC.
type RealClock struct{}

// Now returns the present time in UTC.
func (RealClock) Now() time.Time { return time.Now().UTC() }

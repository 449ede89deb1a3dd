package sim_test

import (
	"math"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
)

// The clock runs with the real one, moves ahead of it and never back, and is
// where it was after a restart.
func TestMovableClock(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		now := time.Date(2030, 1, 2, 3, 4, 5, 678, time.UTC)
		real := func() time.Time { return now }
		begin := func() *sim.MovableClock {
			clock := sim.NewMovableClock(real)
			db := databasetest.Open(t, c)
			if _, err := db.Migrate(t.Context(), sim.Migrations()); err != nil {
				t.Fatal(err)
			}
			if err := clock.Restore(t.Context(), db); err != nil {
				t.Fatal(err)
			}
			return clock
		}
		clock := begin()
		want := func(ahead time.Duration) {
			t.Helper()
			if got := clock.Now().Sub(now); got < ahead || got > ahead+time.Microsecond || clock.Ahead() != got {
				t.Errorf("it is %s ahead, and says %s; want %s", got, clock.Ahead(), ahead)
			}
		}
		move := func(at time.Time) {
			t.Helper()
			if err := clock.MoveTo(t.Context(), at); err != nil {
				t.Fatal(err)
			}
			if clock.Now().Before(at) {
				t.Errorf("it stopped at %s, before %s", clock.Now(), at)
			}
		}
		want(0)
		move(now.Add(8 * 24 * time.Hour))
		want(8 * 24 * time.Hour)
		move(now.Add(24 * time.Hour)) // that has passed
		want(8 * 24 * time.Hour)
		now = now.Add(time.Minute)
		want(8 * 24 * time.Hour)
		clock = begin()
		want(8 * 24 * time.Hour)
		for _, at := range []time.Time{
			time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), // further than a Duration
			now.Add(math.MaxInt64),                      // the sum would be
		} {
			if err := clock.MoveTo(t.Context(), at); err == nil {
				t.Errorf("it was moved to %s, and is at %s", at, clock.Now())
			}
			want(8 * 24 * time.Hour)
		}
	})
}

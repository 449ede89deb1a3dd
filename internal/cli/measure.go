package cli

import (
	"context"
	"fmt"
	"sync"
	"time"

	"charm.land/bubbles/v2/progress"
)

// redraw is how often a bar of bytes is drawn again.
const redraw = 100 * time.Millisecond

// measure runs work that tells how much of something is done, of a total that is
// 0 while nobody knows it. At a terminal a bar shows it.
func (s screen) measure(ctx context.Context, work func(ctx context.Context, tell func(done, total int64)) error) error {
	if !s.asks {
		return work(ctx, func(int64, int64) {})
	}
	bar := progress.New(progress.WithWidth(barWidth), progress.WithoutPercentage())
	var drawing sync.Mutex
	var drawn time.Time
	err := work(ctx, func(done, total int64) {
		drawing.Lock()
		defer drawing.Unlock()
		if time.Since(drawn) < redraw {
			return
		}
		drawn = time.Now()
		if total <= 0 {
			s.say("\r\x1b[K%s", byteSize(done))
			return
		}
		part := min(float64(done)/float64(total), 1)
		s.say("\r\x1b[K%s", s.painted(fmt.Sprintf("%s %3.0f%%", bar.ViewAs(part), 100*part)))
	})
	s.say("\r\x1b[K")
	return err
}

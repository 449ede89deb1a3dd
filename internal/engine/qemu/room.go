package qemu

import (
	"context"
	"time"
)

// answerTime is how long a machine that is looked at may take to answer.
const answerTime = 5 * time.Second

// resumeWaiting lets machines go on that QEMU has halted because the host's disk
// was full: the guest has lost nothing, and what it wrote is written again. Where
// there is still no room they halt again at once, and that is said again.
func (e *Engine) resumeWaiting(ctx context.Context) {
	e.mu.Lock()
	running := make([]*vm, 0, len(e.vms))
	for _, v := range e.vms {
		running = append(running, v)
	}
	e.mu.Unlock()
	for _, v := range running {
		if halted, err := v.resume(ctx); halted {
			e.log.Warn("a machine was halted, as what it wrote could not be written; it is tried again: is the disk full?", "machine", v.id, "folder", e.Dir, "error", err)
		}
	}
}

// resume lets a machine go on that could not write to its disk.
func (v *vm) resume(ctx context.Context) (halted bool, err error) {
	ctx, done := context.WithTimeout(ctx, answerTime)
	defer done()
	var now struct {
		Status string `json:"status"`
	}
	if err := v.execute(ctx, "query-status", nil, &now); err != nil || now.Status != "io-error" {
		return false, err // who is busy or ends is not halted
	}
	return true, v.execute(ctx, "cont", nil, nil)
}

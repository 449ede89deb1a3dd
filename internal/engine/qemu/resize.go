package qemu

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// ResizeMachine gives a stopped machine another shape. Its disk only grows,
// unless that is taken back.
func (e *Engine) ResizeMachine(ctx context.Context, w engine.Work, ref engine.Ref, shape engine.Shape) (engine.Progress, error) {
	return e.do(ctx, e.changeDisk(w, ref.ID, func(ctx context.Context, j *job, m *machine) error {
		v, err := e.process(m.ID)
		switch {
		case err != nil:
			return err
		case m.Shape == shape && (!w.Undo || v != nil):
			return nil // taken back, it may have been cut off after the disk had grown
		case v != nil:
			return refuse("machine %s is running", m.ID)
		case shape.Disk < m.Shape.Disk && !w.Undo:
			return refuse("the disk of machine %s has %d GiB and cannot shrink to %d", m.ID, m.Shape.Disk, shape.Disk)
		}
		m.Shape = shape
		return e.resizeDisk(ctx, *m, shape.Disk)
	}))
}

package qemu

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/qmp"
)

const (
	// freezeTime is how long a guest's agent may take to answer and to freeze its
	// filesystems. Where there is no agent, the copy is as after a power cut.
	freezeTime = 3 * time.Second
	// partialFile is what is copied to, in the folder of what is copied, and moved
	// when it is whole.
	partialFile = "copy.qcow2"
	// copyNode is QEMU's name of the file that is copied to, copyFileNode that of
	// what it is kept in, and copyJob that of the copying. A machine is copied
	// one at a time.
	copyNode     = "copy"
	copyFileNode = "copy-file"
	copyJob      = "copy"
	// askJobEvery is how often a job is looked at whose events were missed.
	askJobEvery = 2 * time.Second
)

// copyFile copies a disk that nobody writes to into one flat file.
func (e *Engine) copyFile(ctx context.Context, dir, name, format, to string) error {
	// The copy is made under the folder's own user and then moved.
	partial := filepath.Join(dir, partialFile)
	defer discard(partial)
	if _, err := e.img(ctx, dir, "convert", "-q", "-f", format, "-O", "qcow2", "-c", "-o", "compression_type=zstd", name, partialFile); err != nil {
		return err
	}
	return os.Rename(partial, to)
}

// copyLive copies a disk that a running machine writes to, as it is when the
// copying begins, into one flat file.
func (e *Engine) copyLive(ctx context.Context, j *job, v *vm, node string, size int64, to string) error {
	partial := filepath.Join(v.dir, partialFile)
	if err := v.endCopy(ctx); err != nil { // of a try that was cut off
		return err
	}
	if _, err := e.img(ctx, v.dir, "create", "-q", "-f", "qcow2", "-o", "compression_type=zstd", partialFile, fmt.Sprint(size)); err != nil {
		return err
	}
	defer discard(partial)
	defer func() {
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), monitorTime)
		defer done()
		if err := v.endCopy(ctx); err != nil {
			e.log.Warn("end the copying of a disk", "machine", v.id, "error", err)
		}
	}()
	for _, add := range []map[string]any{
		{"driver": "file", "node-name": copyFileNode, "filename": partialFile},
		{"driver": "qcow2", "node-name": copyNode, "file": copyFileNode},
	} {
		if err := v.execute(ctx, "blockdev-add", add, nil); err != nil {
			return err
		}
	}
	if err := e.copyNow(ctx, j, v, node); err != nil {
		return err
	}
	if err := v.endCopy(ctx); err != nil { // which writes back what is not yet in the file
		return err
	}
	return os.Rename(partial, to)
}

// copyNow begins the copying with the guest's filesystems frozen, and waits
// until it has ended.
func (e *Engine) copyNow(ctx context.Context, j *job, v *vm, node string) error {
	events := v.monitor.Load().Subscribe("JOB_STATUS_CHANGE")
	defer events.Close()
	thaw := e.freeze(ctx, v)
	err := v.execute(ctx, "blockdev-backup", map[string]any{
		"job-id": copyJob, "device": node, "target": copyNode, "sync": "full", "compress": true,
		"auto-dismiss": false,
	}, nil)
	thaw()
	if err != nil {
		return err
	}
	for {
		state, err := v.copyState(ctx)
		if err != nil {
			return err
		}
		switch {
		case state.Status == "":
			return fmt.Errorf("the copying of the disk of machine %s was ended", v.id)
		case state.Status == "concluded" && state.Error != "":
			return fmt.Errorf("copy the disk of machine %s: %s", v.id, state.Error)
		case state.Status == "concluded":
			return nil
		case state.Total > 0:
			j.percent.Store(int32(min(99, 100*state.Current/state.Total)))
		}
		wait, done := context.WithTimeout(ctx, askJobEvery)
		_, err = events.Wait(wait, func(event qmp.Event) bool {
			var data struct{ ID, Status string }
			return json.Unmarshal(event.Data, &data) == nil && data.ID == copyJob && data.Status == "concluded"
		})
		done()
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		if v.hasEnded() {
			return fmt.Errorf("machine %s stopped while its disk was copied", v.id)
		}
	}
}

// freeze has the guest write back and hold its filesystems, where its agent
// answers, and returns what lets them go.
func (e *Engine) freeze(ctx context.Context, v *vm) (thaw func()) {
	freezing, done := context.WithTimeout(ctx, freezeTime)
	defer done()
	agent := v.agent()
	if err := agent.Ping(freezing); err != nil {
		e.log.Debug("no guest agent answers; the copy is as after a power cut", "machine", v.id, "error", err)
		return func() {}
	}
	if _, err := agent.Freeze(freezing); err != nil {
		e.log.Warn("the guest's filesystems were not frozen", "machine", v.id, "error", err)
	}
	return func() {
		thawing, done := context.WithTimeout(context.WithoutCancel(ctx), freezeTime)
		defer done()
		if _, err := agent.Thaw(thawing); err != nil {
			e.log.Error("the guest's filesystems were not thawed", "machine", v.id, "error", err)
		}
	}
}

// copyProgress is how far the copying of a disk is.
type copyProgress struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Error   string `json:"error"`
	Current int64  `json:"current-progress"`
	Total   int64  `json:"total-progress"`
}

// copyState asks how far the copying is. Its status is empty where none is.
func (v *vm) copyState(ctx context.Context) (copyProgress, error) {
	var jobs []copyProgress
	if err := v.execute(ctx, "query-jobs", nil, &jobs); err != nil {
		return copyProgress{}, err
	}
	for _, j := range jobs {
		if j.ID == copyJob {
			return j, nil
		}
	}
	return copyProgress{}, nil
}

// endFormerCopy ends the copying that an engine before this one has begun, which
// would else go on: whoever wants a copy begins anew, and if nobody does, it only
// takes room.
func (e *Engine) endFormerCopy(v *vm) {
	unlock, err := e.locks.take(e.life, []string{diskLock(v.id)})
	if err != nil {
		return
	}
	defer unlock()
	ctx, done := context.WithTimeout(e.life, monitorTime)
	defer done()
	if err := v.endCopy(ctx); err != nil {
		e.log.Warn("end the former copying of a disk", "machine", v.id, "error", err)
		return
	}
	discard(filepath.Join(v.dir, partialFile))
}

// endCopy ends whatever copying there is and removes what it used. Once none is,
// that is done.
func (v *vm) endCopy(ctx context.Context) error {
	events := v.monitor.Load().Subscribe("JOB_STATUS_CHANGE")
	defer events.Close()
	for {
		state, err := v.copyState(ctx)
		if err != nil {
			return err
		}
		if state.Status == "" {
			return v.dropNodes(ctx, copyNode, copyFileNode)
		}
		command := "job-cancel"
		if state.Status == "concluded" {
			command = "job-dismiss"
		}
		err = v.execute(ctx, command, map[string]any{"id": copyJob}, nil)
		if err != nil && !strings.Contains(err.Error(), "in this state") {
			return err
		}
		if command == "job-dismiss" {
			continue
		}
		wait, done := context.WithTimeout(ctx, askJobEvery)
		_, _ = events.Next(wait)
		done()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

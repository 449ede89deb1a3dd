package qemu

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

const (
	// consoleMost is how much a console may have written before it is forgotten:
	// what a guest writes there ends on the host's disk.
	consoleMost = 4 << 20
	// lookEvery is how often that is looked at, and whether a machine waits for
	// room on the host's disk.
	lookEvery = time.Minute
)

// lookAfterMachines looks at the machines that run until the engine closes.
func (e *Engine) lookAfterMachines() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.life.Done():
			return
		case <-tick.C:
			e.cutConsoles(consoleMost)
			e.resumeWaiting(e.life)
		}
	}
}

// cutConsoles empties the consoles' files that are larger than most. QEMU
// appends to them, so it goes on at the start.
func (e *Engine) cutConsoles(most int64) {
	e.mu.Lock()
	dirs := make([]string, 0, len(e.vms))
	for _, v := range e.vms {
		dirs = append(dirs, v.dir)
	}
	e.mu.Unlock()
	for _, dir := range dirs {
		path := filepath.Join(dir, consoleFile)
		if err := cut(path, most); err != nil && !errors.Is(err, os.ErrNotExist) {
			e.log.Warn("a console's file cannot be kept small", "file", path, "error", err)
		}
	}
}

// cut empties a file that is larger than most.
func cut(path string, most int64) error {
	f, err := openPlain(path, os.O_WRONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() <= most {
		return err
	}
	return f.Truncate(0)
}

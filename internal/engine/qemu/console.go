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
	// lookAtConsolesEvery is how often that is looked at.
	lookAtConsolesEvery = time.Minute
)

// keepConsolesSmall looks at what the machines' consoles wrote until the engine
// closes.
func (e *Engine) keepConsolesSmall() {
	tick := time.NewTicker(lookAtConsolesEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.life.Done():
			return
		case <-tick.C:
			e.cutConsoles(consoleMost)
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
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() || info.Size() <= most {
			continue
		}
		if err := os.Truncate(path, 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			e.log.Warn("a console's file is large and cannot be cut", "file", path, "error", err)
		}
	}
}

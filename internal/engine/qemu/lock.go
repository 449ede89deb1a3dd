package qemu

import (
	"context"
	"sync"
)

// locks are held by name, for as long as a job works on what they name.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when it is given back
}

// take takes locks one after the other, and returns what gives them back.
func (l *locks) take(ctx context.Context, names []string) (unlock func(), err error) {
	taken := 0
	unlock = func() {
		for _, name := range names[:taken] {
			l.release(name)
		}
	}
	for _, name := range names {
		if err := l.wait(ctx, name); err != nil {
			unlock()
			return nil, err
		}
		taken++
	}
	return unlock, nil
}

func (l *locks) wait(ctx context.Context, name string) error {
	for {
		l.mu.Lock()
		holder := l.held[name]
		if holder == nil {
			l.held[name] = make(chan struct{})
			l.mu.Unlock()
			return nil
		}
		l.mu.Unlock()
		select {
		case <-holder:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *locks) release(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held[name])
	delete(l.held, name)
}

// Locks are taken in this order, that of a snapshot first, so that nobody
// deadlocks. A copy of a disk takes long and does not hold its machine's:
// whatever starts, stops or replaces the disk waits for it, and a firewall does
// not. Who waits for a guest agent holds the password's only.
func snapshotLock(id string) string  { return "snapshot/" + id }
func passwordLock(id string) string  { return "password/" + id }
func diskLock(machine string) string { return "disk/" + machine }
func machineLock(id string) string   { return "machine/" + id }
func volumeLock(id string) string    { return "volume/" + id }
func imageLock(id string) string     { return "image/" + id }

//go:build linux

package routed

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// place is where the network is: this process's network namespace when it is 0,
// else the one that the file descriptor stands for.
type place int

// do runs f there. What f opens (sockets, links, files below /proc/sys/net)
// belongs there ever after.
func (p place) do(f func() error) error {
	if p == 0 {
		return f()
	}
	done := make(chan error)
	go func() {
		// The thread is not given back: it ends with this goroutine.
		runtime.LockOSThread()
		if err := unix.Setns(int(p), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("the network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

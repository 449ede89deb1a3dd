package app

import (
	"os"
	"os/signal"
	"syscall"
)

// hangups delivers SIGHUP, which does not end a server: it is how services are
// told to look at their files again. A process that was told to ignore it, as
// nohup does, goes on ignoring it.
func hangups() (signals chan os.Signal, stop func()) {
	signals = make(chan os.Signal, 1)
	if signal.Ignored(syscall.SIGHUP) {
		return signals, func() {}
	}
	signal.Notify(signals, syscall.SIGHUP)
	return signals, func() { signal.Stop(signals) }
}

// hasTerminal reports whether the process belongs to a terminal. One that did
// and does no more was told by SIGHUP that its terminal was closed.
func hasTerminal() bool {
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	terminal.Close()
	return true
}

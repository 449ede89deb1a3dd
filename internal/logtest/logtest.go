// Package logtest is for tests that read what something writes while it runs.
package logtest

import (
	"strings"
	"sync"
)

// Buffer keeps what several goroutines write to it, and may be read meanwhile.
type Buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String is all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

package cisterntest_test

import (
	"fmt"
	"runtime"
	"testing"
)

// failing takes the place of a test that is meant to fail.
type failing struct {
	testing.TB
	message string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

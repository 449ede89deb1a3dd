//go:build !linux || !amd64

package host

import (
	"context"
	"errors"
	"time"
)

func probe(context.Context, string, uint32) (time.Duration, error) {
	return 0, errors.New("it runs machines of the x86-64 kind only on Linux on such processors")
}

//go:build !linux

package app

import (
	"context"
	"errors"
)

func (s *server) openQEMU(context.Context) (running, error) {
	return running{}, errors.New("--engine qemu: machines run on Linux only; use --engine sim")
}

//go:build !linux

package routed

import (
	"context"
	"errors"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

var errLinux = errors.New("a routed network needs Linux")

// Network is there on Linux only.
type Network struct{ vnet.Network }

// New fails.
func New(context.Context, Options) (*Network, error) { return nil, errLinux }

// Ready fails.
func Ready(Options) (string, error) { return "", errLinux }

// Found is nothing.
type Found struct{}

// Find fails.
func Find(int) (Found, error) { return Found{}, errLinux }

// Running is nothing.
func (Found) Running() []string { return nil }

// Lines is nothing.
func (Found) Lines() []string { return nil }

// Remove fails.
func (Found) Remove() error { return errLinux }

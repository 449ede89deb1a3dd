package cli

import (
	"context"
	"errors"
	"fmt"
)

// Exit statuses beside 0 and 1.
const (
	// exitPartial is of a command that did a part of what it was asked.
	exitPartial = 2
	// exitRunning is of a status of what has not ended.
	exitRunning = 3
	// exitInterrupted is what shells give a program that Ctrl-C has ended.
	exitInterrupted = 130
)

// exitError is an error with an exit status of its own.
type exitError struct {
	status int
	text   string
}

func (e *exitError) Error() string { return e.text }

func exitWith(status int, format string, values ...any) error {
	return &exitError{status, fmt.Sprintf(format, values...)}
}

// errInterrupted is a command that was ended before it did anything.
var errInterrupted = &exitError{exitInterrupted, "interrupted; nothing was done"}

// statusOf is the exit status for an error.
func statusOf(err error) int {
	if e, is := errors.AsType[*exitError](err); is {
		return e.status
	}
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	return 1
}

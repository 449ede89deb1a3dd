package qmp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
)

// maxAnswers bounds what an agent may send on one connection. What is asked of
// it has short answers, and the guest is not to be trusted.
const maxAnswers = 64 << 10

// Agent is the QEMU guest agent of one machine, where there is one. Each call
// is a connection of its own, so that one that got no answer leaves nothing to
// the next. Whether there is an agent shows only by its answers: a call to none
// fails when its context ends.
type Agent struct{ dial Dialer }

// NewAgent returns the agent behind a socket.
func NewAgent(dial Dialer) *Agent { return &Agent{dial} }

// Ping fails unless the agent answers.
func (a *Agent) Ping(ctx context.Context) error {
	return a.call(ctx, "guest-ping", nil, nil)
}

// Freeze makes the guest write out and hold its filesystems, and returns how
// many. If it fails they may be held all the same: Thaw after it in any case.
func (a *Agent) Freeze(ctx context.Context) (n int, err error) {
	err = a.call(ctx, "guest-fsfreeze-freeze", nil, &n)
	return n, err
}

// Thaw lets the guest's filesystems go on, and returns how many were held.
func (a *Agent) Thaw(ctx context.Context) (n int, err error) {
	err = a.call(ctx, "guest-fsfreeze-thaw", nil, &n)
	return n, err
}

// Frozen reports whether the guest's filesystems are held.
func (a *Agent) Frozen(ctx context.Context) (bool, error) {
	var status string
	if err := a.call(ctx, "guest-fsfreeze-status", nil, &status); err != nil {
		return false, err
	}
	return status == "frozen", nil
}

// SetPassword sets the password of a user of the guest.
func (a *Agent) SetPassword(ctx context.Context, user, password string) error {
	return a.call(ctx, "guest-set-user-password", map[string]any{
		"username": user,
		"password": base64.StdEncoding.EncodeToString([]byte(password)),
		"crypted":  false,
	}, nil)
}

func (a *Agent) call(ctx context.Context, command string, arguments, result any) error {
	if err := a.converse(ctx, request{Execute: command, Arguments: arguments}, result); err != nil {
		return fmt.Errorf("guest agent: %s: %w", command, err)
	}
	return nil
}

func (a *Agent) converse(ctx context.Context, r request, result any) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := bound(ctx, conn.SetDeadline)
	err = converse(conn, r, result)
	if late := stop(); late != nil && err != nil {
		return late
	}
	return err
}

// sentinel stands before the answer to a guest-sync-delimited, and in no other
// answer. Sent to the agent, it ends whatever command was cut off before.
const sentinel = 0xFF

// converse first finds where the answers to this connection begin: before them
// may come those to earlier ones.
func converse(conn net.Conn, r request, result any) error {
	id := uint64(rand.Uint32())
	answers := bufio.NewReaderSize(io.LimitReader(conn, maxAnswers), maxAnswers)
	if _, err := conn.Write([]byte{sentinel}); err != nil {
		return err
	}
	if err := say(conn, request{Execute: "guest-sync-delimited", Arguments: map[string]uint64{"id": id}}); err != nil {
		return err
	}
	for synced := false; !synced; {
		if _, err := answers.ReadSlice(sentinel); err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		var theirs uint64
		// What is no answer to a sync is skipped, like that to an earlier one.
		synced = hear(answers, &theirs) == nil && theirs == id
	}
	if err := say(conn, r); err != nil {
		return err
	}
	return hear(answers, result)
}

func say(conn net.Conn, r request) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = conn.Write(append(line, '\n'))
	return err
}

func hear(answers *bufio.Reader, result any) error {
	line, err := answers.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	var m message
	line = line[bytes.LastIndexByte(line, sentinel)+1:]
	if err := json.Unmarshal(line, &m); err != nil {
		return fmt.Errorf("not an answer: %w", err)
	}
	return m.into(result)
}

// Package qmp speaks to a QEMU process over its QMP socket, and to the agent in
// its guest. Nothing here waits longer than its context: QEMU may be stopped,
// and the guest may answer whatever it likes.
package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// maxMessage bounds a message of QEMU's. The longest known, its schema, has
// 200 KB.
const maxMessage = 4 << 20

// ErrGone is a connection that has ended.
var ErrGone = errors.New("the connection has ended")

var errCutOff = errors.New("QEMU did not take a command in time")

// Error is a command that was refused, by QEMU or by the guest's agent.
type Error struct {
	Class string `json:"class"` // "GenericError", or "DeviceNotFound" and the like
	Desc  string `json:"desc"`
}

func (e *Error) Error() string { return e.Desc }

// Client is a connection to one QEMU. QEMU serves one at a time. A client may
// be used by many at once, and is of no use any more when Done is closed.
type Client struct {
	conn net.Conn
	qemu string // its version
	// writing is taken by who writes. It is no mutex, as a wait for it ends with
	// the context.
	writing chan struct{}
	done    chan struct{}

	mu      sync.Mutex
	err     error // why the connection ended
	last    uint64
	waiting map[uint64]chan<- message
	subs    map[*Subscription]struct{}
}

// message is anything that QEMU or an agent sends.
type message struct {
	Greeting *struct {
		Version struct {
			QEMU struct{ Major, Minor, Micro int } `json:"qemu"`
		} `json:"version"`
	} `json:"QMP"`
	ID     *uint64         `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *Error          `json:"error"`

	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
	At    struct {
		Seconds      int64 `json:"seconds"`
		Microseconds int64 `json:"microseconds"`
	} `json:"timestamp"`
}

type request struct {
	Execute   string  `json:"execute"`
	Arguments any     `json:"arguments,omitempty"`
	ID        *uint64 `json:"id,omitempty"`
}

// Dialer makes a connection. See [Unix].
type Dialer func(ctx context.Context) (net.Conn, error)

// Dial connects to a QEMU. While somebody else is connected there is no
// greeting: then it fails when ctx ends.
func Dial(ctx context.Context, dial Dialer) (*Client, error) {
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &Client{
		conn: conn, writing: make(chan struct{}, 1), done: make(chan struct{}),
		waiting: map[uint64]chan<- message{}, subs: map[*Subscription]struct{}{},
	}
	lines := newLines(conn, maxMessage)
	if err := c.greet(ctx, lines); err != nil {
		conn.Close()
		return nil, err
	}
	go c.read(lines)
	if err := c.Execute(ctx, "qmp_capabilities", nil, nil); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Client) greet(ctx context.Context, lines *bufio.Scanner) error {
	stop := bound(ctx, c.conn.SetReadDeadline)
	m, err := next(lines)
	if late := stop(); late != nil {
		return fmt.Errorf("no greeting from QEMU, which has another client or is stopped: %w", late)
	}
	if err != nil {
		return fmt.Errorf("no greeting from QEMU: %w", err)
	}
	if m.Greeting == nil {
		return errors.New("what answers is no QEMU: it does not greet")
	}
	v := m.Greeting.Version.QEMU
	c.qemu = fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Micro)
	return nil
}

// Version is the version that the process says it is, such as 7.2.22.
func (c *Client) Version() string { return c.qemu }

// Execute runs a command and decodes what it returns into result, unless that
// is nil. A refusal of QEMU's is an [*Error]. If ctx ends first, whether the
// command ran is unknown.
func (c *Client) Execute(ctx context.Context, command string, arguments, result any) error {
	if err := c.execute(ctx, command, arguments, result); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

func (c *Client) execute(ctx context.Context, command string, arguments, result any) error {
	id, answer, err := c.expect()
	if err != nil {
		return err
	}
	defer c.forget(id)
	if err := c.send(ctx, request{command, arguments, &id}); err != nil {
		return err
	}
	select {
	case m := <-answer:
		return m.into(result)
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
	}
	select {
	case m := <-answer: // it was the last thing QEMU said, as after quit
		return m.into(result)
	default:
		return c.Err()
	}
}

// expect makes room for the answer to a command.
func (c *Client) expect() (uint64, <-chan message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, nil, c.err
	}
	c.last++
	answer := make(chan message, 1)
	c.waiting[c.last] = answer
	return c.last, answer, nil
}

func (c *Client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// send writes a request. One that was cut off makes the connection useless, as
// what follows would be read as its rest.
func (c *Client) send(ctx context.Context, r request) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	select {
	case c.writing <- struct{}{}:
		defer func() { <-c.writing }()
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return c.Err()
	}
	err = write(ctx, c.conn, append(line, '\n'))
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		c.end(errCutOff) // the next caller's context has not ended
	default:
		c.end(err)
	}
	return err
}

// read takes in what QEMU sends until the connection ends. It never waits for
// who wants it.
func (c *Client) read(lines *bufio.Scanner) {
	for {
		m, err := next(lines)
		if err != nil {
			c.end(err)
			return
		}
		c.mu.Lock()
		switch {
		case m.Event != "":
			for s := range c.subs {
				s.add(m.event())
			}
		case m.ID != nil:
			if answer, is := c.waiting[*m.ID]; is {
				answer <- m
				delete(c.waiting, *m.ID) // a second answer would find the channel full
			}
		}
		c.mu.Unlock()
	}
}

func (c *Client) end(err error) {
	c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = fmt.Errorf("%w: %w", ErrGone, err)
	close(c.done)
	for s := range c.subs {
		s.end(c.err)
	}
}

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says why the connection has ended, and is nil before. It is an [ErrGone].
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection. QEMU runs on.
func (c *Client) Close() { c.end(net.ErrClosed) }

// into decodes what was returned.
func (m message) into(result any) error {
	if m.Error != nil {
		return m.Error
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(m.Return, result)
}

// newLines reads lines of at most a number of bytes.
func newLines(r io.Reader, most int) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, most)
	return lines
}

func next(lines *bufio.Scanner) (m message, err error) {
	if !lines.Scan() {
		if err := lines.Err(); err != nil {
			return m, err
		}
		return m, io.EOF
	}
	if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
		return m, fmt.Errorf("not a message: %w", err)
	}
	return m, nil
}

// write writes all of b, or fails when ctx ends.
func write(ctx context.Context, conn net.Conn, b []byte) error {
	stop := bound(ctx, conn.SetWriteDeadline)
	_, err := conn.Write(b)
	if late := stop(); late != nil && err != nil {
		return late
	}
	return err
}

// bound makes what waits on a connection end with ctx. What it returns takes
// that back, and says whether ctx has ended.
func bound(ctx context.Context, set func(time.Time) error) (stop func() error) {
	over := make(chan struct{})
	undo := context.AfterFunc(ctx, func() {
		defer close(over)
		_ = set(time.Unix(1, 0)) // a connection that is closed waits for nothing
	})
	return func() error {
		if undo() {
			return nil
		}
		<-over
		_ = set(time.Time{})
		return ctx.Err()
	}
}

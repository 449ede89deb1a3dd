package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}`

// peer is the other end of a client's connection.
type peer struct {
	net.Conn
	lines *bufio.Scanner
}

// heard is a command that the peer got.
type heard struct {
	Execute   string
	Arguments json.RawMessage
	ID        uint64
}

func (p *peer) say(format string, values ...any) { fmt.Fprintf(p, format+"\n", values...) }

func (p *peer) hear() (h heard) {
	if p.lines.Scan() {
		_ = json.Unmarshal(p.lines.Bytes(), &h)
	}
	return h
}

// answer returns nothing from the next command.
func (p *peer) answer() { p.say(`{"return": {}, "id": %d}`, p.hear().ID) }

func (p *peer) greet() {
	p.say(greeting)
	p.answer()
}

// against returns a dialer to what script plays.
func against(script func(p *peer)) Dialer {
	return func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go script(&peer{theirs, bufio.NewScanner(theirs)})
		return ours, nil
	}
}

// talk connects to a QEMU that script plays once it has greeted.
func talk(t *testing.T, script func(p *peer)) *Client {
	t.Helper()
	c, err := Dial(t.Context(), against(func(p *peer) {
		p.greet()
		script(p)
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// soon is a context that ends while a test waits.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestDialFails(t *testing.T) {
	refusal := errors.New("connection refused")
	for name, test := range map[string]struct {
		dial Dialer
		want string
		is   error
	}{
		"no socket":        {func(context.Context) (net.Conn, error) { return nil, refusal }, "refused", refusal},
		"no greeting":      {against(func(*peer) {}), "another client or is stopped", context.DeadlineExceeded},
		"half a greeting":  {against(func(p *peer) { fmt.Fprint(p, `{"QMP": `) }), "another client or is stopped", context.DeadlineExceeded},
		"gone at once":     {against(func(p *peer) { p.Close() }), "no greeting", nil},
		"no JSON":          {against(func(p *peer) { p.say("SSH-2.0-OpenSSH_9.2") }), "not a message", nil},
		"another protocol": {against(func(p *peer) { p.say(`{"return": {}}`) }), "does not greet", nil},
		"an endless line": {against(func(p *peer) {
			for _, err := p.Write(make([]byte, 1<<16)); err == nil; {
				_, err = p.Write(make([]byte, 1<<16))
			}
		}), "too long", bufio.ErrTooLong},
		"takes nothing": {against(func(p *peer) { p.say(greeting) }), "qmp_capabilities", context.DeadlineExceeded},
		"answers nothing": {against(func(p *peer) {
			p.say(greeting)
			p.hear()
		}), "qmp_capabilities", context.DeadlineExceeded},
		"refuses": {against(func(p *peer) {
			p.say(greeting)
			p.say(`{"error": {"class": "GenericError", "desc": "Not today"}, "id": %d}`, p.hear().ID)
		}), "qmp_capabilities: Not today", nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := Dial(soon(t), test.dial)
				if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("%v, want %q", err, test.want)
				}
			})
		})
	}
}

func TestExecuteFails(t *testing.T) {
	for name, test := range map[string]struct {
		script func(p *peer)
		want   string
		is     error
		ended  bool // the connection is of no use any more
	}{
		"refused": {script: func(p *peer) {
			p.say(`{"error": {"class": "DeviceNotFound", "desc": "Device 'x' not found"}, "id": %d}`, p.hear().ID)
		}, want: "query-x: Device 'x' not found"},
		"nothing returned": {script: func(p *peer) { p.say(`{"id": %d}`, p.hear().ID) }, want: "end of JSON"},
		"something else returned": {
			script: func(p *peer) { p.say(`{"return": "text", "id": %d}`, p.hear().ID) }, want: "cannot unmarshal string",
		},
		"no answer": {script: func(p *peer) { p.hear() }, want: "query-x", is: context.DeadlineExceeded},
		"another's answer": {
			script: func(p *peer) { p.say(`{"return": {"n": 1}, "id": %d}`, p.hear().ID+1) }, want: "query-x", is: context.DeadlineExceeded,
		},
		"takes no command": {script: func(*peer) {}, want: "query-x", is: context.DeadlineExceeded, ended: true},
		"gone": {script: func(p *peer) {
			p.hear()
			p.Close()
		}, want: "the connection has ended: EOF", is: ErrGone, ended: true},
		"gone before": {script: func(p *peer) { p.Close() }, want: "the connection has ended", is: ErrGone, ended: true},
		"not a message": {
			script: func(p *peer) { p.say(`{"return": %d`, p.hear().ID) }, want: "not a message", is: ErrGone, ended: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := talk(t, test.script)
				synctest.Wait()
				var result struct{ N int }
				err := c.Execute(soon(t), "query-x", nil, &result)
				if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("%v, want %q", err, test.want)
				}
				if ended := c.Err() != nil; ended != test.ended {
					t.Errorf("ended: %v, want %t", c.Err(), test.ended)
				}
				if again := c.Execute(soon(t), "query-y", nil, nil); test.ended && (!errors.Is(again, ErrGone) || errors.Is(again, context.DeadlineExceeded)) {
					t.Errorf("the next command: %v", again)
				}
			})
		})
	}
}

func TestRefusalHasItsClass(t *testing.T) {
	c := talk(t, func(p *peer) { p.say(`{"error": {"class": "DeviceNotFound", "desc": "no"}, "id": %d}`, p.hear().ID) })
	err := c.Execute(t.Context(), "device_del", map[string]string{"id": "x"}, nil)
	if e, is := errors.AsType[*Error](err); !is || e.Class != "DeviceNotFound" {
		t.Errorf("%#v", err)
	}
}

// Answers go to who asked, in whatever order they come, and one that comes too
// late to nobody.
func TestAnswersGoToWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := talk(t, func(p *peer) {
			late, first, second := p.hear(), p.hear(), p.hear()
			p.say(`{"return": "too late", "id": %d}`, late.ID)
			p.say(`{"return": %s, "id": %d}`, second.Arguments, second.ID)
			p.say(`{"return": %s, "id": %d}`, first.Arguments, first.ID)
		})
		if c.Version() != "7.2.22" {
			t.Errorf("version %s", c.Version())
		}
		if err := c.Execute(soon(t), "late", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		answers := make(chan string, 2)
		for _, word := range []string{"a", "b"} {
			go func() {
				var got string
				if err := c.Execute(soon(t), "echo", word, &got); err != nil || got != word {
					t.Errorf("%s: %s, %v", word, got, err)
				}
				answers <- got
			}()
		}
		<-answers
		<-answers
	})
}

// The last word of a QEMU that quits is heard, though the connection has ended
// by then.
func TestLastAnswerIsHeard(t *testing.T) {
	for range 50 {
		c := talk(t, func(p *peer) {
			p.answer()
			p.Close()
		})
		events := c.Subscribe()
		if err := c.Execute(t.Context(), "quit", nil, nil); err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		if _, err := events.Next(t.Context()); !errors.Is(err, ErrGone) {
			t.Fatal(err)
		}
	}
}

func TestClose(t *testing.T) {
	c := talk(t, func(*peer) {})
	c.Close()
	c.Close()
	<-c.Done()
	if err := c.Execute(t.Context(), "stop", nil, nil); !errors.Is(err, ErrGone) || !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := c.Subscribe().Next(t.Context()); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
}

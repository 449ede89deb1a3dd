package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
)

// sync answers the sync of an agent's client, after what was left from before.
func (p *peer) sync(before string) {
	var arguments struct{ ID uint64 }
	_ = json.Unmarshal(p.hearSync().Arguments, &arguments)
	p.say("%s\xff"+`{"return": %d}`, before, arguments.ID)
}

// hearSync checks that a sync starts with what ends an earlier command.
func (p *peer) hearSync() (h heard) {
	if !p.lines.Scan() {
		return h
	}
	if line, is := strings.CutPrefix(p.lines.Text(), "\xff"); is {
		_ = json.Unmarshal([]byte(line), &h)
	}
	return h
}

func TestAgentFails(t *testing.T) {
	refusal := errors.New("connection refused")
	synced := func(then func(p *peer)) Dialer {
		return against(func(p *peer) {
			p.sync("")
			p.hear()
			then(p)
		})
	}
	for name, test := range map[string]struct {
		dial Dialer
		want string
		is   error
	}{
		"no socket":    {func(context.Context) (net.Conn, error) { return nil, refusal }, "refused", refusal},
		"takes none":   {against(func(*peer) {}), "guest-fsfreeze-freeze", context.DeadlineExceeded},
		"answers none": {against(func(p *peer) { p.hearSync() }), "guest-fsfreeze-freeze", context.DeadlineExceeded},
		"gone": {against(func(p *peer) {
			p.hearSync()
			p.Close()
		}), "no answer", nil},
		"another's sync": {against(func(p *peer) {
			p.hearSync()
			p.say("\xff" + `{"return": 7}`)
		}), "guest-fsfreeze-freeze", context.DeadlineExceeded},
		"endless": {against(func(p *peer) {
			p.hearSync()
			for _, err := p.Write(make([]byte, 1<<12)); err == nil; {
				_, err = p.Write(make([]byte, 1<<12))
			}
		}), "no answer", nil},
		"nothing after the sync": {synced(func(*peer) {}), "guest-fsfreeze-freeze", context.DeadlineExceeded},
		"endless answer": {synced(func(p *peer) {
			for _, err := p.Write(make([]byte, 1<<12)); err == nil; {
				_, err = p.Write(make([]byte, 1<<12))
			}
		}), "no answer", nil},
		"not an answer": {synced(func(p *peer) { p.say("hello") }), "not an answer", nil},
		"refused": {synced(func(p *peer) {
			p.say(`{"error": {"class": "CommandNotFound", "desc": "The command guest-fsfreeze-freeze has not been found"}}`)
		}), "has not been found", nil},
		"something else": {synced(func(p *peer) { p.say(`{"return": "many"}`) }), "cannot unmarshal string", nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, err := NewAgent(test.dial).Freeze(soon(t))
				if n != 0 || err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("%d, %v, want %q", n, err, test.want)
				}
			})
		})
	}
}

// An agent that was slow answers the call before on the connection of the next.
func TestAgentStaleAnswersAreSkipped(t *testing.T) {
	agent := NewAgent(against(func(p *peer) {
		p.sync("\xff" + `{"return": 12}` + "\n" + `{"return": "frozen"}` + "\n" + `{"ret` + "\xff" + `{"return": 13}` + "\n" + "\xff" + `{"ret`)
		p.hear()
		p.say(`{"return": "thawed"}`)
	}))
	if frozen, err := agent.Frozen(t.Context()); err != nil || frozen {
		t.Errorf("%t, %v", frozen, err)
	}
}

func TestAgentCommands(t *testing.T) {
	var said heard
	answer := "{}"
	agent := NewAgent(against(func(p *peer) {
		p.sync("")
		said = p.hear()
		p.say(`{"return": %s}`, answer)
	}))
	ctx := t.Context()
	for _, test := range []struct {
		answer, command, arguments string
		call                       func() (any, error)
		want                       any
	}{
		{"{}", "guest-ping", "", func() (any, error) { return nil, agent.Ping(ctx) }, nil},
		{"3", "guest-fsfreeze-freeze", "", func() (any, error) { return agent.Freeze(ctx) }, 3},
		{"2", "guest-fsfreeze-thaw", "", func() (any, error) { return agent.Thaw(ctx) }, 2},
		{`"frozen"`, "guest-fsfreeze-status", "", func() (any, error) { return agent.Frozen(ctx) }, true},
		{"{}", "guest-set-user-password", `{"crypted":false,"password":"czNjcmV0","username":"root"}`,
			func() (any, error) { return nil, agent.SetPassword(ctx, "root", "s3cret") }, nil},
	} {
		answer = test.answer
		got, err := test.call()
		if err != nil || got != test.want || said.Execute != test.command || string(said.Arguments) != test.arguments {
			t.Errorf("%s: %v, %v; it heard %s %s", test.command, got, err, said.Execute, said.Arguments)
		}
	}
}

package qmp

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func deleted(device string) func(Event) bool {
	return func(e Event) bool {
		return e.Name == "DEVICE_DELETED" && strings.Contains(string(e.Data), `"`+device+`"`)
	}
}

// What happens before a command's answer comes is not missed by who waits for
// it afterwards.
func TestEventBeforeTheAnswer(t *testing.T) {
	c := talk(t, func(p *peer) {
		h := p.hear()
		p.say(`{"timestamp": {"seconds": 1700000000, "microseconds": 25}, "event": "STOP"}`)
		p.say(`{"timestamp": {"seconds": 1700000000, "microseconds": 26}, "event": "DEVICE_DELETED", "data": {"device": "other"}}`)
		p.say(`{"timestamp": {"seconds": 1700000000, "microseconds": 27}, "event": "DEVICE_DELETED", "data": {"device": "disk"}}`)
		p.say(`{"return": {}, "id": %d}`, h.ID)
	})
	some, all := c.Subscribe("DEVICE_DELETED"), c.Subscribe()
	if err := c.Execute(t.Context(), "device_del", nil, nil); err != nil {
		t.Fatal(err)
	}
	e, err := some.Wait(t.Context(), deleted("disk"))
	if want := time.Unix(1700000000, 27000); err != nil || !e.At.Equal(want) {
		t.Errorf("%v, %v", e, err)
	}
	if e, err := all.Next(t.Context()); err != nil || e.Name != "STOP" {
		t.Errorf("%v, %v", e, err)
	}
}

func TestWaitEnds(t *testing.T) {
	for name, test := range map[string]struct {
		script func(p *peer)
		then   func(c *Client, s *Subscription)
		want   error
	}{
		"in time":               {func(*peer) {}, func(*Client, *Subscription) {}, context.DeadlineExceeded},
		"with the subscription": {func(*peer) {}, func(_ *Client, s *Subscription) { s.Close() }, ErrGone},
		"with the client":       {func(*peer) {}, func(c *Client, _ *Subscription) { c.Close() }, ErrGone},
		"with QEMU":             {func(p *peer) { p.Close() }, func(*Client, *Subscription) {}, ErrGone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := talk(t, test.script)
				s := c.Subscribe()
				go test.then(c, s)
				if _, err := s.Wait(soon(t), deleted("disk")); !errors.Is(err, test.want) {
					t.Errorf("%v, want %v", err, test.want)
				}
			})
		})
	}
}

// A subscriber that takes nothing holds up nobody. It gets no events with a gap
// in them either.
func TestSubscriberThatTakesNothing(t *testing.T) {
	c := talk(t, func(p *peer) {
		h := p.hear()
		for range maxEvents + 1 {
			p.say(`{"event": "RTC_CHANGE"}`)
		}
		p.say(`{"return": {}, "id": %d}`, h.ID)
	})
	stuck, other := c.Subscribe(), c.Subscribe("SHUTDOWN")
	if err := c.Execute(t.Context(), "stop", nil, nil); err != nil {
		t.Fatal(err)
	}
	if e, err := stuck.Next(t.Context()); !errors.Is(err, ErrBehind) {
		t.Errorf("%v, %v", e, err)
	}
	other.Close()
	if _, err := other.Next(t.Context()); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
}

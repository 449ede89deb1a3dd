package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// maxEvents is how many events wait for a subscriber that does not take them.
// QEMU slows down those that a guest can cause, so that only one that is stuck
// gets there.
const maxEvents = 4096

// ErrBehind is a subscription that was not read for so long that events were
// dropped. What they said has to be asked for.
var ErrBehind = errors.New("events were missed")

// Event is something that happened in QEMU.
type Event struct {
	Name string // "SHUTDOWN", "DEVICE_DELETED", "JOB_STATUS_CHANGE"...
	Data json.RawMessage
	At   time.Time
}

func (m message) event() Event {
	return Event{m.Event, m.Data, time.Unix(m.At.Seconds, m.At.Microseconds*1000)}
}

// Subscription gets every event from when it was made. Make it before the
// command whose outcome is waited for. It is for one reader.
type Subscription struct {
	client *Client
	names  []string
	more   chan struct{} // holds one when there is something to take

	// What follows is the client's mutex's.
	events []Event
	err    error
}

// Subscribe returns a subscription to events of these names, or to all.
func (c *Client) Subscribe(names ...string) *Subscription {
	s := &Subscription{client: c, names: names, more: make(chan struct{}, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		s.end(c.err)
	} else {
		c.subs[s] = struct{}{}
	}
	return s
}

// Close ends the subscription. What waits for it fails.
func (s *Subscription) Close() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	delete(s.client.subs, s)
	s.end(ErrGone)
}

// Next returns the next event. What came before the connection ended is
// returned before the error that says so.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		if e, ok, err := s.take(); ok || err != nil {
			return e, err
		}
		select {
		case <-s.more:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// Wait returns the first event that match reports, and drops those before it.
func (s *Subscription) Wait(ctx context.Context, match func(Event) bool) (Event, error) {
	for {
		e, err := s.Next(ctx)
		if err != nil || match(e) {
			return e, err
		}
	}
}

func (s *Subscription) take() (e Event, ok bool, err error) {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	if len(s.events) == 0 {
		return e, false, s.err
	}
	e, s.events = s.events[0], s.events[1:]
	return e, true, nil
}

// add is called with the mutex held.
func (s *Subscription) add(e Event) {
	if s.err != nil || len(s.names) > 0 && !slices.Contains(s.names, e.Name) {
		return
	}
	if len(s.events) == maxEvents {
		s.events = nil
		s.end(ErrBehind)
		return
	}
	s.events = append(s.events, e)
	s.wake()
}

// end is called with the mutex held.
func (s *Subscription) end(err error) {
	if s.err == nil {
		s.err = err
	}
	s.wake()
}

func (s *Subscription) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

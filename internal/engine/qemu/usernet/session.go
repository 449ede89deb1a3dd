package usernet

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxSessions bounds the connections that are open on this host for one
// machine.
const maxSessions = 2048

// session is something that this process holds open for a machine: a
// connection of the guest's to the world, or of the world's to the guest.
type session struct {
	inbound bool
	proto   uint8
	port    uint16 // of the guest where inbound, else of the peer
	peer    netip.Addr
	conns   []io.Closer
	ended   bool
}

// sessions are those of one machine.
type sessions struct {
	mu     sync.Mutex
	open   map[*session]struct{}
	closed bool
	done   sync.WaitGroup
}

// run holds a session open while serve runs. It does nothing where the machine
// has too many or is going away; the connections are closed in any case.
func (all *sessions) run(s *session, serve func()) {
	all.mu.Lock()
	full := all.closed || len(all.open) >= maxSessions
	if !full {
		if all.open == nil {
			all.open = map[*session]struct{}{}
		}
		all.open[s] = struct{}{}
		all.done.Add(1)
	}
	all.mu.Unlock()
	defer s.close()
	if full {
		return
	}
	defer func() {
		all.mu.Lock()
		delete(all.open, s)
		all.mu.Unlock()
		all.done.Done()
	}()
	serve()
}

func (s *session) close() {
	for _, conn := range s.conns {
		conn.Close()
	}
}

// add adds a connection to a session that may have been ended meanwhile.
func (all *sessions) add(s *session, conn io.Closer) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if s.ended {
		abort(conn)
		return
	}
	s.conns = append(s.conns, conn)
}

// end cuts off those that are not to be kept.
func (all *sessions) end(keep func(*session) bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for s := range all.open {
		if !keep(s) {
			s.ended = true
			for _, conn := range s.conns {
				abort(conn)
			}
		}
	}
}

// close ends all of them and lets none begin.
func (all *sessions) close() {
	all.mu.Lock()
	all.closed = true
	all.mu.Unlock()
	all.end(func(*session) bool { return false })
	all.done.Wait()
}

// halfCloser is a connection whose end of writing can be told.
type halfCloser interface{ CloseWrite() error }

// splice carries bytes both ways until both directions have ended, or one has
// failed: then both connections are reset, so that nobody takes what came for
// all there was.
func splice(a, b net.Conn) {
	var wait sync.WaitGroup
	carry := func(to, from net.Conn) {
		if _, err := io.Copy(to, from); err != nil {
			abort(a)
			abort(b)
			return
		}
		if half, ok := to.(halfCloser); ok {
			_ = half.CloseWrite()
		}
	}
	wait.Go(func() { carry(a, b) })
	carry(b, a)
	wait.Wait()
}

// spliceDatagrams carries datagrams both ways until none has passed for a
// while.
func spliceDatagrams(a, b net.Conn, idle time.Duration) {
	var wait sync.WaitGroup
	timer := time.AfterFunc(idle, func() {
		a.Close()
		b.Close()
	})
	defer timer.Stop()
	carry := func(to, from net.Conn) {
		buffer := make([]byte, 65535)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				if temporary(err) {
					continue // nobody listened there for one datagram
				}
				a.Close()
				b.Close()
				return
			}
			timer.Reset(idle)
			_, _ = to.Write(buffer[:n])
		}
	}
	wait.Go(func() { carry(a, b) })
	carry(b, a)
	wait.Wait()
}

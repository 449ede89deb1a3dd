package database

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Many writers share one commit, and so one fsync: while one group's commit
// waits for the disk, the next group gathers. A group ends when nobody waits,
// or at these bounds, so that the first of it does not wait for the last.
const (
	maxGroup     = 256
	maxGroupTime = 10 * time.Millisecond
)

// backgroundShare is how many writes that somebody waits for go before one in
// the background. When nobody waits, the background has all.
const backgroundShare = 4

type backgroundKey struct{}

// Background marks what is written under a context as work that nobody waits
// for at this moment: what a request asks for goes before it, and it gets the
// fifth part that is always left to it. Otherwise a server that accepts more
// than it can carry out would let everyone wait for what nobody is waiting for.
func Background(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

// group carries out the writes of a SQLite database, one after the other: each
// queue in the order in which it was asked to.
type group struct {
	db      *DB
	session *session
	queue   chan *pendingWrite // what requests write
	later   chan *pendingWrite // what is written in the background
	quit    chan struct{}
	closing sync.Once
	ended   sync.WaitGroup
	// longest is how long a group gathers; tests make it longer.
	longest time.Duration
	// beforeCommit is called before each commit, for tests.
	beforeCommit func()
}

// pendingWrite is one Write that waits for its turn, and then for its commit.
type pendingWrite struct {
	ctx   context.Context
	fn    func(*Tx) error
	taken atomic.Bool // by the group, or by a caller that gave up
	done  chan struct{}

	background bool

	tx  *Tx
	err error
}

func startGroup(ctx context.Context, db *DB) (*group, error) {
	s, err := openSession(ctx, db.write)
	if err != nil {
		return nil, err
	}
	g := &group{
		db: db, session: s, quit: make(chan struct{}),
		longest: maxGroupTime, queue: make(chan *pendingWrite, 4*maxGroup), later: make(chan *pendingWrite, 4*maxGroup),
	}
	g.ended.Go(g.run)
	return g, nil
}

// close lets the group that is at work end, and refuses what waits.
func (g *group) close() (err error) {
	g.closing.Do(func() {
		close(g.quit)
		g.ended.Wait()
		err = g.session.close()
	})
	return err
}

// write queues fn and returns when it is committed. A caller whose context
// ends first gives up only if its turn has not come.
func (g *group) write(ctx context.Context, fn func(*Tx) error) error {
	w := &pendingWrite{ctx: context.WithoutCancel(ctx), fn: fn, done: make(chan struct{})}
	queue := g.queue
	if w.background = ctx.Value(backgroundKey{}) != nil; w.background {
		queue = g.later
	}
	select {
	case queue <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-g.quit:
		return errClosed
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		if w.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-w.done
	case <-g.quit:
		if w.taken.CompareAndSwap(false, true) {
			return errClosed
		}
		<-w.done
	}
	if w.err != nil {
		return w.err
	}
	for _, f := range w.tx.onCommit {
		f()
	}
	return nil
}

func (g *group) run() {
	for {
		select {
		case <-g.quit:
			return
		case first := <-g.queue:
			g.commitTogether(first)
		case first := <-g.later:
			g.commitTogether(first)
		}
	}
}

// next takes who is next into a group that so many requests are in already, or
// nil when it is not worth waiting: a group with requests in it ends with the
// last of them, and does not keep them until the background is done.
func (g *group) next(requests, members int) *pendingWrite {
	background := members - requests
	if background*backgroundShare < requests {
		select {
		case w := <-g.later:
			return w
		default:
		}
	}
	select {
	case w := <-g.queue:
		return w
	default:
	}
	if requests > 0 {
		return nil
	}
	select {
	case w := <-g.later:
		return w
	default:
		return nil
	}
}

// commitTogether runs what waits in one transaction, commits it, and only then
// tells anyone. Those that failed are told then, too: what they saw of the
// others must be true.
func (g *group) commitTogether(first *pendingWrite) {
	var members []*pendingWrite
	defer func() {
		for _, w := range members {
			close(w.done)
		}
	}()
	if err := g.session.do("BEGIN IMMEDIATE"); err != nil {
		members = g.gather(members, first, func(w *pendingWrite) bool { w.err = err; return false })
		return
	}
	alive := true
	members = g.gather(members, first, func(w *pendingWrite) bool {
		alive = g.runMember(w)
		return alive
	})
	if alive && g.beforeCommit != nil {
		g.beforeCommit()
	}
	if alive && g.session.do("COMMIT") == nil {
		g.committed(members)
		return
	}
	// The shared transaction is lost, for all alike. Each runs again alone, so
	// that one member's trouble is its own.
	_ = g.session.do("ROLLBACK") // it may be over already
	for _, w := range members {
		g.runAlone(w)
	}
}

// gather takes members from the queue and runs each, until nobody waits, the
// group is full, its time is over, or run says that it cannot go on.
func (g *group) gather(members []*pendingWrite, next *pendingWrite, run func(*pendingWrite) bool) []*pendingWrite {
	start, requests := time.Now(), 0
	for next != nil {
		if next.taken.CompareAndSwap(false, true) {
			members = append(members, next)
			if !next.background {
				requests++
			}
			if !run(next) {
				return members
			}
		}
		if len(members) >= maxGroup || time.Since(start) > g.longest {
			return members
		}
		next = g.next(requests, len(members))
	}
	return members
}

// runMember runs one member so that what it did can be taken back alone. It
// reports whether the shared transaction is still alive.
func (g *group) runMember(w *pendingWrite) bool {
	if err := g.session.do("SAVEPOINT member"); err != nil {
		return false
	}
	w.tx = g.db.newTx(w.ctx, g.session)
	w.err = w.tx.perform(w.fn)
	if w.err != nil && g.session.do("ROLLBACK TO SAVEPOINT member") != nil {
		return false // SQLite has given up the whole transaction
	}
	return g.session.do("RELEASE SAVEPOINT member") == nil
}

// runAlone runs a member in a transaction of its own.
func (g *group) runAlone(w *pendingWrite) {
	if w.err = g.session.do("BEGIN IMMEDIATE"); w.err != nil {
		return
	}
	w.tx = g.db.newTx(w.ctx, g.session)
	if w.err = w.tx.perform(w.fn); w.err == nil {
		w.err = g.session.do("COMMIT")
	}
	if w.err != nil {
		_ = g.session.do("ROLLBACK") // the error that counts is known
		return
	}
	g.db.committed(1)
}

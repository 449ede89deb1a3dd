package e2e

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
)

// kind is a family of things that the workload makes.
type kind string

const (
	droplets  kind = "droplet"
	volumes   kind = "volume"
	snapshots kind = "volume snapshot"
	addresses kind = "reserved IP"
)

// outcome is what became of a request.
type outcome int

const (
	unknown      outcome = iota // no answer came: the server died
	acknowledged                // 2xx
	refused                     // 4xx
)

// thing is something that was asked for, and what is known of it.
type thing struct {
	kind    kind
	name    string
	id      string // known once its create was answered, or it was found later
	created outcome
	// endings counts the requests that may have ended it: deletes and destroys
	// that were acknowledged, are on their way, or were never answered.
	endings int
}

// promise is an action that was acknowledged, so that it must end.
type promise struct {
	id   string
	what string
	// about is the Droplet and volume that it acts on. When one of them is being
	// destroyed meanwhile, the action may end as errored.
	about []*thing
	// status is how it has ended.
	status string
}

// ledger is what the clients of a cloud know of it. It lives longer than any
// one server.
type ledger struct {
	mu       sync.Mutex
	random   *rand.Rand
	things   map[string]*thing // by name
	promises []*promise
	// destroys has the IDs of Droplets whose destroy with associated resources
	// was asked for and not refused; true once it was acknowledged.
	destroys map[string]bool
	// complaints are answers that no request should get.
	complaints []string
	// faulty says that the engine fails on purpose, so that actions may too.
	faulty bool
	serial int
}

func newLedger(seed uint64) *ledger {
	return &ledger{
		random: rand.New(rand.NewPCG(seed, seed)), things: map[string]*thing{}, destroys: map[string]bool{},
	}
}

// n returns a random number below most.
func (l *ledger) n(most int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.random.IntN(most)
}

// begin notes a create before it is asked for.
func (l *ledger) begin(k kind, name string) *thing {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &thing{kind: k, name: name}
	l.things[name] = t
	return t
}

func (l *ledger) nextSerial() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serial++
	return l.serial
}

// created notes what became of a create.
func (l *ledger) created(t *thing, o outcome, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.created, t.id = o, id
}

// ending notes a delete or destroy before it is asked for; unless it turns out
// refused, what it is about may be gone from then on.
func (l *ledger) ending(t *thing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.endings++
}

func (l *ledger) ended(t *thing, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o == refused {
		t.endings--
	}
}

func (l *ledger) destroyed(t *thing, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o != refused {
		l.destroys[t.id] = l.destroys[t.id] || o == acknowledged
	}
}

func (l *ledger) promise(id, what string, about ...*thing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.promises = append(l.promises, &promise{id: id, what: what, about: about})
}

func (l *ledger) complain(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complaints = append(l.complaints, text)
}

// alive lists what of a kind is known to be there, unless it is meanwhile gone.
func (l *ledger) alive(k kind) []*thing {
	l.mu.Lock()
	defer l.mu.Unlock()
	var alive []*thing
	for _, name := range slices.Sorted(maps.Keys(l.things)) {
		if t := l.things[name]; t.kind == k && t.id != "" && t.endings == 0 {
			alive = append(alive, t)
		}
	}
	return alive
}

// any returns one of those, or nil.
func (l *ledger) any(k kind) *thing {
	alive := l.alive(k)
	if len(alive) == 0 {
		return nil
	}
	return alive[l.n(len(alive))]
}

// byID returns what has an ID, or nil.
func (l *ledger) byID(k kind, id string) *thing {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.things {
		if t.kind == k && t.id == id {
			return t
		}
	}
	return nil
}

package api

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// RateLimit is how many requests a token may make in a rolling hour, and in a
// rolling minute of it. The zero value is no limit.
type RateLimit struct {
	Hour, Minute int
}

// DefaultRateLimit is the documented one.
var DefaultRateLimit = RateLimit{Hour: 5000, Minute: 250}

const (
	// keyListings is how many times a minute a token may list SSH keys.
	keyListings = 10
	// mostPerHour keeps what is remembered of a token at 4 MB.
	mostPerHour = 1_000_000
)

// ParseRateLimit reads "5000/h,250/m" or "off".
func ParseRateLimit(text string) (limit RateLimit, err error) {
	if text == "off" {
		return limit, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		number, unit, _ := strings.Cut(strings.TrimSpace(part), "/")
		n, err := strconv.Atoi(number)
		wanted := map[string]*int{"h": &limit.Hour, "m": &limit.Minute}[unit]
		if err != nil || n < 1 || n > mostPerHour || wanted == nil || *wanted != 0 {
			return RateLimit{}, errRateLimit
		}
		*wanted = n
	}
	if limit.Hour == 0 || limit.Minute == 0 {
		return RateLimit{}, errRateLimit
	}
	return limit, nil
}

var errRateLimit = errors.New("use off, or requests per hour and per minute such as 5000/h,250/m, each from 1 to 1000000")

// limiter counts the requests of each token. It knows this process's requests
// only, and forgets them with it.
type limiter struct {
	RateLimit
	start time.Time

	mu     sync.Mutex
	tokens map[int64]*usage
	swept  int64 // when unused tokens were last forgotten
}

// usage is one token's requests that were let in.
type usage struct {
	hour, minute, listings window
	last                   int64
}

func newLimiter(limit RateLimit) *limiter {
	return &limiter{RateLimit: limit, start: time.Now(), tokens: map[int64]*usage{}}
}

// quota is what a token has left.
type quota struct {
	remaining int
	reset     time.Time // when the oldest request that counts expires
	refused   bool
	retry     time.Duration // when to try again, if that is soon
}

// The spans of the limits, in the limiter's milliseconds.
const (
	perHour   = int64(time.Hour / time.Millisecond)
	perMinute = int64(time.Minute / time.Millisecond)
)

// take counts a request of a token, unless it must be refused. One that is
// refused does not count: the documents let requests in again from the reset
// on, when the oldest one that counts expires, and a client that goes on trying
// would otherwise keep itself out past that time.
func (l *limiter) take(token int64, listing bool) quota {
	now := time.Since(l.start).Milliseconds()
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.usage(token, now)
	u.hour.expire(now, perHour)
	u.minute.expire(now, perMinute)
	u.listings.expire(now, perMinute)
	var q quota
	switch {
	case u.hour.n >= l.Hour: // documented without a time to try again
		q.refused = true
	case u.minute.n >= l.Minute:
		q.refused, q.retry = true, u.minute.left(now, perMinute)
	case listing && u.listings.n >= keyListings:
		q.refused, q.retry = true, u.listings.left(now, perMinute)
	default:
		u.hour.add(now, l.Hour)
		u.minute.add(now, l.Minute)
		if listing {
			u.listings.add(now, keyListings)
		}
		q.remaining = l.Hour - u.hour.n
	}
	q.reset = time.Now().Add(u.hour.left(now, perHour))
	return q
}

// usage finds what a token has used. What is older than an hour matters to
// nobody, so a token that was idle for as long starts anew.
func (l *limiter) usage(token, now int64) *usage {
	if now-l.swept >= perHour {
		for id, u := range l.tokens {
			if now-u.last >= perHour {
				delete(l.tokens, id)
			}
		}
		l.swept = now
	}
	u := l.tokens[token]
	if u == nil || now-u.last >= perHour {
		u = &usage{}
		l.tokens[token] = u
	}
	u.last = now
	return u
}

// window is when the requests of one span were let in, oldest first, in a ring
// that grows up to the limit. Four bytes each are enough: they wrap around
// after 49 days, and only differences of up to an hour are read.
type window struct {
	at       []uint32
	first, n int
}

// expire forgets the requests whose time is over.
func (w *window) expire(now, span int64) {
	for w.n > 0 && w.left(now, span) <= 0 {
		w.first = (w.first + 1) % len(w.at)
		w.n--
	}
}

// left is how long the oldest request still counts.
func (w *window) left(now, span int64) time.Duration {
	age := int64(uint32(now) - w.at[w.first])
	return time.Duration(span-age) * time.Millisecond
}

func (w *window) add(now int64, limit int) {
	if w.n == len(w.at) {
		grown := make([]uint32, min(max(8, 2*w.n), limit))
		copied := copy(grown, w.at[w.first:])
		copy(grown[copied:], w.at[:w.first])
		w.at, w.first = grown, 0
	}
	w.at[(w.first+w.n)%len(w.at)] = uint32(now)
	w.n++
}

// limit counts a request against its token and tells where that stands. It
// comes right after the token is known, so that every answer to it tells.
func (s *Server) limit(c *call, rt route) error {
	if s.limiter.Hour == 0 {
		return nil
	}
	q := s.limiter.take(c.Actor.Token, rt.listsKeys)
	c.header.Set("Ratelimit-Limit", strconv.Itoa(s.limiter.Hour))
	c.header.Set("Ratelimit-Remaining", strconv.Itoa(q.remaining))
	c.header.Set("Ratelimit-Reset", strconv.FormatInt(q.reset.Add(time.Second-1).Unix(), 10))
	if !q.refused {
		return nil
	}
	if q.retry > 0 {
		c.header.Set("Retry-After", strconv.Itoa(int((q.retry+time.Second-1)/time.Second)))
	}
	return cloud.Errorf(cloud.CodeTooManyRequests, "API rate limit exceeded.")
}

// keyListing gives a route the limit of key listings, beside the general one.
func keyListing(rt route) route {
	rt.listsKeys = true
	return rt
}

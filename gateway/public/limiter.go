package public

import (
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// What one address may do: so many at once, and so many a second after that. (An
// IPv6 host counts by its /64.)
//
// Mail providers send the one-click posts of all their users from few addresses, and
// fetch images from few: a campaign of ten million with three unsubscribes in a
// thousand makes 30,000 posts in a day, a burst of which is some tens a second. What
// is let through is ten times that and still far from the 1,000 a second of attacks
// H5. Reports of providers are limited only where their signature was not right.
const (
	actRate, actBurst   = 100, 500
	seenRate, seenBurst = 1000, 5000
	badRate, badBurst   = 1, 20

	limited = 20_000 // addresses remembered, the least recently seen are forgotten
)

// limiter is a token bucket for each address.
type limiter struct {
	every time.Duration // one more after so long
	burst time.Duration // of the whole bucket

	mu   sync.Mutex
	full *lru.Cache[netip.Prefix, time.Time] // guarded by mu: when the bucket is full again
}

func newLimiter(rate, burst int) *limiter {
	full, _ := lru.New[netip.Prefix, time.Time](limited) // fails only for a size below 1
	every := time.Second / time.Duration(rate)
	return &limiter{every: every, burst: time.Duration(burst) * every, full: full}
}

// take takes one from the address's bucket; where it is empty it returns how long to
// wait.
func (l *limiter) take(now time.Time, a netip.Addr) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := network(a)
	until := l.untilLocked(now, k)
	if wait = until.Sub(now) - (l.burst - l.every); wait > 0 {
		return wait
	}
	l.full.Add(k, until.Add(l.every))
	return 0
}

// wait is how long the address would have to wait; nothing is taken.
func (l *limiter) wait(now time.Time, a netip.Addr) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.untilLocked(now, network(a)).Sub(now)-(l.burst-l.every))
}

func (l *limiter) untilLocked(now time.Time, k netip.Prefix) time.Time {
	until, ok := l.full.Get(k)
	if !ok || until.Before(now) || until.Sub(now) > l.burst { // the last: the clock went back
		return now
	}
	return until
}

func network(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // the zero prefix where there is no address
	return p
}

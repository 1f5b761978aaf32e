// Package throttle says how fast each destination may be written to.
//
// A destination is whatever string the router groups hosts by. It begins at its
// configured rate, doubles it with every minute of clean replies, halves it when
// mail is deferred or refused, and is closed for a while when it is busy or cannot
// be reached. One destination's trouble never slows another.
//
//	Clean        the rate doubles per minute of them, up to RateMax; ends an Unreachable closure
//	Deferred     the rate halves, at most once in 10 s
//	Busy         the same, and the destination is closed for 15 s, 30 s, 1 m … 1 h;
//	             a minute of clean replies forgets how often
//	Unreachable  closed; one message a minute passes as a probe until a reply comes
//
// What can go wrong: the clock goes back. Then waits and closures that are longer
// than they can have been are forgotten. Nothing is kept over a restart, and the
// destination longest unused is forgotten when there are more than Size: both
// begin again at the configured rate.
package throttle

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const defaultSize = 10_000

// Limits are the configured limits of a destination. The zero value has none.
type Limits struct {
	Connections           int     // at a time; 0: unlimited. Kept here for the pool, not enforced here
	MessagesPerConnection int     // 0: unlimited; not enforced here either
	Rate                  float64 // messages per second to begin with; 0: unlimited, whatever is replied
	RateMax               float64 // messages per second that clean replies may lead to; below Rate: Rate
}

// Result is what one delivery attempt says about its destination, as opposed to
// about its recipient: a full mailbox is Clean.
type Result uint8

// Clean is any reply that asks for no restraint, Deferred a 4xx that does, Busy a
// 421 or a refusal by rate, Unreachable a connection that failed.
const (
	Clean Result = iota
	Deferred
	Busy
	Unreachable
)

// String is the result in lower case.
func (r Result) String() string {
	return [...]string{"clean", "deferred", "busy", "unreachable"}[min(r, Unreachable)]
}

// Group paces all destinations. The zero value limits nothing but still closes.
// Its fields are set before use; its methods are safe for concurrent use.
type Group struct {
	Limits func(dest string) Limits // asked at every call, so changes count at once; nil: no limits
	Size   int                      // destinations remembered; 0: 10,000

	mu    sync.Mutex // guards dests and what it holds
	dests *simplelru.LRU[string, *destination]
}

// Reserve takes the right to send one message now and returns 0, or returns how
// long to wait before asking again. Nothing is queued: of several that wait, the
// first to ask wins.
func (g *Group) Reserve(now time.Time, dest string) (wait time.Duration) {
	g.with(dest, func(d *destination, _ Limits) { wait = d.reserve(now) })
	return wait
}

// Report tells what became of an attempt.
func (g *Group) Report(now time.Time, dest string, r Result) {
	g.with(dest, func(d *destination, l Limits) { d.report(now, l, r) })
}

// Closed reports whether the destination is closed, until when, and since when it
// has been without success. An unreachable destination is not closed at the
// moment its next probe is due; the probe's Reserve closes it again.
func (g *Group) Closed(now time.Time, dest string) (until time.Time, closed bool, since time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dests == nil {
		return time.Time{}, false, time.Time{}
	}
	d, ok := g.dests.Peek(dest)
	if !ok || !d.isClosed(now) {
		return time.Time{}, false, time.Time{}
	}
	return d.until, true, d.closed
}

// Reopen ends any closure: a probe succeeded, or an operator says so. The rate
// stays as it is, so what has gathered follows paced.
func (g *Group) Reopen(dest string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dests == nil {
		return
	}
	if d, ok := g.dests.Peek(dest); ok {
		d.reopen()
	}
}

// Status describes one destination to a person.
type Status struct {
	Dest        string
	Rate        float64   // messages per second now; 0: unlimited
	ClosedUntil time.Time // zero: open
	Since       time.Time // when the closure began; zero: open
	Last        Result    // of the last report
	LastAt      time.Time // zero: none yet
}

// Status lists the destinations remembered, by name.
func (g *Group) Status(now time.Time) []Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dests == nil {
		return nil
	}
	list := make([]Status, 0, g.dests.Len())
	for _, dest := range g.dests.Keys() {
		d, _ := g.dests.Peek(dest)
		s := Status{Dest: dest, Rate: d.rate, Last: d.last, LastAt: d.lastAt}
		if d.isClosed(now) {
			s.ClosedUntil, s.Since = d.until, d.closed
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Status) int { return cmp.Compare(a.Dest, b.Dest) })
	return list
}

// with calls f on the destination, made on first use, under the lock.
func (g *Group) with(dest string, f func(*destination, Limits)) {
	var limits Limits
	if g.Limits != nil {
		limits = g.Limits(dest) // not under the lock, it is not ours
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dests == nil {
		g.dests, _ = simplelru.NewLRU[string, *destination](cmp.Or(max(g.Size, 0), defaultSize), nil)
	}
	d, ok := g.dests.Get(dest)
	if !ok {
		d = new(destination)
		g.dests.Add(dest, d)
	}
	d.fit(limits)
	f(d, limits)
}

package bus

import (
	"context"
	"sync"
	"time"

	"tidepost/gateway"
)

// countPages bounds the pages of the journal that are counted at each try
// while nothing moves, so that counting never costs more than relaying.
const (
	countPages = 100
	countSize  = 500
)

// Lag says how far NATS is behind the journal.
type Lag struct {
	Events    int           // read or counted, and not acknowledged
	More      bool          // there are more than Events: they are not counted yet
	Age       time.Duration // of the oldest of them; 0: there is none
	Published uint64        // since the start
	Skipped   uint64        // of those, could never be published
	Err       string        // why nothing moves; "" while it does
}

// Lag returns how far NATS is behind. It may be called at any time and does
// not wait for anything.
func (r *Relay) Lag() Lag {
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	return r.gauge.lag(now())
}

// count looks ahead in the journal for events that wait behind the page. It
// reads each of them once, however often it is called.
func (r *Relay) count(ctx context.Context) {
	for range countPages {
		at := r.gauge.scout(r.next)
		events, next, err := r.Journal.ReadEvents(ctx, at, countSize)
		if err != nil {
			return
		}
		r.gauge.ahead(events, next)
		if len(events) < countSize {
			return
		}
	}
}

// gauge is what Lag is computed from.
type gauge struct {
	mu        sync.Mutex     // guards all below
	oldest    time.Time      // instant of the first event not acknowledged; zero: none
	page      int            // messages of the page that wait
	behind    int            // events counted between the page and seen
	seen      gateway.Cursor // how far has been counted
	more      bool           // there are events after seen, as far as we know
	published uint64
	skipped   uint64
	err       string
}

// read notes a page that ends at next.
func (g *gauge) read(oldest time.Time, messages, events int, next gateway.Cursor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.oldest, g.page = oldest, messages
	g.behind -= events
	if g.behind <= 0 || !before(next, g.seen) {
		g.behind, g.seen = 0, next
		g.more = events >= pageSize
	}
}

// done notes that n messages of the page are in the stream.
func (g *gauge) done(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.page -= n
	g.published += uint64(n)
	if n > 0 {
		g.err = ""
	}
}

// idle notes that the journal has been relayed to its end.
func (g *gauge) idle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.oldest, g.page, g.behind, g.more, g.err = time.Time{}, 0, 0, false, ""
}

func (g *gauge) skip() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.skipped++
}

// stall notes why nothing moves and reports whether that is news.
func (g *gauge) stall(err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.err
	g.err = err.Error()
	return was != g.err
}

// scout returns where counting goes on: after everything counted, and after
// the page.
func (g *gauge) scout(page gateway.Cursor) gateway.Cursor {
	g.mu.Lock()
	defer g.mu.Unlock()
	if before(g.seen, page) {
		g.seen, g.behind = page, 0
	}
	return g.seen
}

// ahead notes events that were counted.
func (g *gauge) ahead(events []gateway.Event, next gateway.Cursor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.behind += len(events)
	g.seen = next
	g.more = len(events) >= countSize
	if len(events) > 0 && g.oldest.IsZero() {
		g.oldest = events[0].At
	}
}

func (g *gauge) lag(now time.Time) Lag {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := Lag{Events: g.page + g.behind, More: g.more, Published: g.published, Skipped: g.skipped, Err: g.err}
	if l.Events > 0 && !g.oldest.IsZero() {
		l.Age = max(0, now.Sub(g.oldest))
	}
	return l
}

func before(a, b gateway.Cursor) bool {
	return a.Segment < b.Segment || a.Segment == b.Segment && a.Offset < b.Offset
}

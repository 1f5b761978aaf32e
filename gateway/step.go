package gateway

import (
	"context"
	"time"
)

// Step does all that is due by Now, and returns when nothing is left to do before
// the next instant. A program that moves the clock itself (the demo, a test) calls
// it after each move; destinations that are closed are left alone.
func (g *Gateway) Step(ctx context.Context) error {
	for quiet := 0; quiet < 2; {
		select {
		case g.queue.kick <- struct{}{}:
		default:
		}
		g.drain()
		if !g.busy() {
			quiet++ // twice: what the first look saw end may have begun something
			continue
		}
		quiet = 0
		select {
		case <-time.After(200 * time.Microsecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// busy reports whether something is due, on its way or being told.
func (g *Gateway) busy() bool {
	if g.inflight.len() > 0 || g.telling.about.len() > 0 {
		return true
	}
	now, due := g.now(), false
	g.queue.snapshot(func(ln *line) {
		due = due || ln.workers > ln.idle // one of them looks at what it took
		if _, closed, _ := g.Throttle.Closed(now, ln.name); closed {
			return
		}
		next := g.queue.nextLocked(ln)
		due = due || !next.IsZero() && !next.After(now)
	})
	return due
}

// finish waits until a mailbox's owner has done the steps it was given, and what
// comes after their commit: a first step may share that commit, a second does not.
func (g *Gateway) finish(k Key) {
	for range 2 {
		g.perform(context.Background(), k, func(*turn) {})
	}
}

// NextDue is when something is due next; zero: nothing waits.
func (g *Gateway) NextDue() time.Time {
	var first time.Time
	g.queue.snapshot(func(ln *line) {
		if next := g.queue.nextLocked(ln); !next.IsZero() && (first.IsZero() || next.Before(first)) {
			first = next
		}
	})
	return first
}

package gateway

import (
	"context"
	"errors"
	"time"

	"tidepost/scheduler/throttle"
)

// wakeTokens is how many idle connections of a line can be woken at once.
const wakeTokens = 64

// push puts a mailbox into its line and sees that somebody works on it.
func (g *Gateway) push(s slot) {
	ln := g.queue.push(s)
	if s.entry.at > seconds(g.now()) {
		g.alarm(ln, time.Unix(int64(s.entry.at), 0))
		return
	}
	g.wake(ln)
}

// wake hands work to an idle connection of the line, or opens one. Where there
// are too many already the line waits for the end of one.
func (g *Gateway) wake(ln *line) {
	if g.holding.Load() {
		return
	}
	if until, closed, _ := g.Throttle.Closed(g.now(), ln.name); closed {
		g.alarm(ln, until)
		return
	}
	most, total := g.most(ln.name), g.mostOfAll()
	q := g.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !q.running:
	case ln.idle > 0:
		select {
		case ln.wake <- struct{}{}:
		default:
		}
	case ln.workers >= most:
	case q.workers >= total:
		if !ln.waits {
			ln.waits = true
			q.waiting = append(q.waiting, ln)
		}
	default:
		ln.workers++
		q.workers++
		g.workers.Go(func() { g.work(g.run, ln) })
	}
}

// admit looks at lines that wait for a worker, as long as there may be more.
func (g *Gateway) admit() {
	total := g.mostOfAll()
	for {
		g.queue.mu.Lock()
		if g.queue.workers >= total || len(g.queue.waiting) == 0 {
			g.queue.mu.Unlock()
			return
		}
		ln := g.queue.waiting[0]
		g.queue.waiting = g.queue.waiting[1:]
		ln.waits = false
		g.queue.mu.Unlock()
		g.look(ln)
	}
}

// spread opens one more connection when more is due than one can take: called
// at each message, it ramps up quickly and never past the limit.
func (g *Gateway) spread(ln *line) {
	if next := g.queue.next(ln); !next.IsZero() && !next.After(g.now()) {
		g.wake(ln)
	}
}

// most is how many connections a destination may have.
func (g *Gateway) most(name string) int {
	return max(1, g.Limits(name).Connections)
}

// mostOfAll is how many connections there may be.
func (g *Gateway) mostOfAll() int {
	if g.MaxConnections > 0 {
		return g.MaxConnections
	}
	return 1000
}

// idle waits for more mail with the connection open. It reports false when
// the worker should end: at once where another line wants the connection.
func (w *worker) idle(ctx context.Context) bool {
	g, ln := w.g, w.line
	wanted := g.conns.wanted(w.dest.Name)
	g.queue.mu.Lock()
	// Something may have come since we looked, when nobody could wake us.
	next := g.queue.nextLocked(ln)
	comes := !next.IsZero() && !next.After(g.now())
	rests := !comes && !wanted && len(g.queue.waiting) == 0
	if rests {
		ln.idle++
	}
	g.queue.mu.Unlock()
	if !rests {
		return comes
	}
	if !next.IsZero() {
		g.alarm(ln, next) // nobody else looks at the line while the connection waits
	}
	linger := g.IdleClose
	if linger == 0 {
		linger = 5 * time.Second
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	woken := true
	select {
	case <-ln.wake:
	case <-timer.C:
		woken = false
	case <-ctx.Done():
		woken = false
	}
	g.queue.mu.Lock()
	ln.idle--
	g.queue.mu.Unlock()
	return woken
}

// leave ends a worker's part in its line. What became due in between is not
// forgotten: the clock looks at it.
func (w *worker) leave() {
	g, ln := w.g, w.line
	w.close()
	g.queue.mu.Lock()
	ln.workers--
	g.queue.workers--
	next := g.queue.nextLocked(ln)
	g.queue.tidyLocked(ln)
	g.queue.mu.Unlock()
	if !next.IsZero() {
		g.alarm(ln, later(next, w.pause))
	}
	g.admit()
}

// ready sees to a route, a connection and a rate token, in that order. An
// outcome instead says that there is no route; ok is false when the
// destination cannot be written to now.
func (w *worker) ready(ctx context.Context, box *Mailbox) (o *Outcome, ok bool) {
	if w.dest.Name == "" {
		dest, err := w.g.Router.Route(ctx, domain(box.Address))
		if err != nil {
			return noRoute(err), ctx.Err() == nil
		}
		w.dest = dest
	}
	if w.dest.Capture {
		return nil, true
	}
	if !w.open() {
		return nil, false
	}
	if w.session != nil && w.used() && w.close() {
		return nil, false // another line has its turn
	}
	if w.session == nil && !w.connect(ctx) {
		return nil, false
	}
	return nil, w.token(ctx)
}

// used reports whether another message needs another connection.
func (w *worker) used() bool {
	most := w.g.Limits(w.line.name).MessagesPerConnection
	if most <= 0 && w.g.conns.wanted(w.dest.Name) {
		most = fairShare
	}
	return !w.session.Usable() || most > 0 && w.sent >= most
}

// fairShare is how many messages a connection carries of one line while others
// wait for it.
const fairShare = 100

// noRoute is the outcome of a domain that mail cannot be sent to, for now or
// for ever.
func noRoute(err error) *Outcome {
	var o *Outcome
	if errors.As(err, &o) {
		return o
	}
	return &Outcome{Kind: OutcomeDeferred, Status: "4.4.3", Text: err.Error()}
}

// token waits for the destination's rate.
func (w *worker) token(ctx context.Context) bool {
	for {
		wait := w.g.Throttle.Reserve(w.g.now(), w.dest.Name)
		if wait <= 0 {
			return true
		}
		if !w.open() || !sleep(ctx, wait) {
			return false
		}
	}
}

// connect opens a session. A failed connection is no attempt: the destination
// is closed and probed every minute, and everything due follows.
func (w *worker) connect(ctx context.Context) bool {
	g := w.g
	if !g.conns.acquire(w.dest.Name, g.most(w.dest.Name), w.line) {
		w.pause = g.now().Add(connectionWait)
		return false // other lines of this destination have them all
	}
	session, err := g.Transport.Open(ctx, w.dest)
	if err != nil {
		w.giveBack()
		if ctx.Err() == nil {
			g.log().Warn("destination cannot be reached", "destination", w.dest.Name, "error", err)
			g.Throttle.Report(g.now(), w.dest.Name, throttle.Unreachable)
			if w.dest.Name != w.line.name {
				g.Throttle.Report(g.now(), w.line.name, throttle.Unreachable)
			}
		}
		return false
	}
	g.Throttle.Reopen(w.dest.Name)
	g.Throttle.Reopen(w.line.name)
	w.session, w.sent = session, 0
	return true
}

// open reports whether the destination may be written to.
func (w *worker) open() bool {
	until, closed, _ := w.g.Throttle.Closed(w.g.now(), w.dest.Name)
	if closed {
		w.pause = until
	}
	return !closed
}

// close ends the session. It reports whether the connection went to another
// line.
func (w *worker) close() bool {
	if w.session == nil {
		return false
	}
	w.session.Close()
	w.session = nil
	return w.giveBack()
}

// giveBack lets the next line have the connection, of those with something due.
func (w *worker) giveBack() bool {
	g := w.g
	g.conns.release(w.dest.Name)
	for {
		ln := g.conns.next(w.dest.Name)
		if ln == nil {
			return false
		}
		next := g.queue.next(ln)
		g.look(ln)
		if !next.IsZero() && !next.After(g.now()) {
			return true
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

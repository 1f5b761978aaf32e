package gateway

import (
	"container/heap"
	"context"
	"time"
)

// alarm is when the clock looks at a line.
type alarm struct {
	at   time.Time
	line *line
}

type alarms []alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *alarms) Push(x any)        { *a = append(*a, x.(alarm)) }
func (a *alarms) Pop() any {
	s := *a
	x := s[len(s)-1]
	*a = s[:len(s)-1]
	return x
}

// alarm asks the clock to look at a line at an instant, unless it looks
// earlier already.
func (g *Gateway) alarm(ln *line, at time.Time) {
	g.queue.mu.Lock()
	defer g.queue.mu.Unlock()
	if !ln.alarm.IsZero() && !ln.alarm.After(at) {
		return
	}
	ln.alarm = at
	heap.Push(&g.queue.alarms, alarm{at, ln})
	if g.queue.alarms[0].line == ln {
		select {
		case g.queue.kick <- struct{}{}:
		default:
		}
	}
}

// The clock sleeps until the next alarm, but not for longer than longSleep: a
// machine that was suspended or a clock that jumped is noticed that soon.
const (
	shortSleep = time.Second / 4
	longSleep  = 10 * time.Second
)

// runClock looks at the lines whose instant has come.
func (g *Gateway) runClock(ctx context.Context) {
	last := g.now()
	for {
		timer := time.NewTimer(g.untilAlarm())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-g.queue.kick:
			timer.Stop()
		case <-timer.C:
		}
		now := g.now()
		if now.Before(last.Add(-time.Second)) {
			g.queue.wentBack(last.Add(longSleep+time.Second), now)
			g.lookAtAll()
		}
		last = now
		for _, ln := range g.ring(now) {
			g.look(ln)
		}
	}
}

func (g *Gateway) untilAlarm() time.Duration {
	g.queue.mu.Lock()
	defer g.queue.mu.Unlock()
	if len(g.queue.alarms) == 0 {
		return longSleep
	}
	return min(max(g.queue.alarms[0].at.Sub(g.now()), shortSleep), longSleep)
}

// ring takes the alarms that are due.
func (g *Gateway) ring(now time.Time) []*line {
	g.queue.mu.Lock()
	defer g.queue.mu.Unlock()
	var due []*line
	for len(g.queue.alarms) > 0 && !g.queue.alarms[0].at.After(now) {
		a := heap.Pop(&g.queue.alarms).(alarm)
		if a.line.alarm.Equal(a.at) {
			a.line.alarm = time.Time{}
			due = append(due, a.line)
		}
	}
	return due
}

// look starts work on a line where something is due, or asks to be called
// again when something will be.
func (g *Gateway) look(ln *line) {
	next := g.queue.next(ln)
	switch now := g.now(); {
	case next.IsZero():
	case next.After(now):
		g.alarm(ln, next)
	default:
		g.wake(ln)
		g.sweep(ln)
	}
	if next.IsZero() {
		g.queue.mu.Lock()
		g.queue.tidyLocked(ln)
		g.queue.mu.Unlock()
	}
}

// sweepSize bounds what one look gives up on.
const sweepSize = 1000

// sweep gives up on what has stood in a closed line for too long. Nothing else
// would: no connection, no attempt.
func (g *Gateway) sweep(ln *line) {
	now := g.now()
	if _, closed, _ := g.Throttle.Closed(now, ln.name); !closed {
		return
	}
	long := now.Add(-min(g.GiveUpTransactional, g.GiveUpBulk))
	for range sweepSize {
		s, ok := g.queue.pop(ln, long)
		if !ok {
			return
		}
		g.enqueue(step{key: s.entry.key, do: func(t *turn) { t.sweep(s) }})
	}
}

// sweep gives up what is over of one mailbox. What is not goes back into the
// line, due now, and such that the next sweep finds it when its time is over.
func (t *turn) sweep(s slot) {
	g := t.g
	var ends time.Time // of what waits, the first
	for _, was := range t.box.Deliveries {
		d := t.box.Delivery(was.ID) // as it is now: planning one may settle another
		if d != nil && d.State == Sending && !g.inflight.has(d.ID) {
			d = t.resolveDoubt(d)
		}
		switch {
		case d == nil || d.State != Waiting || d.Paused || g.telling.has(d.ID):
		case d.Rev == 0:
			t.replan(d.ID)
		case !d.Expires.IsZero() && !t.now.Before(d.Expires):
			t.expire(d)
		case ends.IsZero() || d.Expires.Before(ends):
			ends = later(t.now, d.Expires)
		}
	}
	if ends.IsZero() {
		return
	}
	s.entry.at = min(seconds(t.now), seconds(ends.Add(-min(g.GiveUpTransactional, g.GiveUpBulk))))
	t.then(func() { g.queue.push(s) })
}

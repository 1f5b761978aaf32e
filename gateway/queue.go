package gateway

import (
	"sync"
	"time"
)

// queue holds every mailbox that has something waiting, by destination. It
// decides who is next; what to send from that mailbox is decided when its turn
// comes, from its state then.
type queue struct {
	mu      sync.Mutex
	lines   map[string]*line               // guarded by mu, as all that hangs below
	parked  map[CampaignKey]map[Key]string // mailboxes set aside while their campaign or tenant is paused, with their line
	stopped bool                           // a person paused everything
	alarms  alarms
	kick    chan struct{} // the first alarm changed
	running bool          // workers may start
	workers int           // of all lines
	waiting []*line       // lines that have no worker because there are too many
}

// slot is an entry with its place in the queue.
type slot struct {
	line, tenant string
	urgent       bool
	entry        entry
}

// line is the queue of one destination. Transactional and triggered mail goes
// before bulk; among tenants turns are taken.
type line struct {
	name    string
	urgent  turns
	bulk    turns
	wake    chan struct{} // a token for each mailbox that an idle connection should look for
	workers int           // connections working on the line
	idle    int           // of them, those that wait for more
	waits   bool          // it stands in queue.waiting
	alarm   time.Time     // when the clock looks at the line next; zero: not at all
}

// turns is a set of heaps, one a tenant, served in rotation.
type turns struct {
	heaps  map[string]*dueHeap
	order  []string
	cursor int
}

func newQueue() *queue {
	return &queue{lines: map[string]*line{}, parked: map[CampaignKey]map[Key]string{}, kick: make(chan struct{}, 1)}
}

// push puts a mailbox into its line and returns the line.
func (q *queue) push(s slot) *line {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pushLocked(s)
}

func (q *queue) pushLocked(s slot) *line {
	ln := q.lines[s.line]
	if ln == nil {
		ln = &line{name: s.line, wake: make(chan struct{}, wakeTokens)}
		q.lines[s.line] = ln
	}
	t := &ln.bulk
	if s.urgent {
		t = &ln.urgent
	}
	t.heap(s.tenant).push(s.entry)
	return ln
}

// pop takes the next mailbox due at now out of a line.
func (q *queue) pop(ln *line, now time.Time) (slot, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return slot{}, false
	}
	at := seconds(now)
	if e, tenant, ok := ln.urgent.pop(at); ok {
		return slot{ln.name, tenant, true, e}, true
	}
	e, tenant, ok := ln.bulk.pop(at)
	return slot{ln.name, tenant, false, e}, ok
}

// next returns when the line has something due; zero: never.
func (q *queue) next(ln *line) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.nextLocked(ln)
}

func (q *queue) nextLocked(ln *line) time.Time {
	a, okA := ln.urgent.next()
	b, okB := ln.bulk.next()
	switch {
	case q.stopped:
		return time.Time{}
	case !okA && !okB:
		return time.Time{}
	case !okA || okB && b < a:
		a = b
	}
	return time.Unix(int64(a), 0)
}

// park sets a mailbox aside until its campaign, or its tenant, is resumed.
func (q *queue) park(c CampaignKey, k Key, line string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.parked[c] == nil {
		q.parked[c] = map[Key]string{}
	}
	q.parked[c][k] = line
}

// unpark puts what was parked back, due at now, and returns its lines.
func (q *queue) unpark(c CampaignKey, now time.Time) []*line {
	q.mu.Lock()
	defer q.mu.Unlock()
	seen := map[*line]bool{}
	var lines []*line
	for k, name := range q.parked[c] {
		ln := q.pushLocked(slot{line: name, tenant: c.Tenant, entry: entry{k, seconds(now)}})
		if !seen[ln] {
			seen[ln] = true
			lines = append(lines, ln)
		}
	}
	delete(q.parked, c)
	return lines
}

// stop stops or resumes all turns.
func (q *queue) stop(yes bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = yes
}

func (q *queue) setRunning(yes bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running = yes
}

// tidyLocked forgets a line in which nothing stands and nobody works: there are
// as many as domains in the world.
func (q *queue) tidyLocked(ln *line) {
	if ln.workers == 0 && !ln.waits && ln.urgent.len()+ln.bulk.len() == 0 && q.lines[ln.name] == ln {
		delete(q.lines, ln.name)
	}
}

// wentBack makes due what was due before the clock was set back from was to
// now, and forgets all alarms.
func (q *queue) wentBack(was, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.alarms = nil
	for _, ln := range q.lines {
		ln.alarm = time.Time{}
		for _, t := range []*turns{&ln.urgent, &ln.bulk} {
			for _, h := range t.heaps {
				h.clamp(seconds(now), seconds(was))
			}
		}
	}
}

// snapshot calls f for every line.
func (q *queue) snapshot(f func(ln *line)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, ln := range q.lines {
		f(ln)
	}
}

func (t *turns) heap(tenant string) *dueHeap {
	h := t.heaps[tenant]
	if h == nil {
		if t.heaps == nil {
			t.heaps = map[string]*dueHeap{}
		}
		h = new(dueHeap)
		t.heaps[tenant] = h
		t.order = append(t.order, tenant)
	}
	return h
}

// pop serves the tenants in rotation, so that one tenant's million does not
// stand before another's ten.
func (t *turns) pop(now uint32) (entry, string, bool) {
	for range t.order {
		t.cursor = (t.cursor + 1) % len(t.order)
		tenant := t.order[t.cursor]
		h := t.heaps[tenant]
		if h.len() > 0 && h.first() <= now {
			return h.pop(), tenant, true
		}
	}
	return entry{}, "", false
}

func (t *turns) next() (uint32, bool) {
	var least uint32
	found := false
	for _, h := range t.heaps {
		if h.len() > 0 && (!found || h.first() < least) {
			least, found = h.first(), true
		}
	}
	return least, found
}

func (t *turns) len() int {
	n := 0
	for _, h := range t.heaps {
		n += h.len()
	}
	return n
}

package gateway

import (
	"sync"
	"time"
)

// queue holds every mailbox that has something waiting, by destination. It
// decides who is next; what to send from that mailbox is decided when its turn
// comes, from its state then.
type queue struct {
	mu     sync.Mutex
	lines  map[string]*line       // guarded by mu, as all that hangs below
	paused map[string]bool        // tenants whose mail does not leave; "" stands for all
	parked map[CampaignKey][]slot // mailboxes set aside while their campaign is paused
	alarms alarms
	kick   chan struct{} // the first alarm changed
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
	alarm   time.Time     // when the clock looks at the line next; zero: not at all
}

// turns is a set of heaps, one a tenant, served in rotation.
type turns struct {
	heaps  map[string]*dueHeap
	order  []string
	cursor int
}

func newQueue() *queue {
	return &queue{lines: map[string]*line{}, paused: map[string]bool{}, parked: map[CampaignKey][]slot{}, kick: make(chan struct{}, 1)}
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
	at := seconds(now)
	if e, tenant, ok := ln.urgent.pop(at, q.paused); ok {
		return slot{ln.name, tenant, true, e}, true
	}
	e, tenant, ok := ln.bulk.pop(at, q.paused)
	return slot{ln.name, tenant, false, e}, ok
}

// next returns when the line has something due; zero: never.
func (q *queue) next(ln *line) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.nextLocked(ln)
}

func (q *queue) nextLocked(ln *line) time.Time {
	a, okA := ln.urgent.next(q.paused)
	b, okB := ln.bulk.next(q.paused)
	switch {
	case !okA && !okB:
		return time.Time{}
	case !okA || okB && b < a:
		a = b
	}
	return time.Unix(int64(a), 0)
}

// park sets a mailbox aside until its campaign is resumed.
func (q *queue) park(c CampaignKey, s slot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.parked[c] = append(q.parked[c], s)
}

// unpark puts a campaign's mailboxes back and returns their lines.
func (q *queue) unpark(c CampaignKey) []*line {
	q.mu.Lock()
	defer q.mu.Unlock()
	seen := map[*line]bool{}
	var lines []*line
	for _, s := range q.parked[c] {
		ln := q.pushLocked(s)
		if !seen[ln] {
			seen[ln] = true
			lines = append(lines, ln)
		}
	}
	delete(q.parked, c)
	return lines
}

// pauseTenant stops or resumes a tenant's turns and returns all lines.
func (q *queue) pauseTenant(tenant string, paused bool) []*line {
	q.mu.Lock()
	defer q.mu.Unlock()
	if paused {
		q.paused[tenant] = true
		return nil
	}
	delete(q.paused, tenant)
	lines := make([]*line, 0, len(q.lines))
	for _, ln := range q.lines {
		lines = append(lines, ln)
	}
	return lines
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
func (t *turns) pop(now uint32, paused map[string]bool) (entry, string, bool) {
	for range t.order {
		t.cursor = (t.cursor + 1) % len(t.order)
		tenant := t.order[t.cursor]
		h := t.heaps[tenant]
		if len(*h) > 0 && (*h)[0].at <= now && !stopped(paused, tenant) {
			return h.pop(), tenant, true
		}
	}
	return entry{}, "", false
}

func stopped(paused map[string]bool, tenant string) bool { return paused[tenant] || paused[""] }

func (t *turns) next(paused map[string]bool) (uint32, bool) {
	var least uint32
	found := false
	for tenant, h := range t.heaps {
		if len(*h) > 0 && !stopped(paused, tenant) && (!found || (*h)[0].at < least) {
			least, found = (*h)[0].at, true
		}
	}
	return least, found
}

func (t *turns) len() int {
	n := 0
	for _, h := range t.heaps {
		n += len(*h)
	}
	return n
}

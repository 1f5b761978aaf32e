package replay

import (
	"time"

	"tidepost/scheduler"
)

// box is one mailbox.
type box struct {
	gates   scheduler.Gates
	profile scheduler.Profile
	zone    *time.Location
	key     uint64
	waits   *queue // nil: nothing
	wake    int64  // Unix nanoseconds, or never
	place   int32  // in the heap, from 1; 0: not in it
	tenant  Tenant // whose mail it gets; 0: none so far, or several
	sees    scheduler.Sees
	mixed   bool // mail of several tenants
	stopped bool // somebody must not write to it: Engine.stops says who
}

// queue is what waits for a mailbox, in order of arrival.
type queue struct {
	items []scheduler.Item
	mails []mail // in the same places
}

// mail is what the engine knows of a waiting item besides what the scheduler does.
type mail struct {
	name   string
	due    int64 // Unix nanoseconds of the next look
	tenant Tenant
	sees   scheduler.Sees
	bulk   bool
	vital  bool // transactional: an unsubscribe does not stop it
	look   bool // to be planned in this turn
	fresh  bool // was planned in this turn: Engine.plans has the plan in the same place
	told   bool // to the learner, as planned
	shown  bool // a hold was told, until due and for reason
	reason scheduler.Reason
}

func (q *queue) remove(i int) {
	q.items = append(q.items[:i], q.items[i+1:]...)
	q.items[:len(q.items)+1][len(q.items)] = scheduler.Item{}
	q.mails = append(q.mails[:i], q.mails[i+1:]...)
	q.mails[:len(q.mails)+1][len(q.mails)] = mail{}
}

// look marks the bulk that waits for planning; of a pile the first few, the rest
// is looked at when it is due.
func (q *queue) look() {
	n := 0
	for i := range q.mails {
		if m := &q.mails[i]; m.bulk && n < maxItems {
			m.look = true
			n++
		}
	}
}

// lookOthers is look for all but those that have been planned in this turn.
func (q *queue) lookOthers() {
	q.look()
	for i := range q.mails {
		if m := &q.mails[i]; m.fresh {
			m.look = false
		}
	}
}

// lookRivals marks what the newest item may supersede.
func (q *queue) lookRivals() {
	key := q.items[len(q.items)-1].Supersede
	for i := range q.items {
		if key != "" && q.items[i].Supersede == key {
			q.mails[i].look = true
		}
	}
}

func (q *queue) lookDue(now int64) {
	for i := range q.mails {
		if q.mails[i].due <= now {
			q.mails[i].look = true
		}
	}
}

func (q *queue) next() int64 {
	next := int64(never)
	for i := range q.mails {
		next = min(next, q.mails[i].due)
	}
	return next
}

// chunk is how many boxes lie together: millions are never copied to grow.
const (
	chunkBits = 10
	chunkSize = 1 << chunkBits
)

func (e *Engine) box(x Box) *box { return &e.chunks[x>>chunkBits][x&(chunkSize-1)] }

// enqueue makes room for one more item and returns its place.
func (e *Engine) enqueue(b *box) int {
	if b.waits == nil {
		if n := len(e.free); n > 0 {
			b.waits, e.free = e.free[n-1], e.free[:n-1]
		} else {
			b.waits = &queue{items: make([]scheduler.Item, 0, 1), mails: make([]mail, 0, 1)}
		}
	}
	q := b.waits
	q.items, q.mails = append(q.items, scheduler.Item{}), append(q.mails, mail{})
	return len(q.items) - 1
}

// settle puts the box where its waiting mail wants it.
func (e *Engine) settle(x Box, b *box) {
	next := int64(never)
	if q := b.waits; q != nil {
		if len(q.items) == 0 {
			b.waits = nil
			if len(e.free) < maxFree && cap(q.items) <= maxItems {
				e.free = append(e.free, q)
			}
		} else {
			next = q.next()
		}
	}
	e.wakes.set(x, next)
}

// maxFree bounds the empty queues that are kept for reuse.
const maxFree = 4096

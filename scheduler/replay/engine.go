package replay

import (
	"math"
	"time"

	"tidepost/scheduler"
)

// Tenant and Box number what the engine has been told of, from 1 and from 0, in
// order of appearance.
type (
	Tenant int32
	Box    int32
)

// Rules are what holds for one tenant's mail.
type Rules struct {
	scheduler.Policy
	Sees    scheduler.Sees
	MaxDrop float64          // share of an hour's bulk that policy may drop, what is beyond it is held; 0: all
	Model   *scheduler.Model // nil: the built-in one
	Learn   bool             // what is foreseen of readers follows the outcomes of the tenant's mail, as in the gateway
}

// Message is one delivery to plan.
type Message struct {
	At     time.Time
	Box    Box
	Tenant Tenant
	Name   string         // comes back with each decision
	Item   scheduler.Item // Accepted is At
	Bulk   bool           // counts for gap and cap, and the model is asked
	Vital  bool           // transactional: an unsubscribe does not stop it
	Sees   scheduler.Sees
}

// Bounced is the kind of a signal that the mailbox does not exist. The profile is
// not told.
const Bounced scheduler.Kind = 1 << 7

// Signal is what a person did, or the far side found.
type Signal struct {
	At     time.Time
	Box    Box
	Tenant Tenant // whose mail it is about; 0: unknown
	Kind   scheduler.Kind
	ID     uint64  // Item.ID of the mail it is about; 0: none
	Weight float32 // 1: surely a human; 0: teaches nothing
}

// Decision is what was decided about one delivery.
type Decision struct {
	At     time.Time
	Box    Box
	Tenant Tenant
	Name   string
	ID     uint64
	Plan   scheduler.Plan // its At is when it is looked at again, where Action is Hold
}

// Suppressed and MaxDrop are reasons that the scheduler does not know.
const (
	Suppressed scheduler.Reason = "suppressed"
	MaxDrop    scheduler.Reason = "max_drop"
)

// maxItems is how many of a mailbox's items are planned together, as in the gateway.
const maxItems = 32

// Engine holds mailboxes and decides about their mail. The zero value is empty and
// ready.
type Engine struct {
	now     time.Time
	nowNano int64
	tenants []*tenant
	chunks  [][]box
	boxes   int
	wakes   heap
	free    []*queue
	stops   map[Box][]Tenant // who must not write; 0: nobody may, vital mail too, allBulk: only vital mail
	senders map[Box]*senders

	request scheduler.Request
	planner scheduler.Planner
	asked   asked
	curves  curves
	items   []scheduler.Item // of a pile
	plans   []scheduler.Plan // of the turn, by place in the queue
}

// Tenant makes a tenant.
func (e *Engine) Tenant(r Rules) Tenant {
	if r.Model == nil {
		r.Model = scheduler.BuiltIn()
	}
	e.tenants = append(e.tenants, newTenant(r))
	return Tenant(len(e.tenants))
}

// Box makes a mailbox. key is a well-mixed hash of its name: it draws arms and
// exploration.
func (e *Engine) Box(key uint64) Box {
	if e.boxes == len(e.chunks)<<chunkBits {
		e.chunks = append(e.chunks, make([]box, chunkSize))
		e.wakes.e = e
	}
	x := Box(e.boxes)
	e.boxes++
	b := e.box(x)
	b.key, b.wake = key, never
	return x
}

// Now is the latest time the engine was told of.
func (e *Engine) Now() time.Time { return e.now }

// Next is when the engine has something to do next, if at all.
func (e *Engine) Next() (time.Time, bool) {
	if len(e.wakes.boxes) == 0 {
		return time.Time{}, false
	}
	return time.Unix(0, e.box(e.wakes.boxes[0]).wake).UTC(), true
}

// Advance lets time pass and yields everything that is decided on the way, up to
// and including to.
func (e *Engine) Advance(to time.Time, yield func(Decision)) {
	e.until(nanos(to), yield)
	e.reach(to)
}

// until decides everything that is due up to and including an instant.
func (e *Engine) until(limit int64, yield func(Decision)) {
	for len(e.wakes.boxes) > 0 {
		x := e.wakes.boxes[0]
		b := e.box(x)
		if b.wake > limit {
			return
		}
		e.reach(time.Unix(0, b.wake).UTC())
		b.waits.lookDue(e.nowNano)
		e.turn(x, b, yield)
	}
}

// reach sets the clock; it never goes back.
func (e *Engine) reach(t time.Time) {
	if e.now.IsZero() || t.After(e.now) {
		e.now, e.nowNano = t, nanos(t)
	}
}

// arrive brings the clock to news: all that was due before it is decided.
func (e *Engine) arrive(at time.Time, yield func(Decision)) {
	e.until(nanos(at)-1, yield)
	e.reach(at)
}

// Message plans a new delivery, and anew the bulk that waits for its mailbox.
func (e *Engine) Message(m Message, yield func(Decision)) {
	e.arrive(m.At, yield)
	b := e.box(m.Box)
	b.known(m.Tenant)
	if m.Bulk {
		e.tenants[m.Tenant-1].drops.planned(e.now)
	}
	i := e.enqueue(b)
	q := b.waits
	q.items[i] = m.Item
	q.items[i].Accepted = e.now
	q.mails[i] = mail{name: m.Name, due: e.nowNano, tenant: m.Tenant, sees: m.Sees, bulk: m.Bulk, vital: m.Vital, look: true}
	q.lookRivals()
	e.decide(m.Box, b, yield) // most leave as they come, or let others be
	if m.Bulk {
		q.lookOthers()
	}
	e.turn(m.Box, b, yield)
	e.until(e.nowNano, yield)
}

// Signal takes in a signal, and plans anew the bulk that waits for its mailbox.
func (e *Engine) Signal(s Signal, yield func(Decision)) {
	e.arrive(s.At, yield)
	b := e.box(s.Box)
	if s.Tenant == 0 {
		s.Tenant = e.sender(s.Box, b, s.ID)
	}
	news := e.teach(b, &s)
	switch s.Kind {
	case Bounced:
		e.stop(s.Box, b, everything)
	case scheduler.Unsubscribed, scheduler.Complained:
		e.stop(s.Box, b, s.Tenant)
	}
	if b.waits != nil {
		if news {
			b.waits.look()
		}
		e.turn(s.Box, b, yield)
	}
	e.until(e.nowNano, yield)
}

// Mailbox takes in what is known of a mailbox: its time zone, nil where unknown,
// and what may be learned from it.
func (e *Engine) Mailbox(at time.Time, x Box, zone *time.Location, sees scheduler.Sees, yield func(Decision)) {
	e.arrive(at, yield)
	b := e.box(x)
	b.zone, b.sees = zone, sees
	if b.waits != nil {
		b.waits.look()
		e.turn(x, b, yield)
	}
	e.until(e.nowNano, yield)
}

// teach tells the profile what its owner did, and reports whether it was news.
func (e *Engine) teach(b *box, s *Signal) bool {
	if s.Kind == Bounced || len(e.tenants) == 0 {
		return false
	}
	e.curves.drop(s.Box)
	sees, t := b.sees, e.tenants[max(s.Tenant, 1)-1]
	if s.Tenant > 0 {
		sees = max(sees, t.Sees)
		if s.Kind <= scheduler.Clicked && s.Weight > 0 {
			t.observed()
		}
	}
	return b.profile.Observe(t.model, b.zone, sees, scheduler.Evidence{Kind: s.Kind, At: e.now, Ref: uint16(s.ID), Weight: s.Weight})
}

// nanos is an instant in Unix nanoseconds, as near as they come: 1678 to 2262.
func nanos(t time.Time) int64 {
	const most = math.MaxInt64/int64(time.Second) - 1
	switch s := t.Unix(); {
	case s > most:
		return most * int64(time.Second)
	case s < -most:
		return -most * int64(time.Second)
	}
	return t.UnixNano()
}

// second rounds an instant up to a whole second.
func second(t time.Time) time.Time {
	if t.Nanosecond() == 0 {
		return t
	}
	return t.Truncate(time.Second).Add(time.Second)
}

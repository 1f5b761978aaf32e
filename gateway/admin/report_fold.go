package admin

import (
	"encoding/binary"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
)

// reportFold adds up what the model decided, or would have decided, from the
// events of the journal. Its memory is bounded: what is joined over time is joined
// for a sample of mailboxes where there are too many.
type reportFold struct {
	reportDoc
	waits    sample[int64]  // deliveries that the model holds: second that it chose
	pressed  sample[uint32] // mailboxes with mail over their pace: hour of the last
	left     sample[uint8]  // mailboxes that unsubscribed or complained: byUnsubscribe, byComplaint
	departed departures
	holdTime time.Duration
	better   float64 // sum of how much likelier
	days     map[string]*reportDay
}

// maxSample is how many things of a kind are remembered.
const maxSample = 1 << 20

// pressedFor is how long a mail over somebody's pace may be what they leave for.
const pressedFor = 7 * 24 * time.Hour

func newReportFold(tenant string, since, until time.Time) *reportFold {
	f := &reportFold{days: map[string]*reportDay{}}
	f.Tenant, f.Since, f.Until = tenant, utc(since), utc(until)
	return f
}

// visit takes in one event; all are shown, those before the report begins too.
func (f *reportFold) visit(e *gateway.Event) {
	if f.Begins.IsZero() || e.At.Before(f.Begins) {
		f.Begins = utc(e.At)
	}
	if e.At.After(f.Until) {
		return
	}
	f.Events++
	switch e.Kind {
	case gateway.EventAccepted:
		f.accepted(e)
	case gateway.EventOpened, gateway.EventClicked, gateway.EventUnsubscribed, gateway.EventComplained:
		f.signal(e)
	case gateway.EventViewed, gateway.EventConverted, gateway.EventReplied, gateway.EventActive:
		f.Signals.Ever = true
	}
	if (e.Kind == gateway.EventUnsubscribed || e.Kind == gateway.EventConsent) && !e.At.Before(f.Since) {
		f.departed.visit(e, f.Tenant)
	}
}

// accepted takes in the first decision about a delivery.
func (f *reportFold) accepted(e *gateway.Event) {
	d := e.Delivery
	if d == nil || !d.Class.Bulk() || f.Tenant != "" && d.Tenant != f.Tenant || e.At.Before(f.Since.Add(-pressedFor)) {
		return
	}
	why, err := d.Why()
	decided := err == nil && !why.At.IsZero()
	if decided && why.Pressure > 1 {
		f.pressed.put(hashOf(d.Mailbox), uint32(e.At.Unix()/3600))
	}
	if e.At.Before(f.Since) {
		return
	}
	f.Planned++
	day := f.day(e.At)
	day.Planned++
	if !decided {
		f.Undecided++
		return
	}
	f.decided(d, &why, e.At, day)
}

func (f *reportFold) decided(d *gateway.Delivery, why *scheduler.Decision, at time.Time, day *reportDay) {
	if why.Live {
		f.Live++
		if why.Arm != scheduler.ArmModel {
			f.Others++
			return
		}
	}
	f.Model = max(f.Model, why.Model)
	if why.Own {
		f.Own++
	}
	if why.Pressure > 1 && !(why.Live && why.Would == scheduler.Drop) {
		f.Pressed++
		day.Pressed++
	}
	leaves, held := heldByModel(d, why, at)
	switch {
	case held:
		f.Held++
		day.Held++
		f.holdTime += why.WouldAt.Sub(leaves)
		if why.Reads > 1 {
			f.Better++
			f.better += float64(why.Reads)
		}
		f.waits.put(d.ID.Hash(), why.WouldAt.Unix())
	case why.Would == scheduler.Drop:
		f.Dropped++
		day.Dropped++
	}
}

// heldByModel reports whether it is the model that holds a delivery, or would hold
// it beyond what gates and client do, and from when on.
func heldByModel(d *gateway.Delivery, why *scheduler.Decision, at time.Time) (from time.Time, held bool) {
	if why.Would != scheduler.Hold {
		return at, false
	}
	if why.Live {
		return at, scheduler.Reason(d.Reason).OfModel() && why.WouldAt.After(at)
	}
	if d.Due.After(at) {
		at = d.Due
	}
	return at, why.WouldAt.After(at.Add(time.Minute))
}

// signal takes in what a person did.
func (f *reportFold) signal(e *gateway.Event) {
	early := e.At.Before(f.Since)
	if early && f.Signals.Ever {
		return
	}
	h, ok := hear(e)
	if !ok || f.Tenant != "" && h.tenant != f.Tenant {
		return
	}
	f.Signals.Ever = true
	if early {
		return
	}
	switch e.Kind {
	case gateway.EventOpened, gateway.EventClicked:
		if h.human {
			f.read(&h, e.At)
		}
	case gateway.EventUnsubscribed:
		f.gone(byUnsubscribe, &f.Unsubscribed, &h, e.At)
	case gateway.EventComplained:
		f.gone(byComplaint, &f.Complained, &h, e.At)
	}
}

// read joins a reading to the decision to hold what was read.
func (f *reportFold) read(h *heard, at time.Time) {
	f.Signals.Read++
	if h.about.Message.IsZero() {
		return
	}
	id := h.about.Hash()
	if chosen, ok := f.waits.get(id); ok {
		f.waits.remove(id) // the first reading counts
		f.ReadHeld++
		if at.Unix() >= chosen {
			f.ReadLater++
		}
	}
}

// The ways to leave.
const (
	byUnsubscribe uint8 = 1 << iota
	byComplaint
)

// gone joins somebody who left to the mail that they had. Each counts once: who
// unsubscribes from everything says so often.
func (f *reportFold) gone(by uint8, n *pressedCount, h *heard, at time.Time) {
	key := hashOf(h.mailbox)
	before, _ := f.left.get(key)
	if !f.pressed.has(key) || !f.left.has(key) || before&by != 0 {
		return
	}
	f.left.put(key, before|by)
	n.All++
	if last, ok := f.pressed.get(key); ok && at.Unix()/3600-int64(last) <= int64(pressedFor/time.Hour) {
		n.Pressed++
	}
}

// hashOf is the half of a key that depends on audience and address.
func hashOf(k gateway.Key) uint64 { return binary.LittleEndian.Uint64(k[8:]) }

func (f *reportFold) day(at time.Time) *reportDay {
	date := at.UTC().Format(time.DateOnly)
	if f.days[date] == nil {
		f.days[date] = &reportDay{Date: date}
	}
	return f.days[date]
}

// sample maps hashes to values. Where there are too many it keeps those of one
// half of all hashes, then of a quarter, and so on: which ones depends on the hash
// alone.
type sample[V any] struct {
	of    map[uint64]V
	halve uint // hashes with so many zeros at their end are kept
	most  int  // 0: maxSample
}

// has reports whether a hash is one of those that are kept.
func (s *sample[V]) has(hash uint64) bool { return hash&(1<<s.halve-1) == 0 }

func (s *sample[V]) get(hash uint64) (V, bool) {
	v, ok := s.of[hash]
	return v, ok
}

func (s *sample[V]) remove(hash uint64) { delete(s.of, hash) }

func (s *sample[V]) put(hash uint64, v V) {
	if !s.has(hash) {
		return
	}
	if s.of == nil {
		s.of = map[uint64]V{}
	}
	s.of[hash] = v
	most := s.most
	if most == 0 {
		most = maxSample
	}
	for len(s.of) > most {
		s.halve++
		for h := range s.of {
			if !s.has(h) {
				delete(s.of, h)
			}
		}
	}
}

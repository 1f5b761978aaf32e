package gateway

import (
	"context"
	"errors"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/throttle"
)

// mailWithin is how long after its release commit MAIL must be written
// (design rule 5 b); what is later is taken back by a commit.
const mailWithin = 10 * time.Second

// worker is one connection's worth of releasing: it takes mailboxes that are
// due out of a line, one after another, and sends one delivery of each.
type worker struct {
	g       *Gateway
	line    *line
	dest    Destination
	session Session
	sent    int       // messages on this session
	pause   time.Time // nothing can be done for the line before; zero: try at once
}

// work runs until nothing is due in the line for a while, the destination
// closes, or the context ends.
func (g *Gateway) work(ctx context.Context, ln *line) {
	w := &worker{g: g, line: ln}
	defer w.leave()
	for ctx.Err() == nil {
		s, ok := g.queue.pop(ln, g.now())
		switch {
		case ok:
			more := w.release(ctx, s)
			if g.InTurn {
				g.finish(s.entry.key)
			}
			if !more {
				return
			}
		case !w.idle(ctx):
			return
		}
	}
}

// release sends one delivery of a mailbox whose turn has come. It reports
// false when the destination cannot be written to now.
func (w *worker) release(ctx context.Context, s slot) bool {
	g := w.g
	box, err := g.Store.Mailbox(ctx, s.entry.key)
	if err != nil {
		g.halt(err)
		return false
	}
	d := g.choose(box, s)
	switch {
	case d == nil:
		return true
	case d.Rev == 0:
		g.planLeft(ctx, d)
		return true
	}
	noRoute, ok := w.ready(ctx, box)
	switch {
	case !ok:
		g.inflight.remove(d.ID)
		g.queue.push(s)
		return false
	case noRoute != nil:
		w.refuse(ctx, s, d, *noRoute)
		return true
	}
	g.spread(w.line)
	w.deliver(ctx, s, d)
	return w.open()
}

// deliver composes, claims, sends and settles one delivery, and with it those
// of the same message that may share its transaction.
func (w *worker) deliver(ctx context.Context, s slot, d *Delivery) {
	g := w.g
	if w.dest.Capture {
		g.capture(s.entry.key, d.ID)
		return
	}
	stored, err := g.Store.Body(ctx, d.Ref)
	if err != nil {
		g.unreadable(ctx, s, d, err)
		return
	}
	defer stored.Close()
	from, marks := g.returnPath(ctx, stored.Message, d), g.marks(ctx, d)
	if from != stored.Message.From {
		marks.Complaints = from
	}
	body, size, err := g.Composer.Compose(ctx, stored, d, marks)
	if err != nil {
		g.unreadable(ctx, s, d, err)
		return
	}
	defer body.Close()
	together := []*Delivery{d}
	if !marks.personal() && from == stored.Message.From {
		together = append(together, g.siblings(ctx, w.line.name, stored.Message, d)...)
	}
	claimed := g.claimAll(ctx, together)
	if len(claimed) == 0 {
		return
	}
	outcomes := w.session.Send(g.sends, envelope(stored.Message, from, claimed, size), body, notAfter(claimed))
	w.sent++
	w.report(outcomes)
	for i, d := range claimed {
		if g.cutOff(outcomes[i]) {
			continue
		}
		g.settle(ctx, d.Mailbox, d, stored, outcomes[i])
	}
}

// cutOff reports whether our own stop ended an attempt that had no reply yet.
// Such a delivery stays sending: the next start finds it in doubt and sends it
// at once, where a settled one would wait for its first retry.
func (g *Gateway) cutOff(o Outcome) bool {
	return g.sends.Err() != nil && o.Kind == OutcomeDeferred && o.Code == 0
}

// refuse settles a delivery whose domain has no route, as an attempt.
func (w *worker) refuse(ctx context.Context, s slot, d *Delivery, o Outcome) {
	g := w.g
	stored, err := g.Store.Body(ctx, d.Ref)
	if err != nil {
		g.unreadable(ctx, s, d, err)
		return
	}
	defer stored.Close()
	if claimed := g.claim(ctx, s.entry.key, d.ID); claimed != nil {
		g.settle(ctx, s.entry.key, claimed, stored, o)
	}
}

// choose picks the delivery to send first of a mailbox and reserves it, so
// that no other connection picks it too. What a person stopped is set aside.
// With nothing due the mailbox goes back into the queue for its next instant, or
// out of it.
func (g *Gateway) choose(box *Mailbox, s slot) *Delivery {
	now := g.now()
	var due []*Delivery
	var next *Delivery
	for _, d := range box.Deliveries {
		switch {
		case d.Paused || d.State != Waiting && d.State != Sending:
		case len(due) == maxItems && d.Class.Bulk() && d.Priority < urgentPriority:
			// Of a pile only what may go before the rest is worth a look.
		case g.inflight.has(d.ID) || g.telling.has(d.ID) || g.park(d, box.Key, s.line):
		case d.State == Waiting && d.Due.After(now):
			if next == nil || d.Due.Before(next.Due) {
				next = d
			}
		case len(due) == maxItems:
			due[maxItems-1] = d
		default:
			due = append(due, d)
		}
	}
	if d := g.first(box, due, now); d != nil && g.inflight.add(d.ID) {
		return d
	}
	if next != nil && len(due) == 0 {
		g.push(g.slot(box, next, now))
	}
	return nil
}

// planLeft plans what was accepted and not planned: before a crash, or a moment
// ago by a client whose own step is still on its way.
func (g *Gateway) planLeft(ctx context.Context, d *Delivery) {
	var m *Message
	if stored, err := g.Store.Body(ctx, d.Ref); err == nil {
		m = stored.Message
		stored.Close()
	}
	g.enqueue(step{key: d.Mailbox, do: func(t *turn) {
		t.then(func() { g.inflight.remove(d.ID) })
		t.planNew(d.ID, m, d.Duplicate)
		t.again(d.ID)
	}})
}

// first orders what is due of one mailbox.
func (g *Gateway) first(box *Mailbox, due []*Delivery, now time.Time) *Delivery {
	switch len(due) {
	case 0:
		return nil
	case 1:
		return due[0]
	}
	rules := g.Rules(due[0].Tenant)
	r := scheduler.Request{Now: now, Zone: box.Location(), Gates: &box.Gates}
	for _, d := range due {
		if d.State == Sending {
			return d // in doubt since the last stop: settle that first
		}
		r.Items = append(r.Items, item(box, d, rules))
	}
	policy := g.policy(due[0], rules, now)
	heed(&policy, box)
	if control := scheduler.Arm(policy.Arms.Of(policy.Salt, box.Key.draw(), now)) == scheduler.ArmControl; due[0].Class.Bulk() && !control {
		r.Profile = new(scheduler.Profile)
		if _, err := r.Profile.UnmarshalBinary(box.Profile); err == nil || len(box.Profile) == 0 {
			r.Mailbox, r.Model, r.Sees = box.Key.draw(), g.model(due[0].Tenant), g.sees(box, due[0])
		}
	}
	if i, _ := policy.Next(&r); i >= 0 {
		return due[i]
	}
	return due[0]
}

// capture settles a delivery that this route keeps instead of sending.
func (g *Gateway) capture(k Key, id DeliveryID) {
	g.enqueue(step{key: k, do: func(t *turn) {
		t.then(func() { g.inflight.remove(id) })
		t.capture(id)
		t.again(id)
	}})
}

func (t *turn) capture(id DeliveryID) {
	d := t.releasable(id)
	if d == nil {
		return
	}
	n := d.Next()
	n.State, n.Due, n.Reason, n.Reply = Captured, time.Time{}, "capture", "250 2.0.0 captured, not sent"
	t.g.Metrics.Captured.Add(1)
	t.g.held.add(n.Tenant, -1)
	t.put(n, Event{Kind: EventCaptured, Reason: "capture", Detail: n.Reply})
}

// unreadable keeps a delivery back whose content cannot be read, or not be
// composed: it is never sent wrong. One that we stopped in the middle of is as
// good as before.
func (g *Gateway) unreadable(ctx context.Context, s slot, d *Delivery, err error) {
	if ctx.Err() != nil {
		g.inflight.remove(d.ID)
		g.queue.push(s)
		return
	}
	g.log().Error("a message cannot be read", "delivery", d.ID.String(), "error", err)
	g.enqueue(step{key: s.entry.key, do: func(t *turn) {
		t.then(func() { g.inflight.remove(d.ID) })
		t.setAside(d.ID, err)
		t.again(d.ID)
	}})
}

// setAside holds a delivery whose content is damaged until a person has looked
// at it; with other troubles it is tried again.
func (t *turn) setAside(id DeliveryID, err error) {
	d := t.releasable(id)
	if d == nil {
		return
	}
	n := d.Next()
	n.Due, n.Reason, n.Reply = t.now.Add(unreadableRetry), "unreadable", err.Error()
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotFound) {
		n.Due, n.Reason, n.Paused = time.Time{}, "damaged", true
	}
	t.put(n, Event{Kind: EventHeld, Reason: n.Reason, Detail: n.Reply})
	t.schedule(n)
}

// unreadableRetry is when a message is tried again that could not be read.
const unreadableRetry = 5 * time.Minute

func envelope(m *Message, from string, deliveries []*Delivery, size int64) *Envelope {
	e := &Envelope{From: from, EnvID: m.EnvID, Return: m.Return, EightBit: m.EightBit, UTF8: m.UTF8,
		Size: size, Priority: m.Priority, By: m.By, ByTrace: m.ByTrace, Deadline: m.Deadline}
	for _, d := range deliveries {
		r := EnvelopeRecipient{Address: d.Address, Notify: d.Notify}
		if int(d.ID.Ordinal) < len(m.Recipients) {
			r.Original = m.Recipients[d.ID.Ordinal].Original
		}
		e.Recipients = append(e.Recipients, r)
	}
	return e
}

func slotRef(d *Delivery) uint16 { return slotRefOf(d.ID) }

func slotRefOf(id DeliveryID) uint16 { return uint16(id.Hash()) & 0x1fff }

// report tells the throttle how the destination took a message. Where it
// deferred some recipients of several, that is their trouble.
func (w *worker) report(outcomes []Outcome) {
	var busy, deferred, decided bool
	for _, o := range outcomes {
		busy = busy || o.Busy
		deferred = deferred || o.Kind == OutcomeDeferred
		decided = decided || o.Kind == OutcomeDelivered || o.Kind == OutcomeFailed
	}
	r := throttle.Clean
	switch {
	case busy:
		r = throttle.Busy
	case decided:
	case deferred:
		r = throttle.Deferred
	default:
		return // nothing was tried
	}
	w.g.Throttle.Report(w.g.now(), w.dest.Name, r)
}

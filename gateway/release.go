package gateway

import (
	"context"
	"errors"
	"sync"
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
	sent    int // messages on this session
}

// work runs until nothing is due in the line for a while, the destination
// closes, or the context ends.
func (g *Gateway) work(ctx context.Context, ln *line) {
	w := &worker{g: g, line: ln}
	defer w.close()
	for ctx.Err() == nil {
		s, ok := g.queue.pop(ln, g.now())
		if !ok {
			if w.idle(ctx) {
				continue
			}
			return
		}
		if !w.release(ctx, s) {
			g.leave(ln)
			return
		}
	}
	g.leave(ln)
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
	if d == nil {
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

// deliver composes, claims, sends and settles one delivery.
func (w *worker) deliver(ctx context.Context, s slot, d *Delivery) {
	g := w.g
	stored, err := g.Store.Body(ctx, d.Ref)
	if err != nil {
		g.unreadable(ctx, s, d, err)
		return
	}
	defer stored.Close()
	if w.dest.Capture {
		g.capture(s.entry.key, d.ID)
		return
	}
	body, size, err := g.Composer.Compose(ctx, stored, d)
	if err != nil {
		g.unreadable(ctx, s, d, err)
		return
	}
	defer body.Close()
	claimed := g.claim(ctx, s.entry.key, d.ID)
	if claimed == nil {
		return
	}
	env := envelope(stored.Message, claimed, size)
	outcome := w.session.Send(context.WithoutCancel(ctx), env, body, claimed.Started.Add(mailWithin))[0]
	w.sent++
	w.report(outcome)
	g.settle(ctx, s.entry.key, claimed, stored, outcome)
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
// that no other connection picks it too. With nothing due the mailbox goes
// back into the queue for its next instant, or out of it.
func (g *Gateway) choose(box *Mailbox, s slot) *Delivery {
	now := g.now()
	var due []*Delivery
	var next *Delivery
	for _, d := range box.Deliveries {
		switch {
		case d.Paused || d.State != Waiting && d.State != Sending || g.inflight.has(d.ID):
		case d.State == Waiting && d.Due.After(now):
			if next == nil || d.Due.Before(next.Due) {
				next = d
			}
		case g.settings.pausedCampaign(d):
			g.queue.park(CampaignKey{d.Tenant, d.Campaign}, s)
			return nil
		default:
			due = append(due, d)
		}
		if len(due) == maxItems {
			break
		}
	}
	if d := g.first(box, due, now); d != nil && g.inflight.add(d.ID) {
		return d
	}
	if len(due) > 0 {
		next = due[0]
	}
	if next != nil && len(due) == 0 {
		g.push(g.slot(box, next, now))
	}
	return nil
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
	r := scheduler.Request{Now: now, Zone: zone(box.Zone), Gates: &box.Gates}
	for _, d := range due {
		if d.State == Sending {
			return d // in doubt since the last stop: settle that first
		}
		r.Items = append(r.Items, item(d, rules))
	}
	if i, _ := rules.Next(&r); i >= 0 {
		return due[i]
	}
	return due[0]
}

// claim is the release commit (design rule 5 b). It returns the delivery in
// state Sending, durable, or nil when it may not leave now.
func (g *Gateway) claim(ctx context.Context, k Key, id DeliveryID) *Delivery {
	var claimed *Delivery
	keeps := false
	err := g.perform(ctx, k, func(t *turn) {
		t.keeps = false
		claimed = t.claim(id)
		keeps = t.keeps
		t.again(id)
	})
	if err == nil && claimed != nil {
		return claimed
	}
	if !keeps {
		g.inflight.remove(id)
	}
	return nil
}

// claim checks everything that may have changed since the delivery was
// planned: permission, deadline, quiet hours, cap and gap. One that may leave
// takes its slot in the ring.
func (t *turn) claim(id DeliveryID) *Delivery {
	d := t.box.Delivery(id)
	if d == nil || d.Paused || t.g.settings.pausedCampaign(d) {
		return nil
	}
	if d.State == Sending {
		if d = t.resolveDoubt(d); d.Paused {
			return nil
		}
	}
	if !t.permitted(d) {
		return nil
	}
	n := d.Next()
	n.State, n.Due, n.Started = Sending, time.Time{}, t.now
	n.Attempts++
	if n.Slot.IsZero() {
		n.Slot = t.now
		t.head().Gates.Count(scheduler.Send{At: t.now, Weight: uint8(n.Class), Bulk: n.Class.Bulk(), Ref: slotRef(n)})
	}
	t.durable()
	t.put(n, Event{Kind: EventReleased, Reason: n.Reason})
	return n
}

// permitted plans a delivery once more; one that may not leave now is held,
// dropped or given up, in the same turn.
func (t *turn) permitted(d *Delivery) bool {
	if !d.Expires.IsZero() && !t.now.Before(d.Expires) {
		t.expire(d.Next())
		return false
	}
	entry, err := t.suppressed(d)
	if p := t.planned(d); entry != nil || err != nil && d.Class != Transactional || p.Action != scheduler.Now {
		t.plan(d.Next())
		return false
	}
	return true
}

// resolveDoubt makes a delivery that was on the wire when we stopped wait
// again (design rule 5 e). Its slot and its Message-ID stay.
func (t *turn) resolveDoubt(d *Delivery) *Delivery {
	t.g.Metrics.InDoubt.Add(1)
	n := d.Next()
	n.State, n.Due, n.Reason = Waiting, time.Time{}, "in_doubt"
	n.Paused = n.Class.Bulk() && t.g.Rules(n.Tenant).HoldInDoubt
	t.put(n, Event{Kind: EventInDoubt, Reason: "in_doubt"})
	return n
}

// again puts the mailbox back into its queue when more than id waits there:
// at start a mailbox stands in the queue once, whatever waits.
func (t *turn) again(id DeliveryID) {
	var next *Delivery
	for _, d := range t.box.Deliveries {
		if d.ID != id && d.State == Waiting && !d.Paused && (next == nil || d.Due.Before(next.Due)) {
			if next = d; next.Due.IsZero() {
				break
			}
		}
	}
	if next != nil {
		t.schedule(next)
	}
}

// capture settles a delivery that this route keeps instead of sending.
func (g *Gateway) capture(k Key, id DeliveryID) {
	g.enqueue(step{key: k, do: func(t *turn) {
		t.keeps = false
		d := t.box.Delivery(id)
		allowed := d != nil && !d.Paused && t.permitted(d)
		if !t.keeps {
			t.then(func() { g.inflight.remove(id) })
		}
		if !allowed {
			return
		}
		n := d.Next()
		n.State, n.Due, n.Reason, n.Reply = Captured, time.Time{}, "capture", "250 2.0.0 captured, not sent"
		g.Metrics.Captured.Add(1)
		g.held.add(n.Tenant, -1)
		t.put(n, Event{Kind: EventCaptured, Reason: "capture", Detail: n.Reply})
	}})
}

// unreadable sets a delivery aside whose content cannot be read back: it is
// never sent wrong, and a person is told.
func (g *Gateway) unreadable(ctx context.Context, s slot, d *Delivery, err error) {
	defer g.inflight.remove(d.ID)
	if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotFound) {
		g.log().Error("a message cannot be read now", "delivery", d.ID.String(), "error", err)
	}
	g.perform(ctx, s.entry.key, func(t *turn) {
		if d := t.box.Delivery(d.ID); d != nil {
			n := d.Next()
			n.Paused, n.Reason, n.Reply = true, "damaged", err.Error()
			t.put(n, Event{Kind: EventHeld, Reason: "damaged", Detail: err.Error()})
		}
	})
}

func envelope(m *Message, d *Delivery, size int64) *Envelope {
	r := EnvelopeRecipient{Address: d.Address, Notify: d.Notify}
	if int(d.ID.Ordinal) < len(m.Recipients) {
		r.Original = m.Recipients[d.ID.Ordinal].Original
	}
	return &Envelope{From: m.From, EnvID: m.EnvID, Return: m.Return, EightBit: m.EightBit, UTF8: m.UTF8,
		Size: size, Priority: m.Priority, By: m.By, ByTrace: m.ByTrace, Deadline: m.Deadline,
		Recipients: []EnvelopeRecipient{r}}
}

func slotRef(d *Delivery) uint16 { return uint16(d.ID.Hash()) & 0x1fff }

// report tells the throttle how the destination took a message.
func (w *worker) report(o Outcome) {
	r := throttle.Clean
	switch {
	case o.Kind == OutcomeUnsent && !o.Busy:
		return
	case o.Busy:
		r = throttle.Busy
	case o.Kind == OutcomeDeferred:
		r = throttle.Deferred
	}
	w.g.Throttle.Report(w.g.now(), w.dest.Name, r)
}

// reservations are the deliveries that a worker has picked and not settled.
type reservations struct {
	mu  sync.Mutex
	ids map[DeliveryID]struct{} // guarded by mu
}

func (r *reservations) add(id DeliveryID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.ids[id]; taken {
		return false
	}
	if r.ids == nil {
		r.ids = map[DeliveryID]struct{}{}
	}
	r.ids[id] = struct{}{}
	return true
}

func (r *reservations) has(id DeliveryID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, taken := r.ids[id]
	return taken
}

func (r *reservations) remove(id DeliveryID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ids, id)
}

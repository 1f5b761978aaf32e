package gateway

import (
	"context"
	"fmt"
	"time"

	"tidepost/scheduler"
)

// Retries says when a deferred delivery is tried again.
type Retries []time.Duration

// After returns the wait after the n-th try, counted from 1. The last wait
// repeats.
func (r Retries) After(n int) time.Duration {
	if len(r) == 0 {
		return 15 * time.Minute
	}
	return r[min(max(n, 1), len(r))-1]
}

// After returns the state that an outcome leads to, and the event that tells
// of it. It is the whole state machine of an attempt: doc.go has it as a table.
func (d *Delivery) After(o Outcome, now time.Time, retries Retries) (*Delivery, Event) {
	n := d.Next()
	n.Reply = replyText(o)
	switch o.Kind {
	case OutcomeDelivered:
		n.State, n.Reason, n.Due = Delivered, "delivered", time.Time{}
		return n, Event{Kind: EventDelivered, Detail: n.Reply}
	case OutcomeFailed:
		n.State, n.Reason, n.Due = Bounced, "refused", time.Time{}
		return n, Event{Kind: EventBounced, Reason: "refused", Detail: n.Reply}
	case OutcomeUnsent:
		n.State, n.Due, n.Reason = Waiting, time.Time{}, "unsent"
		n.Attempts--
		n.Reply = d.Reply
		return n, Event{Kind: EventTakenBack, Reason: "unsent", Detail: o.Text}
	}
	due := now.Add(jitter(retries.After(int(n.Attempts))))
	end, client := n.end()
	switch last := end.Add(-lastTry); {
	case end.IsZero() || !due.After(last):
	case now.Before(last):
		due = last // one last try
	case client:
		n.State, n.Reason, n.Due = Dropped, string(scheduler.Deadline), time.Time{}
		return n, Event{Kind: EventDropped, Reason: n.Reason, Detail: n.Reply}
	default:
		n.State, n.Reason, n.Due = Bounced, "expired", time.Time{}
		return n, Event{Kind: EventBounced, Reason: "expired", Detail: n.Reply}
	}
	n.State, n.Reason, n.Due = Waiting, "retry", due
	return n, Event{Kind: EventDeferred, Reason: "retry", Detail: n.Reply}
}

// lastTry is how long before the end the last try is due: at the end itself it
// would be too late.
const lastTry = 5 * time.Second

// end is when trying ends: the give-up time, or the client's own deadline, past
// which it wants the mail dropped (client is set).
func (d *Delivery) end() (end time.Time, client bool) {
	if d.HardDeadline && !d.Deadline.IsZero() && (d.Expires.IsZero() || d.Deadline.Before(d.Expires)) {
		return d.Deadline, true
	}
	return d.Expires, false
}

func replyText(o Outcome) string {
	switch {
	case o.Code == 0:
		return o.Text
	case o.Status == "":
		return fmt.Sprintf("%d %s", o.Code, o.Text)
	}
	return fmt.Sprintf("%d %s %s", o.Code, o.Status, o.Text)
}

// settle is the settle commit (design rule 5 c). A notification that the
// outcome owes is accepted first, so that a crash in between repeats it
// instead of losing it.
func (g *Gateway) settle(ctx context.Context, k Key, d *Delivery, stored *Stored, o Outcome) {
	n, event := d.After(o, g.now(), g.Retry)
	if n.State == Dropped {
		o.Status = "5.4.7" // delivery time expired (RFC 3463 §3.5)
	}
	g.notify(context.WithoutCancel(ctx), n, stored, o)
	g.trace(k, n, stored.Message)
	g.enqueue(step{key: k, do: func(t *turn) {
		t.then(func() { g.inflight.remove(d.ID) })
		t.settle(d.ID, n, event)
		t.bounced(n, o)
	}})
}

// settle stores what an attempt came to.
func (t *turn) settle(id DeliveryID, n *Delivery, event Event) {
	was := t.box.Delivery(id)
	if was == nil || was.Rev >= n.Rev {
		return // the owner moved on: a person dropped it meanwhile
	}
	ref := slotRef(n)
	switch {
	case n.State == Delivered:
		t.took()
		if !t.head().Gates.Settle(n.Slot, ref, t.now) { // newer sends have washed it out of the ring
			t.box.Gates.Count(n.send(t.now))
		}
		t.sent(n)
		t.g.models.left(was, t.now)
	case n.State == Bounced || n.State == Dropped || event.Kind == EventTakenBack && n.Attempts == 0:
		t.head().Gates.Return(n.Slot, ref)
		n.Slot = time.Time{}
	}
	t.put(n, event)
	t.count(n, event)
	if n.State == Waiting {
		t.schedule(n)
	}
	if n.Settled() && n.Class.Bulk() {
		t.replanBulk(n.ID) // its slot is dated anew, or free
	}
}

// count keeps the sums that metrics and quotas show.
func (t *turn) count(n *Delivery, event Event) {
	m := &t.g.Metrics
	switch event.Kind {
	case EventDelivered:
		m.Delivered.Add(1)
	case EventBounced:
		m.Bounced.Add(1)
	case EventDropped:
		m.Dropped.Add(1)
	case EventDeferred:
		m.Deferred.Add(1)
	case EventTakenBack:
		m.TakenBack.Add(1)
	}
	if n.Settled() {
		t.g.held.add(n.Tenant, -1)
	}
}

// expire gives a delivery up that could not be tried, or tried again, in time.
// A deadline of the client's that came first is a drop, not a failure.
func (t *turn) expire(d *Delivery) {
	if _, client := d.end(); client {
		t.drop(d.Next(), string(scheduler.Deadline), Event{Kind: EventDropped})
		return
	}
	g, k, n := t.g, t.box.Key, d.Next()
	t.tell(n.ID, func() { g.giveUpOn(k, n) })
}

// giveUpOn bounces a delivery whose time is over.
func (g *Gateway) giveUpOn(k Key, n *Delivery) {
	ctx := context.Background()
	n.State, n.Reason, n.Due = Bounced, "expired", time.Time{}
	if n.Reply == "" {
		n.Reply = "no connection to the destination"
	}
	if stored, err := g.Store.Body(ctx, n.Ref); err == nil {
		g.notify(ctx, n, stored, Outcome{Kind: OutcomeFailed, Status: "5.4.7", Text: n.Reply})
		stored.Close()
	}
	g.enqueue(step{key: k, do: func(t *turn) {
		t.then(func() { g.telling.remove(n.ID) })
		d := t.box.Delivery(n.ID)
		if d == nil || d.State != Waiting {
			return
		}
		last := d.Next() // the owner may have planned it anew meanwhile
		last.State, last.Reason, last.Due, last.Reply = n.State, n.Reason, n.Due, n.Reply
		t.settle(n.ID, last, Event{Kind: EventBounced, Reason: "expired", Detail: n.Reply})
	}})
}

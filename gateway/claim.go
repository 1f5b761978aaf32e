package gateway

import (
	"context"
	"time"

	"tidepost/scheduler"
)

// claim is the release commit (design rule 5 b). It returns the delivery in
// state Sending, durable, or nil when it may not leave now.
func (g *Gateway) claim(ctx context.Context, k Key, id DeliveryID) *Delivery {
	var claimed *Delivery
	err := g.perform(ctx, k, func(t *turn) {
		t.then(func() { // before what the turn puts back into the queue is looked at
			if claimed == nil {
				g.inflight.remove(id)
			}
		})
		claimed = t.claim(id)
		t.again(id)
	})
	if err != nil {
		return nil // nothing is sent; the reservation goes with the process
	}
	return claimed
}

// claim takes a delivery that may leave now, and its slot in the ring.
func (t *turn) claim(id DeliveryID) *Delivery {
	d := t.releasable(id)
	if d == nil {
		return nil
	}
	n := d.Next()
	n.State, n.Due, n.Started = Sending, time.Time{}, t.now
	n.Attempts++
	if n.Slot.IsZero() {
		n.Slot = t.now
		t.head().Gates.Count(n.send(t.now))
	}
	t.durable()
	t.put(n, Event{Kind: EventReleased, Reason: n.Reason})
	return n
}

// send is what the ring keeps of a delivery.
func (d *Delivery) send(at time.Time) scheduler.Send {
	return scheduler.Send{At: at, Weight: uint8(d.Class), Bulk: d.Class.Bulk(), Ref: slotRef(d)}
}

// releasable checks everything that may have changed since the delivery was
// planned, or since a connection looked at it: who stopped it, its time,
// permission, deadline, quiet hours, cap and gap. It returns nil when the
// delivery may not leave now.
func (t *turn) releasable(id DeliveryID) *Delivery {
	d := t.box.Delivery(id)
	if d == nil || d.Rev == 0 || d.Paused || d.State == Captured || t.g.telling.has(id) {
		return nil
	}
	if t.g.park(d, t.box.Key, t.g.Line(domain(t.box.Address))) {
		return nil
	}
	if d.State == Sending {
		if d = t.resolveDoubt(d); d.Paused {
			return nil
		}
	}
	if d.Due.After(t.now) {
		t.schedule(d)
		return nil
	}
	if !t.permitted(d) {
		return nil
	}
	return d
}

// permitted plans a delivery once more; one that may not leave now is held,
// dropped or given up, in the same turn.
func (t *turn) permitted(d *Delivery) bool {
	if !d.Expires.IsZero() && !t.now.Before(d.Expires) {
		t.expire(d)
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

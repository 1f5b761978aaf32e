package gateway

import (
	"context"
	"slices"
	"sync"
	"time"
)

// maxTogether is how many recipients one transaction takes at most: what every
// host must accept (RFC 5321 §4.5.3.1.8).
const maxTogether = 100

// siblings reserves the other deliveries of a message that are due now in the
// same line, so that they leave in one transaction: what is composed is the same
// for all of them. They are only picked here; each one's owner decides in its
// claim.
func (g *Gateway) siblings(ctx context.Context, line string, m *Message, d *Delivery) []*Delivery {
	now, n := g.now(), len(m.Recipients)
	var out []*Delivery
	for i := 1; i < n && len(out) < maxTogether-1; i++ {
		ordinal := (int(d.ID.Ordinal) + i) % n
		r := &m.Recipients[ordinal]
		if g.Line(domain(r.Canonical)) != line {
			continue
		}
		box, err := g.Store.Mailbox(ctx, r.Mailbox)
		if err != nil {
			break // whoever looks at it next says so
		}
		if o := box.Delivery(DeliveryID{m.ID, uint32(ordinal)}); o != nil && g.mayJoin(o, now) && g.inflight.add(o.ID) {
			out = append(out, o)
		}
	}
	return out
}

// mayJoin reports whether a delivery is due and in no special state.
func (g *Gateway) mayJoin(d *Delivery, now time.Time) bool {
	return d.State == Waiting && d.Rev > 0 && !d.Paused && !d.Due.After(now) && !g.telling.has(d.ID)
}

// claimAll claims reserved deliveries at the same time, so that their commits
// share a sync, and returns those that may leave.
func (g *Gateway) claimAll(ctx context.Context, all []*Delivery) []*Delivery {
	claimed := make([]*Delivery, len(all))
	var wg sync.WaitGroup
	for i, d := range all[1:] {
		wg.Go(func() { claimed[i+1] = g.claim(ctx, d.Mailbox, d.ID) })
	}
	claimed[0] = g.claim(ctx, all[0].Mailbox, all[0].ID)
	wg.Wait()
	return slices.DeleteFunc(claimed, func(d *Delivery) bool { return d == nil })
}

// notAfter is when it is too late to write MAIL for the first claimed of them.
func notAfter(claimed []*Delivery) time.Time {
	first := claimed[0].Started
	for _, d := range claimed[1:] {
		if d.Started.Before(first) {
			first = d.Started
		}
	}
	return first.Add(mailWithin)
}

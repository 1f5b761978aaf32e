package replay

import (
	"time"

	"tidepost/scheduler"
)

// turn plans what is marked in a mailbox, acts, and plans again what that has
// changed, until all that is left waits. Then it tells of new plans.
func (e *Engine) turn(x Box, b *box, yield func(Decision)) {
	e.decide(x, b, yield)
	e.tell(x, b.waits, yield)
	e.settle(x, b)
}

// decide plans what is marked, in order of arrival. What does not wait is released
// or dropped at once, and the plans of the others may have changed by that.
func (e *Engine) decide(x Box, b *box, yield func(Decision)) {
	q := b.waits
	for len(e.plans) < len(q.items) {
		e.plans = append(e.plans, scheduler.Plan{})
	}
	for i := 0; i < len(q.mails); i++ {
		m := &q.mails[i]
		if !m.look {
			continue
		}
		m.look, m.fresh = false, true
		if e.plans[i] = e.plan(x, b, q, i); e.plans[i].Action != scheduler.Hold {
			e.act(x, b, i, yield)
			i = -1
		}
	}
}

// plan asks the scheduler about one item, given the others.
func (e *Engine) plan(x Box, b *box, q *queue, i int) scheduler.Plan {
	m := &q.mails[i]
	t := e.tenants[m.tenant-1]
	if b.stopped && e.mayNot(x, m) {
		return t.noChoice(b, e.now, scheduler.Plan{Action: scheduler.Drop, At: e.now, Reason: Suppressed})
	}
	p := e.ask(x, b, q, i)
	if m.bulk && !m.told {
		m.told = true
		t.planned(&p.Decision, &q.items[i])
	}
	if p.Decision.Propensity == 0 {
		p = t.noChoice(b, e.now, p)
	}
	if m.bulk && p.Action == scheduler.Drop && p.Reason != scheduler.Deadline && p.Reason != scheduler.Superseded &&
		!t.drops.allow(t.MaxDrop, e.now) {
		if p.Reason.OfModel() { // it leaves in the best of its hours, wanted or not
			q.items[i].Droppable, e.asked = false, asked{}
			return e.plan(x, b, q, i)
		}
		p.Action, p.At, p.Reason = scheduler.Hold, e.now.Add(time.Hour), MaxDrop
	}
	return p
}

// asked is what else the request depends on that the planner has begun, while
// nothing happens: a mail of other rules is another request.
type asked struct {
	tenant Tenant // 0: none was begun
	sees   scheduler.Sees
	bulk   bool
}

// ask begins a request where that of the item before will not do.
func (e *Engine) ask(x Box, b *box, q *queue, i int) scheduler.Plan {
	m := &q.mails[i]
	t := e.tenants[m.tenant-1]
	pile := len(q.items) > maxItems
	key := asked{m.tenant, max(t.Sees, m.sees, b.sees), m.bulk}
	if key == e.asked && !pile {
		return e.planner.Plan(i)
	}
	e.asked = key
	r := &e.request
	*r = scheduler.Request{Now: e.now, Zone: b.zone, Gates: &b.gates, Items: q.items, Mailbox: b.key}
	if m.bulk {
		r.Profile, r.Model, r.Sees = &b.profile, t.model, key.sees
		if key.sees <= scheduler.SeesClick && t.asksModel() && b.profile.Clock.Evidence() >= 0.5 { // with less it is hardly ever looked at
			r.Curve = e.curves.of(x, b, t.model.Clock)
		}
	}
	if pile {
		r.Items, i = e.few(q, i), 0
	}
	e.planner.Begin(&t.Policy, r)
	return e.planner.Plan(i)
}

// noChoice completes a plan that no arm had a say in.
func (t *tenant) noChoice(b *box, now time.Time, p scheduler.Plan) scheduler.Plan {
	p.Decision.Propensity = 1
	switch {
	case t.Only != nil:
		p.Decision.Arm = *t.Only
	case t.Live:
		p.Decision.Arm = scheduler.Arm(t.Arms.Of(t.Salt, b.key, now))
	}
	return p
}

// few is Items[i] of a pile with the first of the others, and those that may
// supersede it.
func (e *Engine) few(q *queue, i int) []scheduler.Item {
	e.items = append(e.items[:0], q.items[i])
	for j := range q.items {
		rival := q.items[i].Supersede != "" && q.items[j].Supersede == q.items[i].Supersede
		if j != i && (rival || len(e.items) < maxItems) {
			e.items = append(e.items, q.items[j])
		}
	}
	return e.items
}

// act releases or drops the item in place i and marks what that may change.
func (e *Engine) act(x Box, b *box, i int, yield func(Decision)) {
	q := b.waits
	m, it := q.mails[i], &q.items[i]
	p := e.plans[i]
	e.asked = asked{}
	p.At = e.now
	d := Decision{At: e.now, Box: x, Tenant: m.tenant, Name: m.name, ID: it.ID, Plan: p}
	if p.Action == scheduler.Now {
		e.sent(x, b, &m, it)
		e.curves.drop(x)
	}
	q.remove(i)
	copy(e.plans[i:len(q.items)], e.plans[i+1:])
	if m.bulk {
		q.look()
	}
	yield(d)
}

// sent counts a release.
func (e *Engine) sent(x Box, b *box, m *mail, it *scheduler.Item) {
	t := e.tenants[m.tenant-1]
	ref, sees := uint16(it.ID), max(t.Sees, m.sees, b.sees)
	b.gates.Count(scheduler.Send{At: second(e.now), Weight: it.Weight, Bulk: m.bulk, Ref: ref})
	b.profile.Sent(t.model, b.zone, scheduler.Sent{
		At: e.now, Ref: ref, Topic: it.Topic, Pressure: it.Pressure,
		Observable: m.bulk && sees <= scheduler.SeesDay, Sees: sees,
	})
	if b.mixed {
		e.wrote(x, it.ID, m.tenant)
	}
}

// tell yields the holds that are new, or whose time or reason has changed.
func (e *Engine) tell(x Box, q *queue, yield func(Decision)) {
	e.asked = asked{}
	for i := range q.mails {
		m, it := &q.mails[i], &q.items[i]
		if !m.fresh {
			continue
		}
		m.fresh = false
		p := &e.plans[i]
		at := second(p.At)
		if !at.After(e.now) {
			at = second(e.now.Add(time.Nanosecond))
		}
		due := nanos(at)
		it.Doomed = p.Decision.Would == scheduler.Drop
		changed := !m.shown || m.due != due || m.reason != p.Reason
		m.due, m.reason, m.shown = due, p.Reason, true
		if changed {
			p.At = at
			yield(Decision{At: e.now, Box: x, Tenant: m.tenant, Name: m.name, ID: it.ID, Plan: *p})
		}
	}
}

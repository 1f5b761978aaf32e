package gateway

import (
	"path"
	"slices"
	"sync"
	"time"

	"tidepost/scheduler"
	"tidepost/suppression"
)

// planNew plans a delivery for the first time and tells that it was accepted. m is
// its message, nil where that is not at hand.
func (t *turn) planNew(id DeliveryID, m *Message, duplicate bool) {
	d := t.box.Delivery(id)
	if d == nil || d.Rev > 0 {
		return
	}
	var told []Event
	if m != nil {
		for _, n := range m.Notes {
			told = append(told, Event{Kind: EventIgnored, Reason: "header", Detail: n})
		}
		t.locate(m.Zone)
		if m.Class != Transactional {
			t.g.rulebooks.messages.put(m)
		}
	}
	if duplicate {
		t.g.Metrics.Duplicates.Add(1)
		told = append(told, Event{Kind: EventDuplicate, Reason: "message_id"})
	}
	n := d.Next()
	n.Duplicate = duplicate
	t.plan(n, append([]Event{t.g.accepted(n, t.now)}, told...)...)
	if d.Supersede != "" {
		t.replanOthers(d)
	}
	if d.Class.Bulk() {
		t.replanBulk(id)
	}
}

// locate takes over the time zone that a sender names.
func (t *turn) locate(name string) {
	if name != "" && name != t.box.Zone && zone(name) != nil {
		t.head().Zone = name
	}
}

// replanOthers looks again at what a newer message may have superseded.
func (t *turn) replanOthers(newer *Delivery) {
	for _, d := range t.box.Deliveries {
		if d.ID != newer.ID && d.Supersede == newer.Supersede {
			t.replan(d.ID)
		}
	}
}

// replanBulk looks again at the bulk mail that waits beside a delivery: there is
// news of its reader, or a rival. Of a pile the first few are looked at; the rest
// when they are due.
func (t *turn) replanBulk(beside DeliveryID) {
	var ids [maxItems]DeliveryID
	n := 0
	for _, d := range t.box.Deliveries {
		if d.ID != beside && d.State == Waiting && d.Rev > 0 && d.Attempts == 0 && d.Class.Bulk() && !d.Paused && !d.Forced && n < len(ids) {
			ids[n] = d.ID
			n++
		}
	}
	for _, id := range ids[:n] {
		t.replan(id)
	}
}

// replan decides again about a waiting delivery, or for the first time where
// that has not been done yet. It goes by the id: planning one delivery may have
// settled another.
func (t *turn) replan(id DeliveryID) {
	switch d := t.box.Delivery(id); {
	case d == nil || d.State != Waiting || t.g.telling.has(id):
	case d.Rev == 0:
		t.planNew(id, nil, d.Duplicate)
	default:
		t.plan(d.Next())
	}
}

// plan decides now, later or never for n, a next state of a waiting delivery,
// and stores what was decided.
func (t *turn) plan(n *Delivery, told ...Event) {
	entry, err := t.suppressed(n)
	if entry != nil {
		t.drop(n, "suppressed", Event{Kind: EventSuppressed, Detail: entry.Scope.String() + " " + string(entry.Reason)}, told...)
		return
	}
	p := t.planned(n)
	if err != nil && n.Class != Transactional {
		p = scheduler.Plan{Action: scheduler.Hold, At: t.now.Add(time.Minute), Reason: suppressionUnreadable}
	}
	p = t.guard(n, p)
	was := t.box.Delivery(n.ID)
	n.Reason = string(p.Reason)
	if !p.Decision.At.IsZero() { // a retry keeps the one it has
		n.Decision = p.Decision.AppendBinary(nil)
	}
	if n.Rev == 1 && n.Class.Bulk() {
		t.g.models.tenant(n.Tenant).planned(&p.Decision, n, t.g.Rules(n.Tenant))
	}
	if n.Rev == 1 && len(told) > 0 {
		told[0].Facts = t.record(n, &p)
	}
	switch p.Action {
	case scheduler.Drop:
		t.drop(n, n.Reason, Event{Kind: EventDropped, Detail: t.said}, told...)
		return
	case scheduler.Hold:
		n.Due = p.At
		if len(told) == 0 && was.sameplan(n) && n.Due.After(t.now) {
			return // it stands in the queue for that instant
		}
		if n.Rev == 1 || n.Reason != was.Reason || !lookedAt(n.Reason) {
			told = append(told, Event{Kind: EventHeld, Reason: n.Reason, Detail: t.said})
		}
	default:
		n.Due = time.Time{}
		if len(told) == 0 && was.sameplan(n) {
			t.schedule(n)
			return
		}
		if n.Rev == 1 {
			told = append(told, Event{Kind: EventPlanned, Reason: n.Reason})
		}
	}
	if n.Attempts == 0 {
		n.Expires = later(t.now, n.Due).Add(t.g.giveUp(n.Class))
	}
	t.put(n, told...)
	t.schedule(n)
}

// guard turns a drop by policy into a hold where too many are dropped.
func (t *turn) guard(n *Delivery, p scheduler.Plan) scheduler.Plan {
	if !n.Class.Bulk() {
		return p
	}
	drops := &t.g.drops
	if n.Rev == 1 {
		drops.planned(n.Tenant, t.now)
	}
	if p.Action != scheduler.Drop || clients(p) {
		return p
	}
	if p.Reason == scheduler.Limit && t.box.Wishes.PerWeek > 0 {
		return p // the reader's
	}
	ok, first := drops.allow(n.Tenant, t.g.Rules(n.Tenant).MaxDrop, t.now)
	if ok {
		return p
	}
	if first {
		t.g.log().Error("more than policy.max_drop of an hour's bulk mail would be dropped; it is kept instead", "tenant", n.Tenant)
	}
	if p.Reason.OfModel() { // it leaves in the best of its hours, wanted or not
		n.Spared = true
		return t.planned(n)
	}
	return scheduler.Plan{Action: scheduler.Hold, At: t.now.Add(time.Hour), Reason: "max_drop", Decision: p.Decision}
}

// clients reports whether the client itself asked for a drop.
func clients(p scheduler.Plan) bool {
	return p.Action == scheduler.Drop && (p.Reason == scheduler.Deadline || p.Reason == scheduler.Superseded)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// planned asks the scheduler about n, given all that waits for its mailbox.
func (t *turn) planned(n *Delivery) scheduler.Plan {
	rules := t.g.Rules(n.Tenant)
	r := scheduler.Request{Now: t.now, Zone: t.box.Location(), Gates: &t.box.Gates}
	if n.Class.Bulk() {
		r.Mailbox, r.Profile, r.Model, r.Sees = t.box.Key.draw(), t.profile(), t.g.model(n.Tenant), t.g.sees(t.box, n)
	}
	r.Items = append(r.Items, item(t.box, n, rules))
	v := t.ruled(n)
	open, rule := t.open(n, &v)
	t.bend(&r.Items[0], n, &v)
	if n.Class.Bulk() || n.Supersede != "" {
		r.Items = t.others(r.Items, n, rules)
	}
	policy := t.g.policy(n, rules, t.now)
	heed(&policy, t.box)
	p := policy.Plan(&r, 0)
	t.said = ""
	if v.Kind == ruleDrop && slices.Contains(rules.Drop, n.Class) && !n.Spared && !clients(p) {
		t.said = ruleDetail(&v, v.Rule)
		return scheduler.Plan{Action: scheduler.Drop, At: t.now, Reason: reasonRule}
	}
	if p.Action == scheduler.Hold && p.Reason == scheduler.NotBefore && open.After(n.NotBefore) {
		p.Reason, t.said = reasonRule, ruleDetail(&v, rule)
	}
	if p.Action == scheduler.Now && t.g.closed(n, rules, t.now) {
		p = scheduler.Plan{Action: scheduler.Hold, At: t.now.Add(time.Minute), Reason: permissionIsLate, Decision: p.Decision}
	}
	return p
}

// policy is the rules' with what this installation, people at run time and
// experiments add.
func (g *Gateway) policy(d *Delivery, rules *Rules, at time.Time) scheduler.Policy {
	p := rules.Policy
	p.Salt, p.Live = g.Salt, g.live(d, rules)
	g.randomise(&p, d, rules, at)
	return p
}

// sameplan reports whether planning again came to the same: then nothing is
// stored. The numbers behind it may have moved a little.
func (d *Delivery) sameplan(n *Delivery) bool {
	if d == nil || d.Rev == 0 || d.State != n.State || d.Reason != n.Reason || !d.Due.Equal(n.Due) || d.Paused != n.Paused || d.Spared != n.Spared {
		return false
	}
	was, err := d.Why()
	is, _ := n.Why()
	return err == nil && was.Would == is.Would && was.Arm == is.Arm
}

// others adds what else waits for the mailbox and is not stopped by a person. A
// mailbox with thousands waiting is an alarm list: each is planned among a few, and
// those that may supersede it.
func (t *turn) others(items []scheduler.Item, n *Delivery, rules *Rules) []scheduler.Item {
	ordered := t.g.Rulebook().ordered
	s := &t.g.settings
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, d := range t.box.Deliveries {
		rival := n.Supersede != "" && d.Supersede == n.Supersede
		if d.State != Waiting || d.Paused || d.ID == n.ID || !rival && len(items) >= maxItems {
			continue
		}
		if _, stopped := s.stoppedLocked(d); !stopped || rival {
			o := item(t.box, d, rules)
			if d.Reason == string(reasonRule) { // what a rule holds takes no turn before
				o.NotBefore = later(o.NotBefore, d.Due)
			}
			if ordered { // all of them by the same order, or each would wait for the other
				v := t.ruled(d)
				rank(&o, &v)
			}
			items = append(items, o)
		}
	}
	return items
}

const maxItems = 32

// urgentPriority is the MT-PRIORITY from which on mail is not held.
const urgentPriority = 4

func item(box *Mailbox, d *Delivery, rules *Rules) scheduler.Item {
	return scheduler.Item{
		ID: d.ID.Hash(), Accepted: d.Accepted, NotBefore: d.NotBefore, Deadline: d.Deadline,
		HardDeadline: d.HardDeadline, Window: d.Window,
		Bypass: d.Class == Transactional || d.Priority >= urgentPriority || d.Forced, Exempt: d.Class == Triggered,
		Counted: !d.Slot.IsZero(), Droppable: slices.Contains(rules.Drop, d.Class) && !d.Spared, Priority: d.Priority,
		Value: d.Value, HalfLife: d.HalfLife, Supersede: supersede(d), Weight: uint8(d.Class),
		Topic: topic(d), Pressure: pressure(d.Class), Aim: d.Aim, Sensitive: rules.sensitive(d.List), Doomed: doomed(d),
		Limited: box.Wishes.PerWeek > 0,
	}
}

// supersede makes a client's key unique to its tenant.
func supersede(d *Delivery) string {
	if d.Supersede == "" {
		return ""
	}
	return d.Tenant + "\x00" + d.Supersede
}

var zones sync.Map // name → *time.Location

// zone returns the named time zone, or nil. Of what is none nothing is kept, nor of
// one's other spellings: names come from outside. "Local" is ours, not a reader's.
func zone(name string) *time.Location {
	if name == "" || name == "Local" {
		return nil
	}
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location)
	}
	z, err := time.LoadLocation(name)
	if err != nil || path.Clean(name) != name {
		return nil
	}
	zones.Store(name, z)
	return z
}

// suppressed returns the entry that stops a delivery, or nil. An error is
// closed on permission (design rule 4): bulk waits until the list can be read.
func (t *turn) suppressed(d *Delivery) (*suppression.Entry, error) {
	entries, err := t.entries()
	if err != nil {
		t.g.log().Error("the suppression list cannot be read; bulk mail waits", "error", err)
		return nil, err
	}
	e, _ := suppression.Match(entries, query(d, t.box.Audience, t.now))
	return e, nil
}

// drop settles a delivery that will not be sent. last tells of it. Where the
// client is owed a notification that is written first: a crash in between costs
// a second notification, never one.
func (t *turn) drop(n *Delivery, reason string, last Event, told ...Event) {
	last.Reason = reason
	if t.mayOweDrop(n) {
		g, k := t.g, t.box.Key
		t.tell(n.ID, func() { g.reportDrop(k, n, last) })
		if n.Rev == 1 { // tell of the acceptance now, and come back if we die before the end
			n.Reason, n.Due = reason, t.now.Add(reportRetry)
			t.put(n, told...)
			t.schedule(n)
		}
		return
	}
	t.settleDrop(n, last, told...)
}

func (t *turn) settleDrop(n *Delivery, last Event, told ...Event) {
	n.State, n.Reason, n.Due = Dropped, last.Reason, time.Time{}
	if !n.Slot.IsZero() {
		t.head().Gates.Return(n.Slot, slotRef(n))
	}
	t.put(n, append(told, last)...)
	t.g.held.add(n.Tenant, -1)
	if last.Kind == EventSuppressed {
		t.g.Metrics.Suppressed.Add(1)
	} else {
		t.g.Metrics.Dropped.Add(1)
	}
}

// schedule puts the mailbox into its queue once the turn is committed.
func (t *turn) schedule(n *Delivery) {
	if n.Paused {
		return
	}
	s := t.g.slot(t.box, n, t.now)
	t.then(func() { t.g.push(s) })
}

// slot is a delivery's place in the queue.
func (g *Gateway) slot(box *Mailbox, d *Delivery, now time.Time) slot {
	return slot{g.Line(domain(box.Address)), d.Tenant, !d.Class.Bulk(), entry{box.Key, dueSeconds(d.Due, now)}}
}

func domain(canonical string) string {
	for i := len(canonical) - 1; i >= 0; i-- {
		if canonical[i] == '@' {
			return canonical[i+1:]
		}
	}
	return ""
}

func (g *Gateway) giveUp(c Class) time.Duration {
	if c.Bulk() {
		return g.GiveUpBulk
	}
	return g.GiveUpTransactional
}

package scheduler

import (
	"math/bits"
	"time"
)

// edgeLead keeps planned last chances clear of the edge behind them: the start of
// quiet hours, a hard deadline. A release takes a moment, and one that slips past
// the edge waits all night or is dropped.
const edgeLead = time.Minute

// Plan plans Items[i], given the others of the mailbox. It is deterministic and
// allocates nothing. Gap and cap let items through one after the other; an item that
// must wait for its turn is planned behind those that go before it, so plan again
// when one of them is gone.
//
// With a Model the plan carries the model's Decision. Under observation that is all
// the model does; live, the mailbox's arm decides within what the gates permit. A
// retry was decided about before its first attempt: nobody holds it for another hour.
func (p *Policy) Plan(r *Request, i int) Plan {
	if plan, done := p.unasked(r, i); done {
		return plan
	}
	var t table
	t.begin(p, r)
	return t.asked(i)
}

// unasked plans an item about which the model is not asked.
func (p *Policy) unasked(r *Request, i int) (Plan, bool) {
	if plan, done := p.ungated(r, i); done {
		return plan, true
	}
	if r.Model == nil || r.Items[i].Counted {
		return p.gated(r, i, p.ahead(r, i)), true
	}
	if arm := p.arm(r); arm != ArmModel {
		return p.other(r, i, arm), true
	}
	return Plan{}, false
}

// asked plans an item by the model, or under observation by the gates.
func (t *table) asked(i int) Plan {
	plan := t.plan(i)
	if !t.p.live() {
		d := plan.Decision
		plan = t.p.gated(t.r, i, t.p.ahead(t.r, i))
		plan.Decision = d
	}
	return plan
}

// Next returns the item to act on first and its plan: any that is to be dropped,
// else the one to release now (bypass before others, then priority, deadline and
// acceptance). If all wait it returns -1 and the plan that ends first; with no
// items its At is zero.
func (p *Policy) Next(r *Request) (int, Plan) {
	if r.Model != nil && p.live() {
		return p.nextLive(r)
	}
	return r.pick(func(i int) Plan { return p.alone(r, i) })
}

// nextLive is Next where arms decide: the model puts items into order itself, so
// each is planned among the others.
func (p *Policy) nextLive(r *Request) (int, Plan) {
	var t table
	t.begin(p, r)
	return r.pick(func(i int) Plan {
		if plan, done := p.unasked(r, i); done {
			return plan
		}
		return t.plan(i)
	})
}

// pick returns the item to act on first, given how each is planned.
func (r *Request) pick(planned func(i int) Plan) (int, Plan) {
	best, now := -1, Plan{Action: Now, At: r.Now}
	wait := Plan{Action: Hold}
	for i := range r.Items {
		plan := planned(i)
		switch {
		case plan.Action == Drop:
			return i, plan
		case plan.Action == Now && (best < 0 || r.Items[i].before(&r.Items[best])):
			best, now = i, plan
		case plan.Action == Hold && (wait.At.IsZero() || plan.At.Before(wait.At)):
			wait = plan
		}
	}
	if best < 0 {
		return -1, wait
	}
	return best, now
}

// alone plans Items[i] as if nothing went before it. That is right for whichever
// item is first.
func (p *Policy) alone(r *Request, i int) Plan {
	if plan, done := p.ungated(r, i); done {
		return plan
	}
	return p.gated(r, i, queue{gates: gatesOf(r)})
}

// ungated applies the rules that gates have no say in.
func (p *Policy) ungated(r *Request, i int) (Plan, bool) {
	it := &r.Items[i]
	switch {
	case it.expired(r.Now):
		return Plan{Action: Drop, At: r.Now, Reason: Deadline}, true
	case r.superseded(i):
		return Plan{Action: Drop, At: r.Now, Reason: Superseded}, true
	case (it.Bypass || it.Exempt) && it.NotBefore.After(r.Now):
		return Plan{Action: Hold, At: it.NotBefore, Reason: NotBefore}, true
	case it.Bypass:
		return Plan{Action: Now, At: r.Now, Reason: Transactional}, true
	case it.Exempt:
		return Plan{Action: Now, At: r.Now, Reason: Triggered}, true
	}
	return Plan{}, false
}

// gated plans an item that quiet hours, gap and cap may hold.
func (p *Policy) gated(r *Request, i int, q queue) Plan {
	it, zone := &r.Items[i], p.zone(r.Zone)
	from := later(r.Now, it.NotBefore)
	end := later(from, p.windowEnd(it, r.Now))
	open, why := q.gates.Check(later(from, q.at), p, zone, it)
	if why == "" && open.After(from) {
		why = q.why
	}
	switch {
	case !open.After(r.Now):
		return Plan{Action: Now, At: r.Now, Reason: NoHold}
	case !open.After(end) && why == QuietHours:
		return Plan{Action: Hold, At: p.spread(open, end, zone, it), Reason: why}
	case !open.After(end) && why == "":
		return Plan{Action: Hold, At: open, Reason: NotBefore}
	case !open.After(end):
		return Plan{Action: Hold, At: open, Reason: why}
	}
	last, ok := p.lastChance(from, end, zone, it)
	if !ok {
		return p.morning(open, end, zone, it)
	}
	return p.atLimit(it, r.Now, last, why)
}

// atLimit decides about an item that gap or cap still stop at the last instant it
// may leave. It is dropped only then, not as soon as that is foreseen: a slot may
// be returned and an operator may change the policy while it waits.
func (p *Policy) atLimit(it *Item, now, last time.Time, why Reason) Plan {
	drop := p.DropAtLimit && it.Droppable || it.Limited
	switch {
	case last.After(now) && drop:
		return Plan{Action: Hold, At: last, Reason: why}
	case last.After(now):
		return Plan{Action: Hold, At: last, Reason: WindowEnd}
	case drop:
		return Plan{Action: Drop, At: now, Reason: Limit}
	}
	return Plan{Action: Now, At: now, Reason: WindowEnd}
}

// morning plans an item whose time is up at night and that had no chance in the
// evening before: it goes when quiet hours end, late, and if a hard deadline
// passes before that it waits for the deadline to drop it.
func (p *Policy) morning(open, end time.Time, zone *time.Location, it *Item) Plan {
	at := p.Quiet.Until(end, zone)
	limit := at.Add(p.Jitter)
	if it.HardDeadline && !it.Deadline.IsZero() {
		if !at.Before(it.Deadline) {
			return Plan{Action: Hold, At: it.Deadline, Reason: QuietHours}
		}
		limit = earlier(limit, later(at, it.Deadline.Add(-edgeLead)))
	}
	return Plan{Action: Hold, At: p.spread(at, limit, zone, it), Reason: QuietHours}
}

// windowEnd is the latest time gap and cap may hold the item to. An acceptance
// ahead of now is the clock's fault: by a little, the window starts now; by more
// than clockSlack, the item's age is unknown and its window counts as over.
func (p *Policy) windowEnd(it *Item, now time.Time) time.Time {
	window := p.MaxHold
	if it.Window > 0 {
		window = min(it.Window, maxWindow)
	}
	if it.Accepted.After(now.Add(clockSlack)) {
		return now
	}
	end := earlier(it.Accepted, now).Add(window)
	if it.Deadline.IsZero() {
		return end
	}
	if it.HardDeadline {
		return earlier(end, it.Deadline.Add(-edgeLead))
	}
	return earlier(end, it.Deadline)
}

// lastChance is the last instant from from to end that is not quiet. In front of
// quiet hours it keeps edgeLead away and is spread, so that an evening does not
// end in a burst.
func (p *Policy) lastChance(from, end time.Time, zone *time.Location, it *Item) (time.Time, bool) {
	if !p.quiet(end, zone) {
		return end, true
	}
	edge := p.Quiet.since(end, zone).Add(-edgeLead)
	last := later(from, edge.Add(-p.jitter(it, p.Jitter)))
	if p.quiet(last, zone) {
		last = later(from, edge)
	}
	return last, !p.quiet(last, zone)
}

// spread moves a release at the end of quiet hours by the item's jitter, at most to
// limit and not into the next quiet hours.
func (p *Policy) spread(at, limit time.Time, zone *time.Location, it *Item) time.Time {
	moved := at.Add(p.jitter(it, min(p.Jitter, limit.Sub(at))))
	if p.quiet(moved, zone) {
		return at
	}
	return moved
}

func (p *Policy) quiet(t time.Time, zone *time.Location) bool {
	return p.Quiet.Until(t, zone).After(t)
}

// jitter is the item's own share of room, uniform over items. It depends on nothing
// but the id, so planning again does not move a plan.
func (p *Policy) jitter(it *Item, room time.Duration) time.Duration {
	if room <= 0 {
		return 0
	}
	// The finaliser of splitmix64: ids need not be well mixed in their high bits.
	x := it.ID + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	share, _ := bits.Mul64(x^x>>31, uint64(room))
	return time.Duration(share)
}

// queue is a mailbox's ring as it will be when the items before one of them have
// gone.
type queue struct {
	gates Gates
	at    time.Time // when the last of them goes; zero: there is none
	why   Reason    // what it waits for; empty: nothing
}

// ahead lets the items that go before Items[i] go, each at the first instant the
// gates permit, until the item's window is over.
func (p *Policy) ahead(r *Request, i int) queue {
	q, it := queue{gates: gatesOf(r)}, &r.Items[i]
	if it.Counted || p.MinGap <= 0 && p.WeeklyCap <= 0 {
		return q
	}
	from := later(r.Now, it.NotBefore)
	end := later(from, p.windowEnd(it, r.Now))
	for j := range r.Items {
		o := &r.Items[j]
		if j == i || !o.takesTurn(r.Now, from) || !o.before(it) {
			continue
		}
		open, why := q.gates.Check(later(r.Now, q.at), p, r.Zone, o)
		q.at = open
		if why != "" {
			q.why = why
		}
		if open.After(end) {
			break
		}
		q.gates.Count(Send{At: open, Bulk: true})
	}
	return q
}

// takesTurn reports whether the item will claim a slot by that time.
func (it *Item) takesTurn(now, by time.Time) bool {
	return !it.Bypass && !it.Exempt && !it.Counted && !it.NotBefore.After(by) && !it.expired(now)
}

// before orders items for release.
func (it *Item) before(o *Item) bool {
	switch {
	case it.Bypass != o.Bypass:
		return it.Bypass
	case it.Priority != o.Priority:
		return it.Priority > o.Priority
	case !it.Deadline.Equal(o.Deadline):
		return !it.Deadline.IsZero() && (o.Deadline.IsZero() || it.Deadline.Before(o.Deadline))
	case !it.Accepted.Equal(o.Accepted):
		return it.Accepted.Before(o.Accepted)
	}
	return it.ID < o.ID
}

func (it *Item) expired(now time.Time) bool {
	return it.HardDeadline && !it.Deadline.IsZero() && !now.Before(it.Deadline)
}

// superseded reports whether a newer item replaces Items[i]. One that is to be
// dropped itself replaces nothing, and bulk never replaces transactional mail.
func (r *Request) superseded(i int) bool {
	it := &r.Items[i]
	if it.Supersede == "" {
		return false
	}
	for j := range r.Items {
		o := &r.Items[j]
		if j != i && o.Supersede == it.Supersede && o.newer(it) && !o.expired(r.Now) && (o.Bypass || !it.Bypass) {
			return true
		}
	}
	return false
}

func (it *Item) newer(o *Item) bool {
	if !it.Accepted.Equal(o.Accepted) {
		return it.Accepted.After(o.Accepted)
	}
	return it.ID > o.ID
}

func gatesOf(r *Request) Gates {
	if r.Gates == nil {
		return Gates{}
	}
	return *r.Gates
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

package scheduler

import (
	"time"

	"tidepost/scheduler/clock"
)

// fixedHour is when ArmFixedHour sends, local time.
const fixedHour = 10

// other plans Items[i] by an arm other than the model's. None of them looks at what
// the model thinks of the reader.
func (p *Policy) other(r *Request, i int, arm Arm) Plan {
	var plan Plan
	it := &r.Items[i]
	d := Decision{At: r.Now, Live: true, Arm: arm, Model: r.Model.Version, Propensity: 1}
	switch arm {
	case ArmRandom:
		even := 0
		if plan, even = p.random(r, i, RandomArm); even > 0 {
			d.Propensity = 1 / float32(even)
		}
	case ArmFixedHour:
		plan = p.fixed(r, i)
	case ArmHistogram:
		plan = p.histogram(r, i)
	case ArmNone:
		if it.Droppable && it.weight() >= 1 {
			plan = Plan{Action: Drop, At: r.Now, Reason: NoneArm}
			break
		}
		fallthrough
	default:
		if plan = p.gated(r, i, p.ahead(r, i)); plan.Reason == NoHold {
			plan.Reason = ControlArm
		}
	}
	d.Would, d.WouldAt = plan.Action, plan.At
	plan.Decision = d
	return plan
}

// permitted lists the hours in which Items[i] may leave, those that are gone too,
// so that a draw among them stays what it was.
func (p *Policy) permitted(r *Request, it *Item, h *hours) bounds {
	b := p.bounds(r, it)
	h.fill(p.zone(r.Zone), p.Quiet, b.from, b.end)
	return b
}

// at plans an item for the hour of an instant, now if that is gone and the gates
// still permit.
func (p *Policy) at(r *Request, i int, at int64, why Reason) Plan {
	plan := p.gated(r, i, queue{gates: gatesOf(r)})
	switch {
	case at > r.Now.Unix():
		return Plan{Action: Hold, At: time.Unix(at, 0).In(r.Now.Location()), Reason: why}
	case plan.Action == Now && plan.Reason == NoHold:
		plan.Reason = why
	}
	return plan
}

// random plans an item for one of its permitted hours, each as likely as the others
// and drawn by its id. Where there is none the gates decide. Should another item
// close the gap before its hour has come, it is drawn again from what is left.
func (p *Policy) random(r *Request, i int, why Reason) (plan Plan, even int) {
	it := &r.Items[i]
	var h hours
	b := p.permitted(r, it, &h)
	for k := range h.n {
		if _, ok := h.at(k, &b, p.Quiet); ok {
			even++
		}
	}
	draw := int(unit(hash(hash(p.Salt, 'r'), it.ID)) * float64(even))
	for k := range h.n {
		at, ok := h.at(k, &b, p.Quiet)
		if !ok {
			continue
		}
		if draw == 0 {
			return p.at(r, i, at, why), even
		}
		draw--
	}
	return p.gated(r, i, p.ahead(r, i)), 0
}

// fixed plans an item for the next permitted ten o'clock, or if its window has none
// as the gates say.
func (p *Policy) fixed(r *Request, i int) Plan {
	var h hours
	b := p.permitted(r, &r.Items[i], &h)
	for k := range h.n {
		if int(h.local[k])%24 != fixedHour {
			continue
		}
		if at, ok := h.at(k, &b, p.Quiet); ok {
			return p.at(r, i, at, FixedHour)
		}
	}
	return p.gated(r, i, p.ahead(r, i))
}

// histogram plans an item for the permitted hour in which its reader was seen most.
func (p *Policy) histogram(r *Request, i int) Plan {
	if r.Profile == nil || r.Profile.Clock.Evidence() < thin || r.Sees > SeesClick {
		return p.gated(r, i, p.ahead(r, i))
	}
	var curve clock.Curve
	r.Profile.Clock.Curve(r.Model.Clock, &curve)
	o := outlook{facts: facts{utc: r.Profile.Clock.Unzoned()}}
	var h hours
	b := p.permitted(r, &r.Items[i], &h)
	best, at := float32(-1), int64(0)
	for k := range h.n {
		t, ok := h.at(k, &b, p.Quiet)
		if seen := curve[o.place(&h, k)]; ok && seen > best {
			best, at = seen, t
		}
	}
	if best < 0 {
		return p.gated(r, i, p.ahead(r, i))
	}
	return p.at(r, i, at, Histogram)
}

// place is the hour of the week of the k-th hour in the clock's own time.
func (o *outlook) place(h *hours, k int) int {
	if o.utc {
		return hourOfWeek(h.from[k])
	}
	return int(h.local[k])
}

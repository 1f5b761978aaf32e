package scheduler

import (
	"math"
	"time"

	"tidepost/scheduler/interest"
)

const (
	never = -1e30 // utility of an hour in which an item may not leave

	// enough of the best is good enough to leave at once: what is left of the
	// difference is noise of the estimate.
	enough = 0.02

	// warmth is the temperature of the model arm's draw, in units of a usual utility.
	warmth = 0.015

	surge, lull = 3, 20 * 60 // momentum: how much, and its mean life in seconds

	leastMails = 3 // outcomes known below which nothing is dropped

	margin = 0.25 // standard errors by which a utility must be below 0 for a drop
)

// rival is one item as the model sees it: what it is worth in each hour in which
// it may leave.
type rival struct {
	i    int
	item *Item
	own  bool // its reader is the profile's, else the shared one
	b    bounds

	value, read, sd float32 // worth; probability of a reading; its standard error
	pressing        float32 // reads that its pressure costs later
	price           float32
	weight          float32
	mail            interest.Mail

	at    [maxHours]int32   // seconds since the first hour, 0: not in this hour
	u     [maxHours]float32 // utility
	gain  [maxHours]float32 // of it, reading
	first int               // hours in which it may leave: the first, and behind the last
	last  int
	best  int // the hour of the greatest utility, -1: there is none
	next  int // the second best

	here float32 // gain of leaving now, whether it may or not
}

func (it *Item) worth() float32 {
	if it.Value > 0 {
		return it.Value
	}
	return 1
}

func (it *Item) weight() float32 {
	if it.Pressure > 0 {
		return it.Pressure
	}
	return 1
}

func (p *Policy) aim(it *Item) Aim {
	switch {
	case it.Aim != AimDefault:
		return it.Aim
	case p.Aim != AimDefault:
		return p.Aim
	}
	return AimSoonest
}

// bounds of an item.
func (p *Policy) bounds(r *Request, it *Item) bounds {
	from := later(earlier(it.Accepted, r.Now), it.NotBefore)
	if !it.Counted && r.Gates != nil {
		from, _ = r.Gates.limitsSince(from, r.Now, p)
	}
	own := hash(p.Salt, it.ID)
	return bounds{from: ceil(from), end: p.end(r, it), jitter: int64(own >> 32 * spreadOver >> 32), share: uint32(own)}
}

// end is the last instant of the item's window.
func (p *Policy) end(r *Request, it *Item) int64 {
	return later(later(r.Now, it.NotBefore), p.windowEnd(it, r.Now)).Unix()
}

func ceil(t time.Time) int64 {
	if t.Nanosecond() > 0 && t.Unix() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// know asks the model about an item.
func (v *rival) know(p *Policy, r *Request, i int, o *outlook) {
	it := &r.Items[i]
	v.i, v.item, v.own = i, it, o.own
	v.weight = it.weight()
	v.mail = interest.Mail{At: o.anchor, Topic: fold(it.Topic), Weight: v.weight}
	if !o.own {
		v.mail.Topic = 0
	}
	v.value, v.price = it.worth(), r.Price
	v.read = float32(o.state.Read(o.prior, v.mail))
	v.pressing = v.weight * o.strain
	v.best, v.next = -1, -1
}

// fade is what is left of the value at an instant.
func (v *rival) fade(at int64) float32 {
	if v.item.HalfLife <= 0 {
		return 1
	}
	age := max(at-v.item.Accepted.Unix(), 0)
	return float32(math.Exp2(-float64(age) / v.item.HalfLife.Seconds()))
}

// rate fills in what the item is worth in each hour.
func (v *rival) rate(p *Policy, r *Request, h *hours, o *outlook) {
	var f freshness
	aim := p.aim(v.item)
	if aim == AimReads && o.known {
		f.pass(o, v.item.HalfLife)
	}
	now := r.Now.Unix()
	v.first, v.last = h.n, 0
	for k := range h.n {
		t, ok := h.at(k, &v.b, p.Quiet)
		if k == 0 && ok {
			t, ok = v.current(p, h, o, t, now)
		}
		if !ok {
			v.at[k], v.u[k] = 0, never
			continue
		}
		v.at[k] = int32(t-h.from[0]) + 1
		v.gain[k] = v.reading(p, aim, &f, h, o, k, t)
		v.u[k] = v.gain[k] - v.cost(o, k)
		v.first, v.last = min(v.first, k), k+1
		v.rank(k)
	}
	v.here = v.reading(p, aim, &f, h, o, 0, max(now, h.from[0]))
}

// unwanted reports whether the model would rather not send the item: its best
// utility is surely below zero. Thin evidence never says so.
func (v *rival) unwanted(o *outlook) bool {
	top := v.here - v.cost(o, 0)
	if v.best >= 0 {
		top = v.u[v.best]
	}
	return o.state.Mails() >= leastMails && top < -margin*v.sd*v.value
}

// now are the parts of leaving at once.
func (v *rival) now(o *outlook) Parts {
	d := v.parts(o, 0)
	d.Read = v.here
	return d
}

func (v *rival) rank(k int) {
	switch {
	case v.best < 0 || v.u[k] > v.u[v.best]:
		v.best, v.next = k, v.best
	case v.next < 0 || v.u[k] > v.u[v.next]:
		v.next = k
	}
}

// current is the hour at hand: its instant may be gone, and who is reading right now
// gets the mail right now.
func (v *rival) current(p *Policy, h *hours, o *outlook, t, now int64) (int64, bool) {
	if t > now && o.momentum(p, now) > 1.5 {
		t = max(now, v.b.from)
	}
	if _, quiet := h.quiet(0, now, p.Quiet); t <= now && quiet && p.Quiet.Set() {
		return 0, false
	}
	return t, true
}

// momentum is how much more present the reader is because of what they did last.
func (o *outlook) momentum(p *Policy, at int64) float32 {
	if !p.Momentum || o.active == 0 {
		return 1
	}
	age := at - o.active
	if age < -60 || age > 6*lull {
		return 1
	}
	return 1 + surge*exp(-float32(max(age, 0))/lull)
}

// reading is the part of the utility that leaving at an instant of the k-th hour
// wins.
func (v *rival) reading(p *Policy, aim Aim, f *freshness, h *hours, o *outlook, k int, t int64) float32 {
	gain := float32(1)
	part := float32(t-h.from[k]) / 3600
	if o.known {
		switch aim {
		case AimSoonest:
			gain = o.soonest(k, part)
		case AimHour:
			gain = o.within(k, part)
		case AimReads:
			if k == 0 || f.rest.f != part {
				f.cut(part)
			}
			gain = chance(-log1m(v.read)*f.reading(o, k)) / v.read
		}
	}
	if p.Momentum && k < 2 {
		gain *= o.momentum(p, t)
	}
	return v.read * v.value * v.fade(t) * o.open[k] * gain
}

func log1m(p float32) float32 { return float32(math.Log1p(-float64(min(p, .999)))) }

// cost is the rest of the utility.
func (v *rival) cost(o *outlook, k int) float32 {
	return o.leave[k]*o.loss + o.complain[k]*o.complaint + v.pressing + v.price
}

// parts are the utility of the k-th hour, taken apart.
func (v *rival) parts(o *outlook, k int) Parts {
	return Parts{Read: v.gain[k], Unsubscribe: -o.leave[k] * o.loss, Complaint: -o.complain[k] * o.complaint,
		Future: -v.pressing, Price: -v.price}
}

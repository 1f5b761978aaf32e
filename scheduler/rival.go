package scheduler

import (
	"math"
	"time"

	"tidepost/scheduler/interest"
)

const (
	never = -1e30 // utility of an hour in which an item may not leave

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

	aim             Aim
	hazard          float32 // of reading: -ln(1-read)
	value, read, sd float32 // worth; probability of a reading; its standard error
	pressing        float32 // reads that its pressure costs later
	price           float32
	weight          float32
	mail            interest.Mail
	noise           uint64 // of the item: what its draws are hashed from

	at    [maxHours]int32   // seconds since the first hour, 0: not in this hour
	after [maxHours]uint8   // first hour open to those behind it
	u     [maxHours]float32 // utility
	gain  [maxHours]float32 // of it, reading
	noisy [maxHours]float32 // with the noise of exploration; filled in for rivals
	first int               // hours in which it may leave: the first, and behind the last
	last  int
	best  int // the hour of the greatest utility, -1: there is none

	here float32 // gain of leaving now, whether it may or not
}

// Worth is the relative worth, 1 where none is stated.
func (it *Item) Worth() float32 {
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

// slack is which share of the utility an earlier hour may fall short of the best:
// what is left of the difference is noise of the estimate. By aim, as measured on
// recorded activity (17,000 releases, windows of 24 h): waits differ by a few per
// cent between hours, and .02 would give half of that away; readings hardly suffer,
// and are had sooner.
var slack = [...]float32{AimSoonest: 0, AimHour: 0.005, AimNow: 0, AimReads: 0.01}

// warmth is the temperature of the model arm's draw, in units of a usual utility.
var warmth = [...]float32{AimSoonest: 0.003, AimHour: 0.015, AimNow: 0.003, AimReads: 0.015}

func (p *Policy) aim(it *Item) Aim {
	switch {
	case it.Aim != AimDefault:
		return it.Aim
	case p.Aim != AimDefault:
		return p.Aim
	}
	return AimReads
}

// bounds of an item.
func (p *Policy) bounds(r *Request, it *Item) bounds {
	from := later(earlier(it.Accepted, r.Now), it.NotBefore)
	if !it.Counted && r.Gates != nil {
		from, _ = r.Gates.limitsSince(from, r.Now, p)
	}
	own, first := hash(p.Salt, it.ID), ceil(from)
	if from.Equal(it.Accepted) {
		first = from.Unix() // that second has begun: to wait for the next would be a hold
	}
	return bounds{from: first, end: p.end(r, it), jitter: int64(own >> 32 * spreadOver >> 32), share: uint32(own)}
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
	v.i, v.item, v.own, v.aim = i, it, o.own, p.aim(it)
	v.weight, v.noise = it.weight(), hash(p.Salt, it.ID)
	v.mail = interest.Mail{At: o.anchor, Topic: fold(it.Topic), Weight: v.weight}
	if !o.own {
		v.mail.Topic = 0
	}
	v.value, v.price = it.Worth(), r.Price
	v.read, v.sd = o.reads(v.mail)
	v.pressing = v.weight * o.strain
	v.best = -1
}

// fade is what is left of the value at an instant.
func (v *rival) fade(at int64) float32 {
	age := max(at-v.item.Accepted.Unix(), 0)
	return float32(math.Exp2(-float64(age) / v.item.HalfLife.Seconds()))
}

// rate fills in what the item is worth in each hour.
func (v *rival) rate(p *Policy, r *Request, h *hours, o *outlook) {
	now := r.Now.Unix()
	v.times(p, h, o, now)
	if o.known {
		v.foresee(o)
	}
	v.best = -1
	plain := o.known && v.aim == AimReads && v.item.HalfLife <= 0 // nearly all mail, and reading without its cases
	best, cost := float32(never), v.cost(o)
	for k := v.first; k < v.last; k++ {
		if v.at[k] == 0 {
			continue
		}
		at := h.from[0] + int64(v.at[k]-1)
		var gain float32
		if plain && (k >= 2 || !p.Momentum) {
			gain = v.value * chance(v.hazard*o.fresh.reading(o, k, float32(at-h.from[k])/3600))
		} else {
			gain = v.reading(p, h, o, k, at)
		}
		u := gain - cost
		v.gain[k], v.u[k] = gain, u
		if v.best < 0 || u > best {
			v.best, best = k, u
		}
	}
	v.here = v.reading(p, h, o, 0, max(now, h.from[0]))
}

// times finds when the item may leave in each hour.
func (v *rival) times(p *Policy, h *hours, o *outlook, now int64) {
	v.first, v.last = h.n, 0
	for k := range h.n {
		if h.mute[k] {
			v.at[k], v.u[k] = 0, never
			continue
		}
		t, ok := h.from[k]+v.b.jitter, true
		if until := h.until(k); k == 0 || !h.calm[k] || h.from[k] <= v.b.from || t >= until || until > v.b.end {
			t, ok = h.at(k, &v.b, p.Quiet)
		}
		if k == 0 && ok {
			t, ok = v.current(p, h, o, t, now)
		}
		if !ok {
			v.at[k], v.u[k] = 0, never
			continue
		}
		v.at[k] = int32(t-h.from[0]) + 1
		v.first, v.last = min(v.first, k), k+1
	}
}

// foresee prepares what the aim needs of the outlook.
func (v *rival) foresee(o *outlook) {
	switch v.aim {
	case AimReads:
		o.fresh.pass(o, v.item.HalfLife)
		v.hazard = float32(-math.Log1p(-float64(min(v.read, .999))))
	case AimSoonest:
		o.await()
	}
}

// unwanted reports whether the model would rather not send the item. Where a share
// of the readings is to be kept that is mail which surely is among what brings least
// for what it costs; else mail whose best utility is surely below zero. Thin
// evidence never says so.
func (v *rival) unwanted(o *outlook) bool {
	if !v.item.Droppable || o.mails < leastMails {
		return false
	}
	if o.keeps {
		return v.thrift(o) < o.floor
	}
	top := v.here - v.cost(o) // no hour is left: what counts is now
	if v.best >= 0 {
		top = v.u[v.best]
	}
	return top < -margin*v.sd*v.value
}

// thrift is what the item surely brings for what it costs.
func (v *rival) thrift(o *outlook) float32 {
	return thrift(v.value*(v.read+margin*v.sd), v.cost(o))
}

// now are the parts of leaving at once.
func (v *rival) now(o *outlook) Parts {
	d := v.parts(o, 0)
	d.Read = v.here
	return d
}

// second is the second best hour, or -1.
func (v *rival) second() int {
	second := -1
	for k := v.first; k < v.last; k++ {
		if v.at[k] != 0 && k != v.best && (second < 0 || v.u[k] > v.u[second]) {
			second = k
		}
	}
	return second
}

// current is the hour at hand: its instant may be gone, and who is reading right now
// gets the mail right now.
func (v *rival) current(p *Policy, h *hours, o *outlook, t, now int64) (int64, bool) {
	if t > now && o.momentum(p, now) > 1.5 {
		t = max(now, v.b.from)
	}
	if t <= now && !h.calm[0] {
		_, quiet := h.quiet(0, now, p.Quiet)
		return t, !quiet
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
func (v *rival) reading(p *Policy, h *hours, o *outlook, k int, t int64) float32 {
	gain := v.value * v.read
	if o.known {
		part := float32(t-h.from[k]) / 3600
		switch v.aim {
		case AimSoonest:
			gain *= o.soonest(k, part)
		case AimHour:
			gain *= o.within(k, part)
		case AimReads:
			gain = v.value * chance(v.hazard*o.fresh.reading(o, k, part))
		}
	}
	if v.item.HalfLife > 0 {
		gain *= v.fade(t)
	}
	if p.Momentum && k < 2 {
		gain *= o.momentum(p, t)
	}
	return gain
}

// cost is the rest of the utility.
func (v *rival) cost(o *outlook) float32 {
	return o.leave*o.loss + o.complain*o.complaint + v.pressing + v.price
}

// parts are the utility of the k-th hour, taken apart.
func (v *rival) parts(o *outlook, k int) Parts {
	return Parts{Read: v.gain[k], Unsubscribe: -o.leave * o.loss, Complaint: -o.complain * o.complaint,
		Future: -v.pressing, Price: -v.price}
}

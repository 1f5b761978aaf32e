package scheduler

import (
	"math"
	"time"

	"tidepost/scheduler/clock"
	"tidepost/scheduler/interest"
)

const (
	// thin is the evidence below which a person's own hours are not known.
	thin = 0.5

	// knot is the grid on which pressure is computed; between, it is interpolated.
	knot = 6 * 3600

	leastLoss  = 5  // reads that losing anybody costs at least
	reputation = 10 // reads that a complaint costs besides
)

// outlook is what the model foresees of a reader for one request: when they are
// there, whether they read, how much mail they feel.
type outlook struct {
	ready bool
	own   bool // personal; else what is shared by all
	known bool // hours differ; else mail goes at once
	utc   bool // hours are counted in UTC

	state  interest.State
	prior  *interest.Prior
	kernel *clock.Kernel
	curve  clock.Curve
	rate   float32 // active hours a week
	active int64   // last verified click or visit
	anchor int64   // when what does not depend on the hour is looked at

	pressure, openness float32 // at the anchor
	evidence           float32
	loss, complaint    float32 // reads that an unsubscribe and a complaint cost
	strain             float32 // reads that a unit of pressure costs later
	push               float32 // what a unit of pressure adds to x

	n                      int               // hours foreseen
	open                   [maxHours]float32 // openness relative to the anchor's
	leave, complain        [maxHours]float32 // hazards
	hour                   [maxHours]uint8   // of the week, on the clock's own time
	wait                   [maxHours + 1]float32
	meanWait, meanPresence float32
	waits                  bool
	presence               [clock.Hours]float32
}

// view makes the outlook: of the profile, or where that may not be used of the
// shared curves.
func (o *outlook) view(p *Policy, r *Request, own bool, zone *time.Location) {
	m := r.Model
	o.ready, o.own, o.prior, o.kernel = true, own, m.Interest, &m.Clock.Kernel
	o.anchor = r.anchor()
	var c clock.Clock
	hours := &c
	if own && r.Sees <= SeesClick {
		hours = &r.Profile.Clock
	} else if zone == nil {
		c.Unzone()
	}
	if own {
		o.state, o.active = r.Profile.state(m, o.anchor), r.Profile.active
		o.evidence = hours.Evidence()
	}
	o.utc = hours.Unzoned()
	o.known = o.evidence >= thin || m.supported() && zone != nil
	if o.known {
		o.foresight(m, hours, zone)
	}
	o.weigh(p)
}

// foresight asks the clock for the week from the anchor on.
func (o *outlook) foresight(m *Model, c *clock.Clock, zone *time.Location) {
	wall := o.anchor
	if !o.utc {
		offset, _, _ := segment(zone, o.anchor)
		wall += offset
	}
	first := hourOfWeek(wall)
	var week [clock.Hours]float32
	c.Presence(m.Clock, o.anchor, first, clock.Hours, week[:])
	sum := float32(0)
	for i, q := range week {
		q = min(max(q, 1e-5), .95)
		week[i] = q
		sum += q
	}
	o.meanPresence = sum / clock.Hours
	copy(o.presence[first:], week[:clock.Hours-first])
	copy(o.presence[:first], week[clock.Hours-first:])
}

// weigh takes stock of pressure and of what leaving costs.
func (o *outlook) weigh(p *Policy) {
	s, prior := &o.state, o.prior
	o.pressure = s.Pressure(prior, o.anchor, 0)
	o.openness = prior.Openness(o.pressure)
	o.push = s.Pressure(prior, o.anchor, 1) - o.pressure
	future := float32(s.Future(prior, o.anchor))
	if o.loss = p.Costs.Leave; o.loss == 0 {
		o.loss = max(leastLoss, future)
	}
	if o.complaint = p.Costs.Reputation; o.complaint == 0 {
		o.complaint = reputation
	}
	o.complaint += o.loss
	// A unit of pressure integrates to 7/tolerance days of x (decision model 4.2).
	const step = 0.01
	slope := (1 - prior.Openness(o.pressure+step)/o.openness) / step
	o.strain = 7 / s.Tolerance(prior) * future / 182 * slope
}

// state is the interest with what was opened counted as read: the profile itself
// waits for the next mail, so that a click that follows an open counts with it.
// Mail that lies unread counts as far as a reading would have come by then.
func (p *Profile) state(m *Model, at int64) interest.State {
	s := p.Interest
	for i := range p.sends[:p.n] {
		n := &p.sends[i]
		if n.flags&wasDone != 0 {
			continue
		}
		if n.flags&(wasOpened|wasClicked) != 0 {
			mail, read, clicked, weight := p.outcome(m, n)
			s.Resolve(m.Interest, mail, read, clicked, weight)
		} else if n.mass > 0 && n.flags&clicksOnly == 0 && at > n.at {
			s = s.Provisional(m.Interest, float64(at-n.at)/3600, 1)
		}
	}
	return s
}

// anchor is the latest acceptance: as constant as the list of what waits, so that
// what is foreseen does not move while nothing happens.
func (r *Request) anchor() int64 {
	at := int64(0)
	for i := range r.Items {
		at = max(at, r.Items[i].Accepted.Unix())
	}
	return min(at, r.Now.Unix())
}

// foresee fills in the hours that a plan looks at.
func (o *outlook) foresee(h *hours) {
	if o.n == h.n {
		return
	}
	o.n = h.n
	o.burden(h)
	for k := range h.n {
		o.hour[k] = uint8(o.place(h, k))
	}
	if o.known {
		o.await(h.n)
	}
}

// burden foresees pressure, which fades while nothing is sent. A reader of whom no
// hours are known is not made to wait for that.
func (o *outlook) burden(h *hours) {
	leave, complain := o.state.Leave(o.prior, o.anchor, o.pressure)
	if !o.known {
		for k := range h.n {
			o.open[k], o.leave[k], o.complain[k] = 1, float32(leave), float32(complain)
		}
		return
	}
	l := &o.prior.Leaving
	type point struct{ open, leave, complain float32 }
	look := func(at int64) point {
		x := o.state.Pressure(o.prior, at, 0)
		d := x - o.pressure
		return point{o.prior.Openness(x) / o.openness,
			float32(leave) * exp(l.UnsubscribeSlope*d), float32(complain) * exp(l.ComplaintSlope*d)}
	}
	left := floor(h.from[0], knot) * knot
	a, b := look(left), look(left+knot)
	for k := range h.n {
		for h.from[k] >= left+knot {
			left += knot
			a, b = b, look(left+knot)
		}
		f := float32(h.from[k]-left) / knot
		o.open[k] = a.open + f*(b.open-a.open)
		o.leave[k] = a.leave + f*(b.leave-a.leave)
		o.complain[k] = a.complain + f*(b.complain-a.complain)
	}
}

// await computes how long a mail lies at each hour until its reader is next there:
// one backward pass around the week makes the wait after the last hour, from which
// the hours that matter follow. Presence is that of the week at hand, repeated.
func (o *outlook) await(n int) {
	at := int(o.hour[n-1]) + 1 // first hour behind
	a, b := float32(0), float32(1)
	sumA, sumB := float32(0), float32(0)
	for range clock.Hours {
		if at--; at < 0 {
			at = clock.Hours - 1
		}
		q := o.presence[at]
		a, b = 1-q/2+(1-q)*a, (1-q)*b
		sumA, sumB = sumA+a, sumB+b
	}
	w := a / (1 - b)
	o.meanWait = (sumA + sumB*w) / clock.Hours
	o.wait[n] = w
	for k := n - 1; k >= 0; k-- {
		q := o.presence[o.hour[k]]
		w = 1 - q/2 + (1-q)*w
		o.wait[k] = w
	}
}

func (o *outlook) next(k int) int {
	h := int(o.hour[k]) + 1
	if h == clock.Hours {
		return 0
	}
	return h
}

// soonest is how much sooner than at an average hour a mail that leaves in the
// k-th hour, when a part f of it is gone, is read.
func (o *outlook) soonest(k int, f float32) float32 {
	rest := 1 - f
	here := o.presence[o.hour[k]] * rest
	return o.meanWait / ((1-here)*(rest+o.wait[k+1]) + here*rest/2)
}

// within is how much likelier than at an average hour a mail is read within 60
// minutes.
func (o *outlook) within(k int, f float32) float32 {
	return ((1-f)*o.presence[o.hour[k]] + f*o.presence[o.next(k)]) / o.meanPresence
}

// soon is how present the reader is in the hour of an instant and the two after it.
func (o *outlook) soon(k int) float32 {
	sum, h := float32(0), int(o.hour[k])
	for range 3 {
		sum += o.presence[h]
		if h++; h == clock.Hours {
			h = 0
		}
	}
	return sum
}

func exp(x float32) float32 { return float32(math.Exp(float64(x))) }

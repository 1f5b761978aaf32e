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

	// What leaving costs is the same for everybody: were it the reads expected of the
	// person, the model would hold back mail from just those who read it, and in closed
	// loop it did. The figures are the largest with which, in closed loop, 95 % of a
	// plain relay's reads are left also where volume tires nobody; twice as much halves
	// the mail sent and loses 7 to 18 % of the reads there.
	usualLoss  = 5   // reads that losing anybody costs
	reputation = 5   // reads that a complaint costs besides
	burden     = .25 // share of the reads that pressure costs later that counts, for the same reason
)

// outlook is what the model foresees of a reader for one request: when they are
// there, whether they read, how much mail they feel.
type outlook struct {
	facts
	curve    clock.Curve
	hour     [maxHours]uint8      // of the week, on the clock's own time
	presence [clock.Hours]float32 // by hour of the week, of the week that begins at the anchor
	wait     [maxHours + 1]float32
	fresh    freshness
}

// facts are the numbers that each view begins anew.
type facts struct {
	ready bool
	own   bool // personal; else what is shared by all
	known bool // hours differ; else mail goes at once
	utc   bool // hours are counted in UTC

	state  interest.State
	prior  *interest.Prior
	kernel *clock.Kernel
	active int64 // last verified click or visit
	anchor int64 // when what does not depend on the hour is looked at

	pressure, openness float32 // at the anchor
	evidence           float32
	mails              int     // outcomes known; mail that lies unread is none yet
	loss, complaint    float32 // reads that an unsubscribe and a complaint cost
	strain             float32 // reads that a unit of pressure costs later
	push               float32 // what a unit of pressure adds to x
	keeps              bool    // a share of the readings is to be kept
	floor              float32 // thrift below which mail is among what brings least

	leave, complain        float32 // hazards
	n                      int     // hours foreseen
	meanPresence, meanWait float32
	peak                   float32 // of presence
	waits                  bool    // wait is filled in

	asked    interest.Mail // whose read and sd these are; its weight is never 0
	read, sd float32
}

// view makes the outlook: of the profile, or where that may not be used of the
// shared curves.
func (o *outlook) view(p *Policy, r *Request, own bool, zone *time.Location, last int64) {
	m := r.Model
	o.facts = facts{ready: true, own: own, prior: m.Interest, kernel: &m.Clock.Kernel, anchor: r.anchor()}
	var c clock.Clock
	hours := &c
	if own && r.Sees <= SeesClick {
		hours = &r.Profile.Clock
	} else if zone == nil {
		c.Unzone()
	}
	if own {
		o.state, o.active = r.Profile.state(m, o.anchor), r.Profile.active
		o.evidence, o.mails = hours.Evidence(), r.Profile.Interest.Mails()
	}
	o.utc = hours.Unzoned()
	o.known = o.evidence >= thin || m.supported() && zone != nil
	if o.known {
		o.foresight(r, hours, zone, last)
	}
	o.weigh(p)
	if o.keeps, o.floor = p.Keep > 0, 0; o.keeps {
		o.floor = m.Demand.Floor(p.Keep)
	}
}

// foreseen is how many hours behind the last window presence is asked for. What lies
// behind them matters little, and follows the curve.
const foreseen = 24

// spread continues presence known for n hours of the week by the curve, at the level
// of what is known, the hours just after now aside.
func spread(week *[clock.Hours]float32, n int, curve *clock.Curve, first int) {
	const fresh = 12
	there, usual := float32(0), float32(1e-9)
	hour := (first + fresh) % clock.Hours
	for i := fresh; i < n; i++ {
		there += week[i]
		usual += curve[hour]
		if hour++; hour == clock.Hours {
			hour = 0
		}
	}
	level := there / usual
	for i := n; i < clock.Hours; i++ {
		week[i] = level * curve[hour]
		if hour++; hour == clock.Hours {
			hour = 0
		}
	}
}

// foresight asks the clock for the week from the anchor on.
func (o *outlook) foresight(r *Request, c *clock.Clock, zone *time.Location, last int64) {
	wall := o.anchor
	if !o.utc {
		offset, _, _ := segment(zone, o.anchor)
		wall += offset
	}
	first := hourOfWeek(wall)
	curve := r.Curve
	if curve == nil || r.Profile == nil || c != &r.Profile.Clock {
		curve = &o.curve
		c.Curve(r.Model.Clock, curve)
	}
	n := int(min((last-o.anchor)/3600+2+foreseen, clock.Hours))
	var week [clock.Hours]float32
	c.PresenceOn(r.Model.Clock, curve, o.anchor, first, week[:n])
	spread(&week, n, curve, first)
	sum, peak := float32(0), float32(0)
	for i, q := range week {
		if q < 1e-5 {
			q = 1e-5
		} else if q > .95 {
			q = .95
		}
		week[i] = q
		sum += q
		if q > peak {
			peak = q
		}
	}
	o.meanPresence, o.peak = sum/clock.Hours, peak
	copy(o.presence[first:], week[:clock.Hours-first])
	copy(o.presence[:first], week[clock.Hours-first:])
}

// reads is the probability that the mail is read, and its standard error. Mails of
// one topic are alike.
func (o *outlook) reads(m interest.Mail) (p, sd float32) {
	if o.asked != m {
		o.asked, o.read = m, float32(o.state.Read(o.prior, m))
		if o.mails >= leastMails {
			o.sd = float32(o.state.Sd(o.prior, m))
		}
	}
	return o.read, o.sd
}

// weigh takes stock of pressure and of what leaving costs, once for all hours:
// pressure fades while a mail waits, but all mail waiting alike presses as much, and
// a model that hopes for less of it holds everything to the end of its window (in
// closed loop that took a third of what choosing the hour had won).
func (o *outlook) weigh(p *Policy) {
	s, prior := &o.state, o.prior
	o.pressure = s.Pressure(prior, o.anchor, 0)
	o.openness = prior.Openness(o.pressure)
	o.push = s.Pressure(prior, o.anchor, 1) - o.pressure
	leave, complain := s.Leave(prior, o.anchor, o.pressure)
	o.leave, o.complain = float32(leave), float32(complain)
	if o.loss = p.Costs.Leave; o.loss == 0 {
		o.loss = usualLoss
	}
	if o.complaint = p.Costs.Reputation; o.complaint == 0 {
		o.complaint = reputation
	}
	o.complaint += o.loss
	// A unit of pressure integrates to 7/tolerance days of x (decision model 4.2).
	const step = 0.01
	slope := (1 - prior.Openness(o.pressure+step)/o.openness) / step
	o.strain = burden * 7 / s.Tolerance(prior) * float32(s.Future(prior, o.anchor)) / 182 * slope
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
		} else if n.mass > 0 && p.sees != SeesClick && at > n.at {
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
	for k := range h.n {
		o.hour[k] = uint8(o.place(h, k))
	}
	o.waits, o.fresh.set = false, false
}

// await computes how long a mail lies at each hour until its reader is next there:
// one backward pass around the week makes the wait after the last hour, from which
// the hours that matter follow. Presence is that of the week at hand, repeated.
func (o *outlook) await() {
	if o.waits {
		return
	}
	o.waits = true
	n := o.n
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

// within is how likely a mail is read within 60 minutes, as a share of that at the
// best hour of the week.
func (o *outlook) within(k int, f float32) float32 {
	return ((1-f)*o.presence[o.hour[k]] + f*o.presence[o.next(k)]) / o.peak
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

package clock

import "math"

// appearance is a moment at which it was watched who shows up afterwards.
type appearance struct {
	clock Clock
	slot  int64
	came  [watched]bool // in each of the hours from slot on
}

const (
	watched      = 72 // hours after an appearance's moment
	perPerson    = 16 // moments
	perMoment    = 8  // hours of those watched that are learned from
	maxAppear    = 20000
	startLooking = .3 // share of a history after which it is known well enough
)

// watch adds moments spread evenly over the later part of a history.
func (s *study) watch(c *Clock, later []int64, slot, last int64) {
	if len(s.seen) >= maxAppear || slot+watched > last {
		return
	}
	a := appearance{clock: *c, slot: slot}
	for _, t := range later {
		if t-slot >= watched {
			break
		}
		if t >= slot {
			a.came[t-slot] = true
		}
	}
	s.seen = append(s.seen, a)
}

// learnCome fits the logistic of showing up, with the curves of p.
func (s *study) learnCome(p *Prior) come {
	k := p.come
	if len(s.seen) < 200 {
		return k
	}
	k.typical = s.typicalRate()
	examples := make([]example, 0, len(s.seen)*perMoment)
	for i := range s.seen {
		examples = s.seen[i].examples(p, &k, i, examples)
	}
	copy(k.w[:], softmax(examples, p.come.w[:], 20))
	return k
}

// typicalRate is the median of the persons' active hours a week.
func (s *study) typicalRate() float32 {
	var l float64
	for i := range s.now {
		c := &s.now[i]
		n := sum(c.day[:]) / grow(c.last-c.ref, slowHalf)
		l += math.Log(float64(n+.2) / float64(c.span(c.last)+1))
	}
	return float32(math.Exp(l / float64(len(s.now))))
}

// examples are yes or no choices: the second alternative has the inputs, the first none.
func (a *appearance) examples(p *Prior, k *come, salt int, out []example) []example {
	var curve Curve
	a.clock.Curve(p, &curve)
	at := (a.slot - 72) * 3600
	ever, weeks, days, hours := a.clock.recency(k, at)
	for j := range perMoment {
		lead := j*(watched/perMoment) + (salt*7+j*5)%(watched/perMoment)
		lnCurve := ln(max(curve[wrap(int((a.slot+int64(lead))%Hours))], 1e-6))
		row := comeInput(lnCurve, ever, weeks, days, hours, float32(math.Pow(fadeHour, float64(lead))))
		e := example{f: make([]float32, 2*comeInputs), y: []float32{1, 0}}
		for i, x := range row {
			e.f[2*i+1] = x
		}
		if a.came[lead] {
			e.y[0], e.y[1] = 0, 1
		}
		out = append(out, e)
	}
	return out
}

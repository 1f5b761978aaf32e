package clock

const comeInputs = 8

// come says how likely somebody shows up at all: a logistic of the curve and of
// recency. Recency says whether somebody will come, the curve in which hour.
type come struct {
	w       [comeInputs]float32
	typical float32 // active hours a week of somebody unknown
}

var builtInCome = come{w: [comeInputs]float32{-4, 1, .3, .3, .2, .1, 0, 0}, typical: 2}

const (
	pseudoWeeks = 1 // of the typical rate, that a person's own rate is shrunk to
	week        = 7 * 86400
)

// lately is what Presence knows of a person apart from the curve.
type lately struct {
	fixed float32 // the part of the logit that is the same for all hours
	curve float32 // weight of ln(curve)
	fast  float32 // part of the logit that fades as hours pass
}

// recency returns the inputs that do not depend on the hour asked for: logarithms
// of the rate ever, and of what was seen of late, in active hours a week.
func (c *Clock) recency(k *come, at int64) (ever, weeks, days, hours float32) {
	slow := grow(c.last-c.ref, slowHalf) // relative to ref; at adds the idle time
	idle := grow(at-c.last, slowHalf)
	var n, due float32
	for d := range c.day {
		n += c.day[d]
		due += c.dueDay[d]
	}
	n /= slow * idle
	span := c.span(at)
	rate := (n + pseudoWeeks*k.typical) / (span + pseudoWeeks)
	acts := c.acts / (slow * idle)
	if acts < n/2 || n == 0 {
		return c.mailOnly(k, n, due/(slow*idle))
	}
	var r [3]float32
	for i := range r {
		r[i] = c.recent[i] * exp(float32(-float64(at-c.last)/recents[i])) * float32(week/recents[i])
	}
	return ln(rate), ln(.2 + r[2]), ln(.5 + r[1]), ln(2 + r[0])
}

// mailOnly is recency where only reads of mail were seen: somebody who gets little
// mail is not therefore seldom there. All that can be said is whether he reads
// more or less than expected.
func (c *Clock) mailOnly(k *come, n, due float32) (ever, weeks, days, hours float32) {
	rate := k.typical * max(.25, min(4, (n+2)/(due+2)))
	return ln(rate), ln(.2 + rate), ln(.5 + rate), ln(2 + rate)
}

// span is how many weeks the clock has been watching, forgotten like its counters.
func (c *Clock) span(at int64) float32 {
	const mean = slowHalf / .6931472 / week
	return mean * (1 - 1/grow(at-c.born, slowHalf))
}

// lately sums up recency as of at.
func (c *Clock) lately(k *come, at int64) lately {
	if !c.known {
		r := k.typical
		return k.sum(ln(r), ln(.2+r), ln(.5+r), ln(2+r))
	}
	return k.sum(c.recency(k, max(at, c.last)))
}

// sum weighs the inputs; comeInput lists them for the fit, in the same order.
func (k *come) sum(ever, weeks, days, hours float32) lately {
	w := &k.w
	return lately{
		fixed: w[0] + w[2]*ever + w[3]*weeks + w[4]*days + w[5]*hours,
		curve: w[1] + w[7]*ever,
		fast:  w[6] * hours,
	}
}

// comeInput is one hour's row of inputs.
func comeInput(lnCurve, ever, weeks, days, hours, fade float32) [comeInputs]float32 {
	return [comeInputs]float32{1, lnCurve, ever, weeks, days, hours, hours * fade, ever * lnCurve}
}

// fadeHour is what is left after an hour of the knowledge that somebody is there right now.
const fadeHour = .78 // a mean of four hours

// Rate is the expected number of active hours in a week, as of at: what the person
// has done ever and of late; the prior's typical rate if nothing is known.
func (c *Clock) Rate(p *Prior, at int64) float32 {
	return Hours * logistic(c.lately(&p.come, at).fixed)
}

// Presence is the probability of being active in each of the next n clock hours,
// the first being that of at, whose hour of week is hour. Out takes at least n.
func (c *Clock) Presence(p *Prior, at int64, hour int, n int, out []float32) {
	var curve Curve
	c.Curve(p, &curve)
	c.PresenceOn(p, &curve, at, hour, out[:n])
}

// PresenceOn is Presence for len(out) hours with the person's curve at hand.
func (c *Clock) PresenceOn(p *Prior, curve *Curve, at int64, hour int, out []float32) {
	l := c.lately(&p.come, at)
	hour = wrap(hour)
	for i := range out {
		if i >= Hours { // only what faded long ago differs from the week before
			out[i] = out[i-Hours]
			continue
		}
		there := curve[hour]
		if there < 1e-6 {
			there = 1e-6
		}
		out[i] = 1 / (1 + exp(-(l.fixed + l.fast + l.curve*ln(there)))) // logistic, in line
		l.fast *= fadeHour
		if hour++; hour == Hours {
			hour = 0
		}
	}
}

func logistic(z float32) float32 { return 1 / (1 + exp(-z)) }

package interest

import (
	"cmp"
	"math"
	"slices"
)

// CapSample is one person of an experiment in which the number of mails was capped
// by lot. Everybody who was assigned counts, also those who left in between: what
// is regressed on is the cap assigned, not the mails borne, so that the tolerance
// of those who stayed is not taken for the tolerance of all.
type CapSample struct {
	Cap          float32 // share of the usual mails assigned by lot, such as .5 or 1.25
	Load         float32 // units of pressure a week that a cap of 1 means for this person
	Offered      float32 // mails a cap of 1 would have meant during the experiment
	Reads        int
	Unsubscribes int
	Complaints   int
}

const (
	capGroups     = 5   // groups by load; within one only the lot differs
	capReads      = 200 // readings below which the shape is kept
	capDepartures = 30  // departures below which a hazard is kept
	priorSpread   = 0.5 // standard deviation of the log of a number guessed by us
)

// FitTolerance refits Tolerance, Power and the hazards from randomised caps. Each
// number is weighed against its old value, so few samples, or caps that do not
// differ, move nothing. The more readings differ between persons, the less a
// sample counts.
func (p *Prior) FitTolerance(samples []CapSample) *Prior {
	q := *p
	groups := byLoad(samples)
	reads, unsubscribes, complaints := 0, 0, 0
	for _, s := range samples {
		reads += s.Reads
		unsubscribes += s.Unsubscribes
		complaints += s.Complaints
	}
	if reads >= capReads {
		q.fitShape(groups)
		q.Fatigue.Measured = true
	}
	l, t := &q.Leaving, q.Fatigue.Tolerance
	if unsubscribes >= capDepartures {
		l.Unsubscribe, l.UnsubscribeSlope = fitHazard(samples, t, l.Unsubscribe, l.UnsubscribeSlope, CapSample.unsubscribed)
	}
	if complaints >= capDepartures {
		l.Complaint, l.ComplaintSlope = fitHazard(samples, t, l.Complaint, l.ComplaintSlope, CapSample.complained)
	}
	q.Version++
	return q.derive()
}

func (s CapSample) unsubscribed() float64 { return float64(s.Unsubscribes) }
func (s CapSample) complained() float64   { return float64(s.Complaints) }

// byLoad splits the samples into groups of like load: load was not drawn by lot,
// and people who are sent much differ in many ways.
func byLoad(samples []CapSample) [][]CapSample {
	sorted := slices.Clone(samples)
	slices.SortStableFunc(sorted, func(a, b CapSample) int { return cmp.Compare(a.Load, b.Load) })
	var groups [][]CapSample
	for g := range capGroups {
		from, to := g*len(sorted)/capGroups, (g+1)*len(sorted)/capGroups
		if to > from {
			groups = append(groups, sorted[from:to])
		}
	}
	return groups
}

// fitShape finds the likeliest Tolerance and Power on a grid. Half is kept: only
// its product with Tolerance shows in how people read.
func (p *Prior) fitShape(groups [][]CapSample) {
	old, noise := p.Fatigue, overdispersion(groups)
	best := math.Inf(-1)
	for step := -30; step <= 30; step++ {
		for _, power := range []float32{1, 1.5, 2, 2.5, 3, 4} {
			try := *p
			try.Fatigue.Tolerance = old.Tolerance * float32(math.Exp(float64(step)/20))
			try.Fatigue.Power = power
			score := try.capLikelihood(groups)/noise -
				square(float64(step)/20/priorSpread)/2 - square(math.Log(float64(power/old.Power))/priorSpread)/2
			if score > best {
				best, p.Fatigue = score, try.Fatigue
			}
		}
	}
}

func square(v float64) float64 { return v * v }

// capLikelihood is the log probability of the readings, Poisson about a level that
// each group has in common.
func (p *Prior) capLikelihood(groups [][]CapSample) (sum float64) {
	for _, group := range groups {
		reads, expected, shape := 0.0, 0.0, 0.0
		for _, s := range group {
			w := p.opportunity(s)
			reads += float64(s.Reads)
			expected += w
			if s.Reads > 0 && w > 0 {
				shape += float64(s.Reads) * math.Log(w)
			}
		}
		if reads > 0 && expected > 0 {
			sum += shape - reads*math.Log(expected)
		}
	}
	return sum
}

// opportunity is the number of mails under the cap, each as open as pressure leaves.
func (p *Prior) opportunity(s CapSample) float64 {
	x := s.Cap * s.Load / p.Fatigue.Tolerance
	return float64(s.Offered * s.Cap * p.Openness(x))
}

// overdispersion is how much more the readings of persons vary than Poisson's do,
// at least 1.
func overdispersion(groups [][]CapSample) float64 {
	excess, n := 0.0, 0.0
	for _, group := range groups {
		reads, mails := 0.0, 0.0
		for _, s := range group {
			reads += float64(s.Reads)
			mails += float64(s.Offered * s.Cap)
		}
		for _, s := range group {
			if e := reads / max(mails, 1e-9) * float64(s.Offered*s.Cap); e > 0 {
				excess += square(float64(s.Reads)-e) / e
				n++
			}
		}
	}
	return max(1, excess/max(n, 1))
}

// fitHazard finds the likeliest level and slope of departures over pressure.
func fitHazard(samples []CapSample, tolerance, level, slope float32, departures func(CapSample) float64) (float32, float32) {
	best, bestLevel, bestSlope := math.Inf(-1), level, slope
	for step := range 41 {
		try := hazard{float64(level), float64(slope) * float64(step) / 20}
		for range 8 {
			try.level *= try.balance(samples, tolerance, departures)
		}
		score := try.likelihood(samples, tolerance, departures) - square(float64(step-20)/20/priorSpread)/2
		if score > best {
			best, bestLevel, bestSlope = score, float32(try.level), float32(try.slope)
		}
	}
	return bestLevel, bestSlope
}

// hazard of leaving at a mail: level exp(slope x).
type hazard struct{ level, slope float64 }

// left is the chance of having left by the end of the experiment, given all mails
// a person was assigned: whoever leaves early is sent no more.
func (h hazard) left(s CapSample, tolerance float32) float64 {
	x := float64(s.Cap * s.Load / tolerance)
	return -math.Expm1(-float64(s.Offered*s.Cap) * h.level * math.Exp(min(h.slope*x, 20)))
}

// balance is the departures seen over those expected.
func (h hazard) balance(samples []CapSample, tolerance float32, departures func(CapSample) float64) float64 {
	seen, expected := 0.0, 0.0
	for _, s := range samples {
		seen += min(departures(s), 1)
		expected += h.left(s, tolerance)
	}
	return seen / max(expected, 1e-9)
}

func (h hazard) likelihood(samples []CapSample, tolerance float32, departures func(CapSample) float64) (sum float64) {
	for _, s := range samples {
		left := min(max(h.left(s, tolerance), 1e-12), 1-1e-12)
		if departures(s) > 0 {
			sum += math.Log(left)
		} else {
			sum += math.Log1p(-left)
		}
	}
	return sum
}

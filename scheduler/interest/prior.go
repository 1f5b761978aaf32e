package interest

import "math"

// Prior is what all persons share: the grids and walks of the two filters, the
// weights of the logistic layer, the shape of fatigue and the hazards of leaving.
// It is immutable once made: a Learner or Fit makes a new one.
type Prior struct {
	Version uint32 // counts snapshots; only ever compared
	Open    Filter // reading
	Tap     Filter // clicking
	Reading Layer
	Tapping Layer
	Delay   Delay
	Fatigue Fatigue
	Leaving Leaving

	open, tap grid
	alive     [Levels]float32          // share of interest at each level that is not lapsed
	future    [futures][Levels]float32 // readings of the next 1, 2, 4, .. mails by level
	startRead float32                  // chance that a newcomer reads
	startTap  float32                  // and clicks
	reach     float64                  // log of Fatigue.Reach
}

// Fatigue is the shape of the answer to pressure.
type Fatigue struct {
	Fast, Slow float32 // days in which a stock falls to 1/e
	Tolerance  float32 // tolerated units of pressure a week, the prior of a person's
	Precision  float32 // prior precision of the log tolerance
	Reach      float32 // a person's tolerance stays within Tolerance / and * Reach
	Half       float32 // pressure at which openness is one half
	Power      float32 // steepness: openness = 1 / (1 + (x/Half)^Power)
	Measured   bool    // whether Tolerance and Power come from randomised caps, not from us
}

// Leaving holds the hazards of one more delivered mail. The numbers of BuiltIn
// are starting guesses (decision model 4.2), to be refitted from randomised caps.
type Leaving struct {
	Unsubscribe, Complaint           float32 // hazard at no pressure and full interest
	UnsubscribeSlope, ComplaintSlope float32 // growth of the log hazard with pressure
	UnsubscribeLapse, ComplaintLapse float32 // how much more of it when interest is lost
	Frailty                          float32 // shape a_z of the gamma frailty; small: people differ much
	Grudge                           float32 // events of frailty that one complaint counts for
}

// lapsed is the chance of reading at which half of the interest counts as lost.
const lapsed = 0.03

// Delay is how long after the delivery a mail is read if it is read at all: a
// mixture of exponential waits (decision model 4.1).
type Delay struct {
	Share [3]float32 // of the readings; they sum to 1
	Hours [3]float32 // mean wait
}

// By is the share of a week's readings that have happened within hours.
func (d *Delay) By(hours float64) float64 {
	const weekHours = 7 * 24
	return min(d.share(max(hours, 0))/d.share(weekHours), 1)
}

func (d *Delay) share(hours float64) (sum float64) {
	for i, share := range d.Share {
		sum += float64(share) * (1 - math.Exp(-hours/float64(d.Hours[i])))
	}
	return sum
}

// With is the prior with other fatigue and hazards, such as those a tenant sets.
func (p *Prior) With(f Fatigue, l Leaving) *Prior {
	q := *p
	q.Version++
	q.Fatigue, q.Leaving = f, l
	return q.derive()
}

// derive fills what follows from the exported fields.
func (p *Prior) derive() *Prior {
	p.open, p.tap = p.Open.grid(), p.Tap.grid()
	for k, q := range p.open.p {
		p.alive[k] = q / (q + lapsed)
	}
	start := belief(p.Open.Start)
	p.startRead = start.mean(&p.open.p)
	start = p.Tap.Start
	p.startTap = start.mean(&p.tap.p)
	p.reach = math.Log(max(float64(p.Fatigue.Reach), 1))
	p.deriveFuture()
	return p
}

// Openness is the share of the usual readiness to read that is left at pressure x
// (1: exactly at tolerance).
func (p *Prior) Openness(x float32) float32 {
	return 1 / (1 + p.burden(x))
}

// burden is (x/Half)^Power, the odds against reading that pressure adds.
func (p *Prior) burden(x float32) float32 {
	r := max(x, 0) / p.Fatigue.Half
	if p.Fatigue.Power == 2 {
		return r * r
	}
	return float32(math.Pow(float64(r), float64(p.Fatigue.Power)))
}

// OpennessSlope is the derivative of Openness at pressure x: never positive. One
// more unit of pressure costs that much of all that is to come.
func (p *Prior) OpennessSlope(x float32) float32 {
	if x <= 0 {
		return 0
	}
	b := p.burden(x)
	return -p.Fatigue.Power * b / (x * (1 + b) * (1 + b))
}

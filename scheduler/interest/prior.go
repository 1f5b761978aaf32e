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
	Fatigue Fatigue
	Leaving Leaving

	open, tap grid
	alive     [Levels]float32 // share of interest at each level that is not lapsed
	future    [futures][Levels]float32
	startRead float32
	startTap  float32
	reach     float64 // log of Fatigue.Reach
}

// Fatigue is the shape of the answer to pressure.
type Fatigue struct {
	Fast, Slow float32 // days in which a stock falls to 1/e
	Tolerance  float32 // tolerated units of pressure a week, the prior of a person's
	Precision  float32 // prior precision of the log tolerance
	Reach      float32 // a person's tolerance stays within Tolerance / and * Reach
	Half       float32 // pressure at which openness is one half
	Power      float32 // steepness: openness = 1 / (1 + (x/Half)^Power)
	Measured   bool    // whether Tolerance and Half come from randomised caps, not from us
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

// delay is the share of a mail's readings that happen within hours, relative to a
// week: a mixture of three waits (decision model 4.1).
func delay(hours float64) float64 {
	g := 1 - 0.33*math.Exp(-hours/0.6) - 0.42*math.Exp(-hours/9) - 0.25*math.Exp(-hours/72)
	return min(max(g/0.9757, 0), 1)
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

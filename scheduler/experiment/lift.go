package experiment

import (
	"encoding/json"
	"fmt"
	"math"
)

// Rule is how sure one wants to be, and of what. The zero value is the defaults.
type Rule struct {
	Alpha    float64 // how often an interval may be wrong, at whichever looks; default 0.05
	Smallest float64 // smallest effect worth knowing of, relative to control's rate; default 0.05
	Guard    float64 // the same for guardrails, which are rare; default 0.25
}

func (r Rule) alpha() float64 {
	if r.Alpha > 0 && r.Alpha < 1 {
		return r.Alpha
	}
	return 0.05
}

func (r Rule) smallest(o Outcome) float64 {
	switch {
	case o.Guardrail() && r.Guard > 0:
		return r.Guard
	case o.Guardrail():
		return 0.25
	case r.Smallest > 0:
		return r.Smallest
	}
	return 0.05
}

// Verdict is what may be said of a comparison.
type Verdict uint8

// The verdicts.
const (
	TooFew  Verdict = iota // not enough data yet
	Invalid                // the arms are not what they should be: nothing can be said
	Unclear                // enough data for the smallest effect, and still none seen
	Same                   // if there is an effect, it is smaller than the smallest worth knowing of
	Better                 // more of what is wanted, or less of a guardrail
	Worse                  // the reverse
)

var verdictTexts = [...]string{"not enough data yet", "invalid", "no difference seen", "no difference that matters", "better", "worse"}

// String is the verdict in words.
func (v Verdict) String() string { return verdictTexts[min(v, Worse)] }

// MarshalText writes the words.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Lift is how a treatment differs from a control. Its interval holds at every
// look, however often one looks and whenever one stops.
type Lift struct {
	Known    bool    // the numbers from Delta to P mean something
	Delta    float64 // of the rate per mailbox-week
	Rate     float64 // control's rate per mailbox-week
	Relative float64 // Delta / Rate
	Low      float64 // ends of the interval of Delta
	High     float64
	P        float64 // 1 where nothing is known
	N        float64 // mailbox-weeks of the smaller arm
	Needed   float64 // as many are needed of it for the smallest effect; 0: cannot be told yet
	Saved    float64 // share of the variance that the past explains (CUPED); 0: no past
	Verdict  Verdict
}

// MarshalJSON leaves out the numbers of which nothing may be said yet.
func (l Lift) MarshalJSON() ([]byte, error) {
	type out struct {
		Verdict  string   `json:"verdict"`
		Delta    *float64 `json:"delta,omitempty"`
		Rate     *float64 `json:"control_rate,omitempty"`
		Relative *float64 `json:"relative,omitempty"`
		Low      *float64 `json:"low,omitempty"`
		High     *float64 `json:"high,omitempty"`
		P        *float64 `json:"p,omitempty"`
		N        float64  `json:"n"`
		Needed   float64  `json:"needed,omitempty"`
		Saved    float64  `json:"variance_saved,omitempty"`
	}
	o := out{Verdict: l.Verdict.String(), N: math.Round(l.N), Needed: math.Ceil(l.Needed), Saved: l.Saved}
	if l.Known && l.Verdict != TooFew {
		o.Delta, o.Rate, o.Relative, o.Low, o.High, o.P = &l.Delta, &l.Rate, &l.Relative, &l.Low, &l.High, &l.P
	}
	return json.Marshal(o)
}

// Pair is what is compared in one quarter.
type Pair struct{ Treatment, Control Tally }

// Compare compares two arms of one quarter by an outcome.
func (r Rule) Compare(treatment, control Tally, by Outcome) Lift {
	return r.CompareAll([]Pair{{treatment, control}}, by)
}

// CompareAll compares two arms over several quarters, each inside itself.
func (r Rule) CompareAll(pairs []Pair, by Outcome) Lift {
	var whole stratum
	for _, p := range pairs {
		if s, ok := compare(p, by); ok {
			whole.add(s)
		}
	}
	l := Lift{P: 1, N: whole.n}
	if whole.weight == 0 || whole.expected < fewEvents || !(whole.variance > 0) {
		return l // sums without any variance cannot be those of people
	}
	l.Known = true
	l.Delta, l.Rate = whole.delta/whole.weight, whole.rate/whole.weight
	variance, plain := whole.variance/(whole.weight*whole.weight), whole.plain/(whole.weight*whole.weight)
	smallest := r.smallest(by) * whole.pooled / whole.weight
	if l.Rate > 0 {
		l.Relative = l.Delta / l.Rate
	}
	l.Saved = max(0, 1-variance/plain)
	l.Needed = l.N * variance / (smallest * smallest / enough)
	half := halfWidth(variance, smallest*smallest, r.alpha())
	l.Low, l.High = l.Delta-half, l.Delta+half
	l.P = pValue(l.Delta, variance, smallest*smallest)
	l.Verdict = l.verdict(smallest, by.Guardrail())
	return l
}

// fewEvents is how many the smaller arm must be expected to have, were there no
// difference, before sums are nearly normal and anything is said.
const fewEvents = 20

// enough is by how much the smallest effect, squared, must exceed the variance of
// the difference: n = 16 p (1-p) / effect² in each of two equal arms of people who
// are not alike.
const enough = 8

func (l *Lift) verdict(smallest float64, guardrail bool) Verdict {
	switch {
	case l.N < l.Needed:
		return TooFew
	case l.Low > 0 != guardrail && (l.Low > 0 || l.High < 0):
		return Better
	case l.Low > 0 || l.High < 0:
		return Worse
	case l.Low > -smallest && l.High < smallest:
		return Same
	}
	return Unclear
}

// stratum is a comparison inside a quarter, or a weighted sum of such.
type stratum struct {
	delta, rate, pooled float64 // rates per mailbox-week
	variance, plain     float64 // of delta, with and without the past
	expected            float64 // outcomes in the smaller arm, were there no difference
	n, weight           float64
}

// add weighs a stratum as Mantel and Haenszel do: by the mailbox-weeks of both
// arms, not by what came of them.
func (w *stratum) add(s stratum) {
	w.delta += s.weight * s.delta
	w.rate += s.weight * s.rate
	w.pooled += s.weight * s.pooled
	w.expected += s.expected
	w.variance += s.weight * s.weight * s.variance
	w.plain += s.weight * s.weight * s.plain
	w.n += s.n
	w.weight += s.weight
}

func compare(p Pair, by Outcome) (stratum, bool) {
	t, c := moments(&p.Treatment, by), moments(&p.Control, by)
	if t.mailboxes < 2 || c.mailboxes < 2 || t.n == 0 || c.n == 0 {
		return stratum{}, false
	}
	theta, pooled := slope(t, c), (t.y+c.y)/(t.n+c.n)
	return stratum{
		delta:    t.mean(theta) - c.mean(theta),
		rate:     c.mean(0),
		pooled:   pooled,
		expected: pooled * min(t.n, c.n),
		variance: t.variance(theta) + c.variance(theta),
		plain:    t.variance(0) + c.variance(0),
		n:        min(t.n, c.n),
		weight:   t.n * c.n / (t.n + c.n),
	}, true
}

// moment holds an arm's sums over mailboxes as numbers to compute with.
type moment struct{ mailboxes, n, nn, y, yy, yn, t, tt, ty, tn float64 }

func moments(t *Tally, by Outcome) moment {
	s := t.sums(by)
	return moment{
		float64(t.Mailboxes), float64(t.Weeks), float64(t.WeeksSq), float64(s.Y), float64(s.YY), float64(s.YN),
		float64(s.T), float64(s.TT), float64(s.TY), float64(s.TN),
	}
}

// slope is how much of the outcome the past explains, the same for both arms.
func slope(arms ...moment) float64 {
	var cov, variance float64
	for _, m := range arms {
		y, t := m.y/m.n, m.t/m.n
		cov += m.ty - y*m.tn - t*m.yn + y*t*m.nn
		variance += m.tt - 2*t*m.tn + t*t*m.nn
	}
	if !(variance > 0) {
		return 0
	}
	return cov / variance
}

// mean is the rate per mailbox-week, less what the past explains of it.
func (m *moment) mean(theta float64) float64 { return (m.y - theta*m.t) / m.n }

// variance is that of mean: of a ratio of sums over mailboxes, by their residuals.
// One outcome more than there were keeps an arm with none from being sure of it.
func (m *moment) variance(theta float64) float64 {
	r := m.mean(theta)
	aa := m.yy + 1 - 2*theta*m.ty + theta*theta*m.tt
	an := m.yn - theta*m.tn
	residuals := max(0, aa-2*r*an+r*r*m.nn)
	return residuals / (m.n * m.n) * m.mailboxes / (m.mailboxes - 1)
}

// halfWidth is that of the interval of a mixture sequential test: with a normal
// mixture of variance mix over the effects, the likelihood ratio is below 1/alpha
// at every look with probability 1-alpha (Robbins 1970; Johari et al. 2017).
func halfWidth(variance, mix, alpha float64) float64 {
	return math.Sqrt(variance * (variance + mix) / mix * (2*math.Log(1/alpha) + math.Log1p(mix/variance)))
}

// pValue is valid at every look as well.
func pValue(delta, variance, mix float64) float64 {
	ratio := -math.Log1p(mix/variance)/2 + mix*delta*delta/(2*variance*(variance+mix))
	return min(1, math.Exp(-ratio))
}

// Ratio says whether the arms hold the mailboxes that they should.
type Ratio struct {
	Checked   bool    `json:"checked"` // there were enough mailboxes to tell
	ChiSquare float64 `json:"chi_square"`
	P         float64 `json:"p"`
	Valid     bool    `json:"valid"`
	Worst     Arm     `json:"-"` // furthest from what was expected
	Has       float64 `json:"-"` // mailboxes of it
	Should    float64 `json:"-"` // mailboxes that it should have
}

const (
	ratioAlpha  = 0.001 // below it the arms are not what was drawn
	ratioFewest = 20    // mailboxes expected of an arm for it to be tested
)

// CheckRatio tests the mailboxes of a quarter's arms against what was expected.
func CheckRatio(arms [Arms]Tally) Ratio {
	var has, should float64
	tested := 0
	for a := range arms {
		n, e := float64(arms[a].Mailboxes), arms[a].expected()
		switch {
		case e >= ratioFewest:
			has, should, tested = has+n, should+e, tested+1
		case e == 0 && n > 0: // nobody was to be drawn into it
			return Ratio{Checked: true, Worst: Arm(a), Has: n}
		}
	}
	if tested < 2 {
		return Ratio{P: 1, Valid: true}
	}
	r := chiSquare(arms, has/should) // arms too small to be tested are left out
	r.Checked, r.P = true, chiSquareTail(r.ChiSquare, tested-1)
	r.Valid = r.P >= ratioAlpha
	return r
}

// chiSquare adds up how far the arms are from what was expected, times scale.
func chiSquare(arms [Arms]Tally, scale float64) (r Ratio) {
	worst := 0.0
	for a := range arms {
		n, e := float64(arms[a].Mailboxes), arms[a].expected()
		if e < ratioFewest {
			continue
		}
		e *= scale
		off := (n - e) * (n - e) / e
		r.ChiSquare += off
		if off > worst {
			worst, r.Worst, r.Has, r.Should = off, Arm(a), n, e
		}
	}
	return r
}

func (t *Tally) expected() float64 { return float64(t.Expected) / expectedUnit }

// chiSquareTail is the probability of more than x with 1 to 3 degrees of freedom.
func chiSquareTail(x float64, degrees int) float64 {
	switch degrees {
	case 1:
		return math.Erfc(math.Sqrt(x / 2))
	case 2:
		return math.Exp(-x / 2)
	}
	return math.Erfc(math.Sqrt(x/2)) + math.Sqrt(2*x/math.Pi)*math.Exp(-x/2)
}

// String says what is wrong, or that nothing is.
func (r Ratio) String() string {
	switch {
	case r.Valid && r.Checked:
		return "the arms hold the mailboxes they should"
	case r.Valid:
		return "too few mailboxes to tell whether the arms hold what they should"
	}
	return fmt.Sprintf("arm %s holds %s mailboxes and should hold %s (p < 0.001): something assigns, loses or repeats mailboxes unevenly",
		r.Worst, count(r.Has), count(r.Should))
}

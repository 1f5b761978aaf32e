package rules

import (
	"fmt"
	"math"
)

const (
	parts       = 200  // mailboxes are dealt into so many parts, by hash
	minParts    = 30   // fewer of them give no interval
	maxWeight   = 20   // no decision stands for more than so many
	minWorth    = 200  // decisions' worth of evidence a side needs
	minSeen     = 10   // times an outcome must have been seen
	quantile95  = 1.97 // Student's t, two-sided, with some 200 parts
	perThousand = 1000
)

// Estimate is what readers would have done with the deliveries that old and new
// rules treat differently, under either. It is drawn from decisions made by lot:
// where lot did what a set would have done, the outcome counts, weighted by how
// unlikely that was (self-normalised inverse propensity); where it did not, it
// says nothing of that set.
type Estimate struct {
	Changed    uint64 // decisions that the sets treat differently
	Randomised uint64 // those among them made by lot
	Known      bool   // there is an estimate
	Statement  string // what it rests on, or why there is none, in a plain sentence
	Outcomes   []Effected
}

// Effected is the estimate of one outcome, per 1,000 changed deliveries.
type Effected struct {
	Outcome          string // opened, clicked, unsubscribed or complained
	Old, New         float64
	Difference       float64 // New − Old
	Low, High        float64 // 95 % interval of Difference
	Known            bool    // false: too few were seen, or all parts are alike; the figures are zero
	SeenOld, SeenNew uint64  // how often it was seen where lot did as the set would
}

var outcomeNames = [...]string{"opened", "clicked", "unsubscribed", "complained"}

func (o Outcome) each() [len(outcomeNames)]bool {
	return [...]bool{o.Opened, o.Clicked, o.Unsubscribed, o.Complained}
}

// side sums the decisions in which lot did as one set would have done.
type side struct {
	weight, squares float64
	outcomes        [len(outcomeNames)]float64 // weighted
	seen            [len(outcomeNames)]uint64
}

func (s *side) add(weight float64, o Outcome) {
	s.weight += weight
	s.squares += weight * weight
	for k, did := range o.each() {
		if did {
			s.outcomes[k] += weight
			s.seen[k]++
		}
	}
}

func (s *side) plus(t *side) {
	s.weight += t.weight
	s.squares += t.squares
	for k := range s.outcomes {
		s.outcomes[k] += t.outcomes[k]
		s.seen[k] += t.seen[k]
	}
}

// worth is how many equally weighted decisions would tell as much (Kish).
func (s *side) worth() float64 {
	if s.squares == 0 {
		return 0
	}
	return s.weight * s.weight / s.squares
}

// pair is both sides of the same decisions.
type pair struct{ old, new side }

// estimator sums the changed decisions apart for each part of the mailboxes. The
// spread between parts gives the interval: decisions of one mailbox are alike, and
// mailboxes, not decisions, were drawn.
type estimator struct {
	changed, randomised, capped uint64
	parts                       [parts]pair
}

func (e *estimator) add(d *Decision, before, after Effect) {
	e.changed++
	p := d.Propensity
	if !(p > 0 && p < 1) {
		return
	}
	e.randomised++
	weight := 1 / p
	if weight > maxWeight {
		weight = maxWeight
		e.capped++
	}
	part := &e.parts[d.Mailbox%parts]
	if d.Happened == before {
		part.old.add(weight, d.Outcome)
	}
	if d.Happened == after {
		part.new.add(weight, d.Outcome)
	}
}

// result is the estimate, or why there is none.
func (e *estimator) result() Estimate {
	r := Estimate{Changed: e.changed, Randomised: e.randomised}
	var all pair
	used := 0
	for i := range e.parts {
		all.old.plus(&e.parts[i].old)
		all.new.plus(&e.parts[i].new)
		if e.parts[i].old.weight+e.parts[i].new.weight > 0 {
			used++
		}
	}
	before, after := all.old.worth(), all.new.worth()
	switch {
	case e.changed == 0:
		r.Statement = "Old and new rules treat every recorded decision alike: there is nothing to estimate."
	case e.randomised == 0:
		r.Statement = fmt.Sprintf("No estimate: none of the %d changed decisions was made by lot, so nobody saw what these readers do under the other rules. The outcomes counted are those of what happened then, not what the new rules would cost.", e.changed)
	case before < minWorth || after < minWorth:
		r.Statement = fmt.Sprintf("No estimate: of %d changed decisions %d were made by lot, and lot did what the old rules say %.0f times and what the new ones say %.0f times; each needs %d.", e.changed, e.randomised, before, after, minWorth)
	case used < minParts:
		r.Statement = "No estimate: the decisions made by lot are of too few mailboxes."
	default:
		r.Known = true
		r.Statement = fmt.Sprintf("The estimate is drawn from %d of %d changed decisions, those made by lot (%.1f %%). It says nothing of the others.", e.randomised, e.changed, 100*float64(e.randomised)/float64(e.changed))
		if e.capped > 0 {
			r.Statement += fmt.Sprintf(" %d of them were so unlikely that their weight was cut to %d, which draws the estimate towards what was usual.", e.capped, maxWeight)
		}
		for k := range outcomeNames {
			r.Outcomes = append(r.Outcomes, e.outcome(&all, k))
		}
	}
	return r
}

// outcome estimates one outcome with an interval from leaving out each part in
// turn (the jackknife by groups).
func (e *estimator) outcome(all *pair, k int) Effected {
	r := Effected{Outcome: outcomeNames[k], SeenOld: all.old.seen[k], SeenNew: all.new.seen[k]}
	if r.SeenOld+r.SeenNew < minSeen {
		return r
	}
	var n, sum, squares float64
	for i := range e.parts {
		p := &e.parts[i]
		oldWeight, newWeight := all.old.weight-p.old.weight, all.new.weight-p.new.weight
		if p.old.weight+p.new.weight == 0 || oldWeight <= 0 || newWeight <= 0 {
			continue
		}
		without := (all.new.outcomes[k]-p.new.outcomes[k])/newWeight - (all.old.outcomes[k]-p.old.outcomes[k])/oldWeight
		n++
		sum += without
		squares += without * without
	}
	variance := (n - 1) * max(0, squares/n-sum*sum/n/n)
	if n < minParts || variance <= 0 {
		return r
	}
	r.Known = true
	r.Old = perThousand * all.old.outcomes[k] / all.old.weight
	r.New = perThousand * all.new.outcomes[k] / all.new.weight
	r.Difference = r.New - r.Old
	half := perThousand * quantile95 * math.Sqrt(variance)
	r.Low, r.High = r.Difference-half, r.Difference+half
	return r
}

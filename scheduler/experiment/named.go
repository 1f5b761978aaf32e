package experiment

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Experiment is a named one: what costs readers something (a random hour, no mail,
// another cap) is allowed only here, with somebody who answers for it, an end, a
// size and a bound at which it stops.
type Experiment struct {
	Name   string    `json:"name"`
	Owner  string    `json:"owner"` // who answers for it
	Starts time.Time `json:"starts"`
	Ends   time.Time `json:"ends"`
	Size   float64   `json:"size"` // percent of the mailboxes that take part
	Arms   Shares    `json:"arms"` // of those that take part
	Caps   bool      `json:"caps"` // those in arm model get caps drawn from Multipliers
	Stop   Stop      `json:"stop"`
}

// Multipliers are what a weekly cap is multiplied with where caps are randomised.
var Multipliers = [...]float64{0.5, 0.75, 1, 1.25}

// longest is how long an experiment may be planned to last.
const longest = 366 * 24 * time.Hour

// Check reports everything that is wrong with an experiment.
func (e *Experiment) Check() error {
	var wrong []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	need(e.Name != "" && len(e.Name) <= maxName && utf8.ValidString(e.Name), "it needs a name of at most %d bytes", maxName)
	need(e.Owner != "", "it needs an owner")
	need(!e.Starts.IsZero(), "it needs a start")
	need(!e.Ends.IsZero(), "it needs an end")
	need(e.Ends.IsZero() || e.Ends.After(e.Starts), "its end must come after its start")
	need(e.Ends.IsZero() || e.Starts.IsZero() || e.Ends.Sub(e.Starts) <= longest, "it may last a year at most")
	need(e.Size > 0 && e.Size <= 100, "its size must be above 0 and at most 100 percent of the mailboxes")
	need(e.Arms.Randomised() || e.Caps, "it must randomise something: two arms or more, or caps")
	need(e.Arms[Control] > 0 || !e.Arms.Randomised(), "it needs a control arm to compare with")
	if err := e.Arms.Check(true); err != nil {
		wrong = append(wrong, err)
	}
	if err := e.Stop.check(); err != nil {
		wrong = append(wrong, err)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("experiment %q: %w", e.Name, errors.Join(wrong...))
	}
	return nil
}

// Runs reports whether the experiment is under way.
func (e *Experiment) Runs(at time.Time) bool { return !at.Before(e.Starts) && at.Before(e.Ends) }

// Place is what an experiment does to a mailbox.
type Place struct {
	In         bool // it takes part; otherwise the standing arms have it
	Arm        Arm
	Multiplier float64 // of its weekly cap; 1: as it is
}

// Assign draws the place of a mailbox, the same for a quarter. Whether it takes
// part, its arm and its cap are drawn apart from each other and from the standing
// arms.
func (e *Experiment) Assign(salt, mailbox uint64, at time.Time) Place {
	p := Place{Arm: Outside, Multiplier: 1}
	if !e.Runs(at) {
		return p
	}
	draw := func(what uint64) float64 {
		return uniform(salt, mailbox, uint64(QuarterOf(at)), e.hash(), what)
	}
	if 100*draw(1) >= e.Size {
		return p
	}
	p.In, p.Arm = true, Model
	if e.Arms != (Shares{}) {
		p.Arm = e.Arms.at(100 * draw(2))
	}
	if e.Caps && p.Arm == Model {
		p.Multiplier = Multipliers[int(draw(3)*float64(len(Multipliers)))]
	}
	return p
}

// hash is of the name, so that experiments are drawn apart.
func (e *Experiment) hash() uint64 {
	h := uint64(len(e.Name))
	for _, b := range []byte(e.Name) {
		h = mix(h, uint64(b))
	}
	return h
}

// Cap is a weekly cap as the experiment sets it: at least 1, and never above the
// admin's ceiling. 0 is no cap, for both.
func (p Place) Cap(weekly, ceiling int) int {
	if weekly <= 0 {
		return max(ceiling, 0)
	}
	n := max(1, int(float64(weekly)*p.Multiplier+0.5))
	if ceiling > 0 {
		n = min(n, ceiling)
	}
	return n
}

// Stop is the bound at which an experiment ends by itself: as soon as it is sure
// that an arm has more of a guardrail than control, by more than so much.
type Stop struct {
	Outcome Outcome `json:"outcome"` // a guardrail
	Excess  float64 `json:"excess"`  // relative to control's rate: 0.2 is a fifth more; 0: any
}

func (s Stop) check() error {
	switch {
	case !s.Outcome.Guardrail() || s.Outcome > Bounced:
		return errors.New("it needs a stop rule on a guardrail: unsubscribes, complaints or bounces")
	case !(s.Excess >= 0 && s.Excess <= 1):
		return errors.New("its stop rule must allow an excess between 0 and 1, relative to control")
	}
	return nil
}

// Hit reports whether the experiment must stop, and why. It may be asked at any
// time: the interval allows for that, and needs no minimum of mail.
func (s Stop) Hit(arms [Arms]Tally, rule Rule) (why string, hit bool) {
	for a := range arms {
		if Arm(a) == Control {
			continue
		}
		l := rule.Compare(arms[a], arms[Control], s.Outcome)
		switch {
		case !l.Known || l.Low <= s.Excess*l.Rate:
		case l.Rate == 0:
			return fmt.Sprintf("arm %s has %s and control has none", Arm(a), s.Outcome), true
		default:
			return fmt.Sprintf("arm %s has at least %.0f %% more %s than control; the bound is %.0f %%",
				Arm(a), 100*l.Low/l.Rate, s.Outcome, 100*s.Excess), true
		}
	}
	return "", false
}

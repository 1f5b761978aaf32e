package scheduler

import (
	"fmt"
	"math"
	"time"
)

// Sentence says in plain English what the model did, or would have done, and why,
// in numbers that are fields of the decision. zone is the mailbox's, nil if unknown.
func (d *Decision) Sentence(zone *time.Location) string {
	if d.At.IsZero() {
		return "The model had no say."
	}
	if zone == nil {
		zone = time.UTC
	}
	if d.Arm != ArmModel {
		return d.verb() + " " + d.armWords(zone) + "."
	}
	s := d.verb()
	switch d.Would {
	case Hold:
		s += " until " + d.WouldAt.In(zone).Format("Mon 15:04") + ": " + d.because()
	case Drop:
		s += d.unwanted()
	default:
		s += ": " + d.because()
	}
	return s + fmt.Sprintf("; pressure %.1f of what this person bears.", d.Pressure)
}

// unwanted says why it is dropped: for what it would cost, or because all other mail
// brings more.
func (d *Decision) unwanted() string {
	if d.Floor == 0 {
		return fmt.Sprintf(": it would bring %s and cost %s reads' worth", amount(d.Best.Read), amount(d.Best.costs()))
	}
	return fmt.Sprintf(": with a chance of %.1f %% of being read it is among the mail that brings least for what it costs, %s reads' worth",
		100*d.Interest, amount(d.Best.costs()))
}

func (d *Decision) verb() string {
	words := [...]string{"Left at once", "Held", "Dropped"}
	if !d.Live {
		words = [...]string{"The model would let it leave at once", "The model would hold it", "The model would drop it"}
	}
	return words[min(d.Would, Drop)]
}

func (d *Decision) armWords(zone *time.Location) string {
	s := ""
	if d.Would == Hold {
		s = "until " + d.WouldAt.In(zone).Format("Mon 15:04") + " "
	}
	return s + "by the rule of the " + d.Arm.String() + " arm, without looking at the model"
}

// because compares the best hour with now.
func (d *Decision) because() string {
	better := d.Best.Read / max(d.Now.Read, 1e-9)
	switch {
	case !d.BestAt.After(d.At.Add(time.Second)) || better < 1.005:
		return "no later hour promises more" + d.evidence()
	case d.Reads >= 1.05:
		return fmt.Sprintf("a read soon after is %.1f times likelier than now%s", d.Reads, d.evidence())
	}
	return fmt.Sprintf("a read is worth %.0f %% more than now, by coming sooner after it leaves or being less of a burden%s", 100*(better-1), d.evidence())
}

func (d *Decision) evidence() string {
	switch {
	case d.Own:
		return " (" + hoursOf(d.Evidence) + " of own evidence)"
	case d.Model > 0:
		return " (the shared curve)"
	}
	return " (no evidence yet)"
}

func hoursOf(v float32) string {
	if n := math.Round(float64(v)); n != 1 {
		return fmt.Sprintf("%.0f hours", n)
	}
	return "1 hour"
}

// Lines are the parts as text, one a line, and their sum.
func (p Parts) Lines() []string {
	rows := []struct {
		name  string
		value float32
	}{{"reading", p.Read}, {"unsubscribing", p.Unsubscribe}, {"complaining", p.Complaint},
		{"later mail", p.Future}, {"destination", p.Price}, {"utility", p.U()}}
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = fmt.Sprintf("%-13s %+.4f", r.name, r.value+0) // +0: no minus before nothing
	}
	return lines
}

// Change is one input that would have changed the action, had it alone been
// different.
type Change struct {
	Input    string  // value, interest, pressure, max_hold
	From, To float32 // max_hold in hours from the decision on; value relative to what it was
	Then     Action
}

// String is the change as text.
func (c Change) String() string {
	switch c.Input {
	case "max_hold":
		return fmt.Sprintf("a hold of less than %.1f hours: %s", c.To, c.Then)
	case "value":
		return fmt.Sprintf("%.2g times its value: %s", c.To, c.Then)
	}
	return fmt.Sprintf("%s %.2g instead of %.2g: %s", c.Input, c.To, c.From, c.Then)
}

// Changes are the smallest changes of single inputs that would have changed the
// action. They follow from the numbers of the decision alone: where the hazards and
// the openness that pressure gives are needed, those of the built-in model.
func (d *Decision) Changes() (list []Change) {
	if d.At.IsZero() || d.Arm != ArmModel || !(d.Best.Read > 0) {
		return nil
	}
	zero := d.Best.costs() / d.Best.Read // factor on the gain at which it is worth nothing
	if d.Floor > 0 && d.Thrift > 0 {
		zero = d.Floor / d.Thrift // at which other mail brings as much for what it costs
	}
	then := Drop
	switch d.Would {
	case Drop:
		then = Now
	case Hold:
		list = d.sooner(list)
	}
	if zero > 0 {
		list = append(list, Change{"value", 1, zero, then})
		if interest := d.Interest * zero; interest < 1 {
			list = append(list, Change{"interest", d.Interest, interest, then})
		}
	}
	if d.Floor > 0 {
		return list
	}
	if x, ok := d.pressureTo(0); ok {
		list = append(list, Change{"pressure", d.Pressure, x, then})
	}
	return list
}

const usualSlack = 0.01

// sooner lists what would have let it leave at once instead of being held.
func (d *Decision) sooner(list []Change) []Change {
	if wait := float32(d.WouldAt.Sub(d.At).Hours()); wait > 0 {
		list = append(list, Change{"max_hold", wait, wait, Now})
	}
	gain, cost := (1-usualSlack)*d.Best.Read-d.Now.Read, (1-usualSlack)*d.Best.costs()-d.Now.costs()
	if factor := cost / gain; gain > 0 && factor > 0 && factor < 1 {
		list = append(list, Change{"value", 1, factor, Now})
	}
	return list
}

// pressureTo is the pressure at which the best utility would be u.
func (d *Decision) pressureTo(u float64) (float32, bool) {
	at := func(x float64) float64 {
		dx, open := x-float64(d.Pressure), func(x float64) float64 { return 1 / (1 + x*x/6.25) }
		return float64(d.Best.Read)*open(x)/open(float64(d.Pressure)) + float64(d.Best.Unsubscribe)*math.Exp(.7*dx) +
			float64(d.Best.Complaint)*math.Exp(dx) + float64(d.Best.Future) + float64(d.Best.Price) - u
	}
	low, high := 0.0, max(20, 2*float64(d.Pressure))
	if at(low) <= 0 || at(high) >= 0 {
		return 0, false
	}
	for range 40 {
		if middle := (low + high) / 2; at(middle) > 0 {
			low = middle
		} else {
			high = middle
		}
	}
	return float32(low), true
}

func amount(v float32) string {
	if v < 0.1 {
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

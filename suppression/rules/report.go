package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Cell counts deliveries and what their readers did with them.
type Cell struct{ Deliveries, Opened, Clicked, Unsubscribed, Complained uint64 }

// Tally counts deliveries by their effect under the old rules and under the new
// ones. Outcomes are those that followed what really happened.
type Tally [effects][effects]Cell

func (t *Tally) add(before, after Effect, o Outcome) {
	c := &t[before][after]
	c.Deliveries++
	if o.Opened {
		c.Opened++
	}
	if o.Clicked {
		c.Clicked++
	}
	if o.Unsubscribed {
		c.Unsubscribed++
	}
	if o.Complained {
		c.Complained++
	}
}

// Under sums the deliveries that the new rules would have treated so.
func (t *Tally) Under(after Effect) Cell {
	return t.sum(func(_, a Effect) bool { return a == after })
}

// Newly sums the deliveries that the new rules would have treated so, and the old
// ones otherwise.
func (t *Tally) Newly(after Effect) Cell {
	return t.sum(func(b, a Effect) bool { return a == after && b != after })
}

// Changed sums the deliveries that old and new rules treat differently.
func (t *Tally) Changed() Cell { return t.sum(func(b, a Effect) bool { return a != b }) }

// All sums all deliveries.
func (t *Tally) All() Cell { return t.sum(func(Effect, Effect) bool { return true }) }

func (t *Tally) sum(which func(before, after Effect) bool) Cell {
	var sum Cell
	for before := range t {
		for after, c := range t[before] {
			if which(Effect(before), Effect(after)) {
				sum.Deliveries += c.Deliveries
				sum.Opened += c.Opened
				sum.Clicked += c.Clicked
				sum.Unsubscribed += c.Unsubscribed
				sum.Complained += c.Complained
			}
		}
	}
	return sum
}

// Group is the tally of one campaign, class, provider or segment. A delivery is in
// each of its mailbox's segments.
type Group struct {
	Kind  string // campaign, class, provider or segment
	Name  string // empty: none; "(other)": all after the first 10,000
	Tally Tally
}

// RuleCount is what one of the new rules did with the decisions.
type RuleCount struct {
	Rule                     string
	Version                  int
	Fired, Undecided, Failed uint64
}

// Absence is a variable that was not known, and in how many decisions a rule hung
// on it.
type Absence struct {
	Variable  string
	Decisions uint64
}

// Example is one delivery that the new rules treat differently.
type Example struct {
	ID         string
	At         time.Time
	Old, New   Effect
	FiredRules []string // of the new set
}

// Report is what a back-test found.
type Report struct {
	Decisions uint64
	From, To  time.Time // of the first and the last decision
	Total     Tally
	Groups    []Group // by kind in the order of Group.Kind, then most changed first
	Rules     []RuleCount

	// Unobservable is in how many decisions a new rule hung on opens or clicks that
	// could not have been seen; Absent names each variable that was not known, most
	// frequent first.
	Unobservable uint64
	Absent       []Absence

	Inexact  uint64    // decisions where a cap's window is none that is counted, and it mattered
	Unsent   uint64    // changed decisions whose mail never went: nobody saw what readers would have done
	Examples []Example // the first 20 changed ones
	Estimate Estimate
	Notes    []string // plain sentences: what these figures do not say
}

// Report sums up what was added so far.
func (b *Backtest) Report() Report {
	r := Report{
		Decisions: b.decisions, From: b.from, To: b.to, Total: b.total, Rules: slices.Clone(b.rules),
		Unobservable: b.outside, Inexact: b.inexact, Unsent: b.unsent, Examples: slices.Clone(b.examples),
		Estimate: b.estimate.result(),
	}
	for kind, groups := range b.groups {
		var list []Group
		for name, t := range groups {
			list = append(list, Group{groupKinds[kind], name, *t})
		}
		slices.SortFunc(list, func(a, b Group) int {
			x, y := a.Tally.Changed().Deliveries, b.Tally.Changed().Deliveries
			if x != y {
				return compareCounts(y, x)
			}
			return strings.Compare(a.Name, b.Name)
		})
		r.Groups = append(r.Groups, list...)
	}
	for name, n := range b.missing {
		r.Absent = append(r.Absent, Absence{name, n})
	}
	slices.SortFunc(r.Absent, func(a, b Absence) int {
		if a.Decisions != b.Decisions {
			return compareCounts(b.Decisions, a.Decisions)
		}
		return strings.Compare(a.Variable, b.Variable)
	})
	r.Notes = r.notes()
	return r
}

func compareCounts(a, b uint64) int {
	if a < b {
		return -1
	}
	return 1
}

// notes says in sentences what the figures leave out.
func (r *Report) notes() []string {
	if r.Decisions == 0 {
		return []string{"No decisions were recorded in this time: there is nothing to say."}
	}
	notes := []string{"Each decision is judged alone: had mail been kept back, later counts and later decisions would have been others."}
	if r.Unobservable > 0 {
		notes = append(notes, fmt.Sprintf("In %s a rule could not be decided because opens or clicks could not have been seen for so long; it then did nothing.", share(r.Unobservable, r.Decisions)))
	}
	if r.Unsent > 0 {
		notes = append(notes, fmt.Sprintf("%d deliveries that the new rules let go were dropped then: what their readers would have done was never seen.", r.Unsent))
	}
	if r.Inexact > 0 {
		notes = append(notes, fmt.Sprintf("In %s a cap could not be judged, as sends are counted over 1, 7, 30 and 90 days only; it is taken as not reached.", share(r.Inexact, r.Decisions)))
	}
	for _, rule := range r.Rules {
		if rule.Failed > 0 {
			notes = append(notes, fmt.Sprintf("Rule %s failed in %s and did nothing there.", rule.Rule, share(rule.Failed, r.Decisions)))
		}
	}
	return append(notes, r.Estimate.Statement)
}

// share is "12 of 480 decisions (2.5 %)".
func share(n, of uint64) string {
	return fmt.Sprintf("%d of %d decisions (%.1f %%)", n, of, 100*float64(n)/float64(of))
}

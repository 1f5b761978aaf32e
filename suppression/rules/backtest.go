package rules

import (
	"slices"
	"strings"
	"time"
)

const (
	maxGroups   = 10_000 // of a kind; what comes later is counted under otherGroup
	otherGroup  = "(other)"
	maxExamples = 20
)

// Backtest replays decisions of the past through two sets of rules and counts
// what differs. Make one with NewBacktest, Add the decisions in any order, and
// read the Report. It is for one goroutine.
//
// It answers for each decision alone. Mail that the new rules had kept back would
// have changed later facts, such as sends_7d, and with them later decisions; the
// facts are those that were.
type Backtest struct {
	old, new *Set
	mode     mode

	decisions uint64
	from, to  time.Time
	total     Tally
	groups    [len(groupKinds)]map[string]*Tally
	rules     []RuleCount
	index     map[string]int // of a rule in rules
	outside   uint64         // decisions with something the reader could not be seen to do
	missing   map[string]uint64
	inexact   uint64
	unsent    uint64
	examples  []Example
	estimate  estimator
}

// groupKinds are what tallies are broken down by.
var groupKinds = [...]string{"campaign", "class", "provider", "segment"}

// NewBacktest compares the rules in force, nil for none, with those that are
// tried. With shadows, rules of the new set that are in shadow are tried as if
// they were enabled.
func NewBacktest(old, tried *Set, shadows bool) *Backtest {
	if old == nil {
		old = &Set{}
	}
	b := &Backtest{old: old, new: tried, mode: recorded, index: map[string]int{}, missing: map[string]uint64{}}
	if shadows {
		b.mode = asEnabled
	}
	for i := range b.groups {
		b.groups[i] = map[string]*Tally{}
	}
	for i, c := range tried.rules {
		b.rules = append(b.rules, RuleCount{Rule: c.Name, Version: c.Version})
		b.index[c.Name] = i
	}
	return b
}

// Add takes one decision into account. It keeps nothing of d but texts.
func (b *Backtest) Add(d *Decision) {
	var was, would Verdict
	b.old.evaluate(&d.Facts, &was, recorded)
	b.new.evaluate(&d.Facts, &would, b.mode)
	before, exactBefore := was.Effect(&d.Facts)
	after, exactAfter := would.Effect(&d.Facts)

	b.decisions++
	if b.from.IsZero() || d.Facts.Now.Before(b.from) {
		b.from = d.Facts.Now
	}
	if d.Facts.Now.After(b.to) {
		b.to = d.Facts.Now
	}
	if !exactBefore || !exactAfter {
		b.inexact++
	}
	b.total.add(before, after, d.Outcome)
	b.addGroups(d, before, after)
	b.addRules(&would)
	if before == after {
		return
	}
	if d.Happened == Dropped && after != Dropped {
		b.unsent++
	}
	b.estimate.add(d, before, after)
	if len(b.examples) < maxExamples {
		b.examples = append(b.examples, Example{d.ID, d.Facts.Now, before, after, would.causes()})
	}
}

func (b *Backtest) addGroups(d *Decision, before, after Effect) {
	f := &d.Facts
	for i, name := range [...]string{f.Message.Campaign, f.Message.Class, f.Mailbox.Provider} {
		b.group(i, name).add(before, after, d.Outcome)
	}
	for _, name := range f.Mailbox.Segments {
		b.group(len(groupKinds)-1, name).add(before, after, d.Outcome)
	}
}

func (b *Backtest) group(kind int, name string) *Tally {
	groups := b.groups[kind]
	t := groups[name]
	if t == nil && len(groups) >= maxGroups {
		name = otherGroup
		t = groups[name]
	}
	if t == nil {
		t = &Tally{}
		groups[strings.Clone(name)] = t
	}
	return t
}

// addRules counts what each of the new rules did.
func (b *Backtest) addRules(v *Verdict) {
	for i := range v.Fired {
		b.rules[b.index[v.Fired[i].Rule]].Fired++
	}
	for i := range v.Shadow {
		b.rules[b.index[v.Shadow[i].Rule]].Fired++
	}
	outside := false
	for i, u := range v.Undecided {
		b.rules[b.index[u.Rule]].Undecided++
		outside = outside || observed(u.Missing)
		again := slices.ContainsFunc(v.Undecided[:i], func(earlier Undecided) bool { return earlier.Missing == u.Missing })
		if _, listed := b.missing[u.Missing]; !again && (listed || len(b.missing) < maxGroups) {
			b.missing[u.Missing]++
		}
	}
	if outside {
		b.outside++
	}
	for i := range v.Failed {
		b.rules[b.index[v.Failed[i].Rule]].Failed++
	}
}

// observed reports whether a variable tells of what a reader was seen to do.
func observed(name string) bool {
	return strings.HasPrefix(name, "mailbox.opens_") || strings.HasPrefix(name, "mailbox.clicks_") ||
		name == "mailbox.last_open" || name == "mailbox.last_click"
}

// causes names the rules that made the verdict what it is.
func (v *Verdict) causes() []string {
	names := make([]string, len(v.Fired))
	for i := range v.Fired {
		names[i] = v.Fired[i].Rule
	}
	return names
}

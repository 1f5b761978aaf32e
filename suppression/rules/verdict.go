package rules

import (
	"slices"
	"time"
)

// Verdict is what the rules of a set say together.
type Verdict struct {
	Kind   Kind      // None, Allow, Hold or Drop: of the first rule that decides
	Rule   string    // which one that is
	Reason string    // Drop: why
	Until  time.Time // Hold: until when

	// What the rules above it, or all, ask besides.
	Caps     []Limit       // one a window, the lowest
	MinGap   time.Duration // the longest; zero: none
	Quiet    []Span        // each of them counts
	Priority int           // sum, −9 to 9
	Tags     []string      // each once

	Fired     []Fired     // rules that made the verdict, in order
	Shadow    []Fired     // rules in shadow that would have fired
	Undecided []Undecided // rules that hung on something not known
	Failed    []Failure   // rules that failed, and counted for nothing
	Tripped   []string    // rules that this evaluation moved to shadow: store it
}

// Limit is at most N sends in a window.
type Limit struct {
	N      int
	Window time.Duration
	Rule   string
}

// Span is a daily stretch of the mailbox's wall clock, in minutes of the day, from
// From up to but not including To; To not after From means the next day.
type Span struct {
	From, To int
	Rule     string
}

// Covers reports whether the wall clock shows a time of the stretch.
func (q Span) Covers(at time.Time) bool {
	minute := at.Hour()*60 + at.Minute()
	if q.From < q.To {
		return q.From <= minute && minute < q.To
	}
	return minute >= q.From || minute < q.To
}

// Fired is a rule that fired and why.
type Fired struct {
	Rule    string
	Version int
	Action  Action
	Values  []Value // of the variables that its condition names, in order of name
}

// Undecided is a rule that was neither true nor false of these facts.
type Undecided struct {
	Rule    string
	Missing string // mailbox.last_click, or the key of an attribute
	Shadow  bool
}

// Failure is a rule whose condition broke off.
type Failure struct{ Rule, Error string }

// add takes a fired rule's action into the verdict.
func (v *Verdict) add(c *compiled, f *Facts) {
	a := &c.action
	switch a.Kind {
	case Allow, Hold, Drop:
		v.Kind, v.Rule = a.Kind, c.Name
		if a.Kind == Hold {
			v.Until = c.holdUntil(f)
		}
		if a.Kind == Drop {
			v.Reason = a.Word
		}
	case Cap:
		v.limit(Limit{a.N, a.For, c.Name})
	case MinGap:
		v.MinGap = max(v.MinGap, a.For)
	case Quiet:
		v.Quiet = append(v.Quiet, Span{a.From, a.To, c.Name})
	case Priority:
		v.Priority = min(max(v.Priority+a.N, -maxPriority), maxPriority)
	case Tag:
		if !slices.Contains(v.Tags, a.Word) {
			v.Tags = append(v.Tags, a.Word)
		}
	}
}

// limit adds a cap; of two on one window the lower one stays.
func (v *Verdict) limit(l Limit) {
	for i, have := range v.Caps {
		if have.Window == l.Window {
			if l.N < have.N {
				v.Caps[i] = l
			}
			return
		}
	}
	v.Caps = append(v.Caps, l)
}

// note writes down that a rule fired, and in a live evaluation why.
func (v *Verdict) note(c *compiled, f *Facts, shadow bool, m mode) {
	fired := Fired{Rule: c.Name, Version: c.Version, Action: c.action}
	if c.when != nil && m == live {
		fired.Values = make([]Value, len(c.when.mentions))
		for i, m := range c.when.mentions {
			fired.Values[i] = Value{m.name, m.text(f)}
		}
	}
	if shadow {
		v.Shadow = append(v.Shadow, fired)
	} else {
		v.Fired = append(v.Fired, fired)
	}
}

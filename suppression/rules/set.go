package rules

import (
	"slices"
	"strings"
	"time"
)

// maxRules is how many rules one set may have.
const maxRules = 500

// Set is rules in their order, ready to be asked. It may be used by many
// goroutines at once; besides its counters it never changes.
type Set struct {
	rules []*compiled
}

// compiled is one rule of a set.
type compiled struct {
	Rule
	action Action
	when   *condition // nil: always
	counters
}

// Compile makes a set of rules in the order given, or reports everything that is
// wrong with them as Errors.
func Compile(list []Rule) (*Set, error) {
	var all Errors
	set := &Set{}
	seen := map[string]bool{}
	for i := range list {
		r := list[i]
		all = append(all, r.check()...)
		if r.Name != "" && seen[r.Name] {
			all = append(all, r.errorf("name", "another rule has this name: names tell rules apart"))
		}
		seen[r.Name] = true
		c, faults := compileRule(r)
		all = append(all, faults...)
		set.rules = append(set.rules, c)
	}
	if len(list) > maxRules {
		all = append(all, &Error{Message: "more than 500 rules: merge or remove some"})
	}
	if err := all.err(); err != nil {
		return nil, err
	}
	return set, nil
}

func compileRule(r Rule) (*compiled, Errors) {
	var all Errors
	if r.Version == 0 {
		r.Version = 1
	}
	c := &compiled{Rule: r}
	if strings.TrimSpace(r.When) != "" {
		when, faults := compileWhen(r.When)
		for _, f := range faults {
			all = append(all, r.faultIn("when", f))
		}
		c.when = when
	}
	if strings.TrimSpace(r.Then) == "" {
		return c, append(all, r.errorf("then", "has no then: add one like then = \"drop('sunset')\""))
	}
	action, faults := compileThen(r.Then)
	for _, f := range faults {
		all = append(all, r.faultIn("then", f))
	}
	c.action = action
	if action.Kind.restricts() && slices.Contains(r.Class, "transactional") {
		all = append(all, r.errorf("class", "transactional mail is never held, dropped or varied: remove that class"))
	}
	return c, all
}

// Rules are the rules in their order.
func (s *Set) Rules() []Rule {
	list := make([]Rule, len(s.rules))
	for i, c := range s.rules {
		list[i] = c.Rule
	}
	return list
}

// Evaluate asks the rules in their order and returns what they say of the facts
// together. A rule that cannot be decided or fails does not fire.
func (s *Set) Evaluate(f *Facts) Verdict {
	var v Verdict
	s.evaluate(f, &v, live)
	return v
}

// mode is what an evaluation is for.
type mode uint8

const (
	live      mode = iota // counts, moves failing rules to shadow, writes down values
	recorded              // of the past: does none of that
	asEnabled             // likewise, and takes rules in shadow for enabled ones
)

// evaluate fills an empty verdict.
func (s *Set) evaluate(f *Facts, v *Verdict, m mode) {
	for _, c := range s.rules {
		shadow := c.State == Shadow && m != asEnabled || m == live && c.tripped.Load()
		if c.State == Off || !c.covers(f) || !c.fires(f, v, shadow, m) {
			continue
		}
		if m == live {
			c.fired.Add(1)
		}
		v.note(c, f, shadow, m)
		if shadow {
			continue
		}
		v.add(c, f)
		if c.action.Kind.decides() {
			return
		}
	}
}

// covers reports whether the rule is for this mail at this time.
func (c *compiled) covers(f *Facts) bool {
	switch {
	case !c.ValidFrom.IsZero() && f.Now.Before(c.ValidFrom),
		!c.ValidUntil.IsZero() && !f.Now.Before(c.ValidUntil),
		c.action.Kind == Hold && !c.holdUntil(f).After(f.Now):
		return false
	}
	if c.action.Kind.restricts() {
		switch f.Message.Class {
		case "transactional":
			return false
		case "triggered":
			if !slices.Contains(c.Class, "triggered") {
				return false
			}
		}
	}
	return globs(c.Tenant, f.Tenant) && globs(c.Class, f.Message.Class) && globs(c.Campaign, f.Message.Campaign)
}

// holdUntil is when the rule's hold ends. A duration counts from when the message
// was accepted, so that a hold which is asked again and again does end.
func (c *compiled) holdUntil(f *Facts) time.Time {
	if !c.action.At.IsZero() {
		return c.action.At
	}
	return f.Now.Add(c.action.For - f.Message.Age)
}

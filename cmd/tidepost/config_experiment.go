package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tidepost/scheduler/experiment"
)

// Experiment is one [[experiment]]: what costs readers something, with somebody who
// answers for it, an end, a size and a bound at which it stops.
type Experiment struct {
	Name   string   `toml:"name"`
	Owner  string   `toml:"owner"`
	Tenant string   `toml:"tenant"` // "": every tenant
	Starts Moment   `toml:"starts"`
	Ends   Moment   `toml:"ends"`
	Size   float64  `toml:"size"` // percent of the mailboxes
	Arms   Arms     `toml:"arms"` // of those that take part
	Caps   bool     `toml:"caps"`
	Stop   StopRule `toml:"stop"`
}

// StopRule is when an experiment ends by itself.
type StopRule struct {
	Outcome string  `toml:"outcome"` // unsubscribes, complaints or bounces
	Excess  float64 `toml:"excess"`  // relative to control's rate
}

// Moment is a time, written as a date, which begins at 0:00 UTC, or as in RFC 3339.
type Moment struct{ time.Time }

// UnmarshalText reads a moment.
func (m *Moment) UnmarshalText(text []byte) error {
	for _, layout := range [...]string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, string(text)); err == nil {
			m.Time = at.UTC()
			return nil
		}
	}
	return fmt.Errorf("%q is not a time: write it like 2026-09-01 or 2026-09-01T08:00:00Z", text)
}

func (a Arms) shares() experiment.Shares {
	return experiment.Shares{experiment.Model: a.Model, experiment.Control: a.Control, experiment.Random: a.Random, experiment.None: a.None}
}

// named is the experiment as the gateway knows it; an unknown outcome is one that
// its Check refuses.
func (e *Experiment) named() experiment.Experiment {
	n := experiment.Experiment{Name: e.Name, Owner: e.Owner, Starts: e.Starts.Time, Ends: e.Ends.Time,
		Size: e.Size, Arms: e.Arms.shares(), Caps: e.Caps, Stop: experiment.Stop{Excess: e.Stop.Excess}}
	if n.Stop.Outcome.UnmarshalText([]byte(e.Stop.Outcome)) != nil {
		n.Stop.Outcome = experiment.Clicked
	}
	return n
}

// ExperimentsFor returns the named experiments of a tenant, in the order in which
// they are written.
func (c *Config) ExperimentsFor(tenant string) []experiment.Experiment {
	var out []experiment.Experiment
	for i := range c.Experiments {
		if e := &c.Experiments[i]; e.Tenant == "" || e.Tenant == tenant {
			out = append(out, e.named())
		}
	}
	return out
}

// longestName leaves room for the start, which the counts of an experiment go by too.
const longestName = 200

func (k *checker) checkExperiments() {
	seen := map[string]bool{}
	for i := range k.Experiments {
		e, key := &k.Experiments[i], element("experiment", i)
		if seen[e.Name] {
			k.failf(key+".name", "%q is used twice: an experiment needs a name of its own", e.Name)
		}
		seen[e.Name] = true
		if len(e.Name) > longestName {
			k.failf(key+".name", "is longer than %d bytes", longestName)
		}
		named := e.named()
		for _, wrong := range reasons(named.Check()) {
			k.failf(key, "%q: %v", e.Name, wrong)
		}
		k.checkExperimentPolicy(key, e)
	}
}

// reasons takes apart what Check has joined.
func reasons(err error) []error {
	for err != nil {
		switch e := err.(type) {
		case interface{ Unwrap() []error }:
			return e.Unwrap()
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		default:
			return []error{err}
		}
	}
	return nil
}

// checkExperimentPolicy refuses an experiment that the policy would leave without
// effect.
func (k *checker) checkExperimentPolicy(key string, e *Experiment) {
	p := k.PolicyFor(e.Tenant)
	if e.Caps && p.WeeklyCap == 0 {
		k.failf(key+".caps", "draws shares of policy.weekly_cap, which is off: set it to the most that a mailbox may get")
	}
	if e.Arms.None <= 0 {
		return
	}
	if !slices.Contains(p.Drop, mustClass("promotional")) {
		k.failf(key+".arms", "none drops promotional mail, which policy.drop does not allow: add promotional to it")
	}
	if share := e.Size * e.Arms.None / 10_000; share > p.MaxDrop {
		k.failf(key+".arms", "none would drop %.3g percent of the mail, and policy.max_drop holds what is above %.3g percent: make it smaller", 100*share, 100*p.MaxDrop)
	}
}

// settingChange is a changed value that history must tell of: what is compared
// depends on it.
type settingChange struct{ what, detail string }

// comparedDifferently returns what a reload changes in what is compared.
func (c *Config) comparedDifferently(next *Config) (out []settingChange) {
	tenants := slices.Concat([]string{""}, slices.Collect(maps.Keys(c.Policy.Tenants)), slices.Collect(maps.Keys(next.Policy.Tenants)))
	slices.Sort(tenants)
	for _, t := range slices.Compact(tenants) {
		from, to, what := c.PolicyFor(t).Arms, next.PolicyFor(t).Arms, "policy.arms"
		if t != "" {
			what = joinKey([]string{"policy", "tenants", t, "arms"})
		}
		if from != to {
			out = append(out, settingChange{what, fmt.Sprintf("%v before, %v from now on", from, to)})
		}
	}
	if !equalExperiments(c.Experiments, next.Experiments) {
		out = append(out, settingChange{"experiment", experimentNames(c.Experiments) + " before, " + experimentNames(next.Experiments) + " from now on"})
	}
	return out
}

func equalExperiments(a, b []Experiment) bool {
	return slices.EqualFunc(a, b, func(x, y Experiment) bool { return x == y })
}

func experimentNames(list []Experiment) string {
	if len(list) == 0 {
		return "none"
	}
	var names []string
	for _, e := range list {
		names = append(names, fmt.Sprintf("%q", e.Name))
	}
	return strings.Join(names, ", ")
}

// String is like control 10, model 90.
func (a Arms) String() string {
	var parts []string
	for _, p := range [...]struct {
		name  string
		share float64
	}{{"control", a.Control}, {"model", a.Model}, {"random", a.Random}, {"none", a.None}} {
		if p.share > 0 {
			parts = append(parts, fmt.Sprintf("%s %v", p.name, p.share))
		}
	}
	return strings.Join(parts, ", ")
}

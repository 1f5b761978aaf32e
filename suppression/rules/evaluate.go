package rules

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"cel.dev/cel-go/common/types"
)

// A rule that fails tripFailures times within tripWithin evaluations goes to
// shadow: it is broken. One that fails now and then is not, and each time the mail
// went as if it were not there.
const (
	tripFailures = 10
	tripWithin   = 1000
)

// counters is what a rule did since its set was compiled.
type counters struct {
	evaluated, fired, undecided, failed atomic.Uint64

	tripped atomic.Bool
	mu      sync.Mutex // guards what follows, which only failures touch
	since   uint64     // evaluated when the count began
	recent  int        // failures since then
}

// Stat is what one rule did since its set was compiled.
type Stat struct {
	Rule      string
	Version   int
	Evaluated uint64 // its scope covered the mail
	Fired     uint64
	Undecided uint64 // it hung on something not known of the mailbox
	Failed    uint64
	Tripped   bool // failures moved it to shadow
}

// Stats counts each rule's doings, in order of the rules.
func (s *Set) Stats() []Stat {
	list := make([]Stat, len(s.rules))
	for i, c := range s.rules {
		list[i] = Stat{c.Name, c.Version, c.evaluated.Load(), c.fired.Load(), c.undecided.Load(), c.failed.Load(), c.tripped.Load()}
	}
	return list
}

// trips takes a failure into account and reports whether it moved the rule to
// shadow just now.
func (c *counters) trips() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.evaluated.Load(); n-c.since > tripWithin || c.recent == 0 {
		c.since, c.recent = n, 0
	}
	c.recent++
	return c.recent >= tripFailures && !c.tripped.Swap(true)
}

// fires evaluates the rule's condition. What is not known and what fails goes into
// the verdict.
func (c *compiled) fires(f *Facts, v *Verdict, shadow bool, m mode) bool {
	if m == live {
		c.evaluated.Add(1)
	}
	if c.when == nil {
		return true
	}
	out, _, err := c.when.program.Eval((*variables)(f))
	if err == nil {
		return out == types.True
	}
	if missing, ok := notKnown(err); ok {
		if m == live {
			c.undecided.Add(1)
		}
		v.Undecided = append(v.Undecided, Undecided{c.Name, missing, shadow})
		return false
	}
	v.Failed = append(v.Failed, Failure{c.Name, err.Error()})
	if m == live {
		c.failed.Add(1)
		if !shadow && c.trips() {
			v.Tripped = append(v.Tripped, c.Name)
		}
	}
	return false
}

// notKnown tells a condition that hangs on something not known of the mailbox from
// one that fails, and names what is not known. A key that a map does not have is
// such a thing.
func notKnown(err error) (string, bool) {
	if absent := (*absentError)(nil); errors.As(err, &absent) {
		return absent.name, true
	}
	return strings.CutPrefix(err.Error(), "no such key: ")
}

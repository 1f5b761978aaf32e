package interest

import (
	"cmp"
	"slices"
)

// Outcome is one delivered mail and what came of it.
type Outcome struct {
	Mail
	Read, Clicked bool
}

// History is one person's mails in order of delivery.
type History []Outcome

const (
	fitRows   = 2000   // outcomes below which nothing is fitted
	fitEvents = 200    // readings, or clicks, below which a filter is kept
	fitMost   = 150000 // outcomes that are plenty for the filters
	fitDoubt  = 0.1    // share of a weight's first variance that remains: lists change
)

// Fit makes a Prior from recorded histories: first the two filters, then, in the
// order of time, the weights of the layer. Where the histories are few, from
// remains. Fatigue and Leaving are those of from; see FitTolerance.
func Fit(people []History, from *Prior) *Prior {
	p := *from
	p.Version++
	rows, reads, clicks := tally(people)
	if rows < fitRows {
		return &p
	}
	if reads >= fitEvents && reads <= rows-fitEvents {
		p.Open = fitFilter(sequences(people, Outcome.wasRead, fitMost), p.Open)
	}
	if clicks >= fitEvents {
		p.Tap = fitFilter(sequences(people, Outcome.wasClicked, fitMost), p.Tap)
	}
	return fitLayers(people, p.derive())
}

func (o Outcome) wasRead() bool    { return o.Read }
func (o Outcome) wasClicked() bool { return o.Clicked }

func tally(people []History) (rows, reads, clicks int) {
	for _, h := range people {
		rows += len(h)
		for _, o := range h {
			if o.Read {
				reads++
			}
			if o.Clicked {
				clicks++
			}
		}
	}
	return rows, reads, clicks
}

// event is one outcome among all people's.
type event struct{ person, mail int }

// fitLayers lets a Learner live through the histories in the order of time.
func fitLayers(people []History, p *Prior) *Prior {
	states := make([]State, len(people))
	learner := NewLearner(p)
	for _, e := range inOrder(people) {
		s, o := &states[e.person], people[e.person][e.mail]
		learner.Observe(s, o.Mail, o.Read, o.Clicked)
		s.Sent(p, o.Mail)
		s.Resolve(p, o.Mail, o.Read, o.Clicked, 1)
	}
	q := learner.Snapshot()
	for i := range Inputs {
		q.Reading.Variance[i] = max(q.Reading.Variance[i], fitDoubt*p.Reading.Variance[i])
		q.Tapping.Variance[i] = max(q.Tapping.Variance[i], fitDoubt*p.Tapping.Variance[i])
	}
	return q
}

// inOrder lists all outcomes by time of delivery, then by person.
func inOrder(people []History) []event {
	var events []event
	for i, h := range people {
		for j := range h {
			events = append(events, event{i, j})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int {
		return cmp.Compare(people[a.person][a.mail].At, people[b.person][b.mail].At)
	})
	return events
}

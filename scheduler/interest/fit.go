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
// remains. Fatigue and Leaving are those of from; see FitTolerance. An outcome
// counts as known at the person's next mail.
func Fit(people []History, from *Prior) *Prior { return FitDelayed(people, from, 0) }

// FitDelayed is Fit for a use in which an outcome is only known wait seconds after
// the mail was sent.
func FitDelayed(people []History, from *Prior, wait int64) *Prior {
	p := *from
	p.Version++
	if rows, _, _ := tally(people); rows < fitRows {
		return &p
	}
	q := fitFilters(people, &p, wait)
	old, oldRead, oldTap := fitLayers(people, &p, wait)
	if q.Open == p.Open && q.Tap == p.Tap {
		return old
	}
	fit, fitRead, fitTap := fitLayers(people, q, wait)
	if fitRead < oldRead && fitTap < oldTap {
		return fit
	}
	// A filter that is likelier by itself but foresees worse with the layer goes.
	if fitRead >= oldRead {
		q.Open = p.Open
	}
	if fitTap >= oldTap {
		q.Tap = p.Tap
	}
	fit, _, _ = fitLayers(people, q.derive(), wait)
	return fit
}

// fitFilters fits the filters of which there are enough outcomes of either kind.
func fitFilters(people []History, from *Prior, wait int64) *Prior {
	p := *from
	days := float32(wait) / secondsPerDay
	rows, reads, clicks := tally(people)
	if min(reads, rows-reads) >= fitEvents {
		p.Open = fitFilter(sequences(people, Outcome.wasRead, fitMost), p.Open, days)
	}
	if min(clicks, rows-clicks) >= fitEvents {
		p.Tap = fitFilter(sequences(people, Outcome.wasClicked, fitMost), p.Tap, days)
	}
	return p.derive()
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
type event struct {
	person, mail int
	evidence     Evidence
}

// fitLayers lets a Learner live through the histories in the order of time. It
// also returns the log-loss of readings and clicks in the second half.
func fitLayers(people []History, p *Prior, wait int64) (fitted *Prior, readLoss, tapLoss float64) {
	states := make([]State, len(people))
	learner := NewLearner(p)
	events, known := inOrder(people), 0
	outcome := func(e *event) *Outcome { return &people[e.person][e.mail] }
	for i := range events {
		e := &events[i]
		s, o := &states[e.person], outcome(e)
		for ; known < i && outcome(&events[known]).At+max(wait, 1) <= o.At; known++ {
			resolve(learner, p, states, &events[known], outcome(&events[known]))
		}
		if i == len(events)/2 {
			readLoss, tapLoss = learner.readLoss, learner.tapLoss
		}
		e.evidence = s.Evidence(p, o.Mail)
		s.Sent(p, o.Mail)
	}
	for ; known < len(events); known++ {
		resolve(learner, p, states, &events[known], outcome(&events[known]))
	}
	return learner.fitted(), learner.readLoss - readLoss, learner.tapLoss - tapLoss
}

// fitted is a Snapshot that remains in some doubt.
func (l *Learner) fitted() *Prior {
	p := l.Snapshot()
	for i := range Inputs {
		p.Reading.Variance[i] = max(p.Reading.Variance[i], fitDoubt*l.prior.Reading.Variance[i])
		p.Tapping.Variance[i] = max(p.Tapping.Variance[i], fitDoubt*l.prior.Tapping.Variance[i])
	}
	return p
}

func resolve(l *Learner, p *Prior, states []State, e *event, o *Outcome) {
	l.ObserveSent(e.evidence, o.Mail, o.Read, o.Clicked)
	states[e.person].Resolve(p, o.Mail, o.Read, o.Clicked, 1)
}

// inOrder lists all outcomes by time of delivery, then by person.
func inOrder(people []History) []event {
	var events []event
	for i, h := range people {
		for j := range h {
			events = append(events, event{person: i, mail: j})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int {
		return cmp.Compare(people[a.person][a.mail].At, people[b.person][b.mail].At)
	})
	return events
}

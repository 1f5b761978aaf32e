package interest

import "math"

// Evidence is what a prediction rested on: the inputs of the logistic layer in
// steps of 1/16. It is kept with a mail until the outcome is known.
type Evidence [Inputs]int8

const evidenceUnit = 16

// Evidence is taken when the mail is sent, before State.Sent.
func (s *State) Evidence(p *Prior, m Mail) (e Evidence) {
	var in inputs
	s.inputs(p, m, &in)
	for i, v := range in {
		e[i] = int8(min(max(math.Round(v*evidenceUnit), math.MinInt8), math.MaxInt8))
	}
	return e
}

func (e *Evidence) inputs() (in inputs) {
	for i, v := range e {
		in[i] = float64(v) / evidenceUnit
	}
	return in
}

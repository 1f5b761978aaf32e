package scheduler

// Cause is what somebody says made them leave.
type Cause uint8

// The causes.
const (
	CauseUntold     Cause = iota
	CauseTooOften         // too many mails
	CauseIrrelevant       // not about what they care for
	CauseLost             // no longer interested
)

// Said takes in why the person left, and reports whether that changes anything. topic
// is that of the mail they left; 0: all of it, and what does not concern them is then
// no different from what they have no interest in.
//
// Whether they left is told by Observe: this adds no departure. What they said is
// taken as said, whoever may observe them; where nothing at all may be learned,
// callers do not call it.
func (p *Profile) Said(m *Model, c Cause, topic uint32) (news bool) {
	before := p.Interest
	switch {
	case c == CauseTooOften:
		p.Interest.SaidTooOften(m.Interest)
	case c == CauseIrrelevant && topic != 0:
		p.Interest.SaidIrrelevant(fold(topic))
	case c == CauseIrrelevant, c == CauseLost:
		p.Interest.SaidLost(m.Interest)
	}
	return p.Interest != before
}

package interest

import "math"

// What people say when they leave weighs more than what they leave unread, but the
// decision model gives no figures for it: the sizes here are chosen, and modest. Each
// sets a bound and takes no step, so that the same answer twice is the answer once,
// and none ever makes anybody look more interested or more patient.
const (
	// tooOften is how many standard deviations below the usual the tolerance of
	// somebody lies, at most, who says that there was too much: one in forty bears
	// less. With the built-in precision that is two thirds of the usual.
	tooOften = 2

	// lostShare is how likely it is, at least, that somebody reads no more who says
	// that they are no longer interested. No more than a half, because many mean what
	// they were sent, not the sender; visits and time heal it as they do any lapse.
	lostShare = 0.5
	// lostEnough is as near to lostShare as a packed belief is sure to come.
	lostEnough = lostShare - 0.03
)

// aversion is the factor on the odds of reading a topic that somebody said does not
// concern them: one standard deviation of what topics differ by in a person.
var aversion = float32(math.Exp(-1 / math.Sqrt(topicShrink)))

// SaidTooOften takes in that the mails were too many: this person's own tolerance is
// lower, hence the same mails press more and the hazards of leaving are higher.
// Outcomes may move it again once fatigue is measured.
func (s *State) SaidTooOften(p *Prior) {
	z := max(-tooOften/math.Sqrt(max(float64(p.Fatigue.Precision), 1)), -p.reach)
	s.tolerance = min(s.tolerance, int16(math.Round(max(z*toleranceUnit, -math.MaxInt16))))
}

// SaidIrrelevant takes in that mails of the topic do not concern the person. It holds
// until they surely read one; what is known of other topics stays. Where there is no
// room for one more topic nothing is noted.
func (s *State) SaidIrrelevant(t uint32) {
	id := topicID(t)
	if id == 0 || id&^topicMark == 0 {
		return
	}
	free := (*topic)(nil)
	for i := range s.topics {
		slot := &s.topics[i]
		if slot.is(id) {
			slot.id &^= topicMark
			return
		}
		if slot.id == 0 {
			free = slot
		}
	}
	if free != nil {
		free.id = id &^ topicMark
	}
}

// SaidLost takes in that the person is no longer interested: as likely as not they
// have lapsed.
func (s *State) SaidLost(p *Prior) {
	s.open.lapse(&p.Open)
	s.tap.lapse(&p.Tap)
}

// lapse moves so much of the belief to the lowest level that lostShare lies there.
func (c *packed) lapse(f *Filter) {
	b := c.unpack(&f.Start)
	if b[0] >= lostEnough {
		return
	}
	moved := (lostShare - b[0]) / (1 - b[0])
	for k := range b {
		b[k] *= 1 - moved
	}
	b[0] += moved
	*c = b.pack()
}

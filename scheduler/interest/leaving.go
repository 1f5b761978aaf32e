package interest

import "math"

// Leave gives the hazards that one more mail at pressure x makes the person
// unsubscribe or complain. Somebody who has borne many mails without leaving is
// less likely to leave at the next; somebody who no longer reads is likelier.
func (s *State) Leave(p *Prior, at int64, x float32) (unsubscribe, complaint float64) {
	l := &p.Leaving
	alive := s.Alive(p, at)
	lapsed := 1 - alive
	z := s.frailty(p)
	u := float64(l.Unsubscribe*growth(l.UnsubscribeSlope, x)) * z * (1 + float64(l.UnsubscribeLapse)*lapsed)
	c := float64(l.Complaint*growth(l.ComplaintSlope, x)) * z * (1 + float64(l.ComplaintLapse)*lapsed)
	return min(u, 1), min(c, 1)
}

// frailty is the posterior mean of the person's factor on the hazards: a gamma
// of shape Frailty, the departures seen and the exposure survived.
func (s *State) frailty(p *Prior) float64 {
	a := float64(p.Leaving.Frailty)
	events := float64(s.unsubscribes) + float64(s.complaints)*float64(p.Leaving.Grudge)
	return (a + events) / (a + float64(s.exposure))
}

// Unsubscribed records that the person left, which raises the hazards should the
// person ever come back. The moment does not matter: departures do not age.
func (s *State) Unsubscribed(int64) { s.unsubscribes = min(s.unsubscribes+1, departuresMax) }

// Complained records that the person reported a mail as spam.
func (s *State) Complained(int64) { s.complaints = min(s.complaints+1, departuresMax) }

// departuresMax is how far departures are counted: two bits each.
const departuresMax = 3

// growth is exp(slope x), bounded so that an absurd pressure stays a number.
func growth(slope, x float32) float32 {
	return float32(math.Exp(min(float64(slope*x), 20)))
}

package interest

import "math"

const (
	secondsPerDay = 24 * 60 * 60
	stockMax      = 1 << 20 // units of pressure; far beyond anything but a mistake
)

// stocks gives the two fatigue stocks as they stand at a moment.
func (s *State) stocks(p *Prior, at int64) (fast, slow float32) {
	if s.sent == 0 {
		return 0, 0
	}
	days := s.sent.daysTo(at)
	return s.fast * decay(days, p.Fatigue.Fast), s.slow * decay(days, p.Fatigue.Slow)
}

func decay(days float64, tau float32) float32 {
	if days <= 0 {
		return 1
	}
	return float32(math.Exp(-days / float64(tau)))
}

// Pressure is the strain of the mails so far if extra units more were sent at the
// moment, relative to what the person tolerates: 1 is exactly at tolerance.
func (s *State) Pressure(p *Prior, at int64, extra float32) float32 {
	fast, slow := s.stocks(p, at)
	week := (fast+extra)/p.Fatigue.Fast + (slow+extra)/p.Fatigue.Slow
	return 3.5 * week / s.Tolerance(p)
}

// Tolerance is the units of pressure a week this person bears.
func (s *State) Tolerance(p *Prior) float32 {
	if s.tolerance == 0 {
		return p.Fatigue.Tolerance
	}
	return p.Fatigue.Tolerance * float32(math.Exp(float64(s.tolerance)/toleranceUnit))
}

// Sent records that the mail was delivered.
func (s *State) Sent(p *Prior, m Mail) {
	x := s.Pressure(p, m.At, m.Weight)
	fast, slow := s.stocks(p, m.At)
	weight := min(max(m.Weight, 0), 100)
	s.fast, s.slow = short(min(fast+weight, stockMax)), short(min(slow+weight, stockMax))
	s.sent = max(s.sent, stampOf(m.At))
	s.exposure = half(s.exposure + p.Leaving.Unsubscribe*growth(p.Leaving.UnsubscribeSlope, x))
}

// pressureAt is the pressure at which a mail was sent; 0: no longer known, since
// later mails have gone out and nobody kept it.
func (s *State) pressureAt(p *Prior, m Mail) float32 {
	if m.Pressure > 0 || s.sent > stampOf(m.At) {
		return m.Pressure
	}
	return s.Pressure(p, m.At, 0)
}

// short keeps the 16 bits of a positive number that three bytes hold besides its
// exponent: stocks err by less than 1 in 100,000.
func short(v float32) float32 {
	return math.Float32frombits((math.Float32bits(v) + 0x7f) &^ 0xff)
}

// half is the nearest number that two bytes hold: 11 bits besides an exponent of
// five, between 2^-23 and 256. Zero stays zero.
func half(v float32) float32 { return halfFrom(halfOf(v)) }

const halfBias = (127 - 24) << 11

func halfOf(v float32) uint16 {
	bits := int32((math.Float32bits(max(v, 0))+1<<11)>>12) - halfBias
	return uint16(min(max(bits, 0), math.MaxUint16))
}

func halfFrom(u uint16) float32 {
	if u == 0 {
		return 0
	}
	return math.Float32frombits((uint32(u) + halfBias) << 12)
}

// growth is exp(slope x), bounded so that an absurd pressure stays a number.
func growth(slope, x float32) float32 {
	return float32(math.Exp(min(float64(slope*x), 20)))
}

// temper moves the tolerance one Newton step after a mail sent at pressure x was
// read or not, foreseen being its chance (decision model 4.2). A clamp keeps one
// odd month from making a person unreachable or fair game.
func (s *State) temper(p *Prior, x float32, foreseen float32, read bool) {
	r := float64(p.burden(x))
	d := 2 * r / (1 + r)
	if x <= 0 || d < 1e-3 {
		return
	}
	q := min(max(float64(foreseen), 0.001), 0.95)
	y := 0.0
	if read {
		y = 1
	}
	precision := float64(p.Fatigue.Precision) + float64(s.precision)/precisionUnit
	precision += q / (1 - q) * d * d
	z := float64(s.tolerance)/toleranceUnit + (y-q)/(1-q)*d/precision
	z = min(max(z, -p.reach), p.reach)
	s.tolerance = int16(math.Round(min(max(z*toleranceUnit, -32767), 32767)))
	s.precision = uint16(min((precision-float64(p.Fatigue.Precision))*precisionUnit, 65535))
}

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

// Unsubscribed records that the person left; it raises the hazards should the
// person ever come back.
func (s *State) Unsubscribed(at int64) { s.unsubscribes = min(s.unsubscribes+1, 3) }

// Complained records that the person reported a mail as spam.
func (s *State) Complained(at int64) { s.complaints = min(s.complaints+1, 3) }

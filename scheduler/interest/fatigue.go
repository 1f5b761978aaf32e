package interest

import "math"

const (
	secondsPerDay = 24 * 60 * 60
	weightMax     = 100     // units of pressure of one mail; far beyond sense
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

// Sent records that the mail was delivered. It may be told late: a mail older than
// the last one adds what is left of it.
func (s *State) Sent(p *Prior, m Mail) {
	weight := min(max(m.Weight, 0), weightMax)
	x := s.Pressure(p, m.At, weight)
	fast, slow := s.stocks(p, m.At)
	late := stampOf(m.At).daysTo(s.sent.unix())
	fast += weight * decay(late, p.Fatigue.Fast)
	slow += weight * decay(late, p.Fatigue.Slow)
	s.fast, s.slow = short(min(fast, stockMax)), short(min(slow, stockMax))
	s.accustom(weight)
	s.sent = max(s.sent, stampOf(m.At))
	s.exposure = half(s.exposure + p.Leaving.Unsubscribe*growth(p.Leaving.UnsubscribeSlope, x))
}

// accustom moves the usual weight of a mail an eighth of the way.
func (s *State) accustom(weight float32) {
	usual := weight * usualUnit
	if s.usual != 0 {
		usual = float32(s.usual)*7/8 + usual/8
	}
	s.usual = uint8(min(max(usual+0.5, 1), math.MaxUint8))
}

// pressureAt is the pressure at which a mail was sent; 0: no longer known, since
// later mails have gone out and nobody kept it.
func (s *State) pressureAt(p *Prior, m Mail) float32 {
	if m.Pressure > 0 || s.sent > stampOf(m.At) {
		return m.Pressure
	}
	return s.Pressure(p, m.At, 0)
}

// temper moves the tolerance one Newton step after a mail sent at pressure x was
// read or not, foreseen being its chance (decision model 4.2). A clamp keeps one
// odd month from making a person unreachable or fair game.
//
// Before randomised caps have measured the shape of fatigue nothing is learned: a
// reader whose interest was taken for too low looks like one who bears little, and
// in closed loop that kept mail from the best readers.
func (s *State) temper(p *Prior, x float32, foreseen float32, read bool) {
	if !p.Fatigue.Measured {
		return
	}
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

package scheduler

import (
	"time"

	"tidepost/scheduler/clock"
	"tidepost/scheduler/interest"
)

// Facts are what a profile says of its owner, in plain numbers.
type Facts struct {
	Pressure  float32    // now; 1 is exactly at what the person bears
	Tolerance float32    // units of pressure a week the person bears
	Alive     float32    // share of interest that is left
	Read      float32    // probability that the next mail is read
	Future    float32    // readings expected of the next half year
	Evidence  float32    // observed hours, decayed
	Rate      float32    // active hours expected in a week
	Mails     int        // outcomes known
	Waiting   int        // sends remembered and not resolved
	Local     bool       // hours are local; else UTC
	Hours     [3]uint8   // likeliest hours of the week, Monday 00:00 first
	Times     [3]float32 // how many times likelier than the average hour
	Active    time.Time  // last verified click or visit; zero: none
}

// Facts sums up the profile.
func (p *Profile) Facts(m *Model, now time.Time) Facts {
	at := now.Unix()
	f := Facts{
		Pressure: p.Interest.Pressure(m.Interest, at, 0), Tolerance: p.Interest.Tolerance(m.Interest),
		Alive: float32(p.Interest.Alive(m.Interest, at)), Read: float32(p.Interest.Read(m.Interest, interest.Mail{At: at})),
		Future: float32(p.Interest.Future(m.Interest, at)), Evidence: p.Clock.Evidence(), Rate: p.Clock.Rate(m.Clock, at),
		Mails: p.Interest.Mails(), Local: p.place.zone != 0,
	}
	for _, n := range p.sends[:p.n] {
		if n.flags&wasDone == 0 {
			f.Waiting++
		}
	}
	if p.active != 0 {
		f.Active = time.Unix(p.active, 0).UTC()
	}
	var curve clock.Curve
	p.Clock.Curve(m.Clock, &curve)
	for h, v := range curve {
		for i := range f.Times {
			if v > f.Times[i] {
				copy(f.Times[i+1:], f.Times[i:])
				copy(f.Hours[i+1:], f.Hours[i:])
				f.Times[i], f.Hours[i] = v, uint8(h)
				break
			}
		}
	}
	return f
}

package interest

import "math"

// State is what is remembered of one person. The zero value: nothing is known.
// It is a plain value; a copy is independent. All parts are kept as coarse as they
// are encoded, so that a State read back decides exactly as one kept in memory.
type State struct {
	open, tap packed    // beliefs about reading and clicking
	reads     [3]uint16 // readings remembered over memories, in readUnit, 12 bits
	n         uint16    // resolved mails, in countUnit
	misses    uint8     // resolved mails since the last reading

	unsubscribes, complaints uint8 // departures seen, at most 3 each

	sent, resolved, read stamp  // last delivery, last mail resolved, last reading
	active               uint16 // last day seen alive elsewhere, since 2000

	usual      uint8   // running mean of the weight of mails sent, in usualUnit; 0: none
	fast, slow float32 // fatigue stocks at the last delivery, units of pressure
	exposure   float32 // hazard of unsubscribing survived so far
	tolerance  int16   // log tolerance over the prior's, in toleranceUnit
	precision  uint16  // its precision beyond the prior's, in precisionUnit

	topics [topicSlots]topic
}

const (
	readUnit      = 64
	readMax       = 1<<12 - 1
	countUnit     = 64
	usualUnit     = 200
	toleranceUnit = 8192
	precisionUnit = 256
)

// stamp is a moment in steps of four minutes since 2000; 0: never. Three bytes
// last until 2127.
type stamp uint32

const (
	stampStart = 946684800
	stampStep  = 240
	stampMax   = 1<<24 - 1
)

func stampOf(at int64) stamp {
	return stamp(min(max((at-stampStart)/stampStep, 1), stampMax))
}

func (t stamp) unix() int64 { return stampStart + int64(t)*stampStep }

// daysTo is the time from the stamp to the moment; 0 from never or a later one.
func (t stamp) daysTo(at int64) float64 {
	to := stampOf(at)
	if t == 0 || to <= t {
		return 0
	}
	return float64(to-t) * (stampStep / float64(secondsPerDay))
}

// Mails is the number of resolved mails, weighted by their evidence. Below three
// the evidence is thin, and no mail may be dropped on it.
func (s *State) Mails() int { return (int(s.n) + countUnit/2) / countUnit }

// belief is what is believed of the person's reading at a moment.
func (s *State) belief(p *Prior, at int64) belief {
	b := s.open.unpack(&p.Open.Start)
	b.revive(&p.Open, s.resolved.daysTo(at))
	return b
}

// Alive is the share of interest that is left, 0..1: about the chance that the
// person still looks at mails of this sender at all.
func (s *State) Alive(p *Prior, at int64) float64 {
	b := s.belief(p, at)
	return float64(b.mean(&p.alive))
}

// Resolve takes in the outcome of one delivered mail, weighted by how far it can
// be trusted: for a reading the chance that a person did it, for silence the
// chance that a reading would have been seen.
func (s *State) Resolve(p *Prior, m Mail, read, clicked bool, weight float32) {
	if !(weight > 0) {
		return
	}
	weight = min(weight, 1)
	foreseen, plain := s.filter(p, m, read, clicked, weight)
	if x := s.pressureAt(p, m); x > 0 {
		s.temper(p, x, foreseen, read)
	}
	s.noteTopic(m.Topic, plain, read, weight)
	s.count(read, float64(weight))
	if read {
		s.read = max(s.read, stampOf(m.At))
	}
	s.resolved = max(s.resolved, stampOf(m.At))
}

// filter moves both beliefs by one outcome. It returns the chance of reading
// foreseen for this mail, and for one of no particular topic.
func (s *State) filter(p *Prior, m Mail, read, clicked bool, weight float32) (foreseen, plain float32) {
	days := s.resolved.daysTo(m.At)
	b := s.belief(p, m.At)
	b.move(&p.Open, days)
	openWeight, tapWeight := weight, weight
	if s.resolved != 0 {
		openWeight *= p.Open.news(days)
		tapWeight *= p.Tap.news(days)
	}
	favour := s.favour(m.Topic)
	if m.Level != 0 {
		favour *= float32(math.Exp(float64(m.Level)))
	}
	if favour == 1 {
		foreseen = b.learn(&p.open.p, read, openWeight)
		plain = foreseen
	} else {
		plain = b.mean(&p.open.p)
		at := p.open.lift(favour)
		foreseen = b.learn(&at, read, openWeight)
	}
	s.open = b.pack()

	c := s.tap.unpack(&p.Tap.Start)
	c.revive(&p.Tap, days)
	c.move(&p.Tap, days)
	c.learn(&p.tap.p, clicked, tapWeight)
	s.tap = c.pack()
	return foreseen, plain
}

// count keeps the remembered numbers of mails and readings.
func (s *State) count(read bool, weight float64) {
	up := float64(s.dither())
	for i := range memories {
		v := float64(s.reads[i])
		if weight == 1 {
			v *= memories[i].keep
		} else {
			v *= math.Exp2(-weight / memories[i].halfLife)
		}
		if read {
			v += weight * readUnit
		}
		s.reads[i] = uint16(min(v+up, readMax))
	}
	if s.n > math.MaxUint16-countUnit {
		s.n -= seen / 2 * countUnit // beyond a thousand mails the number only keeps the dither going
	}
	s.n += uint16(math.Round(weight * countUnit))
	switch {
	case read:
		s.misses = 0
	case s.misses < math.MaxUint8 && weight >= 0.5:
		s.misses++
	}
}

// dither is what to add before a count is cut to whole units, 0..1: by turns, in a
// sequence without a period. With plain rounding small counts would never decay.
func (s *State) dither() float32 {
	return float32(uint32(s.n)*2654435769>>8) / (1 << 24)
}

// Provisional is the person as seen while k mails, delivered age hours ago, still
// lie unread: silence counts as far as a reading would have come by then. The copy
// serves to predict with; what it assumes is not to be kept.
func (s *State) Provisional(p *Prior, age float64, k int) State {
	t := *s
	k = min(max(k, 0), 64)
	f := float32(p.Delay.By(age))
	if k == 0 || f == 0 {
		return t
	}
	b := s.open.unpack(&p.Open.Start)
	for range k {
		b.learn(&p.open.p, false, f)
		t.count(false, float64(f))
	}
	t.open = b.pack()
	return t
}

// visitOdds is how likely somebody without any interest left is to be seen alive,
// relative to somebody full of it; our guess.
const visitOdds = 0.25

// Active records that the person was seen alive elsewhere, on the site or by a
// click in an old mail. It only ever revives interest, once a day.
func (s *State) Active(p *Prior, at int64) {
	day := uint16(min(max((at-stampStart)/secondsPerDay, 0), math.MaxUint16))
	if day <= s.active {
		return
	}
	s.active = day
	b := s.open.unpack(&p.Open.Start)
	for k := range b {
		b[k] *= p.alive[k] + visitOdds
	}
	s.open = b.pack()
}

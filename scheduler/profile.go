package scheduler

import (
	"time"

	"tidepost/scheduler/clock"
	"tidepost/scheduler/interest"
)

const (
	// keptSends is how many recent sends a profile remembers to tell a late or
	// repeated signal from a new one. Four cover a week of the usual caps.
	keptSends = 4

	// silence is the age at which a send that nobody read counts as unread. Of what
	// is read at all 98 % is read by then (decision model 4.1); waiting longer would
	// only keep slots busy.
	silence = 7 * 24 * 3600

	// noted is the grid of the times of sends, in seconds: eleven bits for a week.
	noted = 300

	notedRef = 1<<10 - 1 // bits of a ref that are kept

	// Weights of evidence: surely a human; as likely as not.
	certain, doubtful = 1, 0.5
)

// Profile is what is known of a mailbox's habits: when its owner reads, whether
// they still do, and how much mail they bear. It is a plain value; the zero value
// knows nothing. Encoded it takes at most 256 bytes.
//
// Evidence may come out of order, late and more than once: each kind counts once
// for each send remembered. A send is resolved when it was clicked, when a later
// mail goes out after an open, after a week of silence, or when the next send
// needs its slot: by then a reading is rare, and never resolving it would make a
// person who gets daily mail and reads none look like a newcomer.
type Profile struct {
	Clock    clock.Clock
	Interest interest.State

	// Week is the mailbox's week of the experiment (see WeekOf) and Did what its
	// owner did in it.
	Week uint16
	Did  Deeds

	place  place           // of the clock's hours
	sees   Sees            // what may be seen of the sends remembered
	robot  uint8           // for so many sends more, opens are taken for those of a machine
	active int64           // unix seconds of the last verified click or visit in Week, on a grid of two minutes; 0: none
	sends  [keptSends]note // oldest first
	n      uint8
}

// Deeds are what a person did within a week.
type Deeds uint8

// What counts in an experiment.
const (
	DidRead Deeds = 1 << iota
	DidClick
	DidUnsubscribe
	DidComplain
	DidVisit
)

// WeekOf numbers the weeks since Monday 5 January 1970, UTC.
func WeekOf(at time.Time) uint16 {
	return uint16(min(max((at.Unix()-4*secondsPerDay)/(7*secondsPerDay), 0), 1<<16-1))
}

// note is one remembered send.
type note struct {
	at    int64 // unix seconds, on the grid of noted
	mass  float32
	press float32
	ref   uint16
	topic uint8
	flags flags
}

type flags uint8

const (
	wasRead    flags = 1 << iota // the clock has been told of a reading, certain or doubtful
	wasOpened                    // certainly
	wasClicked                   // certainly
	wasDone                      // its outcome is in Interest
)

// Sees is what may be learned from a mailbox (policy.evidence, narrowed by its
// recorded consent).
type Sees uint8

// The evidence modes.
const (
	SeesFull  Sees = iota // opens and clicks with their times
	SeesClick             // clicks alone: opens are ignored, silence after an open is not counted
	SeesDay               // the day of the last open, to stop mailing people who are gone; shared curve
	SeesNone              // nothing; shared curve
)

// Kind is what a person did.
type Kind uint8

// The kinds of evidence.
const (
	Opened Kind = iota
	Clicked
	Unsubscribed
	Complained
	Active // seen elsewhere: a visit, a reply, a purchase
)

// Evidence is one thing a person did.
type Evidence struct {
	Kind   Kind
	At     time.Time
	Ref    uint16  // of the delivery, as in Send.Ref; with Kind it makes evidence idempotent
	Weight float32 // 1: surely a human; less where in doubt; 0 teaches nothing
}

// Sent is a delivery that the far side took.
type Sent struct {
	At         time.Time
	Ref        uint16
	Topic      uint32  // hash of List-Id or class
	Pressure   float32 // what its class weighs: promotional 1, newsletter 0.6, triggered 0.4, transactional 0.1
	Observable bool    // an open or click of it would come back
	Sees       Sees    // what may be learned from the mailbox
}

// Sent notes a delivery: it presses, and where its reading can be seen it lies
// unread from now on. zone is the mailbox's, nil if unknown.
func (p *Profile) Sent(m *Model, zone *time.Location, s Sent) {
	at := max(s.At.Unix(), 0)
	p.place.move(&p.Clock, zone, at)
	p.sweep(m, at)
	mail := interest.Mail{At: at, Topic: fold(s.Topic), Weight: s.Pressure}
	n := note{at: at / noted * noted, ref: s.Ref & notedRef, topic: uint8(fold(s.Topic))}
	n.press = pressed(p.Interest.Pressure(m.Interest, at, 0))
	if p.sees = s.Sees; p.robot > 0 {
		p.sees = max(p.sees, SeesClick)
		p.robot--
	}
	if s.Observable && m.Observed {
		n.mass = p.mass(m, mail)
	}
	p.Interest.Sent(m.Interest, mail)
	if !p.room(m, n.at, at) {
		return
	}
	if s.Sees <= SeesClick {
		p.Clock.Sent(m.Clock, n.at, p.place.hour(at), n.mass)
	}
	p.keep(n)
}

// mass is the readings expected to be seen of a mail.
func (p *Profile) mass(m *Model, mail interest.Mail) float32 {
	switch p.sees {
	case SeesFull, SeesDay:
		return massed(float32(p.Interest.Read(m.Interest, mail)))
	case SeesClick:
		return massed(float32(p.Interest.Click(m.Interest, mail)))
	}
	return 0
}

// room makes room for a send, if need be by resolving the oldest. It reports
// false for one that comes so late that nothing will be asked of it any more.
func (p *Profile) room(m *Model, at, now int64) bool {
	if p.n > 0 && p.newest()-at >= silence {
		return false
	}
	if p.n < keptSends {
		return true
	}
	if at < p.sends[0].at {
		return false
	}
	p.resolve(m, 0)
	p.forget(m, 0, now)
	return true
}

// keep puts the send into its place by time.
func (p *Profile) keep(n note) {
	i := int(p.n)
	for ; i > 0 && p.sends[i-1].at > n.at; i-- {
		p.sends[i] = p.sends[i-1]
	}
	p.sends[i] = n
	p.n++
}

// forget removes the i-th send. What is left of it in the clock goes too: should
// it be read after all, nobody would know of which mail.
func (p *Profile) forget(m *Model, i int, now int64) {
	if n := &p.sends[i]; n.mass > 0 && n.flags&wasRead == 0 && p.sees <= SeesClick {
		p.Clock.Settle(m.Clock, now, p.place.hour(now), n.at, n.mass)
	}
	copy(p.sends[i:p.n], p.sends[i+1:p.n])
	p.n--
	p.sends[p.n] = note{} // equal profiles are equal values
}

// sweep resolves what has been silent for a week by at, and what was opened
// before, and forgets what is old.
func (p *Profile) sweep(m *Model, at int64) {
	for i := 0; i < int(p.n); {
		n := &p.sends[i]
		switch {
		case at-n.at >= silence:
			p.resolve(m, i)
			p.forget(m, i, at)
			continue
		case n.flags&wasOpened != 0:
			p.resolve(m, i)
		}
		i++
	}
}

// resolve takes the outcome of the i-th send into the interest, once.
func (p *Profile) resolve(m *Model, i int) {
	n := &p.sends[i]
	if n.flags&wasDone != 0 {
		return
	}
	n.flags |= wasDone
	mail, read, clicked, weight := p.outcome(m, n)
	if weight <= 0 {
		return
	}
	if m.Resolved != nil && weight == 1 {
		m.Resolved(&p.Interest, mail, read, clicked)
	}
	p.Interest.Resolve(m.Interest, mail, read, clicked, weight)
}

// outcome is what the send says of the person's interest by now. Silence counts
// only where a reading would have been seen.
func (p *Profile) outcome(m *Model, n *note) (mail interest.Mail, read, clicked bool, weight float32) {
	mail = interest.Mail{At: n.at, Topic: uint32(n.topic), Pressure: n.press}
	read, clicked = n.flags&(wasOpened|wasClicked) != 0, n.flags&wasClicked != 0
	switch {
	case read:
		return mail, true, clicked, 1
	case n.mass == 0:
		return mail, false, false, 0
	case p.sees == SeesClick:
		seen := p.Interest.Click(m.Interest, mail) / max(p.Interest.Read(m.Interest, mail), 1e-3)
		return mail, false, false, min(1, float32(seen))
	}
	return mail, false, false, 1
}

// Observe takes in one thing the person did and reports whether it was news, after
// which waiting mail is to be planned again. zone is the mailbox's, nil if unknown.
func (p *Profile) Observe(m *Model, zone *time.Location, sees Sees, e Evidence) (news bool) {
	if e.Kind == Opened && e.Weight == 0 {
		return p.machine()
	}
	if p.robot > 0 {
		sees = max(sees, SeesClick)
	}
	if !(e.Weight > 0) || sees == SeesNone && e.Kind != Unsubscribed && e.Kind != Complained {
		return false
	}
	e.Weight = min(e.Weight, 1)
	at := max(e.At.Unix(), 0)
	p.place.move(&p.Clock, zone, at)
	switch e.Kind {
	case Opened:
		return sees != SeesClick && p.opened(m, sees, at, e)
	case Clicked:
		return p.clicked(m, sees, at, e)
	case Active:
		return p.visited(m, sees, at, e)
	case Unsubscribed:
		return p.left(e, DidUnsubscribe)
	case Complained:
		return p.left(e, DidComplain)
	}
	return false
}

// find is the index of the send with that ref that was out by then, or -1.
func (p *Profile) find(ref uint16, at int64) int {
	for i := int(p.n) - 1; i >= 0; i-- {
		if p.sends[i].ref == ref&notedRef && p.sends[i].at <= at+int64(clockSlack/time.Second) {
			return i
		}
	}
	return -1
}

// gone takes what came of a send that is not remembered any more: a sign of life,
// no more, and no hour, because nothing would tell a repetition from a new one.
func (p *Profile) gone(m *Model, at int64, e Evidence) bool {
	if e.Weight < certain {
		return false
	}
	before := p.Interest
	p.Interest.Active(m.Interest, at)
	return p.Interest != before
}

// suspicion is for how many sends a machine's open makes opens worthless. Mail
// programs that fetch images do so with all mail; where they stop, opens count again.
const suspicion = 3

// machine notes an open that no person did: the person's own opens are hidden behind
// such ones, so that for a while clicks alone count, and silence as little as a
// missing click (decision model 2.1). It is news where it was not known.
func (p *Profile) machine() bool {
	known := p.robot == suspicion
	p.robot, p.sees = suspicion, max(p.sees, SeesClick)
	return !known
}

func (p *Profile) opened(m *Model, sees Sees, at int64, e Evidence) bool {
	i := p.find(e.Ref, at)
	if i < 0 {
		return p.gone(m, at, e)
	}
	n := &p.sends[i]
	if n.flags&wasOpened != 0 {
		return false
	}
	before := n.flags
	if e.Weight >= doubtful {
		n.flags |= wasOpened
		p.did(e.At, DidRead)
	}
	p.seen(m, sees, at, n, e.Weight)
	return n.flags != before && before&wasClicked == 0
}

func (p *Profile) clicked(m *Model, sees Sees, at int64, e Evidence) bool {
	i := p.find(e.Ref, at)
	if i < 0 {
		return p.gone(m, at, e)
	}
	n := &p.sends[i]
	if n.flags&wasClicked != 0 {
		return false
	}
	p.seen(m, sees, at, n, e.Weight)
	if e.Weight >= doubtful {
		n.flags |= wasClicked
		p.did(e.At, DidRead|DidClick)
		p.resolve(m, i)
	}
	if e.Weight >= certain {
		p.lively(e.At)
	}
	return true
}

// seen teaches the clock that the send was read at that time.
func (p *Profile) seen(m *Model, sees Sees, at int64, n *note, weight float32) {
	if n.flags&wasRead != 0 {
		return
	}
	n.flags |= wasRead
	if sees <= SeesClick {
		p.Clock.Read(m.Clock, at, p.place.hour(at), n.at, n.mass, weight)
	}
}

func (p *Profile) visited(m *Model, sees Sees, at int64, e Evidence) bool {
	if sees <= SeesClick {
		p.Clock.Active(m.Clock, at, p.place.hour(at), e.Weight)
	}
	if e.Weight >= certain {
		p.Interest.Active(m.Interest, at)
		p.did(e.At, DidVisit)
		p.lively(e.At)
	}
	return true
}

// left notes that the person wanted no more of it, once a week. What must be
// stopped because of that is not the scheduler's to know.
func (p *Profile) left(e Evidence, deed Deeds) bool {
	if p.Week == WeekOf(e.At) && p.Did&deed != 0 {
		return false
	}
	if deed == DidUnsubscribe {
		p.Interest.Unsubscribed(e.At.Unix())
	} else {
		p.Interest.Complained(e.At.Unix())
	}
	p.did(e.At, deed)
	return true
}

// did notes what counts in the experiment; what belongs to an earlier week comes
// too late for it.
func (p *Profile) did(at time.Time, d Deeds) {
	switch week := WeekOf(at); {
	case week > p.Week:
		p.Week, p.Did, p.active = week, d, 0
	case week == p.Week:
		p.Did |= d
	}
}

// lively notes when the person was surely there.
func (p *Profile) lively(at time.Time) {
	if WeekOf(at) == p.Week {
		p.active = max(p.active, at.Unix()/lively*lively)
	}
}

const lively = 120 // seconds, the grid of Profile.active

// place is where the clock's hours are counted.
type place struct {
	zone    uint8 // six bits of a hash of the zone's name; 0: UTC, for want of a zone
	quarter int8  // its offset when last looked at, in quarter hours
	begun   bool
}

// move brings the clock into the zone. Summer time moves no habit: hours are those
// of the wall clock. Another zone, or one that becomes known, does.
func (l *place) move(c *clock.Clock, zone *time.Location, at int64) {
	to := place{begun: true}
	if zone != nil {
		to.zone = zoneHash(zone)
		to.quarter = int8(offsetOf(zone, at) / 900)
	}
	switch {
	case !l.begun && zone == nil:
		c.Unzone()
	case l.begun && l.zone != to.zone:
		c.Rotate(int(floor(int64(to.quarter)-int64(l.quarter)+2, 4)))
		if zone == nil {
			c.Unzone()
		}
	}
	*l = to
}

// hour is the hour of the week in the place, as last moved.
func (l *place) hour(at int64) int { return hourOfWeek(at + 900*int64(l.quarter)) }

func offsetOf(zone *time.Location, at int64) int64 {
	_, offset := time.Unix(at, 0).In(zone).Zone()
	return int64(offset)
}

func zoneHash(zone *time.Location) uint8 {
	h := uint64(14695981039346656037)
	for i, name := 0, zone.String(); i < len(name); i++ {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return uint8(h%63) + 1
}

// hourOfWeek of seconds of wall clock since 1970, Monday 00:00 first.
func hourOfWeek(wall int64) int {
	return int(mod64(floor(wall, 3600)+72, clock.Hours)) // 1 January 1970 was a Thursday
}

func floor(a, n int64) int64 {
	q := a / n
	if a%n < 0 {
		q--
	}
	return q
}

// fold keeps five bits of a topic: a person is told apart by a handful of them.
func fold(topic uint32) uint32 {
	if topic == 0 {
		return 0
	}
	return topic%31 + 1
}

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

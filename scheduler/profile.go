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

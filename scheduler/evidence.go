package scheduler

import (
	"time"
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

// Observe takes in one thing the person did and reports whether it was news, after
// which waiting mail is to be planned again. zone is the mailbox's, nil if unknown.
func (p *Profile) Observe(m *Model, zone *time.Location, sees Sees, e Evidence) (news bool) {
	if e.Kind <= Clicked {
		sees = max(sees, p.sees) // what a sender forbids of a mail, the reader's policy does not permit
	}
	switch {
	case sees == SeesNone && e.Kind != Unsubscribed && e.Kind != Complained:
		return false
	case e.Kind == Opened && e.Weight == 0:
		return p.machine()
	case !(e.Weight > 0):
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

// OpensHidden reports whether the person's own opens are hidden behind a machine's.
func (p *Profile) OpensHidden() bool { return p.robot > 0 }

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

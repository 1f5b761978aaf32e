package experiment

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"time"
)

// Unit is what is kept of one mailbox so that everything is counted once. It is a
// plain value of UnitSize bytes when encoded; the zero value has never seen mail.
// What it returns are changes of a Tally, for the caller to add.
type Unit struct {
	week    uint16 // last week with mail planned
	entered uint16 // bit n: n weeks before that, mail was planned in an arm
	clicked uint16 // bit n: n weeks before that, mail was clicked
	read    uint16 // bit n: n weeks before that, mail was read
	seen    bool
	now     place // in the quarter of week
	last    place // in the quarter before it
}

// place is where a mailbox stands in a quarter.
type place struct {
	arm         Arm
	weeks       uint8 // in the arm
	clicked     uint8 // weeks
	read        uint8 // weeks
	guards      uint8 // guardrails that came, by bit
	clickedPast uint8 // weeks clicked of the eight before it entered
	readPast    uint8 // weeks read of the eight before it entered
}

// Planned counts bulk mail planned for the mailbox in an arm (Outside where
// nothing is randomised), and returns what that changes. Only the first of a week
// counts.
func (u *Unit) Planned(at time.Time, arm Arm, shares Shares) Fact {
	w := weekOf(at)
	u.advance(w)
	back, ok := u.back(w)
	if !ok || arm >= Arms {
		return Fact{}
	}
	p := u.place(w)
	if u.entered>>back&1 == 1 || p == nil || p.weeks == maxWeeks {
		return Fact{}
	}
	f := Fact{Quarter: quarterOfWeek(w)}
	if p.weeks == 0 {
		f.Mailboxes, f.Shares = 1, shares
		*p = place{arm: arm, clickedPast: weeksBefore(u.clicked, back), readPast: weeksBefore(u.read, back)}
	}
	if f.Arm = p.arm; arm != p.arm {
		f.Moved = 1
	}
	u.entered |= 1 << back
	f.Weeks, f.WeeksSq = 1, 2*uint64(p.weeks)+1
	f.Clicked.week(p.weeks, p.clicked, p.clickedPast)
	f.Read.week(p.weeks, p.read, p.readPast)
	p.weeks++
	return f
}

// Stopped counts bulk mail that a suppression stops. A mailbox that left since it
// entered its arm goes on counting there, as mail that brought nothing; otherwise
// the arm that loses more readers would look like the one with the better ones.
// One that left before is in no arm.
func (u *Unit) Stopped(at time.Time) Fact {
	w := weekOf(at)
	u.advance(w)
	if p := u.place(w); p != nil && p.weeks > 0 {
		return u.Planned(at, p.arm, Shares{})
	}
	return Fact{}
}

// Elsewhere is the same mailbox before it enters an arm of another experiment: it
// brings its past along.
func (u *Unit) Elsewhere() Unit {
	return Unit{week: u.week, clicked: u.clicked, read: u.read, seen: u.seen}
}

// maxWeeks are the weeks of the longest quarter.
const maxWeeks = 14

func weeksBefore(weeks uint16, back uint) uint8 {
	return uint8(bits.OnesCount16(weeks >> (back + 1) & (1<<past - 1)))
}

// week adds one more week to a mailbox with n of them, in y of which the outcome
// came.
func (s *Sums) week(n, y, x uint8) {
	s.YN += uint64(y)
	s.T += uint64(x)
	s.TT += uint64(x) * uint64(x) * (2*uint64(n) + 1)
	s.TY += uint64(x) * uint64(y)
	s.TN += uint64(x) * (2*uint64(n) + 1)
}

// outcome adds one more week with the outcome to a mailbox that had y of them.
func (s *Sums) outcome(n, y, x uint8) {
	s.Y++
	s.YY += 2*uint64(y) + 1
	s.YN += uint64(n)
	s.TY += uint64(x) * uint64(n)
}

// Did counts what a person did with mail that was planned at a time, and returns
// what that changes. Once a week for clicks and reads, once a quarter for the
// guardrails; after two weeks it is too late.
func (u *Unit) Did(what Outcome, planned time.Time) Fact {
	w := weekOf(planned)
	back, ok := u.back(w)
	if !ok {
		return Fact{}
	}
	f := Fact{Quarter: quarterOfWeek(w)}
	p := u.place(w)
	counted := p != nil && p.weeks > 0 && back <= late && u.entered>>back&1 == 1
	if counted {
		f.Arm = p.arm
	}
	switch what {
	case Clicked:
		if !once(&u.clicked, 1<<back) || !counted || p.clicked >= p.weeks {
			return Fact{}
		}
		f.Clicked.outcome(p.weeks, p.clicked, p.clickedPast)
		p.clicked++
	case Read:
		if !once(&u.read, 1<<back) || !counted || p.read >= p.weeks {
			return Fact{}
		}
		f.Read.outcome(p.weeks, p.read, p.readPast)
		p.read++
	default:
		if !counted || !once(&p.guards, 1<<(what-Unsubscribed)) {
			return Fact{}
		}
		*f.guard(what) = 1
	}
	return f
}

// late is how many weeks after the mail's own an outcome still counts.
const late = 1

func once[T uint8 | uint16](flags *T, bit T) bool {
	was := *flags
	*flags |= bit
	return was&bit == 0
}

func (t *Tally) guard(o Outcome) *uint64 {
	return [...]*uint64{&t.Unsubscribed, &t.Complained, &t.Bounced}[min(o, Bounced)-Unsubscribed]
}

// Sent counts mail that left, planned at a time and held for another.
func (u *Unit) Sent(planned time.Time, held time.Duration) Fact {
	f, ok := u.fact(planned)
	if !ok {
		return Fact{}
	}
	f.Mails, f.Held = 1, uint64(max(held, 0)/time.Second)
	return f
}

// Dropped counts mail that will not leave, planned at a time.
func (u *Unit) Dropped(planned time.Time) Fact {
	f, ok := u.fact(planned)
	if !ok {
		return Fact{}
	}
	f.Tally.Dropped = 1
	return f
}

func (u *Unit) fact(planned time.Time) (Fact, bool) {
	w := weekOf(planned)
	back, ok := u.back(w)
	p := u.place(w)
	if !ok || p == nil || p.weeks == 0 || u.entered>>back&1 == 0 {
		return Fact{}, false
	}
	return Fact{Quarter: quarterOfWeek(w), Arm: p.arm}, true
}

// advance moves on to a week.
func (u *Unit) advance(w uint16) {
	if u.seen && w <= u.week {
		return
	}
	if by := uint(w - u.week); u.seen {
		u.entered, u.clicked, u.read = u.entered<<by, u.clicked<<by, u.read<<by
	}
	switch q, was := quarterOfWeek(w), quarterOfWeek(u.week); {
	case q == was:
	case q == was+1:
		u.last, u.now = u.now, place{}
	default:
		u.last, u.now = place{}, place{}
	}
	u.week, u.seen = w, true
}

// back is how many weeks before the last one a week is, if that is remembered.
func (u *Unit) back(w uint16) (uint, bool) {
	return uint(u.week - w), u.seen && w <= u.week && u.week-w <= past+late
}

// place is where the mailbox stands in the quarter of a week, or nil.
func (u *Unit) place(w uint16) *place {
	switch q, now := quarterOfWeek(w), quarterOfWeek(u.week); q {
	case now:
		return &u.now
	case now - 1:
		return &u.last
	}
	return nil
}

// UnitSize is the length of an encoded unit.
const UnitSize = 1 + 2 + 3*2 + 2*placeSize

const placeSize = 4

const unitVersion = 1

// AppendBinary appends the unit in UnitSize bytes.
func (u *Unit) AppendBinary(b []byte) ([]byte, error) {
	version := byte(unitVersion)
	if !u.seen {
		version = 0
	}
	b = append(b, version)
	for _, n := range [...]uint16{u.week, u.entered, u.clicked, u.read} {
		b = binary.LittleEndian.AppendUint16(b, n)
	}
	for _, p := range [...]place{u.now, u.last} {
		b = binary.LittleEndian.AppendUint32(b, p.pack())
	}
	return b, nil
}

var errUnit = errors.New("not the state of a mailbox in an experiment")

// UnmarshalBinary reads what AppendBinary wrote.
func (u *Unit) UnmarshalBinary(b []byte) error {
	if len(b) != UnitSize || b[0] > unitVersion {
		return errUnit
	}
	var n [4]uint16
	for i := range n {
		n[i] = binary.LittleEndian.Uint16(b[1+2*i:])
	}
	read := Unit{week: n[0], entered: n[1], clicked: n[2], read: n[3], seen: b[0] == unitVersion}
	read.now.unpack(binary.LittleEndian.Uint32(b[9:]))
	read.last.unpack(binary.LittleEndian.Uint32(b[9+placeSize:]))
	if !read.valid() {
		return errUnit
	}
	*u = read
	return nil
}

func (u *Unit) valid() bool {
	return u.now.valid() && u.last.valid() && (u.seen || *u == Unit{})
}

func (p *place) valid() bool {
	return p.weeks <= maxWeeks && p.clicked <= p.weeks && p.read <= p.weeks && p.clickedPast <= past && p.readPast <= past &&
		(p.weeks > 0 || *p == place{})
}

func (p *place) pack() uint32 {
	return uint32(p.arm) | uint32(p.weeks)<<2 | uint32(p.clicked)<<6 | uint32(p.read)<<10 |
		uint32(p.guards)<<14 | uint32(p.clickedPast)<<17 | uint32(p.readPast)<<21
}

func (p *place) unpack(n uint32) {
	*p = place{
		arm: Arm(n & 3), weeks: uint8(n >> 2 & 15), clicked: uint8(n >> 6 & 15), read: uint8(n >> 10 & 15),
		guards: uint8(n >> 14 & 7), clickedPast: uint8(n >> 17 & 15), readPast: uint8(n >> 21 & 15),
	}
}

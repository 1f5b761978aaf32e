package scheduler

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

const (
	ringSize = 32
	week     = 168 * time.Hour

	// clockSlack is how far ahead of now a recorded time may be and still be
	// believed. A clock set right by a few minutes must not open a gap; one that
	// was a year ahead must not close it for a year.
	clockSlack = time.Hour

	refMask    = 1<<13 - 1
	weightBits = 13
	bulkBit    = 1 << 15
)

// Send is one slot of a mailbox's ring of sends.
type Send struct {
	At     time.Time // to the second
	Weight uint8     // 0 to 3, what a class weighs; the gates do not read it
	Bulk   bool      // counts for gap and cap
	Ref    uint16    // low bits of a hash of the delivery's id, to find the slot again; 13 bits are kept
}

// Gates is the ring of a mailbox's last 32 sends, in order of time. It is a plain
// value: copying it copies the ring. The zero value has no sends.
type Gates struct {
	at  [ringSize]uint32 // seconds since 1970, ascending
	tag [ringSize]uint16 // bulk, weight and ref of the send in the same place
	n   uint8
}

// Len is the number of sends kept.
func (g *Gates) Len() int { return int(g.n) }

// Send is the i-th send kept, oldest first.
func (g *Gates) Send(i int) Send {
	tag := g.tag[i]
	return Send{
		At:     time.Unix(int64(g.at[i]), 0).UTC(),
		Weight: uint8(tag >> weightBits & 3),
		Bulk:   tag&bulkBit != 0,
		Ref:    tag & refMask,
	}
}

// Count claims a slot for a send. A full ring forgets its oldest send, but never
// one that a gate still needs in favour of one that none needs: a flood of
// password resets must not wash the week's newsletters out of the cap.
func (g *Gates) Count(s Send) {
	tag := s.Ref&refMask | uint16(s.Weight&3)<<weightBits
	if s.Bulk {
		tag |= bulkBit
	}
	at := seconds(s.At)
	if g.n == ringSize {
		victim := g.victim(at, s.Bulk)
		if victim < 0 {
			return
		}
		g.remove(victim)
	}
	g.insert(at, tag)
}

// victim is the slot to forget for a new send, or -1 to forget the new one.
func (g *Gates) victim(at uint32, bulk bool) int {
	if int64(at)-int64(g.at[0]) >= int64(week/time.Second) {
		return 0
	}
	for i, tag := range g.tag {
		if tag&bulkBit == 0 {
			return i
		}
	}
	if !bulk {
		return -1
	}
	return 0
}

func (g *Gates) insert(at uint32, tag uint16) {
	i := int(g.n)
	for ; i > 0 && g.at[i-1] > at; i-- {
		g.at[i], g.tag[i] = g.at[i-1], g.tag[i-1]
	}
	g.at[i], g.tag[i] = at, tag
	g.n++
}

func (g *Gates) remove(i int) {
	copy(g.at[i:g.n], g.at[i+1:g.n])
	copy(g.tag[i:g.n], g.tag[i+1:g.n])
	g.n--
	g.at[g.n], g.tag[g.n] = 0, 0 // equal rings are equal values
}

func (g *Gates) find(at time.Time, ref uint16) int {
	sec := seconds(at)
	for i := int(g.n) - 1; i >= 0; i-- {
		if g.at[i] == sec && g.tag[i]&refMask == ref&refMask {
			return i
		}
	}
	return -1
}

// Return takes back the slot claimed at that time: the mail did not go out. It
// reports whether there was one.
func (g *Gates) Return(at time.Time, ref uint16) bool {
	i := g.find(at, ref)
	if i >= 0 {
		g.remove(i)
	}
	return i >= 0
}

// Settle keeps the slot claimed at that time and dates it now, when the mail was
// taken. It reports whether there was one.
func (g *Gates) Settle(at time.Time, ref uint16, now time.Time) bool {
	i := g.find(at, ref)
	if i < 0 {
		return false
	}
	tag := g.tag[i]
	g.remove(i)
	g.insert(seconds(now), tag)
	return true
}

// Check returns the earliest instant from now on at which quiet hours, minimum gap
// and weekly cap all permit the item, and which of them binds. If it may go now,
// that is now itself and no reason. zone is the mailbox's, nil if unknown.
func (g *Gates) Check(now time.Time, p *Policy, zone *time.Location, item *Item) (time.Time, Reason) {
	if item.Bypass || item.Exempt {
		return now, ""
	}
	open, reason := now, Reason("")
	if !item.Counted {
		open, reason = g.limits(now, p)
	}
	if end := p.Quiet.Until(open, p.zone(zone)); end.After(open) {
		return end, QuietHours
	}
	return open, reason
}

// limits returns when gap and cap both permit. Once open they stay open as long
// as nothing is sent, so the later of the two is the answer.
func (g *Gates) limits(now time.Time, p *Policy) (time.Time, Reason) {
	return g.limitsSince(now, now, p)
}

// limitsSince is limits, but looks back to an instant that may be before now: when
// gap and cap opened, had nobody asked until now.
func (g *Gates) limitsSince(from, now time.Time, p *Policy) (time.Time, Reason) {
	open, reason := from, Reason("")
	weekly := min(p.WeeklyCap, ringSize)
	believed := now.Add(clockSlack).Unix()
	bulk := 0
	for i := int(g.n) - 1; i >= 0; i-- {
		if g.tag[i]&bulkBit == 0 || int64(g.at[i]) > believed {
			continue
		}
		bulk++
		at := time.Unix(int64(g.at[i]), 0)
		if t := at.Add(p.MinGap); bulk == 1 && p.MinGap > 0 && t.After(open) {
			open, reason = t.In(now.Location()), MinGap
		}
		if bulk >= weekly {
			if t := at.Add(week); weekly > 0 && t.After(open) {
				open, reason = t.In(now.Location()), WeeklyCap
			}
			break
		}
	}
	return open, reason
}

// seconds fits a time into the ring's 32 bits, 1970 to 2106.
func seconds(t time.Time) uint32 {
	return uint32(min(max(t.Unix(), 0), math.MaxUint32))
}

const gatesVersion = 1

var errGates = errors.New("scheduler: a send ring cannot be read: unknown version or damaged")

// AppendBinary appends the ring: version, number of sends and 6 bytes a send, 194
// bytes at most.
func (g *Gates) AppendBinary(b []byte) []byte {
	b = append(b, gatesVersion, g.n)
	for i := range g.n {
		b = binary.LittleEndian.AppendUint32(b, g.at[i])
		b = binary.LittleEndian.AppendUint16(b, g.tag[i])
	}
	return b
}

// UnmarshalBinary reads what AppendBinary wrote and returns the bytes behind it.
// On an error the ring is unchanged.
func (g *Gates) UnmarshalBinary(b []byte) (rest []byte, err error) {
	if len(b) < 2 || b[0] != gatesVersion || b[1] > ringSize || len(b) < 2+6*int(b[1]) {
		return nil, errGates
	}
	read := Gates{n: b[1]}
	b = b[2:]
	for i := range read.n {
		read.at[i] = binary.LittleEndian.Uint32(b)
		read.tag[i] = binary.LittleEndian.Uint16(b[4:])
		if i > 0 && read.at[i] < read.at[i-1] {
			return nil, errGates
		}
		b = b[6:]
	}
	*g = read
	return b, nil
}

// Opens is when a mailbox may get another bulk mail under a cap of n in a window: now
// or earlier where it may today. A cap above what the ring holds never closes.
func (g *Gates) Opens(n int, window time.Duration, now time.Time) time.Time {
	from, seen := now.Add(-window), 0
	for i := int(g.n) - 1; i >= 0; i-- {
		s := g.Send(i)
		if !s.Bulk || s.At.After(now.Add(clockSlack)) {
			continue
		}
		if !s.At.After(from) {
			break
		}
		if seen++; seen == n {
			return s.At.Add(window)
		}
	}
	return time.Time{}
}

package scheduler

import (
	"errors"
	"math"
)

const profileVersion = 1

var errProfile = errors.New("scheduler: a profile cannot be read: unknown version or damaged")

// massed and pressed round a number to what its few bits keep, so that a profile
// read back decides as the one that was written.
func massed(v float32) float32 { return unmass(mass(v)) }

func pressed(v float32) float32 { return pressures[press(v)] }

const masses = 7

// mass is the nearest of seven steps, finer near 0; what is more than 0 stays so.
func mass(v float32) uint64 {
	if !(v > 0) {
		return 0
	}
	return uint64(min(max(masses*math.Sqrt(float64(v))+.5, 1), masses))
}

func unmass(k uint64) float32 {
	v := float32(k) / masses
	return v * v
}

var pressures = [4]float32{0, 0.5, 1.5, 4}

func press(v float32) uint64 {
	switch {
	case !(v > 0):
		return 0
	case v < 1:
		return 1
	case v < 2.5:
		return 2
	}
	return 3
}

// states are the combinations of flags that occur, by what the encoding calls them.
var states = [...]flags{
	0, wasRead, wasRead | wasOpened, wasRead | wasOpened | wasDone,
	wasRead | wasClicked | wasDone, wasRead | wasOpened | wasClicked | wasDone,
}

func (f flags) state() uint64 {
	for i, s := range states {
		if s == f {
			return uint64(i)
		}
	}
	return 0
}

// AppendBinary appends the profile: a version, 25 bytes of bits at most, and what
// the clock and the interest write of themselves; 256 bytes at most.
func (p *Profile) AppendBinary(b []byte) []byte {
	w := bitWriter{b: append(b, profileVersion)}
	w.put(uint64(p.place.zone), 6)
	w.put(uint64(uint8(p.place.coded()))&127, 7)
	w.put(uint64(p.Week), 12)
	w.put(uint64(p.Did), 5)
	w.put(p.codedActive(), 13)
	w.put(uint64(p.sees), 2)
	w.put(uint64(p.robot), 2)
	w.put(uint64(p.n), 3)
	for i := range p.n {
		n := &p.sends[i]
		if i == 0 {
			w.put(uint64(p.newest()/noted), 24)
		}
		if i < p.n-1 {
			w.put(uint64((p.newest()-n.at)/noted), 11)
		}
		w.put(uint64(n.ref), 10)
		w.put(n.flags.state(), 3)
		w.put(mass(n.mass), 3)
		w.put(press(n.press), 2)
		w.put(uint64(n.topic), 5)
	}
	return p.Interest.AppendBinary(p.Clock.AppendBinary(w.flush()))
}

func (p *Profile) newest() int64 { return p.sends[p.n-1].at }

const neverBegun = -64 // no offset: zones reach from -48 to 56 quarter hours

func (l *place) coded() int8 {
	if !l.begun {
		return neverBegun
	}
	return l.quarter
}

const neverActive = 1<<13 - 1

// weekBegan is the beginning of a week in unix seconds.
func weekBegan(week uint16) int64 { return (int64(week)*7 + 4) * secondsPerDay }

func (p *Profile) codedActive() uint64 {
	if p.active == 0 {
		return neverActive
	}
	return uint64((p.active - weekBegan(p.Week)) / lively)
}

// UnmarshalBinary reads what AppendBinary wrote and returns the bytes behind it.
// On an error the profile is unchanged.
func (p *Profile) UnmarshalBinary(b []byte) (rest []byte, err error) {
	if len(b) < 7 || b[0] != profileVersion {
		return nil, errProfile
	}
	var q Profile
	r := bitReader{b: b[1:]}
	if !q.read(&r) {
		return nil, errProfile
	}
	if b, err = q.Clock.UnmarshalBinary(r.rest()); err != nil {
		return nil, errors.Join(errProfile, err)
	}
	if b, err = q.Interest.UnmarshalBinary(b); err != nil {
		return nil, errors.Join(errProfile, err)
	}
	*p = q
	return b, nil
}

func (p *Profile) read(r *bitReader) bool {
	p.place.zone = uint8(r.take(6))
	p.place.quarter = int8(r.take(7)<<1) >> 1
	if p.place.begun = p.place.quarter != neverBegun; !p.place.begun {
		p.place = place{}
	}
	p.Week, p.Did = uint16(r.take(12)), Deeds(r.take(5))
	if active := r.take(13); active != neverActive {
		p.active = weekBegan(p.Week) + int64(active)*lively
	}
	p.sees, p.robot, p.n = Sees(r.take(2)), uint8(r.take(2)), uint8(r.take(3))
	if p.n > keptSends {
		return false
	}
	newest := int64(0)
	for i := range p.n {
		if i == 0 {
			newest = int64(r.take(24)) * noted
		}
		n := &p.sends[i]
		if n.at = newest; i < p.n-1 {
			n.at -= int64(r.take(11)) * noted
		}
		n.ref = uint16(r.take(10))
		state := r.take(3)
		n.mass, n.press, n.topic = unmass(r.take(3)), pressures[r.take(2)], uint8(r.take(5))
		if state >= uint64(len(states)) || i > 0 && n.at < p.sends[i-1].at {
			return false
		}
		n.flags = states[state]
	}
	return r.ok
}

// bitWriter appends numbers of few bits, lowest first.
type bitWriter struct {
	b    []byte
	left uint64
	n    int
}

func (w *bitWriter) put(v uint64, n int) {
	w.left |= (v & (1<<n - 1)) << w.n
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.b = append(w.b, byte(w.left))
		w.left >>= 8
	}
}

func (w *bitWriter) flush() []byte {
	if w.n > 0 {
		w.b = append(w.b, byte(w.left))
	}
	return w.b
}

// bitReader reads them back.
type bitReader struct {
	b    []byte
	at   int // in bits
	ok   bool
	over bool
}

func (r *bitReader) take(n int) (v uint64) {
	for i := range n {
		at := r.at + i
		if at/8 >= len(r.b) {
			r.over = true
			break
		}
		v |= uint64(r.b[at/8]>>(at%8)&1) << i
	}
	r.at += n
	r.ok = !r.over
	return v
}

// rest is what follows the byte of the last bit. The bits between must be zero.
func (r *bitReader) rest() []byte { return r.b[(r.at+7)/8:] }

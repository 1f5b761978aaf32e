package clock

import (
	"encoding/binary"
	"errors"
	"math"
)

// The encoding: version, flags, times (8 bytes), then numbers packed as small
// floating point. A counter is rounded up or down by chance in proportion, so that
// a hundred small additions with a write after each still add up; the chance is a
// hash of the clock, so that equal clocks give equal bytes, and a number that was
// decoded is encoded as it was.
const (
	clockFormat = 1
	flagKnown   = 1
	flagUTC     = 2
	flagMail    = 4 // stock and dues follow

	// MaxEncoded is the largest number of bytes of an encoded clock.
	MaxEncoded = 10 + (24*(9+8+8)+7*10+12+3*8+24*9+7*10+3*12+7)/8
)

var errClock = errors.New("clock: not a clock of this version")

// AppendBinary appends the encoded clock: 2 bytes if nothing is known, about 100
// without mail, MaxEncoded at most.
func (c *Clock) AppendBinary(b []byte) []byte {
	var flags byte
	if c.utc {
		flags |= flagUTC
	}
	if !c.known {
		return append(b, clockFormat, flags)
	}
	flags |= flagKnown
	if c.mailSeen() {
		flags |= flagMail
	}
	b = append(b, clockFormat, flags)
	b = binary.LittleEndian.AppendUint32(b, uint32(max(0, min(math.MaxUint32, c.last))))
	b = binary.LittleEndian.AppendUint16(b, dayNumber(c.ref))
	b = binary.LittleEndian.AppendUint16(b, dayNumber(c.born))
	w := packer{b: b, salt: uint32(c.last) * 2654435761}
	c.pack(&w, flags)
	return w.flush()
}

// UnmarshalBinary reads an encoded clock and returns what follows it. On error the
// clock is as it was.
func (c *Clock) UnmarshalBinary(b []byte) (rest []byte, err error) {
	if len(b) < 2 || b[0] != clockFormat || b[1]&^(flagKnown|flagUTC|flagMail) != 0 {
		return nil, errClock
	}
	flags := b[1]
	next := Clock{utc: flags&flagUTC != 0}
	if flags&flagKnown == 0 {
		if flags&flagMail != 0 {
			return nil, errClock
		}
		*c = next
		return b[2:], nil
	}
	if len(b) < 10 {
		return nil, errClock
	}
	next.known = true
	next.last = int64(binary.LittleEndian.Uint32(b[2:]))
	next.ref = int64(binary.LittleEndian.Uint16(b[6:])) * day
	next.born = int64(binary.LittleEndian.Uint16(b[8:])) * day
	r := unpacker{b: b[10:]}
	next.unpack(&r, flags)
	if r.bad || r.left != 0 || next.ref > next.last || next.last-next.ref > 2*rebase || next.born > next.last {
		return nil, errClock
	}
	*c = next
	return r.b, nil
}

const day = 86400

// dayNumber is the number of the day since 1970.
func dayNumber(at int64) uint16 { return uint16(max(0, min(math.MaxUint16, at/day))) }

// mailSeen reports whether mail has left anything in the clock.
func (c *Clock) mailSeen() bool {
	return c.stock != [3]float32{} || c.dueDay != [7]float32{} || c.due != [24]float32{}
}

// pack writes every number of the clock; unpack is its mirror.
func (c *Clock) pack(w *packer, flags byte) {
	w.numbers(c.hour[:], 5)
	w.numbers(c.weekend[:], 4)
	w.numbers(c.fresh[:], 4)
	w.numbers(c.day[:], 6)
	w.number(c.acts, 8)
	w.numbers(c.recent[:], 4)
	if flags&flagMail != 0 {
		w.numbers(c.due[:], 5)
		w.numbers(c.dueDay[:], 6)
		w.numbers(c.stock[:], 8)
	}
}

// unpack reads what pack wrote.
func (c *Clock) unpack(r *unpacker, flags byte) {
	r.numbers(c.hour[:], 5)
	r.numbers(c.weekend[:], 4)
	r.numbers(c.fresh[:], 4)
	r.numbers(c.day[:], 6)
	c.acts = r.number(8)
	r.numbers(c.recent[:], 4)
	if flags&flagMail != 0 {
		r.numbers(c.due[:], 5)
		r.numbers(c.dueDay[:], 6)
		r.numbers(c.stock[:], 8)
	}
}

// A small float has four bits of exponent e and m of mantissa f: f/2^(m+4) if e is
// zero, else (2^m+f) * 2^(e-1) / 2^(m+4). It reaches from 2^-12 (m=8) or 2^-8
// (m=4) to just under 2048.

// packer writes small floats.
type packer struct {
	b    []byte
	bits uint64
	n    uint
	salt uint32
}

func (w *packer) numbers(a []float32, m uint) {
	for _, x := range a {
		w.number(x, m)
	}
}

func (w *packer) number(x float32, m uint) {
	w.bits |= uint64(w.small(x, m)) << w.n
	for w.n += m + 4; w.n >= 8; w.n -= 8 {
		w.b = append(w.b, byte(w.bits))
		w.bits >>= 8
	}
}

func (w *packer) flush() []byte {
	if w.n > 0 {
		w.b = append(w.b, byte(w.bits))
	}
	return w.b
}

// small is x as a small float.
func (w *packer) small(x float32, m uint) uint32 {
	w.salt = w.salt*1664525 + 1013904223
	if !(x > 0) {
		return 0
	}
	y := float64(x) * float64(uint(1)<<(m+4)) // in units of the least step
	e := uint(0)
	if y >= float64(uint(1)<<m) {
		e = uint(math.Float64bits(y)>>52) - 1023 - m + 1
		y /= float64(uint64(1) << (e - 1))
	}
	f := uint32(y)
	if part := y - float64(f); part > 0 && part > float64(w.dice(x))/(1<<24) {
		f++ // may carry into the exponent, which is the next number up
	}
	if e > 0 {
		f -= 1 << m
	}
	return min(uint32(e)<<m+f, 1<<(m+4)-1)
}

// dice is 24 bits that depend on the number and where it stands.
func (w *packer) dice(x float32) uint32 {
	h := math.Float32bits(x) ^ w.salt
	h ^= h >> 16
	h *= 0x7feb352d
	h ^= h >> 15
	h *= 0x846ca68b
	h ^= h >> 16
	return h >> 8
}

// unpacker reads small floats.
type unpacker struct {
	b    []byte
	left uint64
	n    uint
	bad  bool
}

func (r *unpacker) numbers(a []float32, m uint) {
	for i := range a {
		a[i] = r.number(m)
	}
}

func (r *unpacker) number(m uint) float32 {
	for r.n < m+4 {
		if len(r.b) == 0 {
			r.bad = true
			return 0
		}
		r.left |= uint64(r.b[0]) << r.n
		r.b = r.b[1:]
		r.n += 8
	}
	code := uint32(r.left & (1<<(m+4) - 1))
	r.left >>= m + 4
	r.n -= m + 4
	e, f := code>>m, code&(1<<m-1)
	if e > 0 {
		f = (f + 1<<m) << (e - 1)
	}
	return float32(f) / float32(uint(1)<<(m+4))
}

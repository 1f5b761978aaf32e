package interest

import (
	"encoding/binary"
	"errors"
	"math"
)

const (
	stateVersion = 1
	// MaxStateSize is the largest encoding of a State, in bytes.
	MaxStateSize = 1 + 2*Levels + 5 + 2 + 1 + 3*3 + 2 + 1 + 2*3 + 2 + 2 + 2 + 5*topicSlots
)

var errState = errors.New("interest: damaged state")

// AppendBinary appends the encoding of the state, a version byte first.
func (s *State) AppendBinary(b []byte) []byte {
	b = append(b, stateVersion)
	b = append(b, s.open[:]...)
	b = append(b, s.tap[:]...)
	le := binary.LittleEndian
	b = append12(b, s.reads[0], s.reads[1])
	b = le.AppendUint16(b, s.reads[2]|uint16(s.unsubscribes)<<12|uint16(s.complaints)<<14)
	b = le.AppendUint16(b, s.n)
	b = append(b, s.misses)
	for _, v := range [3]stamp{s.sent, s.resolved, s.read} {
		b = append(b, byte(v), byte(v>>8), byte(v>>16))
	}
	b = le.AppendUint16(b, s.active)
	b = append(b, s.usual)
	for _, v := range [2]float32{s.fast, s.slow} {
		u := math.Float32bits(v)
		b = append(b, byte(u>>8), byte(u>>16), byte(u>>24))
	}
	b = le.AppendUint16(b, halfOf(s.exposure))
	b = le.AppendUint16(b, uint16(s.tolerance))
	b = le.AppendUint16(b, s.precision)
	for _, t := range s.topics {
		b = le.AppendUint16(b, t.id)
		b = append(b, t.mails, t.reads, t.foreseen)
	}
	return b
}

// append12 appends two numbers of twelve bits.
func append12(b []byte, v, w uint16) []byte {
	return append(b, byte(v), byte(v>>8)|byte(w)<<4, byte(w>>4))
}

func read12(b []byte) (v, w uint16) {
	return uint16(b[0]) | uint16(b[1]&15)<<8, uint16(b[1])>>4 | uint16(b[2])<<4
}

func read24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

// UnmarshalBinary reads what AppendBinary wrote and returns what follows it. On an
// error the state is left as it was.
func (s *State) UnmarshalBinary(b []byte) (rest []byte, err error) {
	if len(b) < MaxStateSize || b[0] != stateVersion {
		return nil, errState
	}
	var t State
	r, le := b[1:], binary.LittleEndian
	r = r[copy(t.open[:], r):]
	r = r[copy(t.tap[:], r):]
	if !t.open.sane() || !t.tap.sane() {
		return nil, errState
	}
	t.reads[0], t.reads[1] = read12(r)
	tail := le.Uint16(r[3:])
	t.reads[2], t.unsubscribes, t.complaints = tail&readMax, uint8(tail>>12&3), uint8(tail>>14)
	t.n, t.misses, r = le.Uint16(r[5:]), r[7], r[8:]
	t.sent, t.resolved, t.read = stamp(read24(r)), stamp(read24(r[3:])), stamp(read24(r[6:]))
	t.active, t.usual, r = le.Uint16(r[9:]), r[11], r[12:]
	t.fast, t.slow = math.Float32frombits(read24(r)<<8), math.Float32frombits(read24(r[3:])<<8)
	if !stock(t.fast) || !stock(t.slow) {
		return nil, errState
	}
	t.exposure, t.tolerance, t.precision, r = halfFrom(le.Uint16(r[6:])), int16(le.Uint16(r[8:])), le.Uint16(r[10:]), r[12:]
	for i := range t.topics {
		slot := &t.topics[i]
		*slot = topic{id: le.Uint16(r), mails: r[2], reads: r[3], foreseen: r[4]}
		if slot.reads > slot.mails || slot.foreseen > slot.mails || slot.id == 0 && slot.mails > 0 {
			return nil, errState
		}
		r = r[5:]
	}
	*s = t
	return r, nil
}

// sane reports whether the belief is one that pack makes, or empty.
func (c *packed) sane() bool {
	zeros := 0
	for _, v := range c {
		if v == 0 {
			zeros++
		}
	}
	return zeros == 0 || zeros == Levels
}

// stock reports whether v can be a fatigue stock.
func stock(v float32) bool { return v >= 0 && v <= stockMax }

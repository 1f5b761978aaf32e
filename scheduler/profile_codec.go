package scheduler

import (
	"encoding/binary"
	"errors"
	"math"
)

const profileVersion = 1

var errProfile = errors.New("scheduler: a profile cannot be read: unknown version or damaged")

const noteSize = 7

// massed and pressed round a number to what its half byte keeps, so that a
// profile read back decides as the one that was written.
func massed(v float32) float32 { return unmass(mass(v)) }

func pressed(v float32) float32 { return unpress(press(v)) }

func mass(v float32) uint8 { return root(v, 1) }

func unmass(k uint8) float32 { return square(k, 1) }

func press(v float32) uint8 { return root(v, 9) }

func unpress(k uint8) float32 { return square(k, 9) }

// root is the nearest of 16 steps to v, finer near 0; what is more than 0 stays so.
func root(v, largest float32) uint8 {
	if !(v > 0) {
		return 0
	}
	return uint8(min(max(math.Round(15*math.Sqrt(float64(v/largest))), 1), 15))
}

func square(k uint8, largest float32) float32 {
	v := float32(k) / 15
	return v * v * largest
}

// AppendBinary appends the profile: a version, the place, the week, the sends and
// what the clock and the interest write of themselves; 256 bytes at most.
func (p *Profile) AppendBinary(b []byte) []byte {
	b = append(b, profileVersion)
	b = p.place.append(b)
	le := binary.LittleEndian
	b = append(le.AppendUint16(b, p.Week), byte(p.Did))
	b = le.AppendUint32(b, uint32(p.active/60))
	b = append(b[:len(b)-1], p.n<<4|b[len(b)-1]) // minutes since 1970 fit into 28 bits until 2480
	if p.n > 0 {
		b = le.AppendUint32(b, uint32(p.newest()/noted))
	}
	for _, n := range p.sends[:p.n] {
		b = le.AppendUint16(b, uint16(min((p.newest()-n.at)/noted, math.MaxUint16)))
		u := uint32(n.ref) | uint32(n.flags)<<13 | uint32(n.topic)<<21
		b = append(le.AppendUint32(b, u)[:len(b)+4], mass(n.mass)|press(n.press)<<4)
	}
	return p.Interest.AppendBinary(p.Clock.AppendBinary(b))
}

func (p *Profile) newest() int64 { return p.sends[p.n-1].at }

func (l *place) append(b []byte) []byte {
	if !l.begun {
		return append(b, 0, 0x80)
	}
	return append(b, l.zone, byte(l.quarter))
}

// UnmarshalBinary reads what AppendBinary wrote and returns the bytes behind it.
// On an error the profile is unchanged.
func (p *Profile) UnmarshalBinary(b []byte) (rest []byte, err error) {
	if len(b) < 10 || b[0] != profileVersion {
		return nil, errProfile
	}
	var q Profile
	if q.place = (place{zone: b[1], quarter: int8(b[2]), begun: true}); b[2] == 0x80 {
		q.place = place{}
	}
	le := binary.LittleEndian
	q.Week, q.Did = le.Uint16(b[3:]), Deeds(b[5])
	q.active = int64(le.Uint32(b[6:])&(1<<28-1)) * 60
	q.n = b[9] >> 4
	if b, err = q.readSends(b[10:]); err != nil {
		return nil, err
	}
	if b, err = q.Clock.UnmarshalBinary(b); err != nil {
		return nil, errors.Join(errProfile, err)
	}
	if b, err = q.Interest.UnmarshalBinary(b); err != nil {
		return nil, errors.Join(errProfile, err)
	}
	*p = q
	return b, nil
}

func (p *Profile) readSends(b []byte) (rest []byte, err error) {
	if p.n == 0 {
		return b, nil
	}
	if p.n > keptSends || len(b) < 4+noteSize*int(p.n) {
		return nil, errProfile
	}
	le := binary.LittleEndian
	newest := int64(le.Uint32(b)) * noted
	b = b[4:]
	for i := range p.n {
		u := le.Uint32(b[2:])
		p.sends[i] = note{
			at: newest - int64(le.Uint16(b))*noted, ref: uint16(u & refMask),
			flags: flags(u >> 13), topic: uint8(u >> 21 & 63),
			mass: unmass(b[6] & 15), press: unpress(b[6] >> 4),
		}
		if i > 0 && p.sends[i].at < p.sends[i-1].at {
			return nil, errProfile
		}
		b = b[noteSize:]
	}
	return b, nil
}

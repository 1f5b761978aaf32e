package clock

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

const priorFormat = 1

var errPrior = errors.New("clock: not a prior of this version")

// AppendBinary appends the encoded prior: about 8 KiB.
func (p *Prior) AppendBinary(b []byte) []byte {
	b = append(b, priorFormat)
	b = binary.LittleEndian.AppendUint32(b, p.Version)
	p.numbers(func(x *float32) { b = binary.LittleEndian.AppendUint32(b, math.Float32bits(*x)) })
	return b
}

// UnmarshalBinary reads an encoded prior and returns what follows it.
func (p *Prior) UnmarshalBinary(b []byte) (rest []byte, err error) {
	if len(b) < 5 || b[0] != priorFormat {
		return nil, errPrior
	}
	next := Prior{Version: binary.LittleEndian.Uint32(b[1:])}
	b = b[5:]
	good := true
	next.numbers(func(x *float32) {
		if len(b) < 4 {
			good = false
			return
		}
		*x = math.Float32frombits(binary.LittleEndian.Uint32(b))
		good = good && !math.IsNaN(float64(*x)) && !math.IsInf(float64(*x), 0)
		b = b[4:]
	})
	if !good || !next.sane() {
		return nil, errPrior
	}
	next.prepare()
	*p = next
	return b, nil
}

// sane reports whether decoded numbers are what they must be, and counts the shapes.
func (p *Prior) sane() bool {
	for j := range p.Kernel.Tau {
		if p.Kernel.Tau[j] < .01 || p.Kernel.W[j] < 0 {
			return false
		}
	}
	return p.come.typical > 0 && p.local.sane() && p.utc.sane()
}

// sane is the same for an audience.
func (a *audience) sane() bool {
	for _, g := range a.curve {
		if g <= 0 || g > Hours {
			return false
		}
	}
	a.count = 0
	for k := range a.shapes {
		s := &a.shapes[k]
		least := min(slices.Min(s.hour[workday][:]), slices.Min(s.hour[weekend][:]), slices.Min(s.day[:]), slices.Min(a.shift[k][:]))
		if least < 0 {
			return false
		}
		if sum(a.shift[k][:]) > 0 {
			a.count = k + 1
		}
	}
	return true
}

// numbers calls f with every fitted number, in the order of the encoding.
func (p *Prior) numbers(f func(*float32)) {
	each := func(a []float32) {
		for i := range a {
			f(&a[i])
		}
	}
	each(p.Kernel.W[:])
	each(p.Kernel.Tau[:])
	each(p.come.w[:])
	f(&p.come.typical)
	for _, a := range []*audience{&p.local, &p.utc} {
		each(a.curve[:])
		each(a.dayPool[:])
		for q := range 2 {
			each(a.hourPool[q][:])
		}
		for k := range a.shapes {
			each(a.shapes[k].hour[workday][:])
			each(a.shapes[k].hour[weekend][:])
			each(a.shapes[k].day[:])
			each(a.shift[k][:])
		}
	}
}

package interest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
)

const priorVersion = 1

var errPrior = errors.New("interest: damaged prior")

// wire is what of a Prior is stored; the rest is derived.
type wire struct {
	Version          uint32
	Open, Tap        Filter
	Reading, Tapping Layer
	Fatigue          struct {
		Fast, Slow, Tolerance, Precision, Reach, Half, Power float32
		Measured                                             bool
	}
	Leaving Leaving
}

// AppendBinary appends the encoding of the prior, about a kilobyte.
func (p *Prior) AppendBinary(b []byte) ([]byte, error) {
	w := wire{Version: p.Version, Open: p.Open, Tap: p.Tap, Reading: p.Reading, Tapping: p.Tapping, Fatigue: p.Fatigue, Leaving: p.Leaving}
	return binary.Append(append(b, priorVersion), binary.LittleEndian, &w)
}

// UnmarshalBinary reads what AppendBinary wrote.
func (p *Prior) UnmarshalBinary(b []byte) error {
	var w wire
	if len(b) != 1+binary.Size(&w) || b[0] != priorVersion {
		return errPrior
	}
	if err := binary.Read(bytes.NewReader(b[1:]), binary.LittleEndian, &w); err != nil {
		return errPrior
	}
	q := Prior{Version: w.Version, Open: w.Open, Tap: w.Tap, Reading: w.Reading, Tapping: w.Tapping, Fatigue: w.Fatigue, Leaving: w.Leaving}
	if !q.sane() {
		return errPrior
	}
	*p = q
	p.derive()
	return nil
}

// sane reports whether all derived numbers are finite.
func (p *Prior) sane() bool {
	finite := func(v float32) bool { return !math.IsNaN(float64(v)) && math.Abs(float64(v)) < 1e6 }
	for i := range Inputs {
		if !finite(p.Reading.Weights[i]) || !finite(p.Tapping.Weights[i]) {
			return false
		}
	}
	return finite(p.Open.Low) && finite(p.Tap.Low) && p.Open.Step > 0 && p.Tap.Step > 0 &&
		p.Fatigue.Fast > 0 && p.Fatigue.Slow > 0 && p.Fatigue.Tolerance > 0 && p.Fatigue.Half > 0
}

package interest

import (
	"bytes"
	"encoding/binary"
	"errors"
)

const priorVersion = 1

var errPrior = errors.New("interest: damaged prior")

// wire is what of a Prior is stored; the rest is derived.
type wire struct {
	Version          uint32
	Open, Tap        Filter
	Reading, Tapping Layer
	Delay            Delay
	Fatigue          Fatigue
	Leaving          Leaving
}

// AppendBinary appends the encoding of the prior, less than a kilobyte.
func (p *Prior) AppendBinary(b []byte) ([]byte, error) {
	w := wire{Version: p.Version, Open: p.Open, Tap: p.Tap, Reading: p.Reading, Tapping: p.Tapping, Delay: p.Delay, Fatigue: p.Fatigue, Leaving: p.Leaving}
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
	q := Prior{Version: w.Version, Open: w.Open, Tap: w.Tap, Reading: w.Reading, Tapping: w.Tapping, Delay: w.Delay, Fatigue: w.Fatigue, Leaving: w.Leaving}
	if !q.sane() {
		return errPrior
	}
	*p = q
	p.derive()
	return nil
}

// sane reports whether the prior can be computed with.
func (p *Prior) sane() bool {
	f, l := &p.Fatigue, &p.Leaving
	return p.Open.sane() && p.Tap.sane() && p.Reading.sane() && p.Tapping.sane() &&
		p.Delay.sane() &&
		within(1e-3, 1e6, f.Fast, f.Slow, f.Tolerance, f.Reach, f.Half, f.Power, l.Frailty) &&
		within(0, 1e6, f.Precision, l.Unsubscribe, l.Complaint, l.UnsubscribeSlope, l.ComplaintSlope,
			l.UnsubscribeLapse, l.ComplaintLapse, l.Grudge)
}

func (f *Filter) sane() bool {
	sum := float32(0)
	for _, v := range f.Start {
		sum += v
	}
	return within(0, 1, f.Start[:]...) && within(0.99, 1.01, sum) &&
		within(-20, 20, f.Low) && within(0.01, 2, f.Step) && within(0, 1000, f.Echo) &&
		within(0, 0.25, f.Drift, f.DriftDay, f.Fade, f.Lapse) && within(0, 1, f.Revive, f.ReviveCap)
}

func (l *Layer) sane() bool {
	return within(-100, 100, l.Weights[:]...) && within(0, 100, l.Variance[:]...) &&
		within(0, 1, l.Noise[:]...) && within(0, 100, l.Luck)
}

func (d *Delay) sane() bool {
	return within(0, 1, d.Share[:]...) && within(1e-3, 1e6, d.Hours[:]...) &&
		within(0.99, 1.01, d.Share[0]+d.Share[1]+d.Share[2])
}

// within reports whether all values lie between least and most; NaN does not.
func within(least, most float32, values ...float32) bool {
	for _, v := range values {
		if !(v >= least && v <= most) {
			return false
		}
	}
	return true
}

package scheduler

import (
	"math"
	"time"
)

// Arm is which rule decides about a mailbox's bulk mail.
type Arm uint8

// The arms. FixedHour and Histogram are what others do; they are for comparison in
// replay and simulation and never part of an experiment.
const (
	ArmModel   Arm = iota
	ArmControl     // a plain relay: gates, then at once
	ArmRandom      // a random permitted hour
	ArmNone        // no promotional mail
	ArmFixedHour
	ArmHistogram
)

// String is the arm as it is written in events and reports.
func (a Arm) String() string {
	return [...]string{"model", "control", "random", "none", "fixed_hour", "histogram", "unknown"}[min(a, ArmHistogram+1)]
}

// Arms are the shares of the arms in percent; together 100. The zero value is all
// model.
type Arms struct{ Control, Model, Random, None float64 }

// Of returns the arm of a mailbox: sticky within a quarter of the year, drawn anew
// in the next, so that nobody is control for ever. The quarter is that of UTC, so
// that it turns everywhere at once.
func (a Arms) Of(salt, mailbox uint64, at time.Time) Arm {
	if a.Control <= 0 && a.Random <= 0 && a.None <= 0 {
		return ArmModel
	}
	year, month, _ := at.UTC().Date()
	quarter := uint64(year)*4 + uint64(month-1)/3
	share := 100 * unit(hash(hash(hash(salt, 'a'), quarter), mailbox))
	for _, arm := range [...]struct {
		arm   Arm
		share float64
	}{{ArmControl, a.Control}, {ArmRandom, a.Random}, {ArmNone, a.None}} {
		if share < arm.share {
			return arm.arm
		}
		share -= max(arm.share, 0)
	}
	return ArmModel
}

// arm is the arm in force for the request: under observation there is only the model.
func (p *Policy) arm(r *Request) Arm {
	switch {
	case p.Only != nil:
		return *p.Only
	case p.Live:
		return p.Arms.Of(p.Salt, r.Mailbox, r.Now)
	}
	return ArmModel
}

func (p *Policy) live() bool { return p.Live || p.Only != nil }

// hash mixes a number into a key: the finaliser of splitmix64, twice, so that
// ids that are not well mixed and keys that differ in a bit give unrelated draws.
func hash(key, x uint64) uint64 { return mix(mix(key+0x9e3779b97f4a7c15) ^ mix(x)) }

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit is a hash as a number of [0, 1).
func unit(x uint64) float64 { return float64(x>>11) / (1 << 53) }

// gumbels are quantiles of the Gumbel distribution: what, added to utilities over
// a temperature, makes their maximum a draw from the softmax.
var gumbels = func() (g [1024]float32) {
	for i := range g {
		g[i] = float32(-math.Log(-math.Log((float64(i) + .5) / float64(len(g)))))
	}
	return g
}()

func gumbel(x uint64) float32 { return gumbels[x>>54] }

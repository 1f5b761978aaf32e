package scheduler

import "math"

// Arm is which rule decides about a mailbox's bulk mail.
type Arm uint8

// The arms, those of an experiment by its numbers. FixedHour and Histogram are what
// others do; they are for comparison in replay and simulation and never part of an
// experiment.
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

// arm is the arm in force for the request: under observation there is only the model.
func (p *Policy) arm(r *Request) Arm {
	switch {
	case p.Only != nil:
		return *p.Only
	case p.Live:
		return Arm(p.Arms.Of(p.Salt, r.Mailbox, r.Now))
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

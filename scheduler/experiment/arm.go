package experiment

import (
	"fmt"
	"math"
	"time"
)

// Arm is which rule decides about a mailbox's bulk mail. The values are those of
// the scheduler's arms.
type Arm uint8

// The arms of an experiment.
const (
	Model   Arm = iota
	Control     // a plain relay: gates, then at once
	Random      // a random permitted hour
	None        // no promotional mail

	Arms        = 4    // how many there are
	Outside Arm = 0xff // nothing is randomised: counted in no arm
)

var armNames = [Arms]string{"model", "control", "random", "none"}

// String is the arm in lower case.
func (a Arm) String() string {
	if a < Arms {
		return armNames[a]
	}
	return "outside"
}

// ParseArm reads the name of an arm.
func ParseArm(s string) (Arm, error) {
	for i, name := range armNames {
		if s == name {
			return Arm(i), nil
		}
	}
	return 0, fmt.Errorf("arm %q: want one of model, control, random, none", s)
}

// Shares are how much of the mailboxes each arm gets, in percent, by Arm;
// together 100. The zero value is all model.
type Shares [Arms]float64

// Check reports what is wrong with the shares. Random and none cost readers
// something and are only for a named experiment.
func (s Shares) Check(named bool) error {
	if s == (Shares{}) {
		return nil
	}
	sum := 0.0
	for a, share := range s {
		if !(share >= 0 && share <= 100) {
			return fmt.Errorf("arm %s: %v %% is not between 0 and 100", Arm(a), share)
		}
		sum += share
	}
	switch {
	case math.Abs(sum-100) > 1e-6:
		return fmt.Errorf("the arms' shares add up to %v %%, not 100", sum)
	case !named && (s[Random] > 0 || s[None] > 0):
		return fmt.Errorf("arms random and none need a named experiment, with an owner, an end, a size and a stop rule")
	}
	return nil
}

// Randomised reports whether there is more than one arm to be drawn.
func (s Shares) Randomised() bool {
	n := 0
	for _, share := range s {
		if share > 0 {
			n++
		}
	}
	return n > 1
}

// Of draws the arm of a mailbox: sticky within a quarter, anew in the next. To
// move a share between control and model moves no other mailbox.
func (s Shares) Of(salt, mailbox uint64, at time.Time) Arm {
	if s == (Shares{}) {
		return Model
	}
	return s.at(100 * uniform(salt, mailbox, uint64(QuarterOf(at))))
}

// at returns the arm at a point of [0, 100).
func (s Shares) at(point float64) Arm {
	for _, a := range [...]Arm{Control, Random, None} {
		if point < s[a] {
			return a
		}
		point -= s[a]
	}
	return Model
}

// uniform hashes numbers to [0, 1), each number through the finaliser of
// splitmix64.
func uniform(numbers ...uint64) float64 {
	return float64(mix(numbers...)>>11) / (1 << 53)
}

func mix(numbers ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, n := range numbers {
		h = (h ^ n) + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

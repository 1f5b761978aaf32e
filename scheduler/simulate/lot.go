package simulate

import "math"

// purpose tells lots of one delivery apart.
type purpose uint64

const (
	forReading purpose = iota + 1
	forClicking
	forLeaving
	forComplaining
	forPrefetch
	forPrefetchDelay
	forMistake
	forSight
	forReport
	forReportDelay
	forHour
	forDropping
)

// lot returns what chance decides about one thing, uniform in (0, 1): the same
// whatever happened before and whichever policy asks.
func lot(seed uint64, person, mail int, p purpose) float64 {
	x := mix(seed ^ mix(uint64(person)<<32|uint64(mail)) ^ mix(uint64(p)*0x9e3779b97f4a7c15))
	return (float64(x>>11) + 0.5) / (1 << 53)
}

// mix is the finaliser of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// exponential turns a uniform lot into one of mean 1.
func exponential(u float64) float64 { return -math.Log(u) }

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func logit(p float64) float64 { return math.Log(p / (1 - p)) }

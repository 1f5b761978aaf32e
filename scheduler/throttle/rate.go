package throttle

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// perUnit is the length in seconds of a rate's unit.
var perUnit = map[string]float64{"s": 1, "m": 60, "h": 3600}

// ParseRate reads "5/s", "100/m" or "3600/h" as messages per second. An empty
// string is 0, unlimited.
func ParseRate(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	number, unit, _ := strings.Cut(s, "/")
	n, err := strconv.ParseFloat(number, 64)
	seconds := perUnit[unit]
	if err != nil || seconds == 0 || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("rate %q: write messages per second, minute or hour, like 5/s, 100/m or 3600/h", s)
	}
	rate := n / seconds
	if n <= 0 || rate > maxRate || rate < minRate {
		return 0, fmt.Errorf("rate %q is out of range: use 1/h to 1000000/s, or leave it empty for no limit", s)
	}
	return rate, nil
}

const (
	maxRate = 1e6       // messages per second
	minRate = 1. / 3600 // one an hour

	// slowest is how far replies may slow a destination down: one message a minute,
	// which is what KumoMTA's shaping falls to, unless it is configured slower.
	slowest = 1. / 60

	// tolerance is how much earlier than evenly spaced a message may go. Without it a
	// worker that wakes late loses that time for good and the rate is never reached.
	tolerance = 100 * time.Millisecond
)

// interval is the time between two messages at the rate.
func interval(rate float64) time.Duration {
	return time.Duration(float64(time.Second) / rate)
}

package rules

import (
	"fmt"
	"time"
)

// Effect is what becomes of one delivery at the moment of a decision.
type Effect uint8

// The effects, mildest first.
const (
	Released Effect = iota // goes now
	Moved                  // goes when quiet hours or a gap are over
	Held                   // waits for a hold or a cap
	Dropped                // never goes
	effects
)

var effectNames = [effects]string{"released", "moved", "held", "dropped"}

// String is the effect's word.
func (e Effect) String() string {
	if e < effects {
		return effectNames[e]
	}
	return "unknown"
}

// MarshalText is String.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (e *Effect) UnmarshalText(b []byte) error {
	for i, name := range effectNames {
		if name == string(b) {
			*e = Effect(i)
			return nil
		}
	}
	return fmt.Errorf("effect '%s': use released, moved, held or dropped", b)
}

// Effect is what the verdict means for a delivery with these facts, as far as the
// facts tell. Caps are judged by the counts of sends in 1, 7, 30 and 90 days; for
// a cap over another window that the counts leave open, exact is false and the
// cap is taken as not reached.
func (v *Verdict) Effect(f *Facts) (e Effect, exact bool) {
	switch v.Kind {
	case Drop:
		return Dropped, true
	case Hold:
		return Held, true
	}
	exact = true
	for _, c := range v.Caps {
		least, most := sendsWithin(f, c.Window)
		if int64(least) >= int64(c.N) {
			return Held, true
		}
		if int64(most) >= int64(c.N) {
			exact = false
		}
	}
	if v.MinGap > 0 && !f.Mailbox.LastSend.IsZero() && f.Now.Sub(f.Mailbox.LastSend) < v.MinGap {
		return Moved, exact
	}
	for _, q := range v.Quiet {
		if q.Covers(f.Now) {
			return Moved, exact
		}
	}
	return Released, exact
}

// sendsWithin bounds how many sends fell into the last window.
func sendsWithin(f *Facts, window time.Duration) (least, most uint32) {
	n := &f.Mailbox.Sends
	if !f.Mailbox.LastSend.IsZero() && f.Now.Sub(f.Mailbox.LastSend) < window {
		least = 1
	}
	most = max(least, n.D90)
	for _, counted := range []struct {
		window time.Duration
		sends  uint32
	}{{90 * day, n.D90}, {30 * day, n.D30}, {7 * day, n.D7}, {day, n.D1}} {
		if counted.window >= window {
			most = counted.sends
		}
		if counted.window <= window {
			least = max(least, counted.sends)
		}
	}
	return least, max(least, most)
}

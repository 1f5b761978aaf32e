package webhook

import "time"

const (
	firstWait = time.Minute    // after the first call; each wait is as long as all before it together
	longWait  = 8 * time.Hour  // up to this
	giveUp    = 72 * time.Hour // of waits, and it is over
	jitterMax = 0.1            // of a wait, added: never earlier than a receiver asked for
)

// waits is how far we are with something that is tried again and again. It is stored,
// so that a new start goes on with it.
type waits struct {
	Tries  int       `json:"tries,omitempty"`
	Waited int64     `json:"waited,omitempty"` // seconds between calls so far, jitter and our own absence left out
	Next   time.Time `json:"next,omitzero"`
	Last   string    `json:"last,omitempty"` // answer
}

// tried notes what a call brought and reports whether that was the last one.
func (w *waits) tried(now time.Time, r *Result, random float64) (over bool) {
	w.Tries++
	if r.Verdict != Again {
		return true
	}
	return w.postpone(now, r, random)
}

// postpone puts the next call off, and reports whether there is none any more. It
// counts what was waited and not what time it is: a gateway that was off for a
// week still has its three days.
func (w *waits) postpone(now time.Time, r *Result, random float64) (over bool) {
	if w.long() {
		w.note(r)
		return true
	}
	w.grow(now, r, random, firstWait, longWait)
	return false
}

// long reports whether three days were waited.
func (w *waits) long() bool { return w.waited() >= giveUp }

func (w *waits) waited() time.Duration { return time.Duration(w.Waited) * time.Second }

// grow puts the next call off by as long as all waits before it, but at least first,
// at most longest, and never less than the receiver asked for.
func (w *waits) grow(now time.Time, r *Result, random float64, first, longest time.Duration) {
	w.note(r)
	wait := max(min(max(w.waited(), first), longest), r.After)
	w.Waited += int64(wait / time.Second)
	w.Next = now.Add(wait + time.Duration(random*jitterMax*float64(wait)))
}

func (w *waits) note(r *Result) {
	if r.Err != nil {
		w.Last = r.Err.Error()
	}
}

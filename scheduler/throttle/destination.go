package throttle

import "time"

const (
	growAfter  = time.Minute      // of clean replies doubles the rate
	cutApart   = 10 * time.Second // a rate is cut once in this time: one event refuses many messages in flight
	probeEvery = time.Minute      // an unreachable destination gets one message in this time
	backOff    = 15 * time.Second // after the first refusal, doubled by each further one
	maxBackOff = time.Hour

	// clockSlack is how far the times of concurrent callers may be apart. A closure
	// or token further ahead than that and its own length was made before the clock
	// went back.
	clockSlack = time.Minute
)

// destination is what is known of one destination. It is not locked.
type destination struct {
	rate float64   // messages per second now; 0: not yet set
	next time.Time // GCRA's theoretical arrival time of the next message

	clean    time.Time // when the present run of clean replies began; zero: none
	cut      time.Time // when the rate was last halved
	refusals int       // Busy replies without a minute of clean ones between

	closed time.Time // since when it has been closed, zero: open
	until  time.Time // end of the closure or time of the next probe
	down   bool      // closed because connections fail

	last   Result
	lastAt time.Time // zero: no reply yet
}

// fit brings the rate into what the limits allow now.
func (d *destination) fit(l Limits) {
	if l.Rate <= 0 {
		d.rate = 0
		return
	}
	if d.rate == 0 {
		d.rate = l.Rate
	}
	d.rate = min(max(d.rate, min(slowest, l.Rate)), max(l.Rate, l.RateMax))
}

// isClosed reports whether nothing may be sent now.
func (d *destination) isClosed(now time.Time) bool {
	longest := maxBackOff
	if d.down {
		longest = probeEvery
	}
	return now.Before(d.until) && d.until.Sub(now) <= longest+clockSlack
}

// reserve takes a token, or says how long to wait for one.
func (d *destination) reserve(now time.Time) time.Duration {
	if d.isClosed(now) {
		return d.until.Sub(now)
	}
	if wait := d.take(now); wait > 0 {
		return wait
	}
	if d.down {
		// This one message is the probe; the others wait for what comes of it.
		d.until = now.Add(probeEvery)
	}
	return 0
}

// take is the generic cell rate algorithm: next moves on by one interval for each
// message, and a message may be early by the tolerance.
func (d *destination) take(now time.Time) time.Duration {
	if d.rate == 0 {
		return 0
	}
	step := interval(d.rate)
	ahead := d.next.Sub(now)
	if ahead > step+tolerance+clockSlack {
		ahead = -1 // the clock went back, or the configured rate was a crawl
	}
	if ahead > tolerance {
		return ahead - tolerance
	}
	if ahead < 0 {
		d.next = now
	}
	d.next = d.next.Add(step)
	return 0
}

// report learns from a reply or its absence.
func (d *destination) report(now time.Time, l Limits, r Result) {
	switch r {
	case Clean:
		d.open(now)
		d.grow(now, l)
	case Deferred:
		d.open(now)
		d.slow(now, l)
	case Busy:
		d.slow(now, l)
		d.refuse(now)
	case Unreachable:
		d.unreachable(now)
	}
	d.last, d.lastAt = r, now
}

// open ends a closure for failed connections, since any reply shows that they work,
// and forgets one that is over. A back-off goes on: replies to messages that were
// in flight do not end it.
func (d *destination) open(now time.Time) {
	if d.down || !d.isClosed(now) {
		d.reopen()
	}
}

func (d *destination) reopen() {
	d.closed, d.until, d.down = time.Time{}, time.Time{}, false
}

// grow doubles the rate after a minute of clean replies. A run with a minute's
// pause in it is a new one: silence is no proof that more would be welcome.
func (d *destination) grow(now time.Time, l Limits) {
	if d.clean.IsZero() || now.Sub(d.lastAt) > growAfter || now.Before(d.clean) {
		d.clean = now
	}
	if now.Sub(d.clean) < growAfter {
		return
	}
	d.clean, d.refusals = now, 0
	d.rate *= 2
	d.fit(l)
}

// slow halves the rate.
func (d *destination) slow(now time.Time, l Limits) {
	d.clean = time.Time{}
	if since := now.Sub(d.cut); since > -cutApart && since < cutApart {
		return
	}
	d.cut = now
	d.rate /= 2
	d.fit(l)
}

// refuse closes the destination, longer each time. Further refusals while it is
// closed belong to messages that were in flight.
func (d *destination) refuse(now time.Time) {
	if d.isClosed(now) && !d.down {
		return
	}
	pause := maxBackOff
	if d.refusals < 8 { // 15 s << 8 is more than an hour
		pause = min(backOff<<d.refusals, maxBackOff)
	}
	d.refusals++
	d.close(now, now.Add(pause), false)
}

// unreachable closes the destination until the next probe. A closure that lasts
// stays as it is: a back-off is longer than that, and a probe's own failure, which
// may take a while to show, does not put off the next one.
func (d *destination) unreachable(now time.Time) {
	d.clean = time.Time{}
	if !d.isClosed(now) {
		d.close(now, now.Add(probeEvery), true)
	}
}

// close keeps since when the destination has been closed if it was closed already
// for the same cause.
func (d *destination) close(now, until time.Time, down bool) {
	if d.closed.IsZero() || d.down != down {
		d.closed = now
	}
	d.until, d.down = until, down
}

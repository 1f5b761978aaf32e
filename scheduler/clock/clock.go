package clock

import "math"

// Hours is the number of hours in a week.
const Hours = 168

// Curve is how present a person is in each hour of the week, Monday 00:00 first,
// in the clock's own time: local, or UTC where the zone is unknown. Its mean is 1.
type Curve [Hours]float32

// Times of forgetting, in seconds.
const (
	slowHalf = 240 * 86400 // of habits: 120 to 480 days are equal within .003 nats
	fastHalf = 60 * 86400  // of the second scale, which sees a changed habit sooner
	rebase   = 120 * 86400 // growth since the reference stays below 4
	astray   = 400 * 86400 // events older than that against the last one show that it was dated wrongly
)

// heaviest is the largest weight or mass believed of one event.
const heaviest = 100

// recents are the mean lives, in seconds, of the counters that say whether
// somebody is there at present, as opposed to in which hours.
var recents = [3]float64{12 * 3600, 3 * 86400, 21 * 86400}

// Clock is what one person's reading and activity have shown. The zero value
// knows nothing. It is a plain value without pointers.
//
// Counters hold weights multiplied by the growth since ref: an event of today is
// worth more than one of then, and nothing has to be decayed until growth is large.
type Clock struct {
	known bool  // something was seen
	ref   int64 // unix seconds at which growth is 1, a midnight
	born  int64 // unix seconds of the first touch, put back to midnight
	last  int64 // unix seconds up to which exposure is accounted for
	utc   bool  // the zone is unknown: hours are UTC
	acts  float32
	stock [3]float32 // unread mass by kernel part, not yet read or lost

	hour, due      [24]float32 // observed; expected from mail alone
	day, dueDay    [7]float32
	weekend, fresh [24]float32 // observed on Saturday and Sunday; observed, fast forgetting

	recent [3]float32 // observed, forgotten within hours, days, weeks; as of last
}

// Unzone says that the hours given are UTC because the zone is unknown.
func (c *Clock) Unzone() { c.utc = true }

// Unzoned reports whether the clock runs in UTC for want of a zone.
func (c *Clock) Unzoned() bool { return c.utc }

// Active notes that the person was seen active at unix second at, in hour of week
// hour of the clock's time. It would have been seen at any hour.
func (c *Clock) Active(p *Prior, at int64, hour int, weight float32) {
	c.Advance(p, at, hour)
	// Hours come in sittings: the fifth hour in a row says less than the first.
	weight = believable(weight)
	c.acts += c.observe(at, hour, weight*float32(1/math.Sqrt(float64(1+c.recent[0]))))
	for i := range c.recent {
		c.recent[i] += weight
	}
}

// Sent notes that a mail lies unread from at on. Its mass is the reads expected of
// it over its whole life times the share of reads that can be seen; 0 teaches nothing.
// Read and Settle take the same mass again.
func (c *Clock) Sent(p *Prior, at int64, hour int, mass float32) {
	c.Advance(p, at, hour)
	mass = believable(mass)
	for j := range c.stock {
		c.stock[j] += mass * p.Kernel.W[j]
	}
}

// Read notes that a mail of the given mass, sent at unix second sent, was read by
// a human at at. What was left of it leaves the unread stock.
func (c *Clock) Read(p *Prior, at int64, hour int, sent int64, mass, weight float32) {
	c.Settle(p, at, hour, sent, mass)
	weight = believable(weight)
	c.observe(at, hour, weight)
	for i := range c.recent {
		c.recent[i] += weight
	}
}

// Settle takes what is left of a mail out of the unread stock: nobody will hear
// of it again.
func (c *Clock) Settle(p *Prior, at int64, hour int, sent int64, mass float32) {
	c.Advance(p, at, hour)
	mass = believable(mass)
	age := max(0, float64(at-sent)/3600)
	for j := range c.stock {
		rest := mass * p.Kernel.W[j] * float32(math.Exp(-age/float64(p.Kernel.Tau[j])))
		c.stock[j] = max(0, c.stock[j]-rest)
	}
}

// observe counts one event and returns its weight in units of the counters.
func (c *Clock) observe(at int64, hour int, weight float32) float32 {
	hour = wrap(hour)
	w := weight * grow(at-c.ref, slowHalf)
	c.hour[hour%24] += w
	c.day[hour/24] += w
	if hour >= 120 {
		c.weekend[hour%24] += w
	}
	c.fresh[hour%24] += weight * grow(at-c.ref, fastHalf)
	return w
}

// Advance accounts for the exposure since the last touch: mail that lay unread
// for an hour without being read is evidence against that hour. A time before the
// last touch changes nothing.
func (c *Clock) Advance(p *Prior, at int64, hour int) {
	if !c.known {
		c.known, c.ref, c.born, c.last = true, midnight(at), midnight(at), at
		return
	}
	if c.last-at > astray {
		c.last, c.ref, c.born = at, midnight(at), min(c.born, midnight(at))
	}
	if at <= c.last {
		return
	}
	if at-c.ref > rebase {
		c.refer(at)
	}
	c.forgetRecent(at)
	c.expose(p, at, wrap(hour))
	c.last = at
}

// Rotate moves all hours by the given number, and makes an unzoned clock local: the
// zone became known, or changed. Days stay as they are.
func (c *Clock) Rotate(hours int) {
	c.utc = false
	if hours = ((hours % 24) + 24) % 24; hours == 0 {
		return
	}
	for _, a := range []*[24]float32{&c.hour, &c.due, &c.weekend, &c.fresh} {
		old := *a
		for h := range old {
			a[(h+hours)%24] = old[h]
		}
	}
}

// Evidence is the number of observed events, decayed.
func (c *Clock) Evidence() float32 {
	if !c.known {
		return 0
	}
	var n float32
	for _, o := range c.day {
		n += o
	}
	return n / grow(c.last-c.ref, slowHalf)
}

// forgetRecent decays the counters of presence up to at.
func (c *Clock) forgetRecent(at int64) {
	for i := range c.recent {
		if c.recent[i] > 0 {
			c.recent[i] *= float32(math.Exp(-float64(at-c.last) / recents[i]))
		}
	}
}

// refer moves the reference of growth to at.
func (c *Clock) refer(at int64) {
	at = midnight(at)
	slow, fast := 1/grow(at-c.ref, slowHalf), 1/grow(at-c.ref, fastHalf)
	for h := range c.hour {
		c.hour[h] *= slow
		c.due[h] *= slow
		c.weekend[h] *= slow
		c.fresh[h] *= fast
	}
	for d := range c.day {
		c.day[d] *= slow
		c.dueDay[d] *= slow
	}
	c.acts *= slow
	c.ref = at
}

// midnight is the last midnight (UTC) before at: the encoding keeps days only.
func midnight(at int64) int64 { return (floorHour(at) - (floorHour(at)%24+24)%24) * 3600 }

// believable is a weight or mass in 0..heaviest; what is not a number is 0.
func believable(x float32) float32 {
	if !(x > 0) {
		return 0
	}
	return min(x, heaviest)
}

// grow is 2^(dt/half).
func grow(dt int64, half float64) float32 {
	return float32(math.Exp2(max(-40, min(40, float64(dt)/half))))
}

// wrap brings an hour of the week into 0..167.
func wrap(hour int) int {
	if hour %= Hours; hour < 0 {
		hour += Hours
	}
	return hour
}

package clock

import "math"

// expose adds to the expected reads what the unread stock gives from last to at,
// hour by hour, and lets the stock run down. hour is that of at.
func (c *Clock) expose(p *Prior, at int64, hour int) {
	if c.stock[0]+c.stock[1]+c.stock[2] < 1e-6 {
		return
	}
	// One growth for all slices: that of a day on, by when most of it has happened.
	w := grow(min(at, c.last+day)-c.ref, slowHalf)
	first, lastHour := floorHour(c.last), floorHour(at)
	slots := lastHour - first
	if slots == 0 {
		c.slice(p, hour, float64(at-c.last)/3600, w)
		return
	}
	c.slice(p, wrap(hour-int(slots%Hours)), float64((first+1)*3600-c.last)/3600, w)
	rest := slots - 1
	if weeks := rest / Hours; weeks > 0 {
		c.weeks(p, wrap(hour-int(rest%Hours)), int(weeks), w)
		rest %= Hours
	}
	c.run(p, wrap(hour-int(rest)), int(rest), w, 1, 1, 1)
	c.slice(p, hour, float64(at-lastHour*3600)/3600, w)
}

// slice is expose for a part of one hour.
func (c *Clock) slice(p *Prior, hour int, length float64, w float32) {
	var read float32
	for j := range c.stock {
		stays := float32(math.Exp(-length / float64(p.Kernel.Tau[j])))
		read += c.stock[j] * (1 - stays)
		c.stock[j] *= stays
	}
	c.expect(p, hour, read*w)
}

// run is expose for n whole hours, with the stock's parts multiplied by k0..k2.
func (c *Clock) run(p *Prior, hour, n int, w, k0, k1, k2 float32) {
	s := p.stays
	r0, r1, r2 := (1-s[0])*k0*w, (1-s[1])*k1*w, (1-s[2])*k2*w
	a, b, d := c.stock[0], c.stock[1], c.stock[2]
	for ; n > 0; n-- {
		c.expect(p, hour, a*r0+b*r1+d*r2)
		a, b, d = a*s[0], b*s[1], d*s[2]
		if hour++; hour == Hours {
			hour = 0
		}
	}
	c.stock = [3]float32{a, b, d}
}

// weeks is expose for n whole weeks in one pass: the stock left at the same hour
// of later weeks is a geometric series.
func (c *Clock) weeks(p *Prior, hour, n int, w float32) {
	var k, left [3]float32
	for j, tau := range p.Kernel.Tau {
		week := math.Exp(-Hours / float64(tau))
		all := math.Pow(week, float64(n))
		k[j] = float32((1 - all) / (1 - week))
		left[j] = c.stock[j] * float32(all)
	}
	c.run(p, hour, Hours, w, k[0], k[1], k[2])
	c.stock = left
}

// expect adds what a person of the shared curve would have read.
func (c *Clock) expect(p *Prior, hour int, read float32) {
	e := read * p.audience(c.utc).curve[hour]
	c.due[hour%24] += e
	c.dueDay[hour/24] += e
}

// floorHour is the number of whole hours since 1970.
func floorHour(at int64) int64 {
	h := at / 3600
	if at%3600 < 0 {
		h--
	}
	return h
}

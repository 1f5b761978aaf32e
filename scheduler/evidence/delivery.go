package evidence

import (
	"math"
	"slices"
	"time"
)

// mostLinks is how many links of a delivery are remembered. Of more than 30 links
// clicked within a minute two were within two seconds, so more are not needed, and
// a message with more links counts as one with so many.
const mostLinks = 32

// What makes a series of clicks a machine's.
const (
	fast     = 2_000 // milliseconds in which nobody follows two links
	fewLinks = 3     // of fewer, a person may well follow all
)

// delivery is what was seen of one delivery.
type delivery struct {
	fetched   moment // first by Google's proxy
	trapped   moment // the honeypot link was hit, last
	raced     moment // links were followed too fast: when that was first seen
	links     []visit
	few       [2]visit // where links begins, because most people follow one or two
	isClicked bool     // counted at the domain
	isScanned bool     // counted there as a machine's
}

// visit is the last click of a link.
type visit struct {
	link uint64
	at   moment
}

// clicked notes a click and adds what the other clicks of the delivery say of it.
func (d *delivery) clicked(at moment, r *Request, f *findings) {
	if r.Hidden {
		d.trapped = at
		f.add(honeypot, decisive)
		f.retract = true
		return
	}
	if near(at, d.trapped, minute) {
		f.add(nearHoneypot, decisive)
	}
	var found reasons
	if r.Link != 0 {
		d.note(at, r.Link)
		found = d.pattern(at, r)
	}
	switch {
	case found != 0:
		if !near(at, d.raced, minute) { // else a person who comes soon after would prolong it
			d.raced = at
		}
		f.add(found, scoreLinks)
		f.retract = true
	case near(at, d.raced, minute): // the rest of it, where its end is slower
		f.add(burst, scoreLinks)
	}
}

// note remembers the click in the place of one of the same link, or of one that is
// too long ago, or of the oldest.
func (d *delivery) note(at moment, link uint64) {
	if i := slices.IndexFunc(d.links, func(v visit) bool { return v.link == link }); i >= 0 {
		d.links[i].at = max(d.links[i].at, at)
		return
	}
	oldest := -1
	for i, v := range d.links {
		if oldest < 0 || v.at < d.links[oldest].at {
			oldest = i
		}
	}
	if oldest >= 0 && (len(d.links) == mostLinks || d.links[oldest].at < at-minute) {
		d.links[oldest] = visit{link, at}
		return
	}
	if d.links == nil {
		d.links = d.few[:0]
	}
	d.links = append(d.links, visit{link, at})
}

// pattern is what the clicks of the last minute look like together.
func (d *delivery) pattern(at moment, r *Request) (found reasons) {
	distinct := 0
	for _, v := range d.links {
		if near(at, v.at, minute) {
			distinct++
		}
		if v.link != r.Link && near(at, v.at, fast) { // the same link is a double click
			found |= burst
		}
	}
	if r.Links >= fewLinks && distinct >= fewLinks && 5*distinct >= 4*min(r.Links, mostLinks) {
		found |= allLinks
	}
	return found
}

// teach counts the delivery at its domain, once, and once more when a machine
// clicked. What the domain's own prior made of the click does not count, or it
// would feed itself.
func (d *delivery) teach(of *domain, now time.Time, f *findings) {
	if d.isClicked && (d.isScanned || f.score-f.prior < machineFrom) {
		return
	}
	of.decay(now)
	if !d.isClicked {
		d.isClicked = true
		of.clicked++
	}
	if !d.isScanned && f.score-f.prior >= machineFrom {
		d.isScanned = true
		of.scanned++
	}
}

// decayed is what remains of a count after so many milliseconds.
func decayed(age moment) float32 {
	return float32(math.Exp2(-float64(age) / float64(halfLife.Milliseconds())))
}

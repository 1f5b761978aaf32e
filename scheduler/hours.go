package scheduler

import (
	"time"

	"tidepost/scheduler/clock"
)

// maxHours bounds the clock hours a plan looks at: the longest window and both
// hours that it cuts.
const maxHours = 102

// spreadOver is the part of a clock hour over which releases planned for that hour
// are spread, each item at its own place. All on the dot would be a burst; over the
// whole hour, half of the mail would come after the hour that it was meant for.
const spreadOver = 30 * 60

// hours are the clock hours of a mailbox in order of time. A change of the clocks
// cuts one short, or lets the same hour of the day pass twice.
type hours struct {
	n     int
	from  [maxHours]int64 // unix seconds
	day   [maxHours]int32 // wall clock at from, seconds of the day
	local [maxHours]uint8 // hour of the week on the wall clock
	calm  [maxHours]bool  // no part of it is quiet
	mute  [maxHours]bool  // all of it is quiet
	end   int64           // of the last
}

// fill lists the hours from that of one instant to that of another, or as many as
// there is room for. The zone is looked up once for each change of its offset.
func (h *hours) fill(zone *time.Location, q Quiet, from, to int64) {
	h.n = 0
	for at := from; at <= to && h.n < maxHours; {
		offset, first, last := segment(zone, at)
		whole := floor(at+offset, 3600) * 3600
		day, local := int32(mod64(whole, secondsPerDay)), hourOfWeek(whole)
		for at <= to && at < last && h.n < maxHours {
			start, k := whole-offset, h.n
			h.from[k], h.day[k], h.local[k] = start, day, uint8(local)
			if start < first { // cut short by the change before it
				h.from[k], h.day[k] = first, day+int32(first-start)
			}
			h.n++
			whole += 3600
			at = min(whole-offset, last)
			if day += 3600; day == secondsPerDay {
				day = 0
			}
			if local++; local == clock.Hours {
				local = 0
			}
		}
		h.end = at
	}
	h.hush(q)
}

// hush marks the hours that are quiet from end to end, and not at all.
func (h *hours) hush(q Quiet) {
	length := int32(mod((q.to-q.from)*60, secondsPerDay))
	for k := range h.n {
		wall := h.day[k] - int32(q.from*60)
		if wall < 0 {
			wall += secondsPerDay
		}
		h.calm[k] = wall >= length && wall+3600 <= secondsPerDay
		h.mute[k] = wall+3600 <= length
	}
}

const forever = 1 << 60

// segment is the offset in force and from when to when it is.
func segment(zone *time.Location, at int64) (offset, first, last int64) {
	if zone == nil || zone == time.UTC {
		return 0, -forever, forever
	}
	t := time.Unix(at, 0).In(zone)
	_, seconds := t.Zone()
	begin, end := t.ZoneBounds()
	first, last = -forever, forever
	if !begin.IsZero() {
		first = begin.Unix()
	}
	if !end.IsZero() {
		last = end.Unix()
	}
	return int64(seconds), first, last
}

func (h *hours) until(k int) int64 {
	if k+1 < h.n {
		return h.from[k+1]
	}
	return h.end
}

// bounds are what an item's own release hours lie in, all in unix seconds.
type bounds struct {
	from   int64 // accepted, not-before, and gap and cap open
	end    int64
	jitter int64
	share  uint32 // the item's own place, for what is less than an hour
}

// at is when the item leaves if it leaves in the k-th hour, or false if it may not.
// It depends on nothing but the item and the gates, so planning again moves nothing:
// an item that was there before the hour leaves at its own place in it, one that
// comes within the hour leaves as it comes.
func (h *hours) at(k int, b *bounds, q Quiet) (int64, bool) {
	if h.mute[k] {
		return 0, false
	}
	from, until := h.from[k], h.until(k)
	t := from + b.jitter
	if t >= until {
		t = from
	}
	if from <= b.from {
		t = b.from
	}
	if t > b.end {
		t = b.end
	}
	if t < from || t < b.from || t >= until {
		return 0, false
	}
	if h.calm[k] {
		return t, true
	}
	return h.awake(k, t, b, q)
}

// awake moves an instant within the hour behind the quiet hours it falls into.
func (h *hours) awake(k int, t int64, b *bounds, q Quiet) (int64, bool) {
	left, quiet := h.quiet(k, t, q)
	if !quiet {
		return t, true
	}
	t += left
	room := min(h.until(k), b.end+1) - t
	if room <= 0 {
		return 0, false
	}
	t += int64(uint64(b.share) * uint64(room) >> 32)
	if _, quiet = h.quiet(k, t, q); quiet {
		return 0, false
	}
	return t, true
}

// quiet reports whether an instant of the k-th hour is quiet, and how long still.
func (h *hours) quiet(k int, t int64, q Quiet) (left int64, quiet bool) {
	wall := int(h.day[k]) + int(t-h.from[k]) - q.from*60
	length := mod((q.to-q.from)*60, secondsPerDay)
	wall = mod(wall, secondsPerDay)
	return int64(length - wall), wall < length
}

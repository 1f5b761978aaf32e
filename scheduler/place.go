package scheduler

import (
	"time"

	"tidepost/scheduler/clock"
)

// place is where the clock's hours are counted.
type place struct {
	zone    uint8 // six bits of a hash of the zone's name; 0: UTC, for want of a zone
	quarter int8  // its offset when last looked at, in quarter hours
	begun   bool
}

// move brings the clock into the zone. Summer time moves no habit: hours are those
// of the wall clock. Another zone, or one that becomes known, does.
func (l *place) move(c *clock.Clock, zone *time.Location, at int64) {
	to := place{begun: true}
	if zone != nil {
		to.zone = zoneHash(zone)
		to.quarter = int8(offsetOf(zone, at) / 900)
	}
	switch {
	case !l.begun && zone == nil:
		c.Unzone()
	case l.begun && l.zone != to.zone:
		c.Rotate(int(floor(int64(to.quarter)-int64(l.quarter)+2, 4)))
		if zone == nil {
			c.Unzone()
		}
	}
	*l = to
}

// hour is the hour of the week in the place, as last moved.
func (l *place) hour(at int64) int { return hourOfWeek(at + 900*int64(l.quarter)) }

func offsetOf(zone *time.Location, at int64) int64 {
	_, offset := time.Unix(at, 0).In(zone).Zone()
	return int64(offset)
}

func zoneHash(zone *time.Location) uint8 {
	h := uint64(14695981039346656037)
	for i, name := 0, zone.String(); i < len(name); i++ {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return uint8(h%63) + 1
}

// hourOfWeek of seconds of wall clock since 1970, Monday 00:00 first.
func hourOfWeek(wall int64) int {
	return int(mod64(floor(wall, 3600)+72, clock.Hours)) // 1 January 1970 was a Thursday
}

func floor(a, n int64) int64 {
	q := a / n
	if a%n < 0 {
		q--
	}
	return q
}

// fold keeps five bits of a topic: a person is told apart by a handful of them.
func fold(topic uint32) uint32 {
	if topic == 0 {
		return 0
	}
	return topic%31 + 1
}

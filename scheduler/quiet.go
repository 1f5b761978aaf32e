package scheduler

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	minutesPerDay = 24 * 60
	secondsPerDay = 24 * 60 * 60
)

// Quiet is a daily window of local wall-clock time in which no bulk mail leaves.
// The zero value is no quiet hours.
//
// An instant is quiet if the wall clock then shows a time from the first edge up
// to but not including the second. So when clocks go forward over an edge, the
// edge is the first instant after the gap; when they go back, both passes of a
// quiet hour are quiet.
type Quiet struct {
	from, to int // minutes of the day; equal: none
}

// ParseQuiet reads "21:00-08:00"; an empty string is no quiet hours. Equal edges
// are refused, they could mean never or always.
func ParseQuiet(s string) (Quiet, error) {
	if s == "" {
		return Quiet{}, nil
	}
	first, second, ok := strings.Cut(s, "-")
	from, okFrom := parseMinute(first)
	to, okTo := parseMinute(second)
	if !ok || !okFrom || !okTo {
		return Quiet{}, fmt.Errorf("quiet hours %q: write them as 21:00-08:00", s)
	}
	if from == to {
		return Quiet{}, fmt.Errorf("quiet hours %q begin and end at the same time: leave them empty for none", s)
	}
	return Quiet{from: from, to: to}, nil
}

// QuietMinutes is the window between two minutes of the day.
func QuietMinutes(from, to int) Quiet {
	return Quiet{from: mod(from, minutesPerDay), to: mod(to, minutesPerDay)}
}

// parseMinute reads "08:00" as minutes of the day; 24:00 is midnight.
func parseMinute(s string) (int, bool) {
	if len(s) != 5 || s[2] != ':' {
		return 0, false
	}
	h, errH := strconv.ParseUint(s[:2], 10, 8)
	m, errM := strconv.ParseUint(s[3:], 10, 8)
	minute := int(h)*60 + int(m)
	if errH != nil || errM != nil || m > 59 || minute > minutesPerDay {
		return 0, false
	}
	return minute % minutesPerDay, true
}

// String is what ParseQuiet reads.
func (q Quiet) String() string {
	if !q.Set() {
		return ""
	}
	return fmt.Sprintf("%02d:%02d-%02d:%02d", q.from/60, q.from%60, q.to/60, q.to%60)
}

// Set reports whether there are quiet hours.
func (q Quiet) Set() bool { return q.from != q.to }

// Until returns the end of the quiet period that contains t, or t itself if t is
// not quiet, if there are no quiet hours or if the zone is unknown (nil).
func (q Quiet) Until(t time.Time, zone *time.Location) time.Time {
	if !q.Set() || zone == nil {
		return t
	}
	// Within one offset the wall clock runs evenly; at a change of offset look again.
	for u := t.In(zone); ; {
		_, left, quiet := q.position(u)
		if !quiet {
			return u.In(t.Location())
		}
		end := u.Truncate(time.Second).Add(left)
		_, change := u.ZoneBounds()
		if change.IsZero() || end.Before(change) {
			return end.In(t.Location())
		}
		u = change
	}
}

// since returns the beginning of the quiet period that contains t, which must be
// quiet.
func (q Quiet) since(t time.Time, zone *time.Location) time.Time {
	for u := t.In(zone); ; {
		gone, _, _ := q.position(u)
		start := u.Truncate(time.Second).Add(-gone)
		change, _ := u.ZoneBounds()
		if change.IsZero() || start.After(change) {
			return start.In(t.Location())
		}
		u = change.Add(-time.Second)
		if _, _, quiet := q.position(u); !quiet {
			return change.In(t.Location())
		}
	}
}

// position returns how long, by an even wall clock, the quiet period around t has
// lasted and will last; t is in the zone that counts.
func (q Quiet) position(t time.Time) (gone, left time.Duration, quiet bool) {
	_, offset := t.Zone()
	clock := mod(int(mod64(t.Unix()+int64(offset), secondsPerDay))-q.from*60, secondsPerDay)
	length := mod((q.to-q.from)*60, secondsPerDay)
	return time.Duration(clock) * time.Second, time.Duration(length-clock) * time.Second, clock < length
}

func mod(a, n int) int { return (a%n + n) % n }

func mod64(a, n int64) int64 { return (a%n + n) % n }

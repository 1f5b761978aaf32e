package lists

import (
	"strings"
	"time"
)

// layouts of dates in exports, RFC 3339 first. Dates without zone are UTC, as all
// services here write them. 01/02/2006 is not among them: nobody can tell its day
// from its month.
var layouts = []string{
	time.RFC3339,
	"2006-01-02 15:04:05",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05 Z0700",
	"2006-01-02 15:04:05 -0700 UTC",
	"2006-01-02T15:04:05",
	"2006-01-02T15:04:05Z0700",
	"2006-01-02 15:04",
	"2006-01-02",
	"2006/01/02 15:04:05",
	"Mon, 2 Jan 2006 15:04:05 -0700",
	"2 Jan 2006 15:04:05 -0700",
	"Mon, 2 Jan 2006 15:04:05",
}

const whenRemedy = "write it as 2026-03-02T12:00:00Z, as in RFC 2822, or as seconds since 1970"

// clock reads dates; a file has one kind of them, so the last layout that fitted is
// tried first.
type clock struct{ last int }

func (k *clock) read(b []byte) (t time.Time, ok bool) {
	if len(b) > 64 {
		return t, false
	}
	if t, ok = seconds(b); ok {
		return t, true
	}
	s := strings.TrimSpace(string(b))
	for _, zone := range [...]string{" UTC", " GMT", " UT"} {
		// RFC 2822 §4.3; other names of zones are ambiguous and not read.
		if cut, found := strings.CutSuffix(s, zone); found && !strings.HasSuffix(cut, "0000") {
			s = cut
			break
		}
	}
	if t, err := time.Parse(layouts[k.last], s); err == nil {
		return sane(t)
	}
	for i, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			k.last = i
			return sane(t)
		}
	}
	return t, false
}

// sane refuses what cannot be written as RFC 3339 again.
func sane(t time.Time) (time.Time, bool) {
	t = t.UTC()
	return t, t.Year() >= 1 && t.Year() <= 9999 && !t.IsZero()
}

// seconds reads Unix time: seconds with or without a fraction (the AWS command
// line writes 1586565785.123), or milliseconds from 13 digits on.
func seconds(b []byte) (t time.Time, ok bool) {
	var whole, fraction int64
	scale, dot := int64(time.Second), -1
	for i, c := range b {
		switch {
		case c == '.' && dot < 0 && i > 0:
			dot = i
		case c < '0' || c > '9':
			return t, false
		case dot < 0:
			whole = whole*10 + int64(c-'0')
		case scale > 1:
			scale /= 10
			fraction += int64(c-'0') * scale
		}
		if i > 30 || whole > 1e15 {
			return t, false
		}
	}
	digits := len(b)
	if dot >= 0 {
		digits = dot
	}
	// Fewer than nine digits is before 1973, rather a date like 20260302.
	if digits < 9 {
		return t, false
	}
	if digits >= 13 {
		return sane(time.UnixMilli(whole))
	}
	return sane(time.Unix(whole, fraction))
}

// fits reports whether it reads b, or b is empty.
func (k *clock) fits(b []byte) bool {
	_, ok := k.read(b)
	return ok || len(b) == 0
}

package content

import (
	"errors"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"tidepost/gateway"
)

const (
	// MaxWindow is the longest time a message may ask to be held (design §4.2).
	MaxWindow = 100 * time.Hour
	// maxAhead is how far away a date in a header may be.
	maxAhead = 366 * 24 * time.Hour
	maxDate  = 128 // bytes of a date, before a parser sees it
)

// readSchedule fills in when a message may and when it must leave. What SMTP
// parameters said is there already and wins.
func readSchedule(v *values) {
	plan := readKumo(v)
	readNotBefore(v, plan.open)
	readDeadline(v, plan.expires)
	readWindow(v)
	if plan.window > 0 && (v.m.Window == 0 || plan.window < v.m.Window) {
		v.m.Window = plan.window
	}
	readHalfLife(v)
	if v.has(hMailgunLocalize) {
		v.note("%s: it wants each reader's own hour, which the plan finds by itself; ignored", hMailgunLocalize)
	}
}

// readNotBefore takes the first of three fields that can be read.
func readNotBefore(v *values, kumo time.Time) {
	if !v.m.NotBefore.IsZero() {
		v.overruled("HOLDFOR or HOLDUNTIL", hNotBefore, hMailgunDeliverBy)
		return
	}
	at := v.date(hNotBefore, parseRFC3339, wantRFC3339)
	if at.IsZero() {
		at = v.date(hMailgunDeliverBy, mail.ParseDate, "a date like "+exampleDate)
	}
	if at.IsZero() {
		at = kumo
	}
	if !at.IsZero() && !v.m.Deadline.IsZero() && at.After(v.m.Deadline) {
		v.note("not before %s: it is after the deadline that BY set; ignored", at.UTC().Format(time.RFC3339))
		return
	}
	v.m.NotBefore = at
}

// readDeadline takes the client's own deadline, past which it wants the message
// dropped, or else Expires, past which mail fades but is not to be thrown away
// (RFC 10080): it only ends holding.
func readDeadline(v *values, kumo time.Time) {
	m := v.m
	if !m.Deadline.IsZero() {
		m.HardDeadline = m.HardDeadline || m.By == gateway.ByReturn
		v.overruled("BY", hDeadline, hExpires)
		return
	}
	at, hard := v.date(hDeadline, parseRFC3339, wantRFC3339), true
	if at.IsZero() {
		at = kumo
	}
	if at.IsZero() {
		at, hard = v.date(hExpires, mail.ParseDate, "a date like "+exampleDate), false
	}
	switch {
	case at.IsZero():
	case at.Before(m.NotBefore):
		// To obey both would only lose the message.
		v.note("deadline %s: the message may not leave before %s; ignored",
			at.UTC().Format(time.RFC3339), m.NotBefore.UTC().Format(time.RFC3339))
	default:
		m.Deadline, m.HardDeadline = at, hard
	}
}

// readHalfLife takes the half-life of freshness.
func readHalfLife(v *values) {
	value := v.get(hHalfLife, maxName)
	if value == nil || v.m.HalfLife != 0 {
		return
	}
	d, err := parseDuration(string(value))
	if err != nil || d <= 0 || d > maxAhead {
		v.reject(hHalfLife, value, "a duration like 24h")
		return
	}
	v.m.HalfLife = d
}

// readWindow takes how long the message may be held.
func readWindow(v *values) {
	if v.m.Window != 0 {
		return
	}
	for _, h := range [...]known{hWindow, hMailgunWindow} {
		value := v.get(h, maxName)
		if value == nil {
			continue
		}
		d, err := parseDuration(string(value))
		if h == hMailgunWindow {
			d, err = parseHours(string(value))
		}
		switch {
		case err != nil || d <= 0:
			v.reject(h, value, "a duration like 24h")
			continue
		case d > MaxWindow:
			v.note("%s: %s is longer than 100h; taken as 100h", h, quote(value))
			d = MaxWindow
		}
		v.m.Window = d
		return
	}
}

// overruled notes the fields that an SMTP parameter leaves without effect.
func (v *values) overruled(by string, fields ...known) {
	for _, h := range fields {
		if v.has(h) {
			v.note("%s: the SMTP parameter %s wins; ignored", h, by)
		}
	}
}

// now is when the message came.
func (v *values) now() time.Time {
	if v.m.Received.IsZero() {
		return time.Now()
	}
	return v.m.Received
}

const (
	wantRFC3339 = "a date like 2026-11-22T09:00:00+01:00"
	exampleDate = "Sun, 22 Nov 2026 09:00:00 +0100"
)

func parseRFC3339(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) }

// date reads a field that holds a point in time.
func (v *values) date(h known, parse func(string) (time.Time, error), want string) time.Time {
	value := v.get(h, maxDate)
	if value == nil {
		return time.Time{}
	}
	at, err := parse(string(value))
	switch {
	case err != nil:
		v.reject(h, value, want)
		return time.Time{}
	case at.Sub(v.now()) > maxAhead:
		v.note("%s: %s is more than a year away; ignored", h, quote(value))
		return time.Time{}
	}
	return at
}

var errDuration = errors.New("not a duration")

// parseDuration reads "24h", "90m" and also days, "2d".
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}

// parseHours reads Mailgun's period, digits and an h.
func parseHours(s string) (time.Duration, error) {
	hours, ok := strings.CutSuffix(s, "h")
	if !ok {
		return 0, errDuration
	}
	n, err := strconv.ParseUint(hours, 10, 16)
	return time.Duration(n) * time.Hour, err
}

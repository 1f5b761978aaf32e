package content

import (
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

// All of it is read at noon on Sunday, 22 November 2026, UTC.
func TestSchedule(t *testing.T) {
	for _, c := range []struct {
		name, lines string
		notBefore   string
		deadline    string
		hard        bool
		window      time.Duration
		notes       int
	}{
		{"nothing said", "Subject: x", "", "", false, 0, 0},
		{"a window", "X-Tidepost-Window: 36h", "", "", false, 36 * time.Hour, 0},
		{"a window in days", "X-Tidepost-Window: 2d", "", "", false, 48 * time.Hour, 0},
		{"Mailgun's window", "X-Mailgun-Delivery-Time-Optimize-Period: 24h", "", "", false, 24 * time.Hour, 0},
		{"ours before Mailgun's", "X-Mailgun-Delivery-Time-Optimize-Period: 24h|X-Tidepost-Window: 3h", "", "", false, 3 * time.Hour, 0},
		{"Mailgun's where ours is unreadable", "X-Mailgun-Delivery-Time-Optimize-Period: 24h|X-Tidepost-Window: x", "", "", false, 24 * time.Hour, 1},
		{"not before", "X-Tidepost-Not-Before: 2026-11-23T09:00:00+01:00", "2026-11-23T08:00:00Z", "", false, 0, 0},
		{"Mailgun's not before", "X-Mailgun-Deliver-By: Mon, 23 Nov 2026 09:00:00 +0100", "2026-11-23T08:00:00Z", "", false, 0, 0},
		{"a deadline", "X-Tidepost-Deadline: 2026-11-23T00:00:00Z", "", "2026-11-23T00:00:00Z", true, 0, 0},
		{"Expires is soft", "Expires: Mon, 23 Nov 2026 00:00:00 +0000", "", "2026-11-23T00:00:00Z", false, 0, 0},
		{"a deadline before Expires", "Expires: Mon, 23 Nov 2026 00:00:00 +0000|X-Tidepost-Deadline: 2026-11-24T00:00:00Z", "", "2026-11-24T00:00:00Z", true, 0, 0},
		{"a deadline before the start", "X-Tidepost-Not-Before: 2026-11-24T00:00:00Z|X-Tidepost-Deadline: 2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z", "", false, 0, 1},
		{"two windows", "X-Tidepost-Window: 3h|X-Tidepost-Window: 4h", "", "", false, 0, 1},
		{"KumoMTA's first attempt", `X-Schedule: {"first_attempt":"2026-11-23T17:00:00-08:00","expires":"2026-11-24T17:00:00-08:00"}`,
			"2026-11-24T01:00:00Z", "2026-11-25T01:00:00Z", true, 0, 0},
		{"KumoMTA's hours, open now", `X-Schedule: {"dow":"Sun","tz":"UTC","start":"09:00:00","end":"17:00:00"}`, "", "", false, 5 * time.Hour, 0},
		{"KumoMTA's hours, over today", `X-Schedule: {"dow":"Sun,Mon","tz":"UTC","start":"09:00","end":"11:00"}`, "2026-11-23T09:00:00Z", "", false, 23 * time.Hour, 0},
		{"KumoMTA's hours, elsewhere", `X-Schedule: {"dow":"Monday","tz":"America/Phoenix","start":"09:00","end":"17:00"}`, "2026-11-23T16:00:00Z", "", false, 36 * time.Hour, 0},
		{"KumoMTA's hours, over midnight", `X-Schedule: {"dow":"Sat","tz":"UTC","start":"22:00","end":"13:00"}`, "", "", false, time.Hour, 0},
		{"KumoMTA's hours, after its first attempt", `X-Schedule: {"first_attempt":"2026-11-22T18:00:00Z","dow":"Sun,Tue","tz":"UTC","start":"09:00","end":"17:00"}`,
			"2026-11-24T09:00:00Z", "", false, 53 * time.Hour, 0},
		{"KumoMTA's half of the hours", `X-Schedule: {"dow":"Sun"}`, "", "", false, 0, 1},
	} {
		m := mustRead(t, nil, strings.Split(c.lines, "|")...)
		check := func(what string, got time.Time, want string) {
			if want == "" && !got.IsZero() || want != "" && !got.Equal(at(want)) {
				t.Errorf("%s: %s %s, want %q", c.name, what, got, want)
			}
		}
		check("not before", m.NotBefore, c.notBefore)
		check("deadline", m.Deadline, c.deadline)
		if m.Window != c.window || m.HardDeadline != c.hard || len(m.Notes) != c.notes {
			t.Errorf("%s: window %s, hard %v, notes %q; want %s, %v and %d notes", c.name, m.Window, m.HardDeadline, m.Notes, c.window, c.hard, c.notes)
		}
	}
}

func TestParametersWin(t *testing.T) {
	hold, by := noon.Add(time.Hour), noon.Add(2*time.Hour)
	m := &gateway.Message{Received: noon, NotBefore: hold, Deadline: by, By: gateway.ByReturn}
	header := message("", "X-Tidepost-Not-Before: 2026-11-23T09:00:00Z", "X-Tidepost-Deadline: 2026-11-25T00:00:00Z")
	if err := (&Reader{}).Read([]byte(header), m, nil); err != nil {
		t.Fatal(err)
	}
	if !m.NotBefore.Equal(hold) || !m.Deadline.Equal(by) || !m.HardDeadline || len(m.Notes) != 2 {
		t.Errorf("not before %s, deadline %s, hard %v, notes %q", m.NotBefore, m.Deadline, m.HardDeadline, m.Notes)
	}
	m = &gateway.Message{Received: noon, Deadline: by, By: gateway.ByNotify}
	header = message("", "X-Tidepost-Not-Before: 2026-11-23T09:00:00Z")
	if err := (&Reader{}).Read([]byte(header), m, nil); err != nil {
		t.Fatal(err)
	}
	if !m.NotBefore.IsZero() || m.HardDeadline || len(m.Notes) != 1 {
		t.Errorf("a start after BY: not before %s, notes %q", m.NotBefore, m.Notes)
	}
}

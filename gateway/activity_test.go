package gateway

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tidepost/scheduler"
	"tidepost/suppression/rules"
)

// Against a list of everything that ever happened.
func TestActivityCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a activity
		var sends, opens, clicks []time.Time
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "begin")))
		for range rapid.IntRange(0, 200).Draw(t, "n") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(72*time.Hour)).Draw(t, "wait")))
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				a.sent(now, true, true)
				sends = append(sends, now)
			case 1:
				a.opened(now)
				opens = append(opens, now)
			default:
				a.clicked(now)
				clicks = append(clicks, now)
			}
		}
		b, rest, err := parseActivity(append(a.append(nil), "rest"...))
		if err != nil || string(rest) != "rest" || !slices.Equal(a.days, b.days) || a.open != b.open || a.click != b.click {
			t.Fatalf("read back %+v, %q, %v; was %+v", b, rest, err, a)
		}
		var got rules.Mailbox
		b.facts(&got, now, scheduler.SeesFull)
		for name, c := range map[string]struct {
			got rules.Counts
			all []time.Time
		}{"sends": {got.Sends, sends}, "opens": {got.Opens, opens}, "clicks": {got.Clicks, clicks}} {
			within := func(days int) (n uint32) {
				from := now.Truncate(24*time.Hour).AddDate(0, 0, 1-days)
				for _, at := range c.all {
					if !at.Before(from) {
						n++
					}
				}
				return n
			}
			if want := (rules.Counts{D1: within(1), D7: within(7), D30: within(30), D90: within(90)}); c.got != want {
				t.Fatalf("%s are %+v, want %+v", name, c.got, want)
			}
		}
	})
}

// What a clock wrote that was years ahead does not keep today from counting.
func TestClockWasAhead(t *testing.T) {
	var a activity
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	a.sent(now.AddDate(30, 0, 0), true, true)
	a.clicked(now.AddDate(30, 0, 0))
	a.sent(now, true, true)
	a.clicked(now)
	var m rules.Mailbox
	a.facts(&m, now.Add(time.Hour), scheduler.SeesFull)
	if m.Sends.D1 != 1 || m.Clicks.D1 != 1 || !m.LastSend.Equal(now) || !m.LastClick.Equal(now) || m.ClicksVisible != time.Hour {
		t.Errorf("%+v", m)
	}
}

// What cannot be seen for a while is not known to have been silent.
func TestVisibility(t *testing.T) {
	var a activity
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a.sent(at, true, true)
	a.sent(at.AddDate(0, 0, 10), false, true)
	a.sent(at.AddDate(0, 0, 20), true, true)
	var m rules.Mailbox
	a.facts(&m, at.AddDate(0, 0, 30), scheduler.SeesFull)
	if m.OpensVisible != 240*time.Hour || m.ClicksVisible != 720*time.Hour {
		t.Errorf("opens can be seen for %v, clicks for %v", m.OpensVisible, m.ClicksVisible)
	}
}

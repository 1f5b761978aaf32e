package experiment

import (
	"math/rand/v2"
	"testing"
	"time"
)

func date(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		panic(err)
	}
	return t
}

// A mailbox's story, line by line, and what each line changes.
func TestUnitStory(t *testing.T) {
	shares := Shares{Model: 90, Control: 10}
	var u Unit
	planned := func(at string, arm Arm) func() Fact {
		return func() Fact { return u.Planned(date(at), arm, shares) }
	}
	did := func(what Outcome, at string) func() Fact {
		return func() Fact { return u.Did(what, date(at)) }
	}
	for i, line := range []struct {
		says string
		do   func() Fact
		want Tally
	}{
		{"while nothing is randomised mail counts in no arm", planned("2026-06-09 10:00", Outside), Tally{}},
		{"but a click of it is the past", did(Clicked, "2026-06-09 10:00"), Tally{}},
		{"the first mail of the week counts", planned("2026-07-14 10:00", Control),
			Tally{Mailboxes: 1, Weeks: 1, WeeksSq: 1, Clicked: Sums{T: 1, TT: 1, TN: 1}}},
		{"the second does not", planned("2026-07-15 10:00", Control), Tally{}},
		{"a click counts", did(Clicked, "2026-07-15 10:00"), Tally{Clicked: Sums{Y: 1, YY: 1, YN: 1, TY: 1}}},
		{"once", did(Clicked, "2026-07-14 10:00"), Tally{}},
		{"the next week is the same mailbox", planned("2026-07-21 10:00", Control),
			Tally{Weeks: 1, WeeksSq: 3, Clicked: Sums{YN: 1, T: 1, TT: 3, TY: 1, TN: 3}}},
		{"a late read counts for the week of its mail", did(Read, "2026-07-15 10:00"), Tally{Read: Sums{Y: 1, YY: 1, YN: 2}}},
		{"a complaint counts", did(Complained, "2026-07-21 10:00"), Tally{Complained: 1}},
		{"once a quarter", did(Complained, "2026-07-14 10:00"), Tally{}},
		{"mail of another arm counts where the mailbox entered", planned("2026-07-28 10:00", Model),
			Tally{Moved: 1, Weeks: 1, WeeksSq: 5, Clicked: Sums{YN: 1, T: 1, TT: 5, TY: 1, TN: 5}, Read: Sums{YN: 1}}},
		{"two weeks later is too late", did(Read, "2026-07-14 10:00"), Tally{}},
		{"the next quarter begins on its first Monday", planned("2026-10-04 10:00", Control),
			Tally{Weeks: 1, WeeksSq: 7, Clicked: Sums{YN: 1, T: 1, TT: 7, TY: 1, TN: 7}, Read: Sums{YN: 1}}},
		{"where the mailbox enters anew", planned("2026-10-05 10:00", Model), Tally{Mailboxes: 1, Weeks: 1, WeeksSq: 1}},
		{"and the week before still takes a click", did(Clicked, "2026-10-04 10:00"), Tally{Clicked: Sums{Y: 1, YY: 3, YN: 4, TY: 4}}},
		{"mail of a week without mail is nobody's", did(Clicked, "2026-09-22 10:00"), Tally{}},
		{"time does not run backwards", planned("2025-09-22 10:00", Model), Tally{}},
	} {
		f := line.do()
		if f.Tally != line.want {
			t.Errorf("%d, %s: got %+v, want %+v", i, line.says, f.Tally, line.want)
		}
		if f.Tally == (Tally{}) {
			continue
		}
		if want := map[bool]Arm{true: Model, false: Control}[f.Mailboxes == 1 && f.Quarter == 2026*4+3]; f.Arm != want {
			t.Errorf("%d, %s: arm %s, want %s", i, line.says, f.Arm, want)
		}
		var again Unit
		b, _ := u.AppendBinary(nil)
		if err := again.UnmarshalBinary(b); err != nil || again != u {
			t.Errorf("%d, %s: read back %+v, %v, want %+v", i, line.says, again, err, u)
		}
	}
}

// A mailbox that leaves goes on counting where it entered.
func TestUnitStopped(t *testing.T) {
	var u Unit
	if f := u.Stopped(date("2026-07-14 10:00")); f.Tally != (Tally{}) {
		t.Errorf("a mailbox that left before is counted: %+v", f)
	}
	u.Planned(date("2026-07-14 10:00"), Control, Shares{})
	if f := u.Stopped(date("2026-07-15 10:00")); f.Tally != (Tally{}) {
		t.Errorf("the same week is counted twice: %+v", f)
	}
	if f := u.Stopped(date("2026-07-21 10:00")); f.Tally != (Tally{Weeks: 1, WeeksSq: 3}) || f.Arm != Control {
		t.Errorf("got %+v", f)
	}
	if f := u.Stopped(date("2026-10-06 10:00")); f.Tally != (Tally{}) {
		t.Errorf("it enters the next quarter: %+v", f)
	}
}

func TestUnitMails(t *testing.T) {
	var u Unit
	at := date("2026-07-14 10:00")
	if f := u.Sent(at, time.Hour); f.Tally != (Tally{}) {
		t.Errorf("mail that was never planned counts: %+v", f)
	}
	u.Planned(at, Random, Shares{Random: 100})
	if f := u.Sent(at, 90*time.Minute); f.Tally != (Tally{Mails: 1, Held: 5400}) || f.Arm != Random {
		t.Errorf("sent: got %+v", f)
	}
	if f := u.Sent(at, -time.Hour); f.Tally != (Tally{Mails: 1}) {
		t.Errorf("sent before it came: got %+v", f)
	}
	if f := u.Dropped(at); f.Tally != (Tally{Dropped: 1}) || f.Arm != Random {
		t.Errorf("dropped: got %+v", f)
	}
}

// person is the slow and exact way to count one mailbox in one quarter: it keeps
// every week.
type person struct {
	weeks         map[uint16]bool
	clicks, reads map[uint16]bool
}

// The sums that units add up to, one change at a time and out of order, are those
// over whole mailboxes.
func TestUnitsAgainstOracle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	start := date("2026-07-06 00:00")
	var got, want Tally
	for range 2000 {
		var u Unit
		p := person{map[uint16]bool{}, map[uint16]bool{}, map[uint16]bool{}}
		before := uint64(0)
		for w := -8; w < 0; w++ {
			at := start.Add(time.Duration(w)*week + time.Hour)
			if u.Planned(at, Outside, Shares{}); rng.IntN(3) == 0 {
				u.Did(Clicked, at)
				before++
			}
		}
		var at time.Time
		for at = start; at.Before(start.Add(13 * week)); at = at.Add(time.Duration(rng.IntN(96)) * time.Hour) {
			f := u.Planned(at, Control, Shares{})
			got.Merge(f.Tally)
			p.weeks[weekOf(at)] = true
			seen := at.Add(-time.Duration(rng.IntN(200)) * time.Hour)
			if late := weekOf(at) - weekOf(seen); late > 1 || !p.weeks[weekOf(seen)] {
				continue
			}
			switch rng.IntN(3) {
			case 0:
				got.Merge(u.Did(Clicked, seen).Tally)
				p.clicks[weekOf(seen)] = true
			case 1:
				got.Merge(u.Did(Read, seen).Tally)
				p.reads[weekOf(seen)] = true
			}
		}
		n, y := uint64(len(p.weeks)), uint64(len(p.clicks))
		r := uint64(len(p.reads))
		want.Merge(Tally{
			Mailboxes: 1, Weeks: n, WeeksSq: n * n,
			Clicked: Sums{y, y * y, y * n, n * before, n * n * before * before, n * before * y, n * before * n},
			Read:    Sums{Y: r, YY: r * r, YN: r * n},
		})
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestQuarters(t *testing.T) {
	for _, row := range []struct{ at, want string }{
		{"2026-10-01 00:00", "2026-Q3"}, // a Thursday
		{"2026-10-04 23:59", "2026-Q3"},
		{"2026-10-05 00:00", "2026-Q4"},
		{"2027-01-03 12:00", "2026-Q4"},
		{"2027-01-04 00:00", "2027-Q1"},
		{"1970-01-05 00:00", "1970-Q1"},
		{"1960-01-05 00:00", "1970-Q1"},
		{"9960-01-05 00:00", "3226-Q1"},
	} {
		q := QuarterOf(date(row.at))
		if got := q.String(); got != row.want {
			t.Errorf("%s is in %s, want %s", row.at, got, row.want)
		}
		if back, err := ParseQuarter(q.String()); err != nil || back != q {
			t.Errorf("ParseQuarter(%s) = %v, %v", q, back, err)
		}
	}
	for _, bad := range []string{"", "2026", "2026-Q5", "2026-Q0", "2026-Q44", "26-Q1", "2026-q1"} {
		if q, err := ParseQuarter(bad); err == nil {
			t.Errorf("ParseQuarter(%q) = %v", bad, q)
		}
	}
}

// No quarter has more weeks than a unit can count.
func TestQuarterLength(t *testing.T) {
	weeks := map[Quarter]int{}
	for w := range uint16(1<<16 - 1) {
		weeks[quarterOfWeek(w)]++
	}
	for q, n := range weeks {
		if n > maxWeeks {
			t.Fatalf("%s has %d weeks", q, n)
		}
	}
}

func FuzzUnit(f *testing.F) {
	var u Unit
	empty, _ := u.AppendBinary(nil)
	u.Planned(date("2026-07-14 10:00"), Control, Shares{})
	u.Did(Clicked, date("2026-07-14 10:00"))
	some, _ := u.AppendBinary(nil)
	f.Add(empty, int64(0), byte(0))
	f.Add(some, int64(1784000000), byte(3))
	f.Fuzz(func(t *testing.T, b []byte, at int64, what byte) {
		var u Unit
		if u.UnmarshalBinary(b) != nil {
			return
		}
		when := time.Unix(at, 0)
		u.Did(Outcome(what%5), when)
		u.Planned(when, Arm(what), Shares{})
		u.Did(Outcome(what%5), when)
		u.Sent(when, 0)
		again, _ := u.AppendBinary(nil)
		var back Unit
		if err := back.UnmarshalBinary(again); err != nil || back != u {
			t.Errorf("%+v is read back as %+v, %v", u, back, err)
		}
	})
}

func BenchmarkUnit(b *testing.B) {
	at := date("2026-07-14 10:00")
	b.ReportAllocs()
	var total Tally
	for b.Loop() {
		var u Unit
		f := u.Planned(at, Control, Shares{})
		total.Merge(f.Tally)
		f = u.Did(Clicked, at)
		total.Merge(f.Tally)
	}
}

package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// What a verdict means for a delivery.
func TestEffect(t *testing.T) {
	for _, row := range []struct {
		story, then string
		with        func(*Facts)
		want        Effect
		inexact     bool
	}{
		{"a tag changes nothing", "tag('x')", nil, Released, false},
		{"dropped", "drop('x')", nil, Dropped, false},
		{"held", "hold(days(1))", nil, Held, false},
		{"a cap that is reached", "cap(4, days(7))", nil, Held, false},
		{"one that is not", "cap(5, days(7))", nil, Released, false},
		{"over three days: one was sent in the last of them, four in seven", "cap(5, days(3))", nil, Released, false},
		{"that is too many to tell", "cap(2, days(3))", nil, Released, true},
		{"or just too many", "cap(4, days(3))", nil, Released, true},
		{"and one is enough", "cap(1, days(3))", nil, Held, false},
		{"within the hour nothing was sent", "cap(1, hours(1))", func(f *Facts) { f.Mailbox.Sends.D1 = 0 }, Released, false},
		{"but just now", "cap(1, hours(1))", func(f *Facts) { f.Mailbox.LastSend = f.Now.Add(-time.Minute) }, Held, false},
		{"too soon after the last", "min_gap(hours(31))", nil, Moved, false},
		{"late enough", "min_gap(hours(30))", nil, Released, false},
		{"the first mail of all", "min_gap(hours(30))", func(f *Facts) { f.Mailbox.LastSend = time.Time{} }, Released, false},
		{"at night", "quiet('21:00', '08:00')", func(f *Facts) { f.Now = f.Now.Add(11 * time.Hour) }, Moved, false},
		{"at its last minute", "quiet('21:00', '08:00')", func(f *Facts) { f.Now = f.Now.Add(19*time.Hour + 59*time.Minute) }, Moved, false},
		{"in the morning", "quiet('21:00', '08:00')", func(f *Facts) { f.Now = f.Now.Add(20 * time.Hour) }, Released, false},
		{"over noon", "quiet('12:00', '13:00')", nil, Moved, false},
	} {
		t.Run(row.story, func(t *testing.T) {
			f := reader()
			if row.with != nil {
				row.with(&f)
			}
			v := one(t, "", row.then).Evaluate(&f)
			got, exact := v.Effect(&f)
			if got != row.want || exact == row.inexact {
				t.Errorf("got %v, exact %v", got, exact)
			}
		})
	}
}

// history is a month in which four mailboxes got three mails each.
func history() []Decision {
	var list []Decision
	for i := range 12 {
		d := Decision{ID: fmt.Sprint("d", i), Mailbox: uint64(i % 4), Facts: reader(), Propensity: 1}
		d.Facts.Now = noon.Add(time.Duration(i) * day)
		d.Facts.Message.Campaign = fmt.Sprint("c", i/4)
		switch i % 4 {
		case 0: // reads everything
			d.Outcome = Outcome{Opened: true, Clicked: true}
		case 1: // has not clicked for a year, and opted out at the last
			d.Facts.Mailbox.LastClick = time.Time{}
			d.Facts.Mailbox.Segments = []string{"buyers", "dormant"}
			d.Outcome = Outcome{Unsubscribed: i == 9}
		case 2: // cannot be seen to click
			d.Facts.Mailbox.LastClick, d.Facts.Mailbox.ClicksVisible = time.Time{}, 0
			d.Facts.Mailbox.Provider = "private"
		case 3: // was dropped by what was in force
			d.Facts.Mailbox.Local, d.Happened = "abuse", Dropped
		}
		list = append(list, d)
	}
	return list
}

func TestBacktest(t *testing.T) {
	old := one(t, "mailbox.local == 'abuse'", "drop('role')")
	sunset, err := New("sunset", Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := NewBacktest(old, compileText(t, sunset), true)
	for _, d := range history() {
		b.Add(&d)
	}
	r := b.Report()
	if got := r.Total.Newly(Dropped); got != (Cell{Deliveries: 3, Unsubscribed: 1}) {
		t.Errorf("newly dropped: %+v", got)
	}
	if got := r.Total.Newly(Released); got != (Cell{Deliveries: 3}) {
		t.Errorf("newly released: %+v", got)
	}
	if got := r.Total.Under(Released); got.Deliveries != 9 || got.Clicked != 3 {
		t.Errorf("released: %+v", got)
	}
	if r.Decisions != 12 || r.Unobservable != 3 || r.Unsent != 3 || r.Total.All().Deliveries != 12 {
		t.Errorf("got %d decisions, %d unobservable, %d unsent", r.Decisions, r.Unobservable, r.Unsent)
	}
	if len(r.Absent) != 1 || r.Absent[0] != (Absence{"mailbox.last_click", 3}) {
		t.Errorf("absent: %v", r.Absent)
	}
	if got := r.Rules[0]; got != (RuleCount{Rule: "sunset", Version: 1, Fired: 3, Undecided: 3}) {
		t.Errorf("sunset: %+v", got)
	}
	if e := r.Examples[0]; e.ID != "d1" || e.Old != Released || e.New != Dropped || e.FiredRules[0] != "sunset" {
		t.Errorf("example: %+v", e)
	}
	var groups []string
	for _, g := range r.Groups {
		groups = append(groups, fmt.Sprintf("%s %s %d/%d", g.Kind, g.Name, g.Tally.Changed().Deliveries, g.Tally.All().Deliveries))
	}
	want := "campaign c0 2/4, campaign c1 2/4, campaign c2 2/4, class newsletter 6/12, provider gmail 6/9, provider private 0/3, segment buyers 6/12, segment dormant 3/3"
	if got := strings.Join(groups, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if r.Estimate.Known || !strings.Contains(r.Estimate.Statement, "none of the 6 changed decisions was made by lot") {
		t.Errorf("estimate: %+v", r.Estimate)
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "3 of 12 decisions (25.0 %)") || !strings.Contains(notes, "3 deliveries that the new rules let go were dropped then") {
		t.Errorf("notes: %s", notes)
	}
}

// Without shadows counted as enabled, a file in shadow changes nothing.
func TestBacktestShadow(t *testing.T) {
	sunset, _ := New("sunset", Options{})
	b := NewBacktest(nil, compileText(t, sunset), false)
	for _, d := range history() {
		b.Add(&d)
	}
	r := b.Report()
	if r.Total.Changed().Deliveries != 0 || r.Rules[0].Fired != 3 {
		t.Errorf("%+v, rules %+v", r.Total.Changed(), r.Rules)
	}
	if !strings.Contains(r.Estimate.Statement, "nothing to estimate") {
		t.Error(r.Estimate.Statement)
	}
	if empty := NewBacktest(nil, one(t, "", "allow"), false).Report(); len(empty.Notes) != 1 {
		t.Errorf("notes of nothing: %v", empty.Notes)
	}
}

// Mail that never went and would not have gone is not missed as never having gone.
func TestBacktestUnsent(t *testing.T) {
	d := recordedDecision()
	d.Happened, d.Outcome = Dropped, Outcome{}
	for then, want := range map[string]uint64{"drop('x')": 0, "hold(days(2))": 1, "allow": 0} {
		b := NewBacktest(nil, one(t, "", then), false)
		b.Add(&d)
		if got := b.Report().Unsent; got != want {
			t.Errorf("%s: %d unsent, want %d", then, got, want)
		}
	}
}

// A back-test leaves the rules it tries as they were.
func TestBacktestCountsNothing(t *testing.T) {
	set := one(t, "days(message.size) > days(1)", "drop('x')")
	b := NewBacktest(set, set, false)
	d := recordedDecision()
	d.Facts.Message.Size = 1e12
	for range 3 * tripFailures {
		b.Add(&d)
	}
	if s := set.Stats()[0]; s != (Stat{Rule: "r", Version: 1}) {
		t.Errorf("stat %+v", s)
	}
	if r := b.Report(); r.Rules[0].Failed != 3*tripFailures {
		t.Errorf("rules %+v", r.Rules)
	}
}

// world deals mailboxes into arms by lot: some get nothing, the others what the old
// rules say, all mail. Keen readers are spared more often than dull ones are, so
// that those who got their mail are not like all; in the mean 50 mails in a
// thousand are clicked.
func world(seed uint64, mailboxes, mails int, add func(*Decision)) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	for range mailboxes {
		rate, chance := 0.02, 0.9
		if rnd.Float64() < 0.5 {
			rate, chance = 0.08, 0.5
		}
		d := Decision{Mailbox: rnd.Uint64(), Happened: Released, Propensity: chance}
		if rnd.Float64() >= chance {
			d.Happened, d.Propensity = Dropped, 1-chance
		}
		rate *= 2 * rnd.Float64()
		for range mails {
			d.Outcome.Clicked = d.Happened == Released && rnd.Float64() < rate
			add(&d)
		}
	}
}

// Where lot allows, the interval holds the truth about as often as it says.
func TestEstimateCovers(t *testing.T) {
	const truth, runs = -50.0, 200
	held, width := 0, 0.0
	for seed := range uint64(runs) {
		var e estimator
		world(seed, 1000, 5, func(d *Decision) { e.add(d, Released, Dropped) })
		r := e.result()
		if !r.Known || !r.Outcomes[1].Known || r.Outcomes[0].Known {
			t.Fatalf("seed %d: %+v", seed, r)
		}
		o := r.Outcomes[1]
		if o.Low <= truth && truth <= o.High {
			held++
		}
		width += (o.High - o.Low) / runs
	}
	t.Logf("%d of %d intervals hold the truth, %.1f wide in the mean", held, runs, width)
	if held < 180 || width > 20 {
		t.Errorf("%d of %d intervals hold the truth, %.1f wide", held, runs, width)
	}
}

// Where lot does not allow an estimate, that is said.
func TestEstimateRefuses(t *testing.T) {
	for _, row := range []struct {
		story string
		run   func(*estimator)
		want  string
	}{
		{"nothing changed", func(*estimator) {}, "nothing to estimate"},
		{"no lot", func(e *estimator) {
			world(1, 100, 5, func(d *Decision) { d.Propensity = 1; e.add(d, Released, Dropped) })
		}, "none of the 500 changed decisions was made by lot"},
		{"unknown is not lot", func(e *estimator) {
			world(1, 100, 5, func(d *Decision) { d.Propensity = 0; e.add(d, Released, Dropped) })
		}, "none of the 500"},
		{"lot never did what the new rules say", func(e *estimator) {
			world(1, 1000, 5, func(d *Decision) { e.add(d, Released, Moved) })
		}, "what the new ones say 0 times"},
		{"one mailbox, drawn once", func(e *estimator) {
			world(1, 1000, 5, func(d *Decision) { d.Mailbox = 7; e.add(d, Released, Dropped) })
		}, "too few mailboxes"},
	} {
		t.Run(row.story, func(t *testing.T) {
			var e estimator
			row.run(&e)
			if r := e.result(); r.Known || !strings.Contains(r.Statement, row.want) {
				t.Errorf("got %+v, want %s", r, row.want)
			}
		})
	}
}

// BenchmarkBacktest reads recorded decisions and replays them through the rules of
// all templates and those plus four.
func BenchmarkBacktest(b *testing.B) {
	var text string
	for _, t := range Templates() {
		one, _ := New(t.Name, Options{})
		text += one
	}
	more := ""
	for i, r := range benchRules {
		more += fmt.Sprintf("[[rule]]\nname = \"more-%d\"\nwhen = \"%s\"\nthen = \"min_gap(hours(16))\"\n", i, r.when)
	}
	var recorded [][]byte
	for i := range 1000 {
		d := recordedDecision()
		d.Mailbox = uint64(i)
		d.Facts.Mailbox.LastClick = noon.Add(-time.Duration(i) * day / 4)
		d.Facts.Message.Campaign = fmt.Sprint("campaign-", i%50)
		bytes, _ := d.AppendBinary(nil)
		recorded = append(recorded, bytes)
	}
	test := NewBacktest(compileText(b, text), compileText(b, text+more), true)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d, err := Decode(recorded[i%len(recorded)])
		if err != nil {
			b.Fatal(err)
		}
		test.Add(&d)
		i++
	}
	b.ReportMetric(1e6*b.Elapsed().Seconds()/float64(b.N), "s/million")
}

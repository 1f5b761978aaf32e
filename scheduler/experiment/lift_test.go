package experiment

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// simple is a tally of mailboxes with one week each: n of them, y with a click.
func simple(n, y uint64) Tally {
	return Tally{Mailboxes: n, Weeks: n, WeeksSq: n, Clicked: Sums{Y: y, YY: y, YN: y}, Unsubscribed: y}
}

func TestCompare(t *testing.T) {
	for _, row := range []struct {
		says               string
		treatment, control Tally
		by                 Outcome
		want               Verdict
		known              bool
	}{
		{"nothing", Tally{}, Tally{}, Clicked, TooFew, false},
		{"no control", simple(1000, 100), Tally{}, Clicked, TooFew, false},
		{"no clicks ever", simple(100000, 0), simple(100000, 0), Clicked, TooFew, false},
		{"a handful", simple(200, 15), simple(200, 10), Clicked, TooFew, false},
		{"a surprise before there is enough", simple(2000, 200), simple(2000, 130), Clicked, TooFew, true},
		{"read 25 %, just under the needed 19 200", simple(19000, 4750), simple(19000, 4750), Clicked, TooFew, true},
		{"just over", simple(19500, 4875), simple(19500, 4875), Clicked, Unclear, true},
		{"much more than needed and equal", simple(200000, 50000), simple(200000, 50000), Clicked, Same, true},
		{"more clicks are better", simple(40000, 11000), simple(40000, 10000), Clicked, Better, true},
		{"fewer are worse", simple(40000, 9000), simple(40000, 10000), Clicked, Worse, true},
		{"more unsubscribes are worse", simple(300000, 600), simple(300000, 300), Unsubscribed, Worse, true},
		{"fewer are better", simple(300000, 300), simple(300000, 600), Unsubscribed, Better, true},
		{"control has none", simple(900000, 900), simple(100000, 0), Unsubscribed, Worse, true},
	} {
		l := Rule{}.Compare(row.treatment, row.control, row.by)
		if l.Verdict != row.want || l.Known != row.known {
			t.Errorf("%s: got %s, known %t, want %s, %t: %+v", row.says, l.Verdict, l.Known, row.want, row.known, l)
		}
		if l.Known && !(l.Low < l.Delta && l.Delta < l.High && l.P > 0 && l.P <= 1) {
			t.Errorf("%s: %+v", row.says, l)
		}
		if sure := l.Low > 0 || l.High < 0; l.Known && sure != (l.P < 0.05) {
			t.Errorf("%s: the interval and p do not agree: %+v", row.says, l)
		}
	}
}

// The needed numbers are those of the formula.
func TestNeeded(t *testing.T) {
	for _, row := range []struct{ rate, want float64 }{{0.03, 207_000}, {0.25, 19_200}} {
		n := uint64(10000)
		y := uint64(row.rate * float64(n))
		l := Rule{}.Compare(simple(n, y), simple(n, y), Clicked)
		if math.Abs(l.Needed/row.want-1) > 0.01 {
			t.Errorf("at %v: needed %.0f, want about %.0f", row.rate, l.Needed, row.want)
		}
	}
}

// audience simulates people who differ, over the weeks of a quarter, in two arms.
type audience struct {
	rng     *rand.Rand
	people  int
	control float64 // share of control
	rate    float64 // of clicks, on average
	spread  float64 // standard deviation of log rate between people
	effect  float64 // relative, of the treatment
}

// run calls look after each tenth of a week with what is known then; it stops when
// look returns false.
func (a audience) run(look func(treatment, control Tally) bool) {
	start := date("2026-04-06 09:00") // with eight weeks before the third quarter
	units, rates, arms := make([]Unit, a.people), make([]float64, a.people), make([]Arm, a.people)
	for i := range units {
		rates[i] = a.rate * math.Exp(a.rng.NormFloat64()*a.spread-a.spread*a.spread/2)
		if a.rng.Float64() < a.control {
			arms[i] = Control
		}
	}
	var tallies [2]Tally
	for w := range 13 + past {
		at := start.Add(time.Duration(w+13-past) * week)
		for part := range 10 {
			for i := part; i < a.people; i += 10 {
				a.week(&units[i], rates[i], arms[i], at, w >= past, &tallies)
			}
			if w >= past && !look(tallies[Model], tallies[Control]) {
				return
			}
		}
	}
}

func (a audience) week(u *Unit, rate float64, arm Arm, at time.Time, in bool, tallies *[2]Tally) {
	if a.rng.IntN(4) == 0 {
		return // not everybody is sent something each week
	}
	drawn := arm
	if !in {
		drawn = Outside
	}
	f := u.Planned(at, drawn, Shares{})
	tallies[arm].Merge(f.Tally)
	if arm == Model && in {
		rate *= 1 + a.effect
	}
	if a.rng.Float64() < rate {
		f = u.Did(Clicked, at)
		tallies[arm].Merge(f.Tally)
	}
}

// Two arms that are the same are found different at some of 130 looks no more often
// than alpha says, though people differ and each is counted up to 13 times; the
// textbook's test at the same looks is wrong most of the time.
func TestPeekingIsSafe(t *testing.T) {
	runs := 200
	if testing.Short() {
		runs = 60
	}
	rule := Rule{Smallest: 0.1, Alpha: 0.1}
	var wrong, naive, looks int
	for i := range runs {
		a := audience{rng: rand.New(rand.NewPCG(7, uint64(i))), people: 1500, control: 0.5, rate: 0.2, spread: 0.8}
		if i%2 == 1 {
			a.control = 0.1
		}
		var found, textbook bool
		a.run(func(treatment, control Tally) bool {
			l := rule.Compare(treatment, control, Clicked)
			looks++
			found = found || l.Known && (l.Low > 0 || l.High < 0)
			textbook = textbook || l.Known && math.Abs(zScore(treatment, control)) > 1.645
			return true
		})
		wrong += btoi(found)
		naive += btoi(textbook)
	}
	t.Logf("%d A/A runs of %d looks: wrong in %.1f %% at alpha 10 %%; by the textbook %.1f %%",
		runs, looks/runs, 100*float64(wrong)/float64(runs), 100*float64(naive)/float64(runs))
	if float64(wrong) > 0.1*float64(runs) {
		t.Errorf("%d of %d runs without an effect show one", wrong, runs)
	}
	if float64(naive) < 0.3*float64(runs) {
		t.Errorf("the textbook is wrong in %d of %d runs only: the simulation has no teeth", naive, runs)
	}
}

// zScore is the test that takes mailbox-weeks for independent.
func zScore(t, c Tally) float64 {
	nt, nc := float64(t.Weeks), float64(c.Weeks)
	pt, pc := float64(t.Clicked.Y)/nt, float64(c.Clicked.Y)/nc
	p := (float64(t.Clicked.Y) + float64(c.Clicked.Y)) / (nt + nc)
	return (pt - pc) / math.Sqrt(p*(1-p)*(1/nt+1/nc))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// The interval holds the truth at all looks at once in 1-alpha of the runs, where
// there is an effect too.
func TestIntervalHoldsTheEffect(t *testing.T) {
	runs := 120
	if testing.Short() {
		runs = 40
	}
	rule := Rule{Smallest: 0.1, Alpha: 0.1}
	missed := 0
	for i := range runs {
		a := audience{rng: rand.New(rand.NewPCG(8, uint64(i))), people: 1500, control: 0.3, rate: 0.15, spread: 0.5, effect: 0.3}
		held := true
		a.run(func(treatment, control Tally) bool {
			l := rule.Compare(treatment, control, Clicked)
			held = !l.Known || l.Low <= 0.045 && 0.045 <= l.High
			return held
		})
		missed += btoi(!held)
	}
	t.Logf("missed in %d of %d runs", missed, runs)
	if float64(missed) > 0.1*float64(runs) {
		t.Errorf("the interval loses the effect in %d of %d runs, alpha is 10 %%", missed, runs)
	}
}

// An effect of the smallest size is found in nearly half of the experiments that
// reach the needed number, and in four of five that reach twice as many.
func TestPower(t *testing.T) {
	const rate, runs = 0.25, 2000
	rng := rand.New(rand.NewPCG(9, 9))
	draw := func(n, p float64) Tally {
		return simple(uint64(n), uint64(n*p+rng.NormFloat64()*math.Sqrt(n*p*(1-p))))
	}
	for _, row := range []struct{ times, low, high float64 }{{1, 0.35, 0.55}, {2, 0.75, 0.92}} {
		found := 0
		n := row.times * 19_500
		for range runs {
			found += btoi(Rule{}.Compare(draw(n, rate*1.05), draw(n, rate), Clicked).Verdict == Better)
		}
		power := float64(found) / runs
		t.Logf("at %.0f × needed: found in %.1f %%", row.times, 100*power)
		if power < row.low || power > row.high {
			t.Errorf("at %v × needed an effect of the smallest size is found in %.2f, want %v to %v", row.times, power, row.low, row.high)
		}
	}
}

// The past takes variance away and no bias comes of it.
func TestPast(t *testing.T) {
	const runs = 150
	var with, without, saved []float64
	for i := range runs {
		a := audience{rng: rand.New(rand.NewPCG(10, uint64(i))), people: 3000, control: 0.3, rate: 0.2, spread: 0.9, effect: 0.1}
		var treatment, control Tally
		a.run(func(t, c Tally) bool { treatment, control = t, c; return true })
		l := Rule{}.Compare(treatment, control, Clicked)
		with, saved = append(with, l.Delta), append(saved, l.Saved)
		without = append(without, float64(treatment.Clicked.Y)/float64(treatment.Weeks)-float64(control.Clicked.Y)/float64(control.Weeks))
	}
	m, v := meanVar(with)
	plainMean, plain := meanVar(without)
	s, _ := meanVar(saved)
	t.Logf("effect %.4f with the past, %.4f without; variance %.2g and %.2g: %.0f %% less, %.0f %% said", m, plainMean, v, plain, 100*(1-v/plain), 100*s)
	// The mean rate is lower than 0.2 by what exceeds certainty, in both arms.
	if math.Abs(m-plainMean) > 3*math.Sqrt(plain/runs) || m < 0.015 || m > 0.022 {
		t.Errorf("effect %.4f with the past, %.4f without", m, plainMean)
	}
	if v > 0.7*plain || math.Abs(s-(1-v/plain)) > 0.15 {
		t.Errorf("variance %.3g with the past, %.3g without; saved is said to be %.2f", v, plain, s)
	}
}

func meanVar(xs []float64) (mean, variance float64) {
	for _, x := range xs {
		mean += x / float64(len(xs))
	}
	for _, x := range xs {
		variance += (x - mean) * (x - mean) / float64(len(xs)-1)
	}
	return mean, variance
}

// Quarters of very different rates and shares do not pass their difference off as
// an effect.
func TestQuartersAreComparedInside(t *testing.T) {
	pairs := []Pair{
		{simple(10_000, 1000), simple(90_000, 9000)},
		{simple(90_000, 36_000), simple(10_000, 4000)},
	}
	l := Rule{}.CompareAll(pairs, Clicked)
	if math.Abs(l.Delta) > 1e-9 || l.Verdict != Unclear && l.Verdict != Same {
		t.Errorf("got %+v", l)
	}
	if l.N != 20_000 {
		t.Errorf("n = %v, want the smaller arm of each quarter: 20000", l.N)
	}
}

func TestCheckRatio(t *testing.T) {
	cellOf := func(shares Shares, mailboxes [Arms]uint64) [Arms]Tally {
		var ts Tallies
		for a, n := range mailboxes {
			ts.Add(Fact{Tenant: "t", Arm: Arm(a), Shares: shares, Tally: Tally{Mailboxes: n, Weeks: n, WeeksSq: n}})
		}
		return ts.Arms("t", "", 0)
	}
	usual, four := Shares{Model: 90, Control: 10}, Shares{89, 5, 5, 1}
	for _, row := range []struct {
		says      string
		shares    Shares
		mailboxes [Arms]uint64
		valid     bool
		checked   bool
	}{
		{"nothing", usual, [Arms]uint64{}, true, false},
		{"a few", usual, [Arms]uint64{50, 10}, true, false},
		{"as drawn", usual, [Arms]uint64{9020, 980}, true, true},
		{"a tenth of control lost", usual, [Arms]uint64{90_000, 9000}, false, true},
		{"control doubled", usual, [Arms]uint64{900, 200}, false, true},
		{"four arms as drawn", four, [Arms]uint64{8900, 510, 490, 100}, true, true},
		{"four arms, none missing", four, [Arms]uint64{89_000, 5000, 5000, 800}, false, true},
		{"an arm that should be empty", usual, [Arms]uint64{9000, 1000, 1}, false, true},
		{"all model", Shares{}, [Arms]uint64{9000}, true, false},
	} {
		r := CheckRatio(cellOf(row.shares, row.mailboxes))
		if r.Valid != row.valid || r.Checked != row.checked {
			t.Errorf("%s: got %+v", row.says, r)
		}
		if !r.Valid && !strings.Contains(r.String(), "unevenly") {
			t.Errorf("%s: says %q", row.says, r)
		}
	}
}

// The draw itself passes the check, in all quarters but few, with shares that change
// under way.
func TestDrawPassesCheckRatio(t *testing.T) {
	failed := 0
	const quarters = 400
	for q := range quarters {
		var ts Tallies
		at := date("2000-07-14 10:00").AddDate(0, 3*q, 0)
		for m := range uint64(3000) {
			shares := Shares{89, 5, 5, 1}
			if m > 1000 {
				shares = Shares{Model: 70, Control: 30}
			}
			ts.Add(Fact{Tenant: "t", Arm: shares.Of(42, m, at), Shares: shares, Tally: Tally{Mailboxes: 1}})
		}
		failed += btoi(!CheckRatio(ts.Arms("t", "", 0)).Valid)
	}
	if failed > 4 {
		t.Errorf("%d of %d quarters as drawn are called invalid", failed, quarters)
	}
}

// Expected values of the chi-square distribution, from printed tables.
func TestChiSquareTail(t *testing.T) {
	for _, row := range []struct {
		x       float64
		degrees int
		want    float64
	}{{3.841, 1, 0.05}, {10.828, 1, 0.001}, {5.991, 2, 0.05}, {13.816, 2, 0.001}, {7.815, 3, 0.05}, {16.266, 3, 0.001}, {0, 3, 1}} {
		if got := chiSquareTail(row.x, row.degrees); math.Abs(got-row.want) > 0.002*row.want+1e-6 {
			t.Errorf("more than %v with %d degrees: %v, want %v", row.x, row.degrees, got, row.want)
		}
	}
}

// Numbers of which nothing may be said yet are not written.
func TestLiftJSON(t *testing.T) {
	b, err := json.Marshal(Rule{}.Compare(simple(100, 5), simple(100, 5), Clicked))
	if want := `{"verdict":"not enough data yet","n":100}`; err != nil || string(b) != want {
		t.Errorf("got %s, %v, want %s", b, err, want)
	}
	b, err = json.Marshal(Rule{}.Compare(simple(2000, 200), simple(2000, 130), Clicked))
	if err != nil || strings.Contains(string(b), "low") || !strings.Contains(string(b), `"needed":`) {
		t.Errorf("got %s, %v", b, err)
	}
	b, err = json.Marshal(Rule{}.Compare(simple(40000, 11000), simple(40000, 10000), Clicked))
	if err != nil || !strings.Contains(string(b), `"low":`) {
		t.Errorf("got %s, %v", b, err)
	}
}

func BenchmarkCompare(b *testing.B) {
	x, y := simple(40000, 11000), simple(40000, 10000)
	b.ReportAllocs()
	for b.Loop() {
		Rule{}.Compare(x, y, Clicked)
	}
}

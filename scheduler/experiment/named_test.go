package experiment

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func good() Experiment {
	return Experiment{
		Name: "hours", Owner: "ops@example.com", Starts: date("2026-07-06 00:00"), Ends: date("2026-09-06 00:00"), Size: 20,
		Arms: Shares{Model: 50, Control: 25, Random: 25}, Stop: Stop{Outcome: Unsubscribed, Excess: 0.2},
	}
}

func TestExperimentCheck(t *testing.T) {
	for _, row := range []struct {
		says string
		do   func(*Experiment)
		want string // "" is right
	}{
		{"as it should be", func(*Experiment) {}, ""},
		{"caps alone", func(e *Experiment) { e.Arms, e.Caps = Shares{}, true }, ""},
		{"no name", func(e *Experiment) { e.Name = "" }, "needs a name"},
		{"no owner", func(e *Experiment) { e.Owner = "" }, "needs an owner"},
		{"no start", func(e *Experiment) { e.Starts = time.Time{} }, "needs a start"},
		{"no end", func(e *Experiment) { e.Ends = time.Time{} }, "needs an end"},
		{"ends first", func(e *Experiment) { e.Ends = e.Starts }, "must come after"},
		{"for ever", func(e *Experiment) { e.Ends = e.Starts.AddDate(2, 0, 0) }, "a year at most"},
		{"no size", func(e *Experiment) { e.Size = 0 }, "size"},
		{"too large", func(e *Experiment) { e.Size = 101 }, "size"},
		{"no number", func(e *Experiment) { e.Size = math.NaN() }, "size"},
		{"nothing random", func(e *Experiment) { e.Arms = Shares{} }, "randomise something"},
		{"no control", func(e *Experiment) { e.Arms = Shares{Model: 50, Random: 50} }, "control arm"},
		{"not all", func(e *Experiment) { e.Arms[Model] = 40 }, "add up to 90 %"},
		{"less than none", func(e *Experiment) { e.Arms[Model] = -50 }, "not between 0 and 100"},
		{"stops at clicks", func(e *Experiment) { e.Stop.Outcome = Clicked }, "stop rule on a guardrail"},
		{"stops never", func(e *Experiment) { e.Stop.Excess = 50 }, "between 0 and 1"},
	} {
		e := good()
		row.do(&e)
		err := e.Check()
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: got %v, want %q", row.says, err, row.want)
		}
	}
	var none Experiment
	if err := none.Check(); err == nil || len(strings.Split(err.Error(), "\n")) < 6 {
		t.Errorf("not all that is wrong is told: %v", err)
	}
}

func TestSharesCheck(t *testing.T) {
	for _, row := range []struct {
		shares Shares
		named  bool
		ok     bool
	}{
		{Shares{}, false, true},
		{Shares{Model: 90, Control: 10}, false, true},
		{Shares{Model: 80, Control: 10}, false, false},
		{Shares{Model: 85, Control: 10, Random: 5}, false, false},
		{Shares{Model: 85, Control: 10, None: 5}, false, false},
		{Shares{Model: 80, Control: 10, Random: 5, None: 5}, true, true},
		{Shares{Model: math.NaN(), Control: 10}, true, false},
	} {
		if err := row.shares.Check(row.named); (err == nil) != row.ok {
			t.Errorf("%v, named %t: %v", row.shares, row.named, err)
		}
	}
}

// The draw is sticky in a quarter, new in the next, apart from the standing one,
// and as large as it should be.
func TestAssign(t *testing.T) {
	e := good()
	e.Caps = true
	standing := Shares{Model: 90, Control: 10}
	const people = 40_000
	var in, moved, stayed, both float64
	var arms [Arms]float64
	multipliers := map[float64]float64{}
	july := date("2026-07-07 00:00")
	for m := range uint64(people) {
		p := e.Assign(1, m, july)
		if p != e.Assign(1, m, july.AddDate(0, 1, 20)) {
			t.Fatalf("mailbox %d moves within a quarter", m)
		}
		if (standing.Of(1, m, july) == Control) == (standing.Of(1, m, july.AddDate(0, 3, 0)) == Control) {
			stayed++
		}
		if !p.In {
			continue
		}
		in++
		arms[p.Arm]++
		if standing.Of(1, m, july) == Control {
			both++
		}
		if p.Arm == Model {
			multipliers[p.Multiplier]++
		} else if p.Multiplier != 1 {
			t.Fatalf("arm %s has cap × %v", p.Arm, p.Multiplier)
		}
		if p != e.Assign(2, m, july) {
			moved++
		}
	}
	near := func(what string, got, want, of float64) {
		t.Helper()
		if sd := math.Sqrt(want * (1 - want) * of); math.Abs(got-want*of) > 4*sd {
			t.Errorf("%s: %.0f of %.0f, want a share of %v", what, got, of, want)
		}
	}
	near("take part", in, 0.2, people)
	near("random", arms[Random], 0.25, in)
	near("control", arms[Control], 0.25, in)
	near("of the standing control", both, 0.1, in)
	near("same standing arm next quarter", stayed, 0.82, people)
	for _, m := range Multipliers {
		near("cap", multipliers[m], 0.25, arms[Model])
	}
	if moved < in/2 {
		t.Errorf("another salt moves %.0f of %.0f", moved, in)
	}
	for _, at := range []time.Time{e.Starts.Add(-time.Second), e.Ends} {
		if p := e.Assign(1, 1, at); p.In || p.Multiplier != 1 || p.Arm != Outside {
			t.Errorf("at %v: %+v", at, p)
		}
	}
}

// To move a share between control and model moves no other mailbox.
func TestSharesMoveFew(t *testing.T) {
	at := date("2026-07-07 00:00")
	for m := range uint64(5000) {
		few, many := Shares{Model: 95, Control: 5}.Of(3, m, at), Shares{Model: 80, Control: 20}.Of(3, m, at)
		if few == Control && many != Control {
			t.Fatalf("mailbox %d leaves control as it grows", m)
		}
	}
	if a := (Shares{}).Of(3, 1, at); a != Model {
		t.Errorf("no shares draw %s", a)
	}
}

func TestCap(t *testing.T) {
	for _, row := range []struct {
		weekly, ceiling int
		multiplier      float64
		want            int
	}{
		{5, 5, 1, 5}, {5, 5, 1.25, 5}, {4, 0, 1.25, 5}, {4, 8, 1.25, 5}, {5, 5, 0.5, 3}, {1, 5, 0.5, 1}, {0, 0, 0.5, 0}, {0, 5, 1.25, 5}, {8, 4, 1, 4},
	} {
		if got := (Place{Multiplier: row.multiplier}).Cap(row.weekly, row.ceiling); got != row.want {
			t.Errorf("cap %d × %v under %d is %d, want %d", row.weekly, row.multiplier, row.ceiling, got, row.want)
		}
	}
}

func TestStop(t *testing.T) {
	s := Stop{Outcome: Unsubscribed, Excess: 0.2}
	for _, row := range []struct {
		says                   string
		model, control, random Tally
		hit                    bool
	}{
		{"nothing", Tally{}, Tally{}, Tally{}, false},
		{"equal", simple(50_000, 200), simple(50_000, 200), Tally{}, false},
		{"a little more", simple(50_000, 220), simple(50_000, 200), Tally{}, false},
		{"twice as many", simple(50_000, 500), simple(50_000, 200), Tally{}, true},
		{"control has none", simple(50_000, 500), simple(50_000, 0), Tally{}, true},
		{"fewer", simple(50_000, 100), simple(50_000, 400), Tally{}, false},
		{"twice as many at random hours", simple(50_000, 200), simple(50_000, 200), simple(50_000, 500), true},
	} {
		why, hit := s.Hit([Arms]Tally{row.model, row.control, row.random}, Rule{})
		if hit != row.hit || hit && !strings.Contains(why, " unsubscribes ") {
			t.Errorf("%s: %t %q", row.says, hit, why)
		}
	}
}

func TestExperimentJSON(t *testing.T) {
	e := good()
	b, err := json.Marshal(e)
	var back Experiment
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if err != nil || !reflect.DeepEqual(e, back) || !strings.Contains(string(b), `"outcome":"unsubscribes"`) {
		t.Errorf("%s, %v", b, err)
	}
	if err := json.Unmarshal([]byte(`{"stop":{"outcome":"luck"}}`), &back); err == nil {
		t.Error("an unknown outcome is read")
	}
}

func TestArmNames(t *testing.T) {
	for a := range Arm(Arms) {
		if back, err := ParseArm(a.String()); err != nil || back != a {
			t.Errorf("%s is read as %v, %v", a, back, err)
		}
	}
	if _, err := ParseArm("outside"); err == nil || Outside.String() != "outside" {
		t.Error("outside is an arm")
	}
}

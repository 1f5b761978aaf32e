package experiment

import (
	"slices"
	"strings"
	"testing"
)

// Each case is what a tenant's quarters hold, and what is said of them.
func TestReport(t *testing.T) {
	usual := Shares{Model: 90, Control: 10}
	type quarter struct {
		q      Quarter
		shares Shares
		arms   [Arms]Tally
	}
	for _, row := range []struct {
		name     string
		quarters []quarter
		says     []string
		never    []string
	}{
		{"nothing", nil, []string{"There is nothing to compare: bulk mail was planned in no two arms."}, nil},
		{"one arm", []quarter{{8107, Shares{}, [Arms]Tally{Model: simple(1000, 100)}}},
			[]string{"There is nothing to compare: bulk mail was planned in no two arms."}, nil},
		{"a beginning", []quarter{{8107, usual, [Arms]Tally{Model: simple(900, 30), Control: simple(100, 3)}}},
			[]string{"Clicks, model against control: not enough data yet: too few to say how many mailbox-weeks are needed."}, []string{"better", "between"}},
		{"not yet", []quarter{{8107, usual, [Arms]Tally{Model: simple(90_000, 2700), Control: simple(10_000, 300)}}},
			[]string{"Clicks, model against control: not enough data yet: the smaller arm has 10,000 mailbox-weeks of about "}, []string{"Clicks, model against control: better", "between +"}},
		{"enough", []quarter{{8107, usual, [Arms]Tally{Model: simple(900_000, 250_000), Control: simple(100_000, 25_000)}}},
			[]string{"Clicks, model against control: better: +11.1 % of control's 25 % a mailbox-week (between +", "p < 0.001"}, nil},
		{"lost mailboxes", []quarter{{8107, usual, [Arms]Tally{Model: simple(900_000, 250_000), Control: simple(80_000, 20_000)}}},
			[]string{"2026-Q4 is left out: arm control holds 80,000 mailboxes and should hold 98,000", "No result is shown: no quarter is valid."}, []string{"between", "better"}},
		{"one quarter of two", []quarter{
			{8106, usual, [Arms]Tally{Model: simple(900_000, 250_000), Control: simple(80_000, 20_000)}},
			{8107, usual, [Arms]Tally{Model: simple(900_000, 225_000), Control: simple(100_000, 25_000)}}},
			[]string{"2026-Q3 is left out", "Clicks, model against control: no difference"}, []string{"Clicks, model against control: better"}},
		{"other arms", []quarter{{8107, Shares{89, 5, 5, 1}, [Arms]Tally{simple(89_000, 30_000), simple(5000, 900), simple(5000, 1000), simple(1000, 1)}}},
			[]string{"Clicks, model against random: ", "Clicks, model against none: "}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			var ts Tallies
			for _, q := range row.quarters {
				for a := range q.arms {
					q.arms[a].Mails = q.arms[a].Weeks
					ts.Add(Fact{Tenant: "acme", Quarter: q.q, Arm: Arm(a), Shares: q.shares, Tally: q.arms[a]})
				}
			}
			r := ts.Report("acme", "", Rule{})
			said := strings.Join(r.Sentences, "\n")
			for _, want := range row.says {
				if !strings.Contains(said, want) {
					t.Errorf("not said: %s\nin:\n%s", want, said)
				}
			}
			for _, never := range row.never {
				if strings.Contains(said, never) {
					t.Errorf("said: %s\nin:\n%s", never, said)
				}
			}
		})
	}
}

func TestReportSaysWhoMoved(t *testing.T) {
	var ts Tallies
	tally := simple(1000, 100)
	tally.Moved = 50
	ts.Add(Fact{Tenant: "a", Tally: tally})
	r := ts.Report("a", "", Rule{})
	if !slices.ContainsFunc(r.Sentences, func(s string) bool { return strings.HasPrefix(s, "50 of the 1,000 mailbox-weeks of arm model") }) {
		t.Errorf("says %q", r.Sentences)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 207113.4: "207,113", 1e7: "10,000,000", -1234: "-1,234", -123: "-123"} {
		if got := count(n); got != want {
			t.Errorf("%v is written %s, want %s", n, got, want)
		}
	}
}

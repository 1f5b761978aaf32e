package rules

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// truth is what can be said: yes, no, or neither.
type truth int

const (
	no truth = iota
	neither
	yes
)

func said(b bool) truth {
	if b {
		return yes
	}
	return no
}

// spoken is a condition twice: as an admin writes it and as the oracle judges it.
type spoken struct {
	text  string
	judge func(*Facts) truth
}

func compareNumbers(op string, a, b float64) truth {
	switch op {
	case "<":
		return said(a < b)
	case "<=":
		return said(a <= b)
	case ">":
		return said(a > b)
	case ">=":
		return said(a >= b)
	case "==":
		return said(a == b)
	}
	return said(a != b)
}

// judgeClick goes through when the last click may have been, and answers only if
// each of those times gives the same answer.
func judgeClick(f *Facts, op string, d time.Duration) truth {
	visible := f.Mailbox.ClicksVisible
	var possible []time.Duration
	oldest := 1_000_000 * time.Hour
	if !f.Mailbox.LastClick.IsZero() {
		oldest = f.Now.Sub(f.Mailbox.LastClick)
	}
	if oldest <= visible {
		possible = []time.Duration{oldest} // it was seen, and nothing since
	} else {
		for _, at := range []time.Duration{visible + 1, d - 1, d, d + 1, oldest} {
			if at > visible && at <= oldest {
				possible = append(possible, at)
			}
		}
	}
	first := compareNumbers(op, float64(possible[0]), float64(d))
	for _, at := range possible {
		if compareNumbers(op, float64(at), float64(d)) != first {
			return neither
		}
	}
	return first
}

// atom is a condition without operators.
func atom(t *rapid.T) spoken {
	op := rapid.SampledFrom([]string{"<", "<=", ">", ">="}).Draw(t, "op")
	n := rapid.IntRange(0, 8).Draw(t, "n")
	switch rapid.IntRange(0, 9).Draw(t, "atom") {
	case 0:
		class := rapid.SampledFrom(classNames).Draw(t, "class")
		return spoken{fmt.Sprintf("message.class == '%s'", class), func(f *Facts) truth { return said(f.Message.Class == class) }}
	case 1:
		op := rapid.SampledFrom([]string{"<", "<=", ">", ">=", "==", "!="}).Draw(t, "op")
		return spoken{fmt.Sprintf("mailbox.sends_7d %s %d", op, n), func(f *Facts) truth { return compareNumbers(op, float64(f.Mailbox.Sends.D7), float64(n)) }}
	case 2:
		return spoken{fmt.Sprintf("mailbox.clicks_30d %s %d", op, n), func(f *Facts) truth {
			if f.Mailbox.ClicksVisible < 30*24*time.Hour {
				return neither
			}
			return compareNumbers(op, float64(f.Mailbox.Clicks.D30), float64(n))
		}}
	case 3, 4:
		days := n * 10
		return spoken{fmt.Sprintf("mailbox.last_click %s days(%d)", op, days), func(f *Facts) truth {
			return judgeClick(f, op, time.Duration(days)*24*time.Hour)
		}}
	case 5:
		return spoken{fmt.Sprintf("mailbox.fatigue * 2 %s %d", op, n), func(f *Facts) truth {
			if !f.Mailbox.Modelled {
				return neither
			}
			return compareNumbers(op, f.Mailbox.Fatigue*2, float64(n))
		}}
	case 6:
		return spoken{"mailbox.attributes.tier == 'gold'", func(f *Facts) truth {
			tier, ok := f.Mailbox.Attributes["tier"]
			if !ok {
				return neither
			}
			return said(tier == "gold")
		}}
	case 7:
		return spoken{"'buyers' in mailbox.segments", func(f *Facts) truth {
			return said(len(f.Mailbox.Segments) > 0 && strings.Contains(strings.Join(f.Mailbox.Segments, ","), "buyers"))
		}}
	case 8:
		return spoken{fmt.Sprintf("now.getHours() %s %d", op, n*3), func(f *Facts) truth { return compareNumbers(op, float64(f.Now.Hour()), float64(n*3)) }}
	}
	return spoken{"has(mailbox.clicks_30d)", func(f *Facts) truth { return said(f.Mailbox.ClicksVisible >= 720*time.Hour) }}
}

// sentence joins atoms. What hangs on something unknown is unknown unless the rest
// settles it.
func sentence(t *rapid.T, depth int) spoken {
	if depth == 0 {
		return atom(t)
	}
	switch rapid.IntRange(0, 3).Draw(t, "join") {
	case 0:
		a, b := sentence(t, depth-1), sentence(t, depth-1)
		return spoken{"(" + a.text + " && " + b.text + ")", func(f *Facts) truth { return min(a.judge(f), b.judge(f)) }}
	case 1:
		a, b := sentence(t, depth-1), sentence(t, depth-1)
		return spoken{"(" + a.text + " || " + b.text + ")", func(f *Facts) truth { return max(a.judge(f), b.judge(f)) }}
	case 2:
		a := sentence(t, depth-1)
		return spoken{"!(" + a.text + ")", func(f *Facts) truth { return yes - a.judge(f) }}
	}
	return atom(t)
}

var oracleActions = map[string]Action{
	"allow":                  {Kind: Allow},
	"drop('d1')":             {Kind: Drop, Word: "d1"},
	"hold(hours(5))":         {Kind: Hold, For: 5 * time.Hour},
	"cap(3, days(7))":        {Kind: Cap, N: 3, For: 7 * day},
	"cap(1, days(7))":        {Kind: Cap, N: 1, For: 7 * day},
	"cap(2, days(1))":        {Kind: Cap, N: 2, For: day},
	"min_gap(hours(8))":      {Kind: MinGap, For: 8 * time.Hour},
	"min_gap(hours(16))":     {Kind: MinGap, For: 16 * time.Hour},
	"quiet('21:00','08:00')": {Kind: Quiet, From: 21 * 60, To: 8 * 60},
	"priority(-7)":           {Kind: Priority, N: -7},
	"priority(4)":            {Kind: Priority, N: 4},
	"tag('a')":               {Kind: Tag, Word: "a"},
	"tag('b')":               {Kind: Tag, Word: "b"},
}

// written is a rule and how the oracle judges its condition.
type written struct {
	Rule
	judge func(*Facts) truth
}

func someRule(t *rapid.T, i int) written {
	s := sentence(t, rapid.IntRange(0, 3).Draw(t, "depth"))
	thens := make([]string, 0, len(oracleActions))
	for then := range oracleActions {
		thens = append(thens, then)
	}
	slices.Sort(thens)
	pattern := func(name string, from ...string) []string {
		return rapid.SliceOfN(rapid.SampledFrom(from), 0, 2).Draw(t, name)
	}
	r := Rule{
		Name: fmt.Sprintf("r%d", i), When: s.text, Version: 1,
		State:    State(rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "state")),
		Then:     rapid.SampledFrom(thens).Draw(t, "then"),
		Tenant:   pattern("tenant", "acme", "a*", "bolt", "*t"),
		Class:    pattern("class", "newsletter", "*er", "promo*", "triggered"),
		Campaign: pattern("campaign", "autumn-?", "autumn-*", "*", "spring"),
	}
	if rapid.Bool().Draw(t, "limited") {
		r.ValidFrom = noon.Add(time.Duration(rapid.IntRange(-20, 20).Draw(t, "from")) * time.Hour)
		r.ValidUntil = r.ValidFrom.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "long")) * time.Hour)
	}
	return written{r, s.judge}
}

func someFacts(t *rapid.T) Facts {
	f := reader()
	f.Tenant = rapid.SampledFrom([]string{"acme", "bolt", "art"}).Draw(t, "of")
	f.Now = noon.Add(time.Duration(rapid.IntRange(-24, 24).Draw(t, "hour")) * time.Hour)
	f.Message.Class = rapid.SampledFrom(classNames).Draw(t, "mail")
	f.Message.Campaign = rapid.SampledFrom([]string{"autumn-1", "autumn-12", "spring", ""}).Draw(t, "sent by")
	f.Message.Age = time.Duration(rapid.IntRange(0, 8).Draw(t, "age")) * time.Hour
	f.Mailbox.Sends.D7 = rapid.Uint32Range(0, 8).Draw(t, "sends")
	f.Mailbox.Clicks.D30 = rapid.Uint32Range(0, 8).Draw(t, "clicks")
	f.Mailbox.ClicksVisible = time.Duration(rapid.IntRange(0, 9).Draw(t, "visible")) * 10 * day
	f.Mailbox.LastClick = time.Time{}
	if rapid.Bool().Draw(t, "clicked") {
		// Never a whole day, so that no click falls on the edge of a question.
		f.Mailbox.LastClick = f.Now.Add(-time.Hour - time.Duration(rapid.IntRange(0, 90).Draw(t, "ago"))*day)
	}
	f.Mailbox.Modelled = rapid.Bool().Draw(t, "modelled")
	f.Mailbox.Fatigue = float64(rapid.IntRange(0, 8).Draw(t, "fatigue")) / 2
	f.Mailbox.Attributes = rapid.SampledFrom([]map[string]string{nil, {"tier": "gold"}, {"tier": "tin", "x": "y"}}).Draw(t, "attributes")
	f.Mailbox.Segments = rapid.SampledFrom([][]string{nil, {"x"}, {"x", "buyers"}}).Draw(t, "segments")
	return f
}

// oracleFits compares by regular expressions what the engine compares by hand.
func oracleFits(patterns []string, s string) bool {
	ok := len(patterns) == 0
	for _, p := range patterns {
		form := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(p))
		ok = ok || regexp.MustCompile("^"+form+"$").MatchString(s)
	}
	return ok
}

// oracleCovers reports whether a rule is for this mail at this time.
func oracleCovers(r *Rule, a Action, f *Facts) bool {
	gentle := a.Kind == Allow || a.Kind == Priority || a.Kind == Tag
	end := f.Now.Add(-f.Message.Age).Add(a.For)
	switch {
	case r.State == Off, !oracleFits(r.Tenant, f.Tenant), !oracleFits(r.Class, f.Message.Class), !oracleFits(r.Campaign, f.Message.Campaign):
		return false
	case !r.ValidFrom.IsZero() && (f.Now.Before(r.ValidFrom) || !f.Now.Before(r.ValidUntil)):
		return false
	case !gentle && f.Message.Class == "transactional":
		return false
	case !gentle && f.Message.Class == "triggered" && !strings.Contains(strings.Join(r.Class, " "), "triggered"):
		return false
	}
	return a.Kind != Hold || end.After(f.Now)
}

// oracleVerdict is the naive reading of the documented rules.
func oracleVerdict(rules []written, f *Facts) Verdict {
	var v Verdict
	for _, r := range rules {
		a := oracleActions[r.Then]
		if !oracleCovers(&r.Rule, a, f) {
			continue
		}
		truth := r.judge(f)
		if truth == neither {
			v.Undecided = append(v.Undecided, Undecided{Rule: r.Name, Shadow: r.State == Shadow})
		}
		if truth != yes {
			continue
		}
		if r.State == Shadow {
			v.Shadow = append(v.Shadow, Fired{Rule: r.Name})
			continue
		}
		v.Fired = append(v.Fired, Fired{Rule: r.Name})
		switch a.Kind {
		case Allow, Drop, Hold:
			v.Kind, v.Rule, v.Reason = a.Kind, r.Name, a.Word
			if a.Kind == Hold {
				v.Until = f.Now.Add(-f.Message.Age).Add(a.For)
			}
			return v
		case Cap:
			at := slices.IndexFunc(v.Caps, func(l Limit) bool { return l.Window == a.For })
			if at < 0 {
				v.Caps = append(v.Caps, Limit{a.N, a.For, r.Name})
			} else if a.N < v.Caps[at].N {
				v.Caps[at] = Limit{a.N, a.For, r.Name}
			}
		case MinGap:
			if a.For > v.MinGap {
				v.MinGap = a.For
			}
		case Quiet:
			v.Quiet = append(v.Quiet, Span{a.From, a.To, r.Name})
		case Priority:
			if v.Priority += a.N; v.Priority > 9 {
				v.Priority = 9
			} else if v.Priority < -9 {
				v.Priority = -9
			}
		case Tag:
			if !strings.Contains(strings.Join(v.Tags, " "), a.Word) {
				v.Tags = append(v.Tags, a.Word)
			}
		}
	}
	return v
}

// The engine and the oracle agree on random rules, facts and times.
func TestOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rules []written
		var list []Rule
		for i := range rapid.IntRange(1, 6).Draw(t, "rules") {
			r := someRule(t, i)
			rules = append(rules, r)
			list = append(list, r.Rule)
		}
		set, err := Compile(list)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			f := someFacts(t)
			before := fmt.Sprint(f)
			got, want := set.Evaluate(&f), oracleVerdict(rules, &f)
			if after := fmt.Sprint(f); after != before {
				t.Fatalf("facts were changed from %s to %s", before, after)
			}
			bare(&got)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("of %+v\ngot  %+v\nwant %+v", f, got, want)
			}
		}
	})
}

// bare leaves out what the oracle does not tell.
func bare(v *Verdict) {
	for _, list := range [][]Fired{v.Fired, v.Shadow} {
		for i := range list {
			list[i] = Fired{Rule: list[i].Rule}
		}
	}
	for i := range v.Undecided {
		v.Undecided[i].Missing = ""
	}
}

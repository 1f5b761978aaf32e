package experiment

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Report is what may be said of an experiment, in numbers and in sentences.
type Report struct {
	Tenant      string         `json:"tenant"`
	Experiment  string         `json:"experiment,omitempty"`
	Quarters    []QuarterRatio `json:"quarters"`
	Arms        []ArmReport    `json:"arms"`
	Comparisons []Comparison   `json:"comparisons"`
	Sentences   []string       `json:"sentences"`
}

// QuarterRatio is whether a quarter's arms hold what they should.
type QuarterRatio struct {
	Quarter string `json:"quarter"`
	Ratio
	Says string `json:"says"`
}

// ArmReport is what an arm came to over the quarters kept.
type ArmReport struct {
	Arm          string  `json:"arm"`
	Mailboxes    uint64  `json:"mailboxes"` // entered, each once a quarter
	Weeks        uint64  `json:"mailbox_weeks"`
	Clicked      uint64  `json:"clicked"`
	Read         uint64  `json:"read"`
	Unsubscribed uint64  `json:"unsubscribed"`
	Complained   uint64  `json:"complained"`
	Bounced      uint64  `json:"bounced"`
	Mails        uint64  `json:"mails"`
	Dropped      uint64  `json:"dropped"`
	HeldHours    float64 `json:"held_hours"`
}

// Comparison is one arm against another by an outcome.
type Comparison struct {
	Treatment string `json:"treatment"`
	Control   string `json:"control"`
	Outcome   string `json:"outcome"`
	Lift      Lift   `json:"lift"`
}

// versus are the questions asked: is the whole product better than a plain relay,
// is the chosen hour better than any hour, is mailing worth it at all.
var versus = [...][2]Arm{{Model, Control}, {Model, Random}, {Model, None}}

// Report says what is known of a tenant's experiment; an empty experiment is the
// standing holdout. Quarters whose arms are not what was drawn are left out; where
// none is left no number is shown.
func (t *Tallies) Report(tenant, experiment string, rule Rule) Report {
	r := Report{Tenant: tenant, Experiment: experiment,
		Quarters: []QuarterRatio{}, Arms: []ArmReport{}, Comparisons: []Comparison{}, Sentences: []string{}}
	var valid [][Arms]Tally
	var whole [Arms]Tally
	for _, q := range t.Quarters(tenant, experiment) {
		arms := t.Arms(tenant, experiment, q)
		ratio := CheckRatio(arms)
		r.Quarters = append(r.Quarters, QuarterRatio{q.String(), ratio, ratio.String()})
		if !ratio.Valid {
			r.say("%s is left out: %s.", q, ratio)
			continue
		}
		valid = append(valid, arms)
		for a := range arms {
			whole[a].Merge(arms[a])
		}
	}
	r.arms(whole)
	r.compare(valid, whole, rule)
	return r
}

func (r *Report) say(format string, args ...any) {
	r.Sentences = append(r.Sentences, fmt.Sprintf(format, args...))
}

func (r *Report) arms(whole [Arms]Tally) {
	for a := range whole {
		t := &whole[a]
		if t.Weeks == 0 {
			continue
		}
		r.Arms = append(r.Arms, ArmReport{
			Arm: Arm(a).String(), Mailboxes: t.Mailboxes, Weeks: t.Weeks, Clicked: t.Clicked.Y, Read: t.Read.Y,
			Unsubscribed: t.Unsubscribed, Complained: t.Complained, Bounced: t.Bounced,
			Mails: t.Mails, Dropped: t.Dropped, HeldHours: math.Round(10*t.HeldHours()) / 10,
		})
		if t.Moved*100 > t.Weeks {
			r.say("%s of the %s mailbox-weeks of arm %s were treated as another arm, because the shares of the arms were changed; they count where the mailbox entered.",
				count(float64(t.Moved)), count(float64(t.Weeks)), Arm(a))
		}
	}
}

func (r *Report) compare(valid [][Arms]Tally, whole [Arms]Tally, rule Rule) {
	asked := false
	for _, v := range versus {
		if whole[v[0]].Weeks == 0 || whole[v[1]].Weeks == 0 {
			continue
		}
		asked = true
		var pairs []Pair
		for _, arms := range valid {
			pairs = append(pairs, Pair{arms[v[0]], arms[v[1]]})
		}
		for o := Clicked; o <= Bounced; o++ {
			lift := rule.CompareAll(pairs, o)
			r.Comparisons = append(r.Comparisons, Comparison{v[0].String(), v[1].String(), o.String(), lift})
			r.Sentences = append(r.Sentences, sentence(v, o, lift))
		}
		r.mails(v, whole)
	}
	switch {
	case len(r.Quarters) > 0 && len(valid) == 0:
		r.say("No result is shown: no quarter is valid.")
	case !asked:
		r.say("There is nothing to compare: bulk mail was planned in no two arms.")
	}
}

func (r *Report) mails(v [2]Arm, whole [Arms]Tally) {
	a, b := &whole[v[0]], &whole[v[1]]
	if b.Mails > 0 {
		r.say("Mails sent per mailbox-week: %s %.2f, %s %.2f.", v[0], float64(a.Mails)/float64(a.Weeks), v[1], float64(b.Mails)/float64(b.Weeks))
	}
}

// sentence says what a lift means. A number is in it only where it may be shown.
func sentence(v [2]Arm, o Outcome, l Lift) string {
	who := fmt.Sprintf("%s, %s against %s: ", capital(o.String()), v[0], v[1])
	switch {
	case l.Verdict == TooFew && l.Needed == 0:
		return who + "not enough data yet: too few to say how many mailbox-weeks are needed."
	case l.Verdict == TooFew:
		return who + fmt.Sprintf("not enough data yet: the smaller arm has %s mailbox-weeks of about %s.", count(l.N), count(l.Needed))
	}
	if l.Rate == 0 {
		return who + l.Verdict.String() + ": control has none."
	}
	return who + fmt.Sprintf("%s: %s of control's %.3g %% a mailbox-week (between %s and %s, at whichever look; p %s).",
		l.Verdict, percent(l.Relative), 100*l.Rate, percent(l.Low/l.Rate), percent(l.High/l.Rate), small(l.P))
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// percent writes a share with its sign.
func percent(share float64) string { return fmt.Sprintf("%+.1f %%", 100*share) }

func small(p float64) string {
	if p < 0.001 {
		return "< 0.001"
	}
	return fmt.Sprintf("%.3f", p)
}

// count writes a whole number with its thousands apart.
func count(n float64) string {
	s := strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

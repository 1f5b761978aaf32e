package admin

import (
	"fmt"
	"time"

	"tidepost/suppression/rules"
)

// backtestDoc is what a back-test found: sentences for people, and the figures.
type backtestDoc struct {
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until"`
	Begins    time.Time `json:"begins,omitzero"` // of the history that is kept
	Tenant    string    `json:"tenant,omitempty"`
	Version   int       `json:"version"` // in force, compared with
	Sentences []string  `json:"sentences"`

	Decisions uint64    `json:"decisions"`
	From      time.Time `json:"from,omitzero"` // of the first decision
	To        time.Time `json:"to,omitzero"`
	Delivered uint64    `json:"delivered"` // of them, what became of their mail
	Dropped   uint64    `json:"dropped"`
	Bounced   uint64    `json:"bounced"`

	Total  tallyDoc    `json:"total"`
	Groups []groupDoc  `json:"groups"` // most changed first within a kind
	Rules  []triedRule `json:"rules"`

	Unobservable uint64         `json:"unobservable"` // decisions in which a rule hung on opens or clicks that could not be seen
	Absent       []absenceDoc   `json:"absent"`
	Inexact      uint64         `json:"inexact"`
	Unsent       uint64         `json:"unsent"`
	Examples     []exampleDoc   `json:"examples"`
	Estimate     estimateDoc    `json:"estimate"`
	Notes        []string       `json:"notes"`
	Limits       map[string]int `json:"limits,omitempty"` // groups left out, by kind
}

// cellDoc counts deliveries and what their readers did.
type cellDoc struct {
	Deliveries   uint64 `json:"deliveries"`
	Opened       uint64 `json:"opened"`
	Clicked      uint64 `json:"clicked"`
	Unsubscribed uint64 `json:"unsubscribed"`
	Complained   uint64 `json:"complained"`
}

// tallyDoc is deliveries by what the rules tried make of them.
type tallyDoc struct {
	All           cellDoc `json:"all"`
	Changed       cellDoc `json:"changed"`
	NewlyReleased cellDoc `json:"newly_released"`
	NewlyMoved    cellDoc `json:"newly_moved"`
	NewlyHeld     cellDoc `json:"newly_held"`
	NewlyDropped  cellDoc `json:"newly_dropped"`
	Released      cellDoc `json:"released"`
	Moved         cellDoc `json:"moved"`
	Held          cellDoc `json:"held"`
	DroppedBy     cellDoc `json:"dropped"`
}

func newTallyDoc(t *rules.Tally) tallyDoc {
	return tallyDoc{
		cellDoc(t.All()), cellDoc(t.Changed()),
		cellDoc(t.Newly(rules.Released)), cellDoc(t.Newly(rules.Moved)), cellDoc(t.Newly(rules.Held)), cellDoc(t.Newly(rules.Dropped)),
		cellDoc(t.Under(rules.Released)), cellDoc(t.Under(rules.Moved)), cellDoc(t.Under(rules.Held)), cellDoc(t.Under(rules.Dropped)),
	}
}

type groupDoc struct {
	Kind string `json:"kind"` // campaign, class, provider or segment
	Name string `json:"name"`
	tallyDoc
}

type triedRule struct {
	Rule      string `json:"rule"`
	Version   int    `json:"version"`
	Fired     uint64 `json:"fired"`
	Undecided uint64 `json:"undecided"`
	Failed    uint64 `json:"failed"`
}

type absenceDoc struct {
	Variable  string `json:"variable"`
	Decisions uint64 `json:"decisions"`
}

type exampleDoc struct {
	ID    string       `json:"id"`
	At    time.Time    `json:"at"`
	Old   rules.Effect `json:"old"`
	New   rules.Effect `json:"new"`
	Fired []string     `json:"fired_rules"`
}

type estimateDoc struct {
	Changed    uint64        `json:"changed"`
	Randomised uint64        `json:"randomised"`
	Known      bool          `json:"known"`
	Statement  string        `json:"statement"`
	Outcomes   []effectedDoc `json:"outcomes"`
}

// effectedDoc is the estimate of one outcome, per 1,000 changed deliveries.
type effectedDoc struct {
	Outcome    string  `json:"outcome"`
	Old        float64 `json:"old"`
	New        float64 `json:"new"`
	Difference float64 `json:"difference"`
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	Known      bool    `json:"known"`
	SeenOld    uint64  `json:"seen_old"`
	SeenNew    uint64  `json:"seen_new"`
}

// maxGroups is how many groups of a kind an answer lists.
const maxGroups = 100

// finish judges what is left and words what was found.
func (f *backtestFold) finish(version int, tried *rules.Set) *backtestDoc {
	f.rest()
	r := f.test.Report()
	doc := &backtestDoc{Since: utc(f.since), Until: utc(f.until), Begins: utc(f.begins), Tenant: f.tenant, Version: version, Sentences: []string{},
		Decisions: r.Decisions, From: utc(r.From), To: utc(r.To), Delivered: f.delivered, Dropped: f.dropped, Bounced: f.bounced,
		Total: newTallyDoc(&r.Total), Groups: []groupDoc{}, Rules: []triedRule{}, Absent: []absenceDoc{}, Examples: []exampleDoc{},
		Unobservable: r.Unobservable, Inexact: r.Inexact, Unsent: r.Unsent, Notes: r.Notes,
		Estimate: estimateDoc{r.Estimate.Changed, r.Estimate.Randomised, r.Estimate.Known, r.Estimate.Statement, []effectedDoc{}}}
	doc.addGroups(r.Groups)
	for _, n := range r.Rules {
		doc.Rules = append(doc.Rules, triedRule(n))
	}
	for _, n := range r.Absent {
		doc.Absent = append(doc.Absent, absenceDoc(n))
	}
	for _, x := range r.Examples {
		doc.Examples = append(doc.Examples, exampleDoc{x.ID, utc(x.At), x.Old, x.New, x.FiredRules})
	}
	for _, o := range r.Estimate.Outcomes {
		doc.Estimate.Outcomes = append(doc.Estimate.Outcomes, effectedDoc(o))
	}
	doc.sayHistory()
	if r.Decisions > 0 {
		doc.sayChanged()
		doc.sayUnobservable()
		f.sayJoined(doc)
	}
	doc.Sentences = append(doc.Sentences, r.Notes...)
	doc.sayEstimate()
	return doc
}

func (r *backtestDoc) addGroups(groups []rules.Group) {
	listed := map[string]int{}
	for _, g := range groups {
		if listed[g.Kind]++; listed[g.Kind] <= maxGroups {
			r.Groups = append(r.Groups, groupDoc{g.Kind, g.Name, newTallyDoc(&g.Tally)})
			continue
		}
		if r.Limits == nil {
			r.Limits = map[string]int{}
		}
		r.Limits[g.Kind]++
	}
}

func (r *backtestDoc) say(format string, args ...any) {
	r.Sentences = append(r.Sentences, fmt.Sprintf(format, args...))
}

// sayHistory says how far back there is anything to go by.
func (r *backtestDoc) sayHistory() {
	switch {
	case r.Begins.IsZero():
		r.say("There is no history yet.")
	case r.Begins.After(r.Since.Add(time.Minute)):
		r.say("History is kept from %s on: nothing before could be tried (retention.history).", at(r.Begins))
	default:
		r.say("History reaches back to %s.", at(r.Begins))
	}
	if r.Decisions > 0 {
		in := "no rules"
		if r.Version > 0 {
			in = fmt.Sprintf("the rules in force (version %d)", r.Version)
		}
		r.say("%s from %s to %s, tried under %s and under the new ones.", plural(int64(r.Decisions), "decision", "decisions"), at(r.From), at(r.To), in)
	}
}

// sayChanged says what the new rules would have made of the mail.
func (r *backtestDoc) sayChanged() {
	t := &r.Total
	if t.Changed.Deliveries == 0 {
		r.say("The new rules would have treated none of them differently.")
		return
	}
	r.say("The new rules would have treated %d of them (%.1f %%) differently: %d dropped, %d held, %d moved to another hour, %d released.", t.Changed.Deliveries,
		percent(t.Changed.Deliveries, r.Decisions), t.NewlyDropped.Deliveries, t.NewlyHeld.Deliveries, t.NewlyMoved.Deliveries, t.NewlyReleased.Deliveries)
	c := &t.Changed
	r.say("Of these %d, %d were opened, %d clicked, %d unsubscribed and %d complained about, as far as was told within 7 days.",
		c.Deliveries, c.Opened, c.Clicked, c.Unsubscribed, c.Complained)
	if d := &t.NewlyDropped; d.Deliveries > 0 {
		r.say("Of the %d that would be dropped, %d were opened and %d clicked: readers who would lose mail that they read.", d.Deliveries, d.Opened, d.Clicked)
	}
	if t.DroppedBy.Deliveries > 0 {
		r.say("A drop acts only on classes that policy.drop names, and on no more of an hour's bulk mail than policy.max_drop; what it does not reach goes. A hold ends with policy.max_hold.")
	}
}

func percent(n, of uint64) float64 { return 100 * float64(n) / float64(of) }

// sayUnobservable says on how much of the mail the rules could not tell.
func (r *backtestDoc) sayUnobservable() {
	if r.Unobservable == 0 {
		r.say("No rule hung on opens or clicks that could not have been seen.")
		return
	}
	r.say("Unobservable: %.1f %% of the decisions (%d).", percent(r.Unobservable, r.Decisions), r.Unobservable)
}

// sayJoined says what is missing of what came of the mail.
func (f *backtestFold) sayJoined(r *backtestDoc) {
	if f.open > 0 {
		r.say("%s less than 7 days old: what their readers will still do is not in these figures.", were(int64(f.open), "decision", "decisions"))
	}
	if f.early > 0 {
		r.say("%s judged before 7 days were over, as more than %d fall into that time: what their readers did later is not in these figures.",
			were(int64(f.early), "decision", "decisions"), f.waiting.most)
	}
	if f.nameless > 0 {
		r.say("Unsubscribes and complaints that named no delivery, and are not in these figures: %d.", f.nameless)
	}
	if f.corrupt > 0 {
		r.say("%s not readable and left out.", were(int64(f.corrupt), "decision", "decisions"))
	}
}

// sayEstimate says what lot tells of what would have come of it.
func (r *backtestDoc) sayEstimate() {
	for _, o := range r.Estimate.Outcomes {
		if o.Known {
			r.say("Per 1,000 changed deliveries, %s: %.1f under the rules in force, %.1f under the new ones; difference %+.1f (95 %% between %+.1f and %+.1f).",
				o.Outcome, o.Old, o.New, o.Difference, o.Low, o.High)
		}
	}
}

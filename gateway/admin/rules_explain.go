package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/suppression/rules"
)

// rulingDoc is what the rules have to do with a delivery.
type rulingDoc struct {
	Delivery  string         `json:"delivery"`
	Fired     []firedDoc     `json:"fired,omitempty"`     // that hold or dropped it, or would bend its way
	Shadow    []firedDoc     `json:"shadow,omitempty"`    // in shadow: they would have fired
	Undecided []undecidedDoc `json:"undecided,omitempty"` // hung on something that is not known
	Failed    []string       `json:"failed,omitempty"`
}

// firedDoc is a rule that fired, and on what values.
type firedDoc struct {
	Rule    string            `json:"rule"`
	Version int               `json:"rule_version"`
	Action  string            `json:"action"`
	Values  map[string]string `json:"values,omitempty"`
	At      time.Time         `json:"at,omitzero"` // when it did; absent: it does now
}

// undecidedDoc is a rule that could not be decided.
type undecidedDoc struct {
	Rule    string `json:"rule"`
	Missing string `json:"missing"`
	Shadow  bool   `json:"shadow,omitempty"`
}

// tellRules says which rule holds or dropped a delivery, and what the rules say now
// of one that waits. box may be nil.
func (s *Server) tellRules(x *explanation, d *gateway.Delivery, box *gateway.Mailbox, events []gateway.Event) {
	doc := rulingDoc{Delivery: d.ID.String()}
	told := lastFired(d.ID, events)
	if told != nil && d.State != gateway.Waiting {
		doc.Fired = append(doc.Fired, *told)
		x.say(told.sentence(verb(d, told)))
	}
	if d.State == gateway.Waiting && d.Class != gateway.Transactional && box != nil && !d.Forced {
		s.judge(x, &doc, d, box, told)
	}
	if len(doc.Fired)+len(doc.Shadow)+len(doc.Undecided)+len(doc.Failed) > 0 {
		x.Rules = append(x.Rules, doc)
	}
}

// judge says what the rules in force say of a delivery that waits.
func (s *Server) judge(x *explanation, doc *rulingDoc, d *gateway.Delivery, box *gateway.Mailbox, told *firedDoc) {
	v := s.Gateway.Judge(box, d)
	for i := range v.Fired {
		fired := newFiredDoc(&v.Fired[i])
		doc.Fired = append(doc.Fired, fired)
		x.say(fired.sentence(s.ruled(d, &v, &v.Fired[i], told)))
	}
	if told != nil && d.Reason == "rule" && !slices.ContainsFunc(doc.Fired, func(f firedDoc) bool { return f.Rule == told.Rule }) {
		doc.Fired = append(doc.Fired, *told)
		x.say(told.sentence("held it") + " As the rules and the mailbox are now, it would not; the delivery is planned anew when its time comes.")
	}
	for i := range v.Shadow {
		fired := newFiredDoc(&v.Shadow[i])
		doc.Shadow = append(doc.Shadow, fired)
		x.say(fired.sentence("is in shadow and would have fired"))
	}
	for _, u := range v.Undecided {
		doc.Undecided = append(doc.Undecided, undecidedDoc(u))
		x.say(undecided(&u))
	}
	for _, f := range v.Failed {
		doc.Failed = append(doc.Failed, f.Rule)
		x.say(fmt.Sprintf("Rule %s failed, so it does nothing: %s.", mark(f.Rule), mark(shorten(f.Error, 300))))
	}
}

// ruled words what a rule that fires does to a delivery that waits.
func (s *Server) ruled(d *gateway.Delivery, v *rules.Verdict, f *rules.Fired, told *firedDoc) string {
	switch f.Action.Kind {
	case rules.Drop:
		switch {
		case s.Gateway.Rules == nil || !slices.Contains(s.Gateway.Rules(d.Tenant).Drop, d.Class):
			return "says drop, but policy.drop does not name " + d.Class.String() + ", so that it goes"
		case d.Spared, d.Reason == "max_drop":
			return "says drop, but more than policy.max_drop of that hour's bulk mail would have been dropped"
		}
		return "drops it when its turn comes"
	case rules.Hold:
		return "holds it until " + at(v.Until) + ", or until policy.max_hold is over"
	case rules.Allow:
		return "lets it go, whatever rules below say"
	case rules.Cap, rules.MinGap, rules.Quiet:
		if d.Reason == "rule" && (told == nil || told.Rule == f.Rule) {
			return "holds it"
		}
		return "has a say in when it goes"
	}
	return "fires"
}

// verb words what a rule did to a delivery that is settled or on its way.
func verb(d *gateway.Delivery, f *firedDoc) string {
	if d.State == gateway.Dropped && strings.HasPrefix(f.Action, "drop") {
		return "dropped it"
	}
	return "held it"
}

// lastFired is the last rule that the history of a delivery names.
func lastFired(id gateway.DeliveryID, events []gateway.Event) *firedDoc {
	for i := len(events) - 1; i >= 0; i-- {
		e := &events[i]
		if e.Delivery == nil || e.Delivery.ID != id || !strings.HasPrefix(e.Detail, "{") {
			continue
		}
		var f firedDoc
		if json.Unmarshal([]byte(e.Detail), &f) == nil && f.Rule != "" {
			f.At = utc(e.At)
			return &f
		}
	}
	return nil
}

func newFiredDoc(f *rules.Fired) firedDoc {
	doc := firedDoc{Rule: f.Rule, Version: f.Version, Action: f.Action.String()}
	if len(f.Values) > 0 {
		doc.Values = map[string]string{}
	}
	for _, v := range f.Values {
		doc.Values[v.Name] = v.Text
	}
	return doc
}

// sentence names the rule, what it does, and the values that made it fire.
func (f *firedDoc) sentence(does string) string {
	text := fmt.Sprintf("Rule %s (version %d) %s: %s", mark(f.Rule), f.Version, does, mark(f.Action))
	if !f.At.IsZero() {
		text = fmt.Sprintf("Rule %s (version %d) %s at %s: %s", mark(f.Rule), f.Version, does, at(f.At), mark(f.Action))
	}
	var values []string
	for _, name := range slices.Sorted(maps.Keys(f.Values)) {
		values = append(values, mark(shorten(name+" was "+f.Values[name], 200)))
	}
	if len(values) > 0 {
		text += ", as " + strings.Join(values, ", ")
	}
	return text + "."
}

// undecided says on what a rule hangs.
func undecided(u *rules.Undecided) string {
	text := "Rule " + mark(u.Rule)
	if u.Shadow {
		text += ", in shadow,"
	}
	text += " could not be decided and does nothing: " + mark(shorten(u.Missing, 100)) + " is not known"
	switch {
	case strings.HasPrefix(u.Missing, "mailbox.opens_") || u.Missing == "mailbox.last_open":
		text += ", because opens of this mailbox could not be seen for so long"
	case strings.HasPrefix(u.Missing, "mailbox.clicks_") || u.Missing == "mailbox.last_click":
		text += ", because clicks of this mailbox could not be seen for so long"
	}
	return text + "."
}

// tellRulesOf says the same of what waits for an address, as far as it was shown.
func (s *Server) tellRulesOf(ctx context.Context, x *explanation) error {
	for i := range x.Deliveries {
		id, err := gateway.ParseDeliveryID(x.Deliveries[i].ID)
		if err != nil || i >= maxHistories {
			break
		}
		k, known := s.seen.Get(id)
		if !known {
			continue
		}
		box, err := s.Store.Mailbox(ctx, k)
		if err != nil {
			return err
		}
		if d := box.Delivery(id); d != nil {
			var about explanation
			s.tellRules(&about, d, box, nil)
			for _, sentence := range about.Sentences {
				x.say(id.String() + ": " + sentence)
			}
			x.Rules = append(x.Rules, about.Rules...)
		}
	}
	return nil
}

package admin

import (
	"slices"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/suppression/rules"
)

// changesDoc is what differs between two versions of the rules.
type changesDoc struct {
	Added     []ruleChange `json:"added"`
	Removed   []ruleChange `json:"removed"`
	Changed   []ruleChange `json:"changed"`
	Reordered bool         `json:"reordered"` // rules in both stand in another order
}

// ruleChange is a rule that came, went or changed.
type ruleChange struct {
	Name   string     `json:"name"`
	From   int        `json:"from,omitempty"` // version; 0: there was none
	To     int        `json:"to,omitempty"`   // version; 0: there is none
	State  string     `json:"state"`
	Then   string     `json:"then"`
	Fields []fieldDoc `json:"fields,omitempty"`
}

// fieldDoc is a part of a rule that changed.
type fieldDoc struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

// changedRulesDoc is the answer of a change of the rules.
type changedRulesDoc struct {
	rulesDoc
	Changed bool       `json:"changed"` // false: they were so already
	Changes changesDoc `json:"changes"`
}

// tryDoc is the answer of a change that is only tried.
type tryDoc struct {
	DryRun  bool       `json:"dry_run"`
	Version int        `json:"version"` // in force
	Changes changesDoc `json:"changes"`
	Waiting int64      `json:"waiting"` // bulk deliveries, which the change would plan anew
	Files   string     `json:"files,omitempty"`
}

// tryRules tells what rules would change, and changes nothing.
func (s *Server) tryRules(c *call, text string) (any, error) {
	set, _, err := s.Gateway.CompileRules(rulesFile, text)
	if err != nil {
		return refuseRules(err)
	}
	was := s.Gateway.Rulebook()
	doc := tryDoc{DryRun: true, Version: was.Version, Changes: compareRules(was, set), Files: s.newRulesDoc(was).Files}
	c.tag(was)
	doc.Waiting, err = s.bulkWaiting(c)
	return doc, err
}

// bulkWaiting counts what a change of the rules would plan anew.
func (s *Server) bulkWaiting(c *call) (int64, error) {
	b, ok := s.Store.(gateway.Browser)
	if !ok {
		return 0, nil
	}
	c.unhurried()
	a, err := s.foresee(c.Context(), b, gateway.ModeScope{})
	if err != nil {
		return 0, err
	}
	return a.Waiting, nil
}

// compareRules tells what the rules of a set change about those in force.
func compareRules(was *gateway.Rulebook, set *rules.Set) changesDoc {
	doc := changesDoc{Added: []ruleChange{}, Removed: []ruleChange{}, Changed: []ruleChange{}}
	old, next := rulesByName(was.Set()), rulesByName(set)
	for _, name := range next.names {
		r := next.of[name]
		before, known := old.of[name]
		change := ruleChange{Name: name, To: r.Version, State: r.State.String(), Then: r.Then}
		if !known {
			doc.Added = append(doc.Added, change)
			continue
		}
		change.From = before.Version
		if slices.Contains(was.Tripped, name) {
			before.State = rules.Shadow
		}
		if change.Fields = compareFields(&before, &r); len(change.Fields) > 0 {
			doc.Changed = append(doc.Changed, change)
		}
	}
	for _, name := range old.names {
		if r, stays := next.of[name]; !stays {
			r = old.of[name]
			doc.Removed = append(doc.Removed, ruleChange{Name: name, From: r.Version, State: r.State.String(), Then: r.Then})
		}
	}
	doc.Reordered = !slices.Equal(old.among(next), next.among(old))
	return doc
}

// namedRules are rules by name, and their names in order.
type namedRules struct {
	of    map[string]rules.Rule
	names []string
}

func rulesByName(set *rules.Set) namedRules {
	n := namedRules{of: map[string]rules.Rule{}}
	if set == nil {
		return n
	}
	for _, r := range set.Rules() {
		n.of[r.Name] = r
		n.names = append(n.names, r.Name)
	}
	return n
}

// among are the names that others have too.
func (n *namedRules) among(o namedRules) (names []string) {
	for _, name := range n.names {
		if _, ok := o.of[name]; ok {
			names = append(names, name)
		}
	}
	return names
}

// compareFields lists the parts of a rule that changed.
func compareFields(a, b *rules.Rule) (fields []fieldDoc) {
	of := func(r *rules.Rule) [9]string {
		return [...]string{r.State.String(), r.When, r.Then, joined(r.Tenant), joined(r.Class), joined(r.Campaign), stamp(r.ValidFrom), stamp(r.ValidUntil), r.Description}
	}
	old, next := of(a), of(b)
	for i, name := range [...]string{"state", "when", "then", "tenant", "class", "campaign", "valid_from", "valid_until", "description"} {
		if old[i] != next[i] {
			fields = append(fields, fieldDoc{name, old[i], next[i]})
		}
	}
	return fields
}

func joined(words []string) string { return strings.Join(words, ", ") }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

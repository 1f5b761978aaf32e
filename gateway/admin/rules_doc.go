package admin

import (
	"fmt"
	"slices"
	"time"

	"tidepost/gateway"
	"tidepost/suppression/rules"
)

// bookDoc is a version of the rules without what they say.
type bookDoc struct {
	Version int       `json:"version"`
	By      string    `json:"by,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Note    string    `json:"note,omitempty"`
	Tripped []string  `json:"tripped,omitempty"` // failed again and again and are in shadow since
}

func newBookDoc(b *gateway.Rulebook) bookDoc {
	return bookDoc{Version: b.Version, By: b.By, At: utc(b.At), Note: b.Note, Tripped: b.Tripped}
}

// textDoc is a version with its text.
type textDoc struct {
	bookDoc
	Text string `json:"text"`
}

// rulesDoc is the rules in force as they are sent.
type rulesDoc struct {
	textDoc
	Rules   []ruleDoc `json:"rules"`
	Files   string    `json:"files,omitempty"` // directory that they come from
	Problem string    `json:"problem,omitempty"`
}

// ruleDoc is one rule with what it did since it was loaded.
type ruleDoc struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Version     int       `json:"version"`
	State       string    `json:"state"` // as it is: shadow where it tripped
	Tripped     bool      `json:"tripped,omitempty"`
	Tenant      []string  `json:"tenant,omitempty"`
	Class       []string  `json:"class,omitempty"`
	Campaign    []string  `json:"campaign,omitempty"`
	When        string    `json:"when,omitempty"` // absent: always
	Then        string    `json:"then"`
	ValidFrom   time.Time `json:"valid_from,omitzero"`
	ValidUntil  time.Time `json:"valid_until,omitzero"`
	Stats       ruleStats `json:"stats"`
}

// ruleStats counts since the rules were loaded.
type ruleStats struct {
	Evaluated uint64 `json:"evaluated"`
	Fired     uint64 `json:"fired"`
	Undecided uint64 `json:"undecided"`
	Failed    uint64 `json:"failed"`
}

func (s *Server) newRulesDoc(b *gateway.Rulebook) rulesDoc {
	doc := rulesDoc{textDoc: textDoc{newBookDoc(b), b.Text}, Rules: []ruleDoc{}}
	if s.RuleFiles != nil {
		if files := s.RuleFiles(); files != nil {
			doc.Files, doc.Problem = files.Dir, files.Problem
		}
	}
	set := b.Set()
	if set == nil {
		if b.Version > 0 && doc.Problem == "" {
			doc.Problem = "the stored rules cannot be read by this version of the program; mail goes without them"
		}
		return doc
	}
	stats := set.Stats()
	for i, r := range set.Rules() {
		doc.Rules = append(doc.Rules, newRuleDoc(&r, &stats[i], slices.Contains(b.Tripped, r.Name)))
	}
	return doc
}

func newRuleDoc(r *rules.Rule, n *rules.Stat, tripped bool) ruleDoc {
	doc := ruleDoc{Name: r.Name, Description: r.Description, Version: r.Version, State: r.State.String(), Tripped: tripped || n.Tripped,
		Tenant: r.Tenant, Class: r.Class, Campaign: r.Campaign, When: r.When, Then: r.Then, ValidFrom: utc(r.ValidFrom), ValidUntil: utc(r.ValidUntil),
		Stats: ruleStats{n.Evaluated, n.Fired, n.Undecided, n.Failed}}
	if doc.Tripped {
		doc.State = rules.Shadow.String()
	}
	return doc
}

// ruleProblems tell people that rules are not as they were written.
func (s *Server) ruleProblems() (list []attention) {
	b := s.Gateway.Rulebook()
	doc := s.newRulesDoc(b)
	if doc.Files != "" && doc.Problem != "" {
		list = append(list, attention{fmt.Sprintf("The rules in %s are not in force, those before are: %s.", mark(doc.Files), mark(shorten(doc.Problem, 300))), "rules#rules-in-files"})
	} else if doc.Problem != "" {
		list = append(list, attention{"Mail goes without rules: " + doc.Problem + ".", "rules#states"})
	}
	for _, r := range doc.Rules {
		if r.Tripped {
			list = append(list, attention{fmt.Sprintf("Rule %s failed again and again and is in shadow since.", mark(r.Name)), "rules#states"})
		}
	}
	return list
}

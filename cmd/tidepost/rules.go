package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"tidepost/suppression/rules"
)

// rulesCmd sees, tries and changes the rules.
type rulesCmd struct {
	List      rulesListCmd      `cmd:"" help:"The rules in force and what each did since it was loaded."`
	Check     rulesCheckCmd     `cmd:"" help:"Read rules and say what is wrong with them, and where. Needs no gateway."`
	Backtest  rulesBacktestCmd  `cmd:"" help:"What rules would have done with the mail of the past, beside those in force."`
	Apply     rulesApplyCmd     `cmd:"" help:"Put rules into force. Prints first what that changes."`
	History   rulesHistoryCmd   `cmd:"" help:"The versions there were: who, when and why."`
	Show      rulesShowCmd      `cmd:"" help:"Print the rules of a version as they were written."`
	Rollback  rulesRollbackCmd  `cmd:"" help:"Put the rules of an earlier version into force again."`
	New       rulesNewCmd       `cmd:"" help:"Print rules to start from."`
	Variables rulesVariablesCmd `cmd:"" help:"What conditions can ask about."`
}

// book is a version of the rules, as the API shows it.
type book struct {
	Version int
	By      string
	At      time.Time
	Note    string
	Tripped []string
	Text    string
	Rules   []struct {
		Name, State             string
		Description             string
		Version                 int
		Tripped                 bool
		Tenant, Class, Campaign []string
		When, Then              string
		Stats                   struct{ Evaluated, Fired, Undecided, Failed uint64 }
	}
	Files   string
	Problem string
}

type rulesListCmd struct{ remote }

// Run lists the rules in force.
func (r *rulesListCmd) Run(a *app) error {
	c, err := r.connect(a)
	if err != nil {
		return err
	}
	var doc json.RawMessage
	if err := c.get(a.Context, "/api/v1/rules", nil, &doc); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(a.Stdout, doc)
	}
	var b book
	if err := decodeAnswer(doc, &b); err != nil {
		return err
	}
	return b.print(a.Stdout)
}

func (b *book) print(w io.Writer) error {
	if b.Version == 0 {
		_, err := fmt.Fprintln(w, "there are no rules; `tidepost rules new` prints some to start from")
		return err
	}
	fmt.Fprintln(w, safe(b.title()))
	if b.Files != "" {
		fmt.Fprintf(w, "they come from the files in %s\n", safe(b.Files))
	}
	if b.Problem != "" {
		fmt.Fprintf(w, "PROBLEM: %s\n", safe(b.Problem))
	}
	if len(b.Rules) == 0 {
		_, err := fmt.Fprintln(w, "there is no rule in it")
		return err
	}
	fmt.Fprintln(w)
	t := newTable(w, "RULE", "VERSION", "STATE", "FOR", "WHEN", "THEN", "ASKED", "FIRED", "UNDECIDED", "FAILED")
	for _, r := range b.Rules {
		state := r.State
		if r.Tripped {
			state += ", failed too often"
		}
		t.row(r.Name, r.Version, state, cut(scopeOf(r.Tenant, r.Class, r.Campaign), 40), cut(oneLine(firstOf(r.When, "always")), 60), r.Then,
			r.Stats.Evaluated, r.Stats.Fired, r.Stats.Undecided, r.Stats.Failed)
	}
	return t.flush()
}

// title says which version it is.
func (b *book) title() string {
	text := fmt.Sprintf("version %d, by %s at %s", b.Version, b.By, show(b.At))
	if b.Note != "" {
		text += ": " + b.Note
	}
	return text
}

// scopeOf words whose mail a rule is for.
func scopeOf(tenant, class, campaign []string) string {
	var parts []string
	for _, p := range [...]struct {
		name  string
		words []string
	}{{"tenant ", tenant}, {"", class}, {"campaign ", campaign}} {
		if len(p.words) > 0 {
			parts = append(parts, p.name+strings.Join(p.words, "|"))
		}
	}
	if len(parts) == 0 {
		return "all bulk"
	}
	return strings.Join(parts, ", ")
}

// oneLine joins the lines of a condition.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

type rulesHistoryCmd struct{ remote }

// Run lists the versions that are kept, the newest first.
func (r *rulesHistoryCmd) Run(a *app) error {
	c, err := r.connect(a)
	if err != nil {
		return err
	}
	p, _, err := c.list(a.Context, "/api/v1/rules/history", nil, 0)
	if err != nil {
		return err
	}
	if r.JSON {
		return printItems(a.Stdout, p.Items)
	}
	versions, err := decodeAll[struct {
		Version, Rules int
		By, Note       string
		At             time.Time
		Tripped        []string
		InForce        bool `json:"in_force"`
	}](p.Items)
	if err != nil {
		return err
	}
	if len(versions) == 0 {
		return a.print(false, nil, "there never were any rules")
	}
	t := newTable(a.Stdout, "VERSION", "WHEN", "WHO", "RULES", "NOTE")
	for _, v := range versions {
		number := strconv.Itoa(v.Version)
		if v.InForce {
			number += " (in force)"
		}
		t.row(number, v.At, v.By, v.Rules, cut(v.Note, 80))
	}
	return t.flush()
}

type rulesShowCmd struct {
	remote
	Version int `arg:"" help:"As history lists it."`
}

// Run prints the rules of a version: as they are to a file or pipe.
func (r *rulesShowCmd) Run(a *app) error {
	c, err := r.connect(a)
	if err != nil {
		return err
	}
	var doc json.RawMessage
	if err := c.get(a.Context, "/api/v1/rules/history/"+strconv.Itoa(r.Version), nil, &doc); err != nil {
		return err
	}
	var b book
	if err := decodeAnswer(doc, &b); err != nil || r.JSON {
		if err == nil {
			err = printJSON(a.Stdout, doc)
		}
		return err
	}
	if !isTerminal(a.Stdout) {
		_, err := io.WriteString(a.Stdout, b.Text)
		return err
	}
	for line := range strings.Lines(b.Text) {
		fmt.Fprintln(a.Stdout, safe(strings.TrimRight(line, "\r\n")))
	}
	return nil
}

type rulesNewCmd struct {
	Template string `arg:"" optional:"" help:"Which; left out, it lists them." placeholder:"TEMPLATE"`
	Days     int    `help:"sunset: how long without a click; 180 unless given." placeholder:"N"`
	PerWeek  int    `help:"weekly-cap: mails a week for the keenest readers; 5 unless given." placeholder:"N"`
}

// Run prints a template.
func (r *rulesNewCmd) Run(a *app) error {
	if r.Template == "" {
		t := newTable(a.Stdout, "TEMPLATE", "WHAT IT DOES")
		for _, one := range rules.Templates() {
			t.row(one.Name, one.Description)
		}
		return t.flush()
	}
	text, err := rules.New(r.Template, rules.Options{Days: r.Days, PerWeek: r.PerWeek})
	if err != nil {
		return usageError{err}
	}
	_, err = io.WriteString(a.Stdout, text)
	return err
}

type rulesVariablesCmd struct {
	JSON bool `help:"Print JSON, for programs." name:"json"`
}

// Run lists what conditions can ask about.
func (r *rulesVariablesCmd) Run(a *app) error {
	if r.JSON {
		docs := []map[string]string{}
		for _, v := range rules.Variables() {
			docs = append(docs, map[string]string{"name": v.Name, "type": v.Type, "doc": v.Doc})
		}
		return printJSON(a.Stdout, docs)
	}
	t := newTable(a.Stdout, "VARIABLE", "TYPE", "WHAT IT IS")
	for _, v := range rules.Variables() {
		t.row(v.Name, v.Type, v.Doc)
	}
	return t.flush()
}

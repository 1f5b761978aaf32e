package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"tidepost/suppression/rules"
)

type rulesBacktestCmd struct {
	remote
	File    string   `arg:"" optional:"" help:"File of rules, a folder of them, or - for standard input; left out, the rules in force." placeholder:"FILE"`
	Since   Duration `help:"How far back." default:"14d" placeholder:"TIME"`
	Tenant  string   `help:"Only this tenant's mail." placeholder:"NAME"`
	Shadows bool     `help:"Try rules in shadow as if they were enabled."`
}

// backtestRequest is the body of POST /api/v1/rules/backtest.
type backtestRequest struct {
	Text    *string   `json:"text,omitempty"`
	Since   time.Time `json:"since"`
	Shadows bool      `json:"shadows"`
	Tenant  string    `json:"tenant,omitempty"`
}

// backtested is its answer, as far as it is shown.
type backtested struct {
	Sentences []string
	Decisions uint64
	Total     backtestTally
	Groups    []struct {
		Kind, Name string
		backtestTally
	}
	Rules []struct {
		Rule                              string
		Version, Fired, Undecided, Failed uint64
	}
	Examples []struct {
		ID, Old, New string
		At           time.Time
		Fired        []string `json:"fired_rules"`
	}
	Limits map[string]int
}

// backtestTally counts deliveries by what the rules tried make of them.
type backtestTally struct {
	All           backtestCell
	Changed       backtestCell
	NewlyReleased backtestCell `json:"newly_released"`
	NewlyMoved    backtestCell `json:"newly_moved"`
	NewlyHeld     backtestCell `json:"newly_held"`
	NewlyDropped  backtestCell `json:"newly_dropped"`
}

type backtestCell struct{ Deliveries, Opened, Clicked, Unsubscribed, Complained uint64 }

// Run tries rules on the mail of the past.
func (r *rulesBacktestCmd) Run(a *app) error {
	request := backtestRequest{Since: time.Now().Add(-r.Since.Duration).UTC(), Shadows: r.Shadows, Tenant: r.Tenant}
	var text ruleText
	if r.File != "" {
		var err error
		if text, err = readRules(r.File, a.Stdin); err != nil {
			return err
		}
		if _, err := text.compile(); err != nil {
			var wrong rules.Errors
			if errors.As(err, &wrong) {
				text.printFaults(a.Stderr, wrong)
				return errQuiet
			}
			return err
		}
		whole := text.joined()
		request.Text = &whole
	}
	c, err := r.connect(a)
	if err != nil {
		return err
	}
	doc, err := c.backtest(a, &text, request)
	if err != nil {
		return err
	}
	if r.JSON {
		return printJSON(a.Stdout, doc)
	}
	var b backtested
	if err := decodeAnswer(doc, &b); err != nil {
		return err
	}
	return b.print(a.Stdout)
}

// backtest asks for it, and shows on a terminal how far it is.
func (c *client) backtest(a *app, text *ruleText, request backtestRequest) (json.RawMessage, error) {
	watched := isTerminal(a.Stderr)
	accept := "application/json"
	if watched {
		accept = "application/x-ndjson"
	}
	answer, err := c.openAs(a.Context, http.MethodPost, "/api/v1/rules/backtest", "", accept, request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body := io.LimitReader(answer.Body, maxAnswer)
	if answer.StatusCode/100 == 2 && watched {
		bar := &readBar{w: a.Stderr}
		defer bar.clear()
		return c.lastLine(body, bar.show)
	}
	doc, err := io.ReadAll(body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s stopped in the middle of its answer: %w", c.server, err)
	case answer.StatusCode/100 != 2:
		return nil, c.rulesProblem(a.Stderr, text, answer, doc)
	}
	return doc, nil
}

// lastLine reads lines that tell of progress, of which the last is the result.
func (c *client) lastLine(body io.Reader, show func(float64)) (json.RawMessage, error) {
	d := json.NewDecoder(body)
	for {
		var line struct {
			Progress        float64
			Result          json.RawMessage
			Problem, Remedy string
		}
		if err := d.Decode(&line); err != nil {
			return nil, fmt.Errorf("%s stopped in the middle of its answer: %w", c.server, err)
		}
		switch {
		case line.Problem != "":
			return nil, errors.New(strings.TrimSuffix(line.Problem+"; "+line.Remedy, "; "))
		case line.Result != nil:
			return line.Result, nil
		}
		show(line.Progress)
	}
}

func (b *backtested) print(w io.Writer) error {
	for _, s := range b.Sentences {
		fmt.Fprintln(w, safe(s))
	}
	if b.Decisions == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := newTable(w, "RULE", "VERSION", "FIRED", "UNDECIDED", "FAILED")
	for _, r := range b.Rules {
		t.row(r.Rule, r.Version, r.Fired, r.Undecided, r.Failed)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if b.Total.Changed.Deliveries == 0 {
		return nil
	}
	fmt.Fprintln(w)
	if err := b.printGroups(w); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nSome that would have gone another way:")
	t = newTable(w, "DELIVERY", "WHEN", "WAS", "WOULD BE", "RULES")
	for _, x := range b.Examples {
		t.row(x.ID, x.At, x.Old, x.New, strings.Join(x.Fired, ", "))
	}
	return t.flush()
}

// groupsShown is how many groups of a kind are printed; --json has more.
const groupsShown = 10

// printGroups writes who the changes fall on.
func (b *backtested) printGroups(w io.Writer) error {
	t := newTable(w, "BY", "NAME", "DELIVERIES", "CHANGED", "DROPPED", "HELD", "MOVED", "RELEASED", "OPENED", "CLICKED", "UNSUBSCRIBED", "COMPLAINED")
	row := func(kind, name string, g *backtestTally) {
		c := g.Changed
		t.row(kind, cut(name, 40), g.All.Deliveries, c.Deliveries, g.NewlyDropped.Deliveries, g.NewlyHeld.Deliveries, g.NewlyMoved.Deliveries,
			g.NewlyReleased.Deliveries, c.Opened, c.Clicked, c.Unsubscribed, c.Complained)
	}
	row("all", "", &b.Total)
	shown := map[string]int{}
	for i := range b.Groups {
		g := &b.Groups[i]
		if shown[g.Kind]++; shown[g.Kind] <= groupsShown && g.Changed.Deliveries > 0 {
			row(g.Kind, g.Name, &g.backtestTally)
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "Opened to complained are of the changed deliveries, as it was then.")
	return err
}

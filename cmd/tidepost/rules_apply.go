package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"tidepost/suppression/rules"
)

// ruleChanges is what differs between two versions of the rules.
type ruleChanges struct {
	Added, Removed, Changed []struct {
		Name, State, Then string
		From, To          int
		Fields            []struct{ Field, Old, New string }
	}
	Reordered bool
}

// none reports whether nothing differs.
func (c *ruleChanges) none() bool {
	return len(c.Added)+len(c.Removed)+len(c.Changed) == 0 && !c.Reordered
}

// print writes a small diff.
func (c *ruleChanges) print(w io.Writer) {
	for _, r := range c.Removed {
		fmt.Fprintf(w, "- %s (version %d, %s): %s\n", safe(r.Name), r.From, safe(r.State), safe(r.Then))
	}
	for _, r := range c.Added {
		fmt.Fprintf(w, "+ %s (version %d, %s): %s\n", safe(r.Name), r.To, safe(r.State), safe(r.Then))
	}
	for _, r := range c.Changed {
		fmt.Fprintf(w, "~ %s (version %d, was %d)\n", safe(r.Name), r.To, r.From)
		for _, f := range r.Fields {
			fmt.Fprintf(w, "    %s: %s → %s\n", safe(f.Field), safe(firstOf(oneLine(f.Old), "none")), safe(firstOf(oneLine(f.New), "none")))
		}
	}
	if c.Reordered {
		fmt.Fprintln(w, "~ rules stand in another order: the first that decides does")
	}
}

// tried is what rules would change.
type tried struct {
	Version int
	Changes ruleChanges
	Waiting int64
	Files   string
}

// rulesRequest is the body of PUT /api/v1/rules.
type rulesRequest struct {
	Text string `json:"text"`
	Note string `json:"note,omitempty"`
}

// doRules makes a request about rules that were read at a version; "" names none. It
// prints what is wrong with them, by the names that their files have here.
func (c *client) doRules(ctx context.Context, w io.Writer, text *ruleText, method, path, match string, in, out any) error {
	answer, err := c.openAs(ctx, method, path, match, "application/json", in)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	doc, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s stopped in the middle of its answer: %w", c.server, err)
	}
	if answer.StatusCode/100 == 2 {
		return decodeAnswer(doc, out)
	}
	return c.rulesProblem(w, text, answer, doc)
}

// openAs makes a request that says which version it was made from, where match is
// given, and which form the answer may have.
func (c *client) openAs(ctx context.Context, method, path, match, accept string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		doc, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(doc)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accept)
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if match != "" {
		request.Header.Set("If-Match", match)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(err)
	}
	return answer, nil
}

// rulesProblem prints what the gateway found wrong with rules, where it is that.
func (c *client) rulesProblem(w io.Writer, text *ruleText, answer *http.Response, doc []byte) error {
	var p struct{ Errors []checkedFault }
	if json.Unmarshal(doc, &p) != nil || len(p.Errors) == 0 {
		return c.problem(answer, doc)
	}
	var all rules.Errors
	for _, e := range p.Errors {
		if len(text.files) == 1 {
			e.File = text.files[0].name
		}
		one := rules.Error(e)
		all = append(all, &one)
	}
	text.printFaults(w, all)
	return errQuiet
}

type rulesApplyCmd struct {
	remote
	File   string `arg:"" help:"File of rules, a folder of them, or - for standard input. They replace all that are in force." placeholder:"FILE"`
	Note   string `help:"Words for the history." placeholder:"TEXT"`
	Yes    bool   `help:"Do not ask." short:"y"`
	DryRun bool   `help:"Only print what would change."`
}

// Run puts rules into force.
func (r *rulesApplyCmd) Run(a *app) error {
	text, err := readRules(r.File, a.Stdin)
	if err != nil {
		return err
	}
	if len(text.files) == 0 {
		return usagef("%s has no *.toml file: to take all rules out, apply an empty file", r.File)
	}
	if _, err := text.compile(); err != nil {
		var wrong rules.Errors
		if errors.As(err, &wrong) {
			text.printFaults(a.Stderr, wrong)
			return errQuiet
		}
		return err
	}
	c, err := r.connect(a)
	if err != nil {
		return err
	}
	change := ruleChange{c, r.remote, &text, r.Yes, r.DryRun}
	request := rulesRequest{Text: text.joined(), Note: r.Note}
	return change.run(a, request.Text, http.MethodPut, "/api/v1/rules", request)
}

// ruleChange puts rules into force once somebody has seen what that changes.
type ruleChange struct {
	*client
	remote
	text   *ruleText
	yes    bool
	dryRun bool
}

func (r *ruleChange) run(a *app, text, method, path string, request any) error {
	var t tried
	if err := r.doRules(a.Context, a.Stderr, r.text, http.MethodPut, "/api/v1/rules?dry_run=true", "", rulesRequest{Text: text}, &t); err != nil {
		return err
	}
	out := a.Stdout
	if r.JSON {
		out = a.Stderr
	}
	t.Changes.print(out)
	switch {
	case t.Changes.none() && r.dryRun:
		return a.print(r.JSON, t, fmt.Sprintf("these are the rules in force, version %d", t.Version))
	case t.Files != "" && !r.dryRun:
		return fmt.Errorf("nothing changed: the rules come from the files in %s; change them there and send the gateway SIGHUP", t.Files)
	}
	fmt.Fprintf(out, "Bulk mail that waits, and is planned anew under these rules: %s.\n", count(t.Waiting, "delivery", "deliveries"))
	if r.dryRun {
		return a.print(r.JSON, t, "nothing changed")
	}
	if !r.yes && !a.confirm("Put them into force?") {
		return fmt.Errorf("not confirmed, nothing changed: answer y, or say --yes")
	}
	var doc json.RawMessage
	match := `"` + strconv.Itoa(t.Version) + `"`
	if err := r.doRules(a.Context, a.Stderr, r.text, method, path, match, request, &doc); err != nil {
		return err
	}
	var b struct {
		Version int
		Changed bool
	}
	if err := decodeAnswer(doc, &b); err != nil {
		return err
	}
	if !b.Changed {
		return a.print(r.JSON, doc, fmt.Sprintf("these are the rules in force already, version %d", b.Version))
	}
	return a.print(r.JSON, doc, fmt.Sprintf("version %d is in force; what waits is planned anew in the background. `tidepost rules rollback %d` goes back", b.Version, t.Version))
}

type rulesRollbackCmd struct {
	remote
	Version int    `arg:"" help:"As history lists it; 0 is no rules at all."`
	Note    string `help:"Words for the history." placeholder:"TEXT"`
	Yes     bool   `help:"Do not ask." short:"y"`
	DryRun  bool   `help:"Only print what would change."`
}

// Run puts an earlier version into force again.
func (r *rulesRollbackCmd) Run(a *app) error {
	if r.Version < 0 {
		return usagef("rules rollback %d: want a version that `tidepost rules history` lists", r.Version)
	}
	c, err := r.connect(a)
	if err != nil {
		return err
	}
	var b book
	if r.Version > 0 {
		if err := c.get(a.Context, "/api/v1/rules/history/"+strconv.Itoa(r.Version), nil, &b); err != nil {
			return err
		}
	}
	text := &ruleText{[]ruleFile{{"version " + strconv.Itoa(r.Version), b.Text}}}
	change := ruleChange{c, r.remote, text, r.Yes, r.DryRun}
	return change.run(a, b.Text, http.MethodPost, "/api/v1/rules/rollback", struct {
		Version int    `json:"version"`
		Note    string `json:"note,omitempty"`
	}{r.Version, r.Note})
}

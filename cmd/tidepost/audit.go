package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type auditCmd struct {
	remote
	Since  Duration `help:"How far back; all that is kept when left out." placeholder:"TIME"`
	By     string   `help:"Only what this one changed." placeholder:"NAME"`
	Kind   string   `help:"Only suppression, setting, rule_changed or erased." placeholder:"KIND"`
	Export string   `help:"Write all of it as csv, with the whole text of rules." enum:",csv" default:"" placeholder:"csv"`
}

// change is one change, as the API shows it.
type change struct {
	At                                           time.Time
	Kind, What, By, Subject, Before, After, Note string
}

// Run lists who changed what, the oldest first.
func (r *auditCmd) Run(a *app) error {
	c, err := r.connect(a)
	if err != nil {
		return err
	}
	query := url.Values{}
	if r.Since.Duration > 0 {
		query.Set("since", time.Now().Add(-r.Since.Duration).UTC().Format(time.RFC3339))
	}
	for name, value := range map[string]string{"by": r.By, "kind": r.Kind} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if r.Export == "csv" {
		return c.exportAudit(a, query)
	}
	p, _, err := c.list(a.Context, "/api/v1/audit", query, 0)
	if err != nil {
		return err
	}
	if r.JSON {
		return printItems(a.Stdout, p.Items)
	}
	changes, err := decodeAll[change](p.Items)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return a.print(false, nil, "nothing was changed, as far as history reaches")
	}
	t := newTable(a.Stdout, "WHEN", "WHO", "WHAT", "OF", "BEFORE", "AFTER", "NOTE")
	for _, v := range changes {
		t.row(v.At, v.By, v.Kind+" "+v.What, cut(v.Subject, 48), brief(v.Before), brief(v.After), cut(v.Note, 60))
	}
	return t.flush()
}

// brief is a value in a table: of rules how many lines.
func brief(text string) string {
	if lines := strings.Count(text, "\n"); lines > 0 {
		return count(int64(lines), "line", "lines")
	}
	return cut(text, 40)
}

// exportAudit copies the table that the gateway makes: as it is to a file or pipe.
func (c *client) exportAudit(a *app, query url.Values) error {
	answer, err := c.openAs(a.Context, http.MethodGet, "/api/v1/audit?"+query.Encode(), "", "text/csv", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		doc, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		return c.problem(answer, doc)
	}
	if !isTerminal(a.Stdout) {
		_, err = io.Copy(a.Stdout, answer.Body)
	} else {
		var doc []byte
		doc, err = io.ReadAll(answer.Body)
		for line := range strings.Lines(string(doc)) {
			fmt.Fprintln(a.Stdout, safe(strings.TrimRight(line, "\r\n")))
		}
	}
	if err != nil {
		return fmt.Errorf("%s stopped in the middle of its answer: %w", c.server, err)
	}
	return nil
}

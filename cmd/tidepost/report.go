package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

type reportCmd struct {
	remote
	Since  Duration `help:"How far back." default:"7d" placeholder:"TIME"`
	Tenant string   `help:"Only this tenant's mail." placeholder:"NAME"`
	HTML   string   `help:"Also write a page into this file; it needs nothing else." name:"html" placeholder:"FILE"`
}

// reported is the answer of GET /api/v1/report, as far as it is shown.
type reported struct {
	Since, Until time.Time
	Tenant       string
	Mode         string
	Sentences    []string
	Planned      int64
	Live         int64
	Undecided    int64
	Held         int64
	HeldHours    float64 `json:"held_hours"`
	Dropped      int64
	Pressed      int64
	Unsubscribed struct{ All, Pressed int64 }
	Complained   struct{ All, Pressed int64 }
	Days         []reportedDay
	History      []struct{ Sentences []string }
}

type reportedDay struct {
	Date                            string
	Planned, Held, Dropped, Pressed int64
}

// Run prints what the model did, or would have done.
func (r *reportCmd) Run(a *app) error {
	c, err := r.connect(a)
	if err != nil {
		return err
	}
	query := url.Values{"since": {time.Now().Add(-r.Since.Duration).UTC().Format(time.RFC3339)}}
	if r.Tenant != "" {
		query.Set("tenant", r.Tenant)
	}
	doc, err := c.slowly(a, "/api/v1/report", query)
	if err != nil {
		return err
	}
	var report reported
	if err := decodeAnswer(doc, &report); err != nil {
		return err
	}
	if r.HTML != "" {
		if err := report.writeFile(r.HTML); err != nil {
			return err
		}
	}
	a.warnCapture(report.Mode, r.JSON)
	if r.JSON {
		return printJSON(a.Stdout, doc)
	}
	return report.print(a.Stdout)
}

func (r *reported) print(w io.Writer) error {
	for _, s := range r.Sentences {
		fmt.Fprintln(w, safe(s))
	}
	for _, h := range r.History {
		fmt.Fprintln(w, "\nHistory")
		for _, s := range h.Sentences {
			fmt.Fprintln(w, safe(s))
		}
	}
	if r.Planned == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := newTable(w, "DAY", "PLANNED", "HELD", "DROPPED", "OVER PACE")
	for _, d := range r.Days {
		t.row(d.Date, d.Planned, d.Held, d.Dropped, d.Pressed)
	}
	return t.flush()
}

func (r *reported) writeFile(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	if err := errors.Join(r.writeHTML(w), w.Flush()); err != nil {
		f.Close()
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return f.Close()
}

// slowly asks for what takes long and shows how far it is, on a terminal. Where
// nobody looks it asks for the document alone.
func (c *client) slowly(a *app, path string, query url.Values) (json.RawMessage, error) {
	var doc json.RawMessage
	if !isTerminal(a.Stderr) {
		err := c.get(a.Context, path, query, &doc)
		return doc, err
	}
	bar := &readBar{w: a.Stderr}
	defer bar.clear()
	query = cloneValues(query)
	query.Set("progress", "true")
	return c.lines(a.Context, path+"?"+query.Encode(), bar.show)
}

// lines reads an answer that comes in lines, of which the last is the result.
func (c *client) lines(ctx context.Context, path string, show func(float64)) (json.RawMessage, error) {
	answer, err := c.open(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		doc, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		return nil, c.problem(answer, doc)
	}
	return c.lastLine(io.LimitReader(answer.Body, maxAnswer), show)
}

// readBar shows on a terminal how much of the history is read.
type readBar struct{ w io.Writer }

func (b *readBar) show(share float64) {
	const wide = 40
	full := int(min(1, max(0, share)) * wide)
	fmt.Fprintf(b.w, "\r[%s%s] %3.0f %% of the history ", strings.Repeat("#", full), strings.Repeat(".", wide-full), 100*share)
}

func (b *readBar) clear() { fmt.Fprintf(b.w, "\r%s\r", strings.Repeat(" ", 72)) }

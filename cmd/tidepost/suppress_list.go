package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"tidepost/suppression/lists"
)

// entryFilter chooses suppressions.
type entryFilter struct {
	Reason string   `help:"Only this reason." placeholder:"REASON"`
	Scope  string   `help:"Only this scope, like tenant:acme; tenant for all of them." placeholder:"SCOPE"`
	Source string   `help:"Only from this source, like bounce or import." placeholder:"SOURCE"`
	Since  Duration `help:"Only those made in this time, like 2h." placeholder:"TIME"`
}

func (f *entryFilter) query(now time.Time) url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"reason": f.Reason, "scope": f.Scope, "source": f.Source, "since": f.since(now)} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

func (f *entryFilter) since(now time.Time) string {
	if f.Since.Duration <= 0 {
		return ""
	}
	return now.Add(-f.Since.Duration).UTC().Format(time.RFC3339)
}

type suppressListCmd struct {
	remote
	entryFilter
	Limit int `help:"At most so many; 0 is all." default:"100" placeholder:"N"`
}

// Run lists suppressions, in no order that means anything.
func (s *suppressListCmd) Run(a *app) error {
	c, err := s.connect(a)
	if err != nil {
		return err
	}
	p, more, err := c.list(a.Context, "/api/v1/suppressions", s.query(time.Now()), s.Limit)
	if err != nil {
		return err
	}
	if s.JSON {
		return printItems(a.Stdout, p.Items)
	}
	entries, err := decodeAll[entry](p.Items)
	if err != nil {
		return err
	}
	t := newTable(a.Stdout, "ADDRESS", "SCOPE", "REASON", "SOURCE", "CREATED", "EXPIRES", "REMOVED", "NOTE")
	for _, e := range entries {
		t.row(e.Address, e.Scope, e.Reason, e.Source, e.Created, e.Expires, e.Removed, cut(firstOf(e.Note, e.Evidence), 60))
	}
	if err := t.flush(); err != nil || !more {
		return err
	}
	_, err = fmt.Fprintln(a.Stdout, "There are more: --limit, or `tidepost suppress export`.")
	return err
}

type suppressExportCmd struct {
	remote
	entryFilter
	Format string `help:"csv or jsonl." default:"csv" enum:"csv,jsonl"`
	Out    string `help:"Write into this file; it appears when it is whole." short:"o" placeholder:"FILE"`
	Live   bool   `help:"Leave out what was taken back or has run out."`
}

// Run writes suppressions as they come.
func (s *suppressExportCmd) Run(a *app) error {
	c, err := s.connect(a)
	if err != nil {
		return err
	}
	q := s.query(time.Now())
	q.Set("format", s.Format)
	if s.Live {
		q.Set("live", "true")
	}
	answer, err := c.open(a.Context, http.MethodGet, "/api/v1/suppressions/export?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		doc, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		return c.problem(answer, doc)
	}
	if s.Out == "" {
		_, err = io.Copy(a.Stdout, answer.Body)
	} else {
		err = writePrivate(s.Out, answer.Body)
	}
	if err != nil {
		return fmt.Errorf("the export broke off and is not whole: %w", err)
	}
	return nil
}

// writePrivate makes a file of what is read, or none. Addresses are for its owner
// alone.
func writePrivate(name string, r io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".export-*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

type suppressStatsCmd struct{ remote }

// suppressStats is the answer of GET /api/v1/suppressions/stats.
type suppressStats struct {
	Entries int64
	Kinds   []struct {
		Reason, Scope string
		Entries       int64
	}
	Lists       []imported
	SHA256, MD5 bool
	Suppressed  int64
	Since       time.Time
}

// Run prints how many suppressions there are.
func (s *suppressStatsCmd) Run(a *app) error {
	c, err := s.connect(a)
	if err != nil {
		return err
	}
	var doc json.RawMessage
	if err := c.get(a.Context, "/api/v1/suppressions/stats", nil, &doc); err != nil {
		return err
	}
	if s.JSON {
		return printJSON(a.Stdout, doc)
	}
	var stats suppressStats
	if err := decodeAnswer(doc, &stats); err != nil {
		return err
	}
	t := newTable(a.Stdout, "REASON", "SCOPE", "ENTRIES")
	for _, k := range stats.Kinds {
		t.row(k.Reason, k.Scope, k.Entries)
	}
	t.row("all", "", stats.Entries)
	if err := t.flush(); err != nil {
		return err
	}
	since := ""
	if !stats.Since.IsZero() {
		since = ", " + show(stats.Since)
	}
	hashed := ""
	if stats.SHA256 || stats.MD5 {
		hashed = " Some are hashes."
	}
	_, err = fmt.Fprintf(a.Stdout, "\n%s.%s They stopped %s since the gateway was started%s.\n",
		count(int64(len(stats.Lists)), "list", "lists"), hashed, count(stats.Suppressed, "delivery", "deliveries"), since)
	return err
}

type suppressListsCmd struct {
	Show    suppressListsShowCmd    `cmd:"" default:"withargs" help:"Show them."`
	Discard suppressListsDiscardCmd `cmd:"" help:"Throw away what is left of an interrupted import of that name or, where nothing is, the list that counts."`
}

type suppressListsShowCmd struct{ remote }

// imported is a list as the API shows it.
type imported struct {
	Name, State    string
	Entries, Bytes int64
	Lines          int
	At             time.Time
	Damaged, By    string
}

// Run lists the imported lists.
func (s *suppressListsShowCmd) Run(a *app) error {
	c, err := s.connect(a)
	if err != nil {
		return err
	}
	var p page
	if err := c.get(a.Context, "/api/v1/suppressions/lists", nil, &p); err != nil {
		return err
	}
	if s.JSON {
		return printItems(a.Stdout, p.Items)
	}
	all, err := decodeAll[imported](p.Items)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return a.print(false, nil, "no list was imported")
	}
	t := newTable(a.Stdout, "NAME", "STATE", "ENTRIES", "LINES", "SIZE", "SINCE", "DAMAGED")
	for _, l := range all {
		t.row(l.Name, l.State, l.Entries, l.Lines, size(l.Bytes), l.At, l.Damaged)
	}
	return t.flush()
}

type suppressListsDiscardCmd struct {
	remote
	Name string `arg:"" help:"The list, as suppress lists prints it."`
	Yes  bool   `help:"Do not ask." short:"y"`
}

// Run throws a list away.
func (s *suppressListsDiscardCmd) Run(a *app) error {
	c, err := s.connect(a)
	if err != nil {
		return err
	}
	if !s.Yes && !a.confirm("Throw away the list "+safe(s.Name)+"?") {
		return errors.New("not confirmed, nothing changed: answer y, or say --yes")
	}
	var done struct {
		Name      string `json:"name"`
		Discarded string `json:"discarded"`
	}
	if err := c.do(a.Context, http.MethodPost, "/api/v1/suppressions/lists/"+url.PathEscape(s.Name)+"/discard", nil, &done); err != nil {
		return err
	}
	what := map[string]string{"live": "; its entries count no more", "staged": "; it did not count"}[done.Discarded]
	return a.print(s.JSON, done, "discarded: "+s.Name+what)
}

type suppressFormatsCmd struct {
	JSON bool `help:"Print JSON, for programs." name:"json"`
}

// Run prints whose lists are known.
func (s *suppressFormatsCmd) Run(a *app) error {
	if s.JSON {
		return printJSON(a.Stdout, lists.Shapes())
	}
	t := newTable(a.Stdout, "FORMAT", "LIST", "COLUMNS", "BECOMES")
	for _, shape := range lists.Shapes() {
		t.row(string(shape.Format), shape.Service, shape.Header, shape.Becomes)
	}
	return t.flush()
}

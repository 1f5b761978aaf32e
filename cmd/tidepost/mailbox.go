package main

import (
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

// mailboxCmd shows, hands over and forgets what is kept of one person.
type mailboxCmd struct {
	Show   mailboxShowCmd   `cmd:"" help:"What is known of an address, in every audience."`
	Export mailboxExportCmd `cmd:"" help:"Everything that is kept of an address, with its history, as JSON."`
	Erase  mailboxEraseCmd  `cmd:"" help:"Forget an address: drop what waits and what was learned, keep suppressions under a keyed hash."`
}

// person is the answer of GET /api/v1/mailboxes/….
type person struct {
	Address    string
	Known      bool
	Sentences  []string
	Audiences  []audience
	Deliveries []json.RawMessage
	Entries    []json.RawMessage
	More       int
	Forwards   []struct {
		Tenant, URL string
		At          time.Time
	}
}

// audience is what is known of an address in one audience.
type audience struct {
	Audience, Timezone, Evidence string
	Tenants                      []string
	PerWeek                      int `json:"per_week"`
	Gates                        struct {
		Week  int
		Last  time.Time
		Opens time.Time
	}
	Sends  []json.RawMessage
	Reader *struct {
		Interest, Pressure float32
		Tolerance          float32 `json:"tolerance_per_week"`
		Mails              int
		Hours              []string
		Active             time.Time
	}
}

// mailboxPath is an address's place in the API.
func mailboxPath(address, what string) string {
	return "/api/v1/mailboxes/" + url.PathEscape(address) + what
}

type mailboxShowCmd struct {
	remote
	Address string `arg:"" help:"The address."`
}

// Run prints what is known of an address.
func (m *mailboxShowCmd) Run(a *app) error {
	c, err := m.connect(a)
	if err != nil {
		return err
	}
	var doc json.RawMessage
	if err := c.get(a.Context, mailboxPath(m.Address, ""), nil, &doc); err != nil {
		return err
	}
	if m.JSON {
		return printJSON(a.Stdout, doc)
	}
	var p person
	if err := decodeAnswer(doc, &p); err != nil {
		return err
	}
	return p.print(a.Stdout)
}

func (p *person) print(w io.Writer) error {
	for _, s := range p.Sentences {
		fmt.Fprintln(w, safe(s))
	}
	for i := range p.Audiences {
		fmt.Fprintln(w)
		if err := p.Audiences[i].print(w); err != nil {
			return err
		}
	}
	if len(p.Deliveries) > 0 {
		fmt.Fprintln(w)
		if err := printDeliveries(w, p.Deliveries); err != nil {
			return err
		}
	}
	if p.More > 0 {
		fmt.Fprintf(w, "and %d more\n", p.More)
	}
	if len(p.Entries) > 0 {
		fmt.Fprintln(w)
		if err := printEntries(w, p.Entries); err != nil {
			return err
		}
	}
	if len(p.Forwards) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := newTable(w, "OPTED OUT", "TENANT", "STILL TO BE TOLD")
	for _, f := range p.Forwards {
		t.row(f.At, f.Tenant, cut(f.URL, 100))
	}
	return t.flush()
}

func (d *audience) print(w io.Writer) error {
	t := newTable(w)
	t.row("audience", d.Audience)
	t.fact("tenants", strings.Join(d.Tenants, ", "))
	t.fact("time zone", d.Timezone)
	t.fact("may be learned from", d.Evidence)
	if d.PerWeek > 0 {
		t.row("wants at most", fmt.Sprintf("%s in 7 days", count(int64(d.PerWeek), "bulk mail", "bulk mails")))
	}
	t.row("sends remembered", len(d.Sends))
	t.row("bulk mail in 7 days", d.Gates.Week)
	t.fact("last", d.Gates.Last)
	t.fact("next from", d.Gates.Opens)
	if r := d.Reader; r != nil {
		t.row("reads a mail with", fmt.Sprintf("%.2f, after %s", r.Interest, count(int64(r.Mails), "mail", "mails")))
		t.row("pressure", fmt.Sprintf("%.1f of what they bear, %.1f a week", r.Pressure, r.Tolerance))
		t.fact("reads mostly", strings.Join(r.Hours, "; "))
		t.fact("last verified visit", r.Active)
	}
	return t.flush()
}

type mailboxExportCmd struct {
	remote
	Address string `arg:"" help:"The address."`
	Output  string `help:"Write it to a new file, readable by you alone; else it is printed." short:"o" placeholder:"FILE"`
}

// Run writes everything that is kept of an address. It is JSON whether --json is
// said or not.
func (m *mailboxExportCmd) Run(a *app) (err error) {
	c, err := m.connect(a)
	if err != nil {
		return err
	}
	answer, err := c.open(a.Context, http.MethodGet, mailboxPath(m.Address, "/export"), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		doc, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)) // what there is of it says more than nothing
		return c.problem(answer, doc)
	}
	out := a.Stdout
	if m.Output != "" {
		// A file that is there stays: it could be somebody's export.
		file, err := os.OpenFile(m.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	end := &ending{}
	if _, err := io.Copy(io.MultiWriter(out, end), answer.Body); err != nil {
		return fmt.Errorf("the export broke off and is not complete: %w", err)
	}
	if !strings.HasSuffix(strings.TrimSpace(string(end.text)), `"complete":true}`) {
		return errors.New("the export is not complete: its end says why; ask again")
	}
	return nil
}

// ending keeps the end of what is written.
type ending struct{ text []byte }

func (e *ending) Write(b []byte) (int, error) {
	const enough = 64
	e.text = append(e.text, b[max(0, len(b)-enough):]...)
	e.text = e.text[max(0, len(e.text)-enough):]
	return len(b), nil
}

type mailboxEraseCmd struct {
	remote
	Address string `arg:"" help:"The address."`
	Yes     bool   `help:"Do not ask." short:"y"`
}

// erased is the answer of POST /api/v1/mailboxes/…/erase, with what stays.
type erased struct {
	Address   string   `json:"address"`
	Mailboxes int64    `json:"mailboxes"`
	Dropped   int64    `json:"dropped"`
	Sending   int64    `json:"sending"`
	Entries   int64    `json:"entries"`
	Stays     []string `json:"stays"`
}

// Run says what will go and what stays, asks, and erases.
func (m *mailboxEraseCmd) Run(a *app) error {
	c, err := m.connect(a)
	if err != nil {
		return err
	}
	cfg, err := ParseConfig(a.Config, a.Sets, a.Env)
	if err != nil {
		return err
	}
	var p person
	if err := c.get(a.Context, mailboxPath(m.Address, ""), nil, &p); err != nil {
		return err
	}
	stays := staysAfter(&cfg.Retention, time.Now())
	asked := a.Stdout
	if m.JSON {
		asked = a.Stderr
	}
	m.foretell(asked, &p, stays)
	if !m.Yes && !a.confirm("Erase "+safe(p.Address)+"? This cannot be taken back.") {
		return errors.New("not confirmed, nothing changed: answer y, or say --yes")
	}
	done := erased{Stays: stays}
	request := struct {
		Confirm string `json:"confirm"`
	}{m.Address}
	if err := c.do(a.Context, http.MethodPost, mailboxPath(m.Address, "/erase"), request, &done); err != nil {
		return err
	}
	text := fmt.Sprintf("erased: %s; forgotten in %s, %s dropped, %s kept under a keyed hash", done.Address,
		count(done.Mailboxes, "audience", "audiences"), count(done.Dropped, "delivery", "deliveries"), count(done.Entries, "suppression", "suppressions"))
	if done.Sending > 0 {
		text += fmt.Sprintf("; %s on the wire: erase once more when they have settled", count(done.Sending, "delivery is", "deliveries are"))
	}
	return a.print(m.JSON, done, text)
}

// foretell says what goes and what stays.
func (m *mailboxEraseCmd) foretell(w io.Writer, p *person, stays []string) {
	if !p.Known {
		fmt.Fprintf(w, "Nothing is known of %s beside what its history says.\n", safe(p.Address))
	} else {
		fmt.Fprintf(w, "Of %s, known in %s, go: the profile, the time zone, the sends remembered, the consent and wishes. %s dropped or still on the wire, %s put under a keyed hash.\n",
			safe(p.Address), count(int64(len(p.Audiences)), "audience", "audiences"),
			count(int64(len(p.Deliveries)+p.More), "delivery is", "deliveries are"), count(int64(len(p.Entries)), "suppression is", "suppressions are"))
	}
	fmt.Fprintln(w, "What stays, and until when:")
	for _, s := range stays {
		fmt.Fprintln(w, "  -", s)
	}
}

// staysAfter says what an erasure leaves, and until when. The times are those of the
// configuration that the command reads; the gateway's own count.
func staysAfter(r *RetentionConfig, now time.Time) []string {
	until := func(d Duration) string { return now.Add(d.Duration).Format(time.DateOnly) }
	return []string{
		"Suppressions: under a keyed hash that tells nobody the address, for as long as they hold, so that mail goes on being stopped.",
		fmt.Sprintf("The content of mail: retention.settled (%s) after the last delivery of its log segment, so until %s or later while a neighbour waits.", r.Settled, until(r.Settled)),
		fmt.Sprintf("The history, with the address in it: retention.history (%s), so until about %s; in NATS as long as its streams keep it (7 days unless changed).", r.History, until(r.History)),
		"Opt-outs that a sender's own system is still to be told, with its URL: until it answers, or three to four days of trying.",
		"Backups made before, the gateway's log lines, and whatever was told to NATS or to the sender: not in our reach. `tidepost help privacy` lists it all.",
	}
}

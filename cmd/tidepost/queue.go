package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"golang.org/x/term"
)

// queueCmd sees and steers deliveries.
type queueCmd struct {
	List    queueListCmd    `cmd:"" help:"List deliveries that are not settled."`
	Show    queueShowCmd    `cmd:"" help:"Show one delivery, or all of a message."`
	Release queueReleaseCmd `cmd:"" help:"Send deliveries now; with --captured those that capture mode kept."`
	Hold    queueHoldCmd    `cmd:"" help:"Hold deliveries until they are resumed."`
	Drop    queueDropCmd    `cmd:"" help:"Give up deliveries for good: recall a campaign."`
	Pause   queuePauseCmd   `cmd:"" help:"Stop releasing: everything, a tenant, or a campaign."`
	Resume  queueResumeCmd  `cmd:"" help:"Undo pause, or hold for the deliveries named."`
}

// filter chooses deliveries; what is left out matches all.
type filter struct {
	Tenant    string `help:"Only this tenant's." placeholder:"NAME" json:"tenant,omitempty"`
	Campaign  string `help:"Only this campaign's." placeholder:"NAME" json:"campaign,omitempty"`
	Mailbox   string `help:"Only for this address." placeholder:"ADDRESS" json:"mailbox,omitempty"`
	State     string `help:"Only in this state: waiting, sending or captured." placeholder:"STATE" json:"state,omitempty"`
	DueBefore string `help:"Only due before a time: RFC 3339, or like 2h from now." placeholder:"TIME" json:"due_before,omitempty"`
	Message   string `help:"Only of this message." placeholder:"ID" json:"message,omitempty"`
}

// resolve turns a length of time in DueBefore into a time.
func (f filter) resolve(now time.Time) (filter, error) {
	if f.DueBefore == "" {
		return f, nil
	}
	if t, err := time.Parse(time.RFC3339, f.DueBefore); err == nil {
		f.DueBefore = t.UTC().Format(time.RFC3339)
		return f, nil
	}
	var d Duration
	if err := d.UnmarshalText([]byte(f.DueBefore)); err != nil {
		return f, usagef("--due-before %s: want a time like 2026-05-01T08:00:00Z, or a length like 2h", f.DueBefore)
	}
	f.DueBefore = now.Add(d.Duration).UTC().Format(time.RFC3339)
	return f, nil
}

func (f filter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"tenant": f.Tenant, "campaign": f.Campaign, "mailbox": f.Mailbox,
		"state": f.State, "due_before": f.DueBefore, "message": f.Message,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

type queueListCmd struct {
	remote
	filter
	Limit int  `help:"How many to list; 0 for all." default:"100"`
	Count bool `help:"Print only how many there are."`
}

// Run lists deliveries.
func (q *queueListCmd) Run(a *app) error {
	c, err := q.connect(a)
	if err != nil {
		return err
	}
	f, err := q.resolve(time.Now())
	if err != nil {
		return err
	}
	query := f.query()
	if q.Count {
		query.Set("count", "true")
		q.Limit = 1
	}
	p, more, err := c.list(a.Context, "/api/v1/deliveries", query, q.Limit)
	if err != nil {
		return err
	}
	a.warnCapture(p.Mode, q.JSON)
	switch {
	case q.Count:
		return printCount(a.Stdout, p, q.JSON)
	case q.JSON:
		return printItems(a.Stdout, p.Items)
	}
	if err := printDeliveries(a.Stdout, p.Items); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(a.Stderr, "there are more: --limit 0 lists all\n")
	}
	return nil
}

func printCount(w io.Writer, p page, asJSON bool) error {
	if p.Total == nil {
		return fmt.Errorf("the gateway did not count: is it of another version?")
	}
	if asJSON {
		return printJSON(w, map[string]int64{"total": *p.Total})
	}
	_, err := fmt.Fprintln(w, *p.Total)
	return err
}

func printDeliveries(w io.Writer, items []json.RawMessage) error {
	deliveries, err := decodeAll[delivery](items)
	if err != nil {
		return err
	}
	if len(deliveries) == 0 {
		_, err := fmt.Fprintln(w, "nothing matches")
		return err
	}
	t := newTable(w, "DELIVERY", "STATE", "DUE", "TO", "TENANT", "CAMPAIGN", "CLASS", "WHY")
	for _, d := range deliveries {
		state := d.State
		if d.Paused {
			state += ", held"
		}
		t.row(d.ID, state, d.Due, cut(d.Address, 48), d.Tenant, cut(d.Campaign, 32), d.Class, d.Reason)
	}
	return t.flush()
}

type queueShowCmd struct {
	remote
	ID      string `arg:"" help:"A delivery, or a message." placeholder:"ID"`
	Content bool   `help:"Print the message itself, as it was accepted."`
}

// Run shows a delivery or a message.
func (q *queueShowCmd) Run(a *app) error {
	c, err := q.connect(a)
	if err != nil {
		return err
	}
	message, _, isDelivery := strings.Cut(q.ID, ".")
	switch {
	case q.Content:
		return c.copyContent(a, message)
	case isDelivery:
		return c.showDelivery(a, q.ID, q.JSON)
	}
	var doc json.RawMessage
	if err := c.get(a.Context, "/api/v1/messages/"+url.PathEscape(message), nil, &doc); err != nil {
		return err
	}
	if q.JSON {
		return printJSON(a.Stdout, doc)
	}
	if err := printMessage(a.Stdout, doc); err != nil {
		return err
	}
	p, _, err := c.list(a.Context, "/api/v1/deliveries", url.Values{"message": {message}}, 0)
	if err != nil {
		return err
	}
	a.warnCapture(p.Mode, false)
	return printDeliveries(a.Stdout, p.Items)
}

func (c *client) showDelivery(a *app, id string, asJSON bool) error {
	var doc json.RawMessage
	if err := c.get(a.Context, "/api/v1/deliveries/"+url.PathEscape(id), nil, &doc); err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.Stdout, doc)
	}
	items, err := decodeAll[delivery]([]json.RawMessage{doc})
	if err != nil {
		return err
	}
	return printDelivery(a.Stdout, &items[0])
}

func printDelivery(w io.Writer, d *delivery) error {
	t := newTable(w)
	t.row("delivery", d.ID)
	t.fact("to", d.Address)
	t.fact("mailbox", d.Mailbox)
	t.fact("tenant", d.Tenant)
	t.fact("campaign", d.Campaign)
	t.fact("class", d.Class)
	t.fact("state", d.State)
	t.fact("held", d.Paused)
	t.fact("due", d.Due)
	t.fact("why", strings.TrimSpace(d.Reason+"  "+d.Sentence))
	t.fact("accepted", d.Accepted)
	t.fact("deadline", d.Deadline)
	t.fact("tried until", d.Expires)
	t.row("attempts", d.Attempts)
	t.fact("last reply", d.Reply)
	t.fact("repeats another", d.Duplicate)
	t.row("size", size(d.Size))
	return t.flush()
}

// printMessage shows the facts of a message in the order of the document.
func printMessage(w io.Writer, doc json.RawMessage) error {
	var m struct {
		ID, From, Subject, Tenant, Campaign, Class, Client, Credential string

		Received    time.Time
		MessageID   string `json:"message_id"`
		ClassReason string `json:"class_reason"`
		Size        int64
		Notes       []string
	}
	if err := json.Unmarshal(doc, &m); err != nil {
		return err
	}
	t := newTable(w)
	t.row("message", m.ID)
	t.row("from", "<"+m.From+">")
	t.fact("subject", m.Subject)
	t.fact("message-id", m.MessageID)
	t.fact("received", m.Received)
	t.fact("client", m.Client)
	t.fact("credential", m.Credential)
	t.fact("tenant", m.Tenant)
	t.fact("campaign", m.Campaign)
	t.fact("class", strings.TrimSpace(m.Class+"  "+m.ClassReason))
	t.row("size", size(m.Size))
	for _, n := range m.Notes {
		t.row("note", n)
	}
	return t.flush()
}

// copyContent writes a message's bytes: as they are to a file or pipe, and
// without control characters to a terminal.
func (c *client) copyContent(a *app, message string) error {
	answer, err := c.open(a.Context, "GET", "/api/v1/messages/"+url.PathEscape(message)+"/content", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		doc, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		return c.problem(answer, doc)
	}
	if !isTerminal(a.Stdout) {
		_, err = io.Copy(a.Stdout, answer.Body)
		return err
	}
	doc, err := io.ReadAll(answer.Body)
	for line := range strings.Lines(string(doc)) {
		fmt.Fprintln(a.Stdout, safe(strings.TrimRight(line, "\r\n")))
	}
	return err
}

// isTerminal reports whether a stream is a person's.
func isTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

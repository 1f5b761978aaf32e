package main

import (
	"encoding/json"
	"fmt"
	"time"
)

type statusCmd struct{ remote }

// status is the answer of GET /api/v1/status.
type status struct {
	Version    string
	Started    time.Time
	Mode       string // route.mode
	PolicyMode string `json:"policy_mode"`
	DataDir    string `json:"data_dir"`
	Accepting  bool
	Why        string // why it is not accepting

	Held     int64
	Sending  int64
	Captured int64

	OverdueSeconds float64 `json:"oldest_overdue_seconds"`
	Closed         []struct {
		Name, Reason string
		Since, Next  time.Time
	}
	Bus struct {
		Server     string
		Connected  bool
		LagEvents  int64   `json:"lag_events"`
		LagSeconds float64 `json:"lag_seconds"`
	}
	Disk struct {
		Used      int64    `json:"used_bytes"`
		Free      int64    `json:"free_bytes"`
		HoursLeft *float64 `json:"hours_left"` // absent: not filling up
	}
	Signals struct {
		Hour   int64
		Last   time.Time
		Stream *struct {
			Pending    uint64
			LagSeconds float64 `json:"lag_seconds"`
		}
	}
	Replanning int64 // mailboxes; -1: none is under way
	Paused     []struct {
		Tenant, Campaign, By string
		At                   time.Time
	}
	Differences []struct {
		Name, File, Now, By string
		At                  time.Time
	}
	Problems []struct{ Text, Runbook string }
	Hints    []struct {
		Text string
		Ways []string
	}
}

// Run prints the state of the gateway. It fails when something needs a person.
func (s *statusCmd) Run(a *app) error {
	c, err := s.connect(a)
	if err != nil {
		return err
	}
	ctx, cancel := deadline(a.Context)
	defer cancel()
	var doc json.RawMessage
	if err := c.get(ctx, "/api/v1/status", nil, &doc); err != nil {
		return err
	}
	var st status
	if err := decodeAnswer(doc, &st); err != nil {
		return err
	}
	a.warnCapture(st.Mode, s.JSON)
	if s.JSON {
		err = printJSON(a.Stdout, doc)
	} else {
		err = st.print(a)
	}
	if err == nil && len(st.Problems) > 0 {
		return errQuiet
	}
	return err
}

func (st *status) print(a *app) error {
	t := newTable(a.Stdout)
	t.row("version", st.Version+", up "+Duration{time.Since(st.Started).Truncate(time.Second)}.String())
	t.row("mode", "route "+st.Mode+", policy "+st.PolicyMode)
	t.row("accepting", yesOrWhy(st.Accepting, st.Why))
	t.row("waiting", fmt.Sprintf("%d, sending %d, captured %d", st.Held, st.Sending, st.Captured))
	t.row("oldest overdue", Duration{time.Duration(st.OverdueSeconds) * time.Second}.String())
	for _, d := range st.Closed {
		t.row("closed", fmt.Sprintf("%s since %s: %s; next try %s", d.Name, show(d.Since), d.Reason, show(d.Next)))
	}
	t.row("bus", st.bus())
	t.row("disk", st.disk())
	t.row("signals", fmt.Sprintf("%d in the last hour, last %s", st.Signals.Hour, show(st.Signals.Last)))
	if x := st.Signals.Stream; x != nil {
		t.row("stream", fmt.Sprintf("%d wait in NATS, opt-outs %.0f s behind", x.Pending, x.LagSeconds))
	}
	if st.Replanning > 0 {
		t.row("planning anew", fmt.Sprintf("what waits, %s so far", count(st.Replanning, "mailbox", "mailboxes")))
	}
	for _, p := range st.Paused {
		t.row("paused", fmt.Sprintf("%s by %s at %s", scope{p.Tenant, p.Campaign}, p.By, show(p.At)))
	}
	for _, d := range st.Differences {
		t.row("changed", fmt.Sprintf("%s is %s, the file says %s; by %s at %s", d.Name, d.Now, d.File, d.By, show(d.At)))
	}
	for _, p := range st.Problems {
		t.row("PROBLEM", p.Text+"  → tidepost help "+p.Runbook)
	}
	for _, h := range st.Hints {
		t.row("hint", h.Text)
		for i, way := range h.Ways {
			t.row(fmt.Sprintf("way %d", i+1), way)
		}
	}
	return t.flush()
}

func yesOrWhy(yes bool, why string) string {
	if yes {
		return "yes"
	}
	return "NO: " + why
}

func (st *status) bus() string {
	if !st.Bus.Connected {
		return fmt.Sprintf("%s, NOT CONNECTED, %d events behind", st.Bus.Server, st.Bus.LagEvents)
	}
	return fmt.Sprintf("%s, %d events behind", st.Bus.Server, st.Bus.LagEvents)
}

func (st *status) disk() string {
	text := size(st.Disk.Used) + " used, " + size(st.Disk.Free) + " free"
	if st.Disk.HoursLeft != nil {
		text += fmt.Sprintf(", full in %.0f hours", *st.Disk.HoursLeft)
	}
	return text
}

package admin

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/suppression/rules"
)

// backtestRequest is the body of POST /api/v1/rules/backtest.
type backtestRequest struct {
	Text    *string   `json:"text"` // absent: the rules in force
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	Shadows bool      `json:"shadows"` // rules in shadow are tried as if they were enabled
	Tenant  string    `json:"tenant"`
}

// usualBacktest is how far back rules are tried.
const usualBacktest = 14 * 24 * time.Hour

// backtest answers POST /api/v1/rules/backtest.
func (s *Server) backtest(c *call) (any, error) {
	var doc backtestRequest
	if err := c.decode(&doc); err != nil {
		return nil, err
	}
	now := s.now()
	if doc.Until.IsZero() || doc.Until.After(now) {
		doc.Until = now
	}
	if doc.Since.IsZero() {
		doc.Since = doc.Until.Add(-usualBacktest)
	}
	if !doc.Since.Before(doc.Until) {
		return nil, invalid("since", strconv.Quote(doc.Since.Format(time.RFC3339))+" is not before until", "write a time in the past, like 2026-05-01T08:00:00Z")
	}
	book := s.Gateway.Rulebook()
	text := book.Text
	if doc.Text != nil {
		text = *doc.Text
	}
	if len(text) > maxRules {
		return nil, &Problem{Status: http.StatusRequestEntityTooLarge, Detail: "rules may have " + strconv.Itoa(maxRules) + " bytes", Field: "text", Remedy: "merge some of them"}
	}
	set, _, err := s.Gateway.CompileRules(rulesFile, text)
	if err != nil {
		return refuseRules(err)
	}
	j, err := s.journal()
	if err != nil {
		return nil, err
	}
	f := newBacktestFold(rules.NewBacktest(book.Set(), set, doc.Shadows), doc.Tenant, doc.Since, doc.Until)
	lines := strings.Contains(c.Header.Get("Accept"), "application/x-ndjson")
	return s.long(c, lines, func(tell func(float64)) (any, error) {
		if err := f.read(c.Context(), j, tell); err != nil {
			return nil, err
		}
		return f.finish(book.Version, set), nil
	})
}

// backtestPage is how many events are read at a time.
const backtestPage = 16384

// page is what a reader of the journal hands on.
type eventPage struct {
	events []gateway.Event
	err    error
}

// read goes through the journal once. A page is read while the one before it is
// folded.
func (f *backtestFold) read(ctx context.Context, j gateway.Journal, tell func(float64)) error {
	ctx, stop := context.WithCancel(ctx)
	pages := make(chan eventPage, 1)
	go func() {
		defer close(pages)
		for from := (gateway.Cursor{}); ; {
			events, next, err := j.ReadEvents(ctx, from, backtestPage)
			select {
			case pages <- eventPage{events, err}:
			case <-ctx.Done():
				return
			}
			if from = next; err != nil || len(events) == 0 {
				return
			}
		}
	}()
	defer func() { // before returning: the reader must be gone
		stop()
		for range pages {
		}
	}()
	for p := range pages {
		if p.err != nil {
			return p.err
		}
		for i := range p.events {
			f.visit(&p.events[i])
		}
		if n := len(p.events); n > 0 {
			last := p.events[n-1].At
			if last.After(f.until.Add(outcomeWindow)) {
				return nil
			}
			tell(share(last.Sub(f.begins), f.until.Sub(f.begins)))
		}
	}
	return ctx.Err()
}

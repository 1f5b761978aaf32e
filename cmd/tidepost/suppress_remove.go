package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

type suppressRemoveCmd struct {
	remote
	Address     string   `arg:"" optional:"" help:"The address."`
	Scope       string   `help:"The scope of the entry, as suppress check prints it; of an address it is global unless given." placeholder:"SCOPE"`
	Source      string   `help:"Instead of an address: all from this source, like bounce." placeholder:"SOURCE"`
	Destination string   `help:"Only addresses whose mail goes there: a domain, or a destination's name." placeholder:"DOMAIN"`
	Since       Duration `help:"Only what was made in this time, like 2h." placeholder:"TIME"`
	Reason      string   `help:"Only this reason." placeholder:"REASON"`
	DryRun      bool     `help:"Only count."`
	Yes         bool     `help:"Do not ask." short:"y"`
}

// removeRequest is the body of POST /api/v1/suppressions/remove.
type removeRequest struct {
	Source string `json:"source,omitempty"`
	Domain string `json:"domain,omitempty"`
	Since  string `json:"since,omitempty"`
	Reason string `json:"reason,omitempty"`
	Scope  string `json:"scope,omitempty"`
	DryRun bool   `json:"dry_run"`
}

// removed is its answer.
type removed struct {
	DryRun  bool           `json:"dry_run"`
	Scanned int            `json:"scanned"`
	Matched int64          `json:"matched"`
	Removed int64          `json:"removed"`
	Reasons map[string]int `json:"reasons"`
	Sources map[string]int `json:"sources"`
}

// Run takes one entry back, or many.
func (s *suppressRemoveCmd) Run(a *app) error {
	many := s.Source != "" || s.Destination != "" || s.Since.Duration > 0
	switch {
	case s.Address != "" && (many || s.DryRun):
		return usagef("suppress remove takes an address or --source, --destination, --since and --dry-run, not both")
	case s.Address == "" && s.Source == "" && s.Destination == "" && s.Reason == "":
		return usagef("suppress remove needs an address, or one of --source, --destination and --reason")
	}
	c, err := s.connect(a)
	if err != nil {
		return err
	}
	if s.Address == "" {
		return s.removeMany(a, c)
	}
	e := struct {
		Address string `json:"address"`
		Scope   string `json:"scope"`
		Reason  string `json:"reason,omitempty"`
	}{s.Address, firstOf(s.Scope, "global"), s.Reason}
	if err := c.do(a.Context, http.MethodDelete, "/api/v1/suppressions", e, nil); err != nil {
		return err
	}
	return a.print(s.JSON, e, fmt.Sprintf("removed: %s, %s", e.Address, e.Scope))
}

// removeMany counts, asks, and takes back what a filter chooses.
func (s *suppressRemoveCmd) removeMany(a *app, c *client) error {
	filter := entryFilter{Since: s.Since}
	request := removeRequest{Source: s.Source, Domain: s.Destination, Since: filter.since(time.Now()), Reason: s.Reason, Scope: s.Scope, DryRun: true}
	counted, err := s.ask(a, c, request)
	if err != nil {
		return err
	}
	entries := count(counted.Matched, "entry", "entries")
	switch {
	case s.DryRun || counted.Matched == 0:
		return a.print(s.JSON, counted, entries+" matched"+counted.detail()+", nothing changed")
	case !s.Yes && !a.confirm("Take back "+entries+counted.detail()+"?"):
		return errors.New("not confirmed, nothing changed: answer y, or say --yes")
	}
	request.DryRun = false
	done, err := s.ask(a, c, request)
	if err != nil {
		return fmt.Errorf("%w; what was taken back stays so, and doing it again takes back the rest", err)
	}
	return a.print(s.JSON, done, fmt.Sprintf("%d of %s taken back", done.Removed, entries))
}

func (r *removed) detail() string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		parts = append(parts, fmt.Sprintf("%d %s", r.Reasons[reason], reason))
	}
	text := ""
	if len(parts) > 0 {
		text = " (" + strings.Join(parts, ", ") + ")"
	}
	return text
}

// ask makes the request and shows on a terminal how far it is.
func (s *suppressRemoveCmd) ask(a *app, c *client, request removeRequest) (done removed, err error) {
	doc, err := json.Marshal(request)
	if err != nil {
		return done, err
	}
	watched := isTerminal(a.Stderr)
	answer, err := c.send(a.Context, "/api/v1/suppressions/remove", "application/json", strings.NewReader(string(doc)), int64(len(doc)))
	if err != nil {
		return done, err
	}
	last, err := c.follow(answer, func(progress json.RawMessage) {
		var p removed
		if watched && json.Unmarshal(progress, &p) == nil {
			fmt.Fprintf(a.Stderr, "\r%d looked at, %d matched, %d taken back ", p.Scanned, p.Matched, p.Removed)
		}
	})
	if watched {
		fmt.Fprintf(a.Stderr, "\r%s\r", strings.Repeat(" ", 78))
	}
	if err == nil {
		err = last.failure()
	}
	if err != nil {
		return done, err
	}
	return done, decodeAnswer(last.Result, &done)
}

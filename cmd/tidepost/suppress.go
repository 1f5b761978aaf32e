package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// suppressCmd adds, removes and looks up suppressions, one by one and as lists.
type suppressCmd struct {
	Add     suppressAddCmd     `cmd:"" help:"Suppress an address."`
	Remove  suppressRemoveCmd  `cmd:"" help:"Take a suppression back, or all that a filter chooses."`
	Check   suppressCheckCmd   `cmd:"" help:"Show what is known of an address, and which mail that stops."`
	List    suppressListCmd    `cmd:"" help:"List suppressions."`
	Import  suppressImportCmd  `cmd:"" help:"Take in the list of another service, or our own export. A wrong file changes nothing."`
	Export  suppressExportCmd  `cmd:"" help:"Write all suppressions, or some, as CSV or JSON lines."`
	Stats   suppressStatsCmd   `cmd:"" help:"How many there are, by reason and scope."`
	Lists   suppressListsCmd   `cmd:"" help:"Imported lists: those that count, and what is left of interrupted imports."`
	Formats suppressFormatsCmd `cmd:"" help:"Whose lists can be imported, and what their lines become."`
}

// entry is one suppression as the API shows and takes it.
type entry struct {
	Address  string    `json:"address"`
	Scope    string    `json:"scope"`
	Reason   string    `json:"reason,omitempty"`
	Source   string    `json:"source,omitempty"`
	Evidence string    `json:"evidence,omitempty"`
	Note     string    `json:"note,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
	Removed  time.Time `json:"removed,omitzero"`
	Stops    []string  `json:"stops,omitempty"` // classes of mail, where one address was asked for
}

type suppressAddCmd struct {
	remote
	Address string   `arg:"" help:"The address."`
	Scope   string   `help:"Whose mail it stops: global, or audience:, tenant:, list:, category: or class: with a name." default:"global"`
	Reason  string   `help:"Why: manual, unsubscribe, complaint, hard_bounce, invalid or role." default:"manual"`
	For     Duration `help:"For how long, like 90d; for ever when left out." placeholder:"TIME"`
	Note    string   `help:"Words for whoever reads it later." placeholder:"TEXT"`
}

// Run adds one entry.
func (s *suppressAddCmd) Run(a *app) error {
	c, err := s.connect(a)
	if err != nil {
		return err
	}
	e := entry{Address: s.Address, Scope: s.Scope, Reason: s.Reason, Source: "cli", Note: s.Note}
	if s.For.Duration > 0 {
		e.Expires = time.Now().Add(s.For.Duration).UTC().Truncate(time.Second)
	}
	var added entry
	if err := c.do(a.Context, http.MethodPost, "/api/v1/suppressions", e, &added); err != nil {
		return err
	}
	until := "for ever"
	if !added.Expires.IsZero() {
		until = "until " + show(added.Expires)
	}
	return a.print(s.JSON, added, fmt.Sprintf("suppressed: %s, %s, %s, %s", added.Address, added.Scope, added.Reason, until))
}

type suppressCheckCmd struct {
	remote
	Address string `arg:"" help:"The address."`
}

// Run lists an address's entries, those taken back too.
func (s *suppressCheckCmd) Run(a *app) error {
	c, err := s.connect(a)
	if err != nil {
		return err
	}
	p, _, err := c.list(a.Context, "/api/v1/suppressions", url.Values{"address": {s.Address}}, 0)
	if err != nil {
		return err
	}
	a.warnCapture(p.Mode, s.JSON)
	if s.JSON {
		return printItems(a.Stdout, p.Items)
	}
	if len(p.Items) == 0 {
		return a.print(false, nil, s.Address+" is not suppressed")
	}
	return printEntries(a.Stdout, p.Items)
}

func printEntries(w io.Writer, items []json.RawMessage) error {
	entries, err := decodeAll[entry](items)
	if err != nil {
		return err
	}
	t := newTable(w, "ADDRESS", "SCOPE", "REASON", "STOPS", "SOURCE", "CREATED", "EXPIRES", "REMOVED", "NOTE")
	for _, e := range entries {
		t.row(e.Address, e.Scope, e.Reason, e.stops(), e.Source, e.Created, e.Expires, e.Removed, cut(firstOf(e.Note, e.Evidence), 60))
	}
	return t.flush()
}

// stops says in a word which mail of its scope the entry stops.
func (e *entry) stops() string {
	switch {
	case len(e.Stops) == 0:
		return "nothing"
	case len(e.Stops) == 4:
		return "all"
	case len(e.Stops) == 3 && !slices.Contains(e.Stops, "transactional"):
		return "all but transactional"
	}
	return strings.Join(e.Stops, ", ")
}

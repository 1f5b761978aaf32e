package history

import (
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
	"tidepost/suppression/lists"
)

// Report tells what is in a file, and what became of it.
type Report struct {
	Format Format `json:"format"`
	Tenant string `json:"tenant"`
	DryRun bool   `json:"dry_run,omitempty"`

	Lines    int            `json:"lines"` // events, where the file has no lines
	Rows     int            `json:"rows"`
	Kinds    map[string]int `json:"kinds"`    // rows by kind
	Skipped  map[string]int `json:"skipped"`  // lines that tell of nothing for us, by why
	Repeated int            `json:"repeated"` // rows that are there twice
	Bad      int            `json:"bad"`
	BadLines []BadLine      `json:"bad_lines,omitempty"` // the first of them
	Stopped  *BadLine       `json:"stopped,omitempty"`   // why the file was not read to its end

	First     time.Time      `json:"first,omitzero"`
	Last      time.Time      `json:"last,omitzero"`
	Mailboxes int            `json:"mailboxes"`
	Judged    Judged         `json:"judged"`   // opens and clicks
	OptOuts   map[string]int `json:"opt_outs"` // mailboxes that are not to be written to, by why

	gateway.PastTaken // of a dry run: nothing
}

// BadLine is what is wrong with a line, or with all of a file.
type BadLine struct {
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Field   string `json:"field,omitempty"`
	Problem string `json:"problem"`
	Remedy  string `json:"remedy,omitempty"`
}

// Text is the place and the problem, without the remedy.
func (b *BadLine) Text() string {
	return (&lists.Error{Line: b.Line, Column: b.Column, Field: b.Field, Problem: b.Problem}).Error()
}

func newBadLine(e *lists.Error) BadLine {
	b := BadLine{Line: e.Line, Column: e.Column, Field: e.Field, Problem: e.Problem, Remedy: e.Remedy}
	if e.Err != nil {
		b.Problem += ": " + e.Err.Error()
	}
	return b
}

func newReport(a *Ask) *Report {
	return &Report{Format: a.Format, Tenant: a.Tenant, DryRun: a.DryRun, Kinds: map[string]int{}, Skipped: map[string]int{}, OptOuts: map[string]int{}}
}

func (r *Report) fault(e *lists.Error) {
	b := newBadLine(e)
	if e.Fatal {
		r.Stopped = &b
		return
	}
	r.Lines = max(r.Lines, e.Line)
	r.Bad++
	if len(r.BadLines) < lists.MaxNamed {
		r.BadLines = append(r.BadLines, b)
	}
}

// count takes a row into the sums.
func (r *Report) count(row *Row) {
	r.Lines = max(r.Lines, row.Line)
	if row.Skipped != "" {
		if len(r.Skipped) < 100 || r.Skipped[row.Skipped] > 0 { // the words come from the file
			r.Skipped[row.Skipped]++
		}
		return
	}
	r.Rows++
	r.Kinds[string(row.Kind)]++
	if r.First.IsZero() || row.At.Before(r.First) {
		r.First = row.At
	}
	if row.At.After(r.Last) {
		r.Last = row.At
	}
}

// optOuts counts a mailbox once for each reason.
func (r *Report) optOuts(rows []gateway.Past) {
	var out, complained, gone bool
	for i := range rows {
		switch p := &rows[i]; {
		case p.Kind == gateway.SignalUnsubscribed:
			out = true
		case p.Kind == gateway.SignalComplained:
			complained = true
		case p.Kind == gateway.SignalBounced && p.Hard:
			gone = true
		}
	}
	for _, why := range [...]struct {
		is     bool
		reason suppression.Reason
	}{{out, suppression.Unsubscribe}, {complained, suppression.Complaint}, {gone, suppression.HardBounce}} {
		if why.is {
			r.OptOuts[string(why.reason)]++
		}
	}
}

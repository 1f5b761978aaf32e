package history

import (
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/suppression/address"
	"tidepost/suppression/lists"
)

// Format names whose export a file is.
type Format string

// The formats.
const (
	CSV      Format = "csv"      // our own: one event a line
	Listmonk Format = "listmonk" // the query in docs/history.md
	Mautic   Format = "mautic"   // the query in docs/history.md, or the table email_stats
	Mailgun  Format = "mailgun"  // Events API
	SendGrid Format = "sendgrid" // Event Webhook
	SES      Format = "ses"      // event publishing, notifications too, also wrapped by SNS
)

// Formats are all formats.
func Formats() []Format { return []Format{CSV, Listmonk, Mautic, Mailgun, SendGrid, SES} }

// Options say what a file does not.
type Options struct {
	Format   Format
	Class    gateway.Class // of mail of which the file tells none
	List     string        // List-Id of mail of which the file tells none
	Now      time.Time     // what is dated after it is a bad line; zero: the present
	MaxBytes int64         // of a gzip file, unpacked; 0: 8 GiB
}

// Row is one thing that happened, or a line that tells of nothing for us.
type Row struct {
	Line    int
	Kind    gateway.SignalKind // gateway.PastSent or a signal's
	At      time.Time
	Mailbox address.Mailbox
	Message string // which mail of this mailbox, in the service's own words; "" unknown
	List    string
	Class   gateway.Class
	Link    string
	Skipped string // set: why the line is no row

	UserAgent, IP string // "": not recorded

	Delivered bool // of a send: the next hop took it then; else it was handed in
	Rough     bool // of a send: the time is that of its campaign
	Machine   bool // the service itself says that a machine did it
	Hard      bool // of a bounce: for good
}

// Read gives the rows of a file in its order. Every error is a *lists.Error; after
// one that is Fatal there are no more rows.
func Read(r io.Reader, opt Options) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if opt.Now.IsZero() {
			opt.Now = time.Now()
		}
		d := &reader{opt: opt, yield: yield}
		if err := d.run(r); err != nil && !d.stopped {
			err.Fatal = true
			yield(Row{}, err)
		}
	}
}

// reader reads one file.
type reader struct {
	opt     Options
	yield   func(Row, error) bool
	stopped bool // the consumer wants no more
	clock   lists.Clock
	line    int
}

func (d *reader) run(r io.Reader) *lists.Error {
	if !slices.Contains(Formats(), d.opt.Format) {
		return &lists.Error{Problem: "the format " + lists.Show(string(d.opt.Format)) + " is unknown", Remedy: "use csv, listmonk, mautic, mailgun, sendgrid or ses"}
	}
	f, err := lists.Open(r, d.opt.MaxBytes)
	if err != nil {
		return err.(*lists.Error) // Open has no other
	}
	events := map[Format]func(*reader, []byte) *lists.Error{Mailgun: (*reader).mailgun, SendGrid: (*reader).sendgrid, SES: (*reader).ses}[d.opt.Format]
	switch {
	case events != nil && !f.JSON:
		return &lists.Error{Line: 1, Problem: "the file is no JSON", Remedy: "export events as JSON, one a line or in an array; of a CSV file name the columns as `tidepost help history` says, and use --format csv"}
	case events != nil:
		return d.json(f, events)
	case f.JSON:
		return &lists.Error{Line: 1, Problem: "the file is JSON and not CSV", Remedy: "name the format whose it is: mailgun, sendgrid or ses"}
	}
	return d.table(f)
}

// earliest is when mail with tracking cannot have been sent yet: a time before it is
// none.
var earliest = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)

// give checks a row and hands it on; a *lists.Error without a line gets the reader's.
func (d *reader) give(row Row, mailbox string) *lists.Error {
	row.Line = d.line
	if row.Skipped == "" {
		a, err := address.Parse(bare(mailbox))
		switch {
		case err != nil:
			return &lists.Error{Line: d.line, Problem: lists.Show(mailbox) + " is no address", Remedy: "write it as reader@example.com"}
		case row.At.IsZero():
			return &lists.Error{Line: d.line, Problem: "the time is missing", Remedy: lists.WhenRemedy}
		case row.At.Before(earliest):
			return &lists.Error{Line: d.line, Problem: "the time lies before 1990", Remedy: lists.WhenRemedy}
		case row.At.After(d.opt.Now.Add(time.Hour)):
			return &lists.Error{Line: d.line, Problem: "the time lies in the future", Remedy: "is its zone right? Times without one are taken for UTC"}
		}
		row.Mailbox = a.Mailbox()
		row.At = row.At.UTC().Truncate(time.Millisecond)
		if row.At.After(d.opt.Now) { // clocks of two machines
			row.At = d.opt.Now.UTC().Truncate(time.Millisecond)
		}
		if row.Class == classUnknown {
			row.Class = d.opt.Class
		}
		if row.List = bare(row.List); row.List == "" {
			row.List = d.opt.List
		}
	}
	d.stopped = d.stopped || !d.yield(row, nil)
	return nil
}

// classUnknown stands for a class that the file does not tell.
const classUnknown gateway.Class = 255

// skip hands on a line that tells of nothing for us.
func (d *reader) skip(why string) *lists.Error { return d.give(Row{Skipped: why}, "") }

// fault hands on an error; false: no more rows are wanted, or there are none.
func (d *reader) fault(e *lists.Error) bool {
	d.stopped = d.stopped || !d.yield(Row{}, e) || e.Fatal
	return !d.stopped
}

// bare takes angle brackets off an address or a List-Id.
func bare(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 2 && text[0] == '<' && text[len(text)-1] == '>' {
		return text[1 : len(text)-1]
	}
	return text
}

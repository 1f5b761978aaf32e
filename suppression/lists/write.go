package lists

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"tidepost/suppression"
)

// The formats of Write.
const (
	CSV       = "csv"
	JSONLines = "jsonl"
)

// Write writes entries as our own export, which Read reads back to the same ones.
//
// CSV has the columns address (canonical), scope (global, tenant:acme and the
// like), reason, source, evidence, note, and created, expires and removed as RFC
// 3339 in UTC, empty for none. Lines end in LF, fields are quoted where RFC 4180
// asks for it. A cell that a spreadsheet would take for a formula, because it
// starts with = + - @ TAB CR or LF, or with the wide forms of the first four, gets
// an apostrophe in front and quotes around (OWASP, CSV injection); one that starts
// with an apostrophe itself gets a second, so that Read knows which to take off. A
// spreadsheet told to separate at semicolons cuts cells that have them in two;
// open the file with comma.
//
// JSON lines have the same names, empty fields left out, and no apostrophes.
//
// Text that is no UTF-8 is written with U+FFFD in place of each broken part.
func Write(w io.Writer, entries iter.Seq[suppression.Entry], format string) error {
	if format != CSV && format != JSONLines {
		return fmt.Errorf("format %q cannot be written: use %s or %s", format, CSV, JSONLines)
	}
	out := &writer{w: bufio.NewWriterSize(w, 64<<10)}
	if format == CSV {
		out.line = append(append(out.line, shapeOf(Tidepost).Header...), '\n')
		out.w.Write(out.line)
	}
	for e := range entries {
		var err error
		if format == CSV {
			err = out.csv(&e)
		} else {
			err = out.json(&e)
		}
		if err == nil {
			_, err = out.w.Write(out.line)
		}
		if err != nil {
			return err
		}
	}
	return out.w.Flush()
}

type writer struct {
	w    *bufio.Writer
	line []byte
}

func (o *writer) csv(e *suppression.Entry) error {
	o.line = o.line[:0]
	for _, cell := range [...]string{e.Address, e.Scope.String(), string(e.Reason), e.Source, e.Evidence, e.Note} {
		o.line = append(appendCell(o.line, cell), ',')
	}
	for i, t := range [...]time.Time{e.Created, e.Expires, e.Removed} {
		if i > 0 {
			o.line = append(o.line, ',')
		}
		if t.IsZero() {
			continue
		}
		if err := writable(e, t); err != nil {
			return err
		}
		o.line = t.UTC().AppendFormat(o.line, time.RFC3339Nano)
	}
	o.line = append(o.line, '\n')
	return nil
}

func writable(e *suppression.Entry, t time.Time) error {
	if _, ok := sane(t); !ok {
		return fmt.Errorf("the entry of %s has a date in the year %d: dates are written for the years 1 to 9999", e.Address, t.Year())
	}
	return nil
}

// doc is an entry as the API writes it.
type doc struct {
	Address  string    `json:"address"`
	Scope    string    `json:"scope"`
	Reason   string    `json:"reason"`
	Source   string    `json:"source,omitempty"`
	Evidence string    `json:"evidence,omitempty"`
	Note     string    `json:"note,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
	Removed  time.Time `json:"removed,omitzero"`
}

func (o *writer) json(e *suppression.Entry) error {
	b, err := json.Marshal(doc{e.Address, e.Scope.String(), string(e.Reason), e.Source, e.Evidence, e.Note,
		e.Created.UTC(), e.Expires.UTC(), e.Removed.UTC()})
	if err != nil {
		return fmt.Errorf("the entry of %s cannot be written: %w", e.Address, err)
	}
	o.line = append(append(o.line[:0], b...), '\n')
	return nil
}

// appendCell writes one field of CSV.
func appendCell(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	mark := s != "" && hidden(s)
	if !mark && !strings.ContainsAny(s, ",;\"\t\r\n") && s == strings.TrimSpace(s) {
		return append(b, s...)
	}
	b = append(b, '"')
	if mark {
		b = append(b, '\'')
	}
	for i := range len(s) {
		if s[i] == '"' {
			b = append(b, '"')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// hidden reports whether Write puts an apostrophe in front of the cell.
func hidden[T string | []byte](s T) bool {
	switch s[0] {
	case '=', '+', '-', '@', '\t', '\r', '\n', '\'':
		return true
	case 0xef:
		// The wide forms of = + - @.
		switch string(s[:min(3, len(s))]) {
		case "\uff1d", "\uff0b", "\uff0d", "\uff20":
			return true
		}
	}
	return false
}

package lists

import (
	"bufio"
	"bytes"
	"io"
	"time"
)

// File is a text file opened as [Read] opens one, for readers of other exports: gzip
// is unpacked, and UTF-16, ZIP files and gzip bombs are refused.
type File struct {
	*bufio.Reader
	JSON bool // it begins with a bracket
}

// Open opens a file. maxBytes bounds a gzip file, unpacked; 0: 8 GiB. The error is
// an [Error] with Fatal set.
func Open(r io.Reader, maxBytes int64) (*File, error) {
	if maxBytes == 0 {
		maxBytes = defaultMaxBytes
	}
	in, bad := open(r, maxBytes)
	if bad != nil {
		bad.Fatal = true
		return nil, bad
	}
	b := bufio.NewReaderSize(in, 4096)
	head, _ := b.Peek(4096)
	return &File{Reader: b, JSON: isJSON(head)}, nil
}

// Lines cuts a file into lines of at most 64 KiB.
type Lines struct{ lines *lines }

// NewLines begins to read lines.
func NewLines(f *File) *Lines { return &Lines{newLines(f)} }

// Next returns the next line without its end and its number, from 1; the line is
// valid until the next call. more is false at the end. The error is an [Error] about
// this line, or with Fatal set the end.
func (l *Lines) Next() (text []byte, number int, more bool, err error) {
	text, more, bad := l.lines.scan()
	if bad != nil {
		return nil, l.lines.line, more, bad
	}
	return text, l.lines.line, more, nil
}

// Table cuts a file into records of fields, as [Read] does: separated by comma,
// semicolon or tab as the first record is, which is taken for the header.
type Table struct {
	rec   records
	width int
	names []string
}

// NewTable begins to read records.
func NewTable(f *File) *Table { return &Table{rec: records{lines: newLines(f), comma: ','}} }

// Header reads the first record that is neither blank nor a comment and returns its
// fields. None, and a broken file, are an [Error].
func (t *Table) Header() ([]string, error) {
	for {
		text, more, bad := t.rec.scan()
		if bad == nil && !more {
			bad = &Error{Problem: "the file is empty", Remedy: "it needs a line that names its columns"}
		}
		if bad == nil && (blank(text) || comment(text)) {
			continue
		}
		if bad == nil {
			t.rec.comma = separator(text)
			bad = t.rec.split(text)
		}
		if bad != nil {
			bad.Fatal = true
			return nil, bad
		}
		for _, f := range t.rec.fields {
			t.names = append(t.names, clip(string(bytes.TrimSpace(f))))
		}
		t.width = len(t.names)
		return t.names, nil
	}
}

// Next returns the fields of the next record, as many as the header has, and the
// number of its first line; they are valid until the next call. more is false at the
// end. The error is an [Error] about this record, or with Fatal set the end.
func (t *Table) Next() (fields [][]byte, line int, more bool, err error) {
	more, bad := t.rec.read()
	if bad == nil && more {
		bad = t.rec.width(t.width)
	}
	if bad != nil {
		return nil, t.rec.line, more, bad
	}
	return t.rec.fields, t.rec.line, more, nil
}

// Wrong is an error about the i-th field of the current record.
func (t *Table) Wrong(i int, problem, remedy string) *Error {
	line, column := t.rec.place(t.rec.at[i])
	return &Error{Line: line, Column: column, Field: t.names[i], Problem: problem, Remedy: remedy}
}

// Clock reads times in the forms that [Read] takes. The zero value is ready.
type Clock struct{ clock clock }

// Read reads a time; without a zone it is UTC. A zone may be in hours alone, as
// PostgreSQL writes it.
func (c *Clock) Read(b []byte) (time.Time, bool) {
	b = bytes.TrimSpace(b)
	if n := len(b); n > 16 && n < 40 && (b[n-3] == '+' || b[n-3] == '-') && b[n-6] != '-' {
		b = append(append(make([]byte, 0, n+3), b...), ":00"...)
	}
	return c.clock.read(b)
}

// WhenRemedy says how to write a time that Clock reads.
const WhenRemedy = whenRemedy

// Fold is a column's name without case, blanks, hyphens and underscores.
func Fold(name string) string { return string(fold(nil, []byte(name))) }

// Show is text of a file for an error: short, and without what could disturb a
// terminal.
func Show(text string) string { return show(text) }

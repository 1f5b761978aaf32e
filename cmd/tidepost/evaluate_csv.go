package main

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recordedTable is a CSV file with a header, gzipped or not, read row by row.
type recordedTable struct {
	name    string
	file    *os.File
	size    int64
	rows    *csv.Reader
	columns []int // places of the columns asked for; -1: there is none
	names   []string
	fields  []string
	note    *progressNote
}

// openTable opens a table of a recording and finds its columns. Those whose name
// ends in "?" may be missing.
func openTable(path string, note *progressNote, columns ...string) (*recordedTable, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	t := &recordedTable{name: filepath.Base(path), file: f, note: note}
	if err := t.begin(columns); err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

func (t *recordedTable) begin(columns []string) error {
	if info, err := t.file.Stat(); err == nil {
		t.size = info.Size()
	}
	var r io.Reader = t.file
	if strings.HasSuffix(t.name, ".gz") {
		z, err := gzip.NewReader(t.file)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		r = z
	}
	t.rows = csv.NewReader(r)
	t.rows.ReuseRecord = true
	header, err := t.rows.Read()
	if err != nil {
		return fmt.Errorf("%s: no header: %w", t.name, err)
	}
	for i, name := range header {
		header[i] = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))
	}
	for _, name := range columns {
		name, optional := strings.CutSuffix(name, "?")
		place := slices.Index(header, name)
		if place < 0 && !optional {
			return fmt.Errorf("%s: line 1: no column %q among %s", t.name, name, strings.Join(header, ", "))
		}
		t.columns, t.names = append(t.columns, place), append(t.names, name)
	}
	return nil
}

// next reads a row and reports whether there was one.
func (t *recordedTable) next() (bool, error) {
	fields, err := t.rows.Read()
	if errors.Is(err, io.EOF) {
		t.note.done()
		return false, nil
	}
	if err != nil {
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			return false, fmt.Errorf("%s: line %d: %w", t.name, bad.Line, bad.Err)
		}
		return false, fmt.Errorf("%s: %w", t.name, err)
	}
	t.fields = fields
	t.note.part("reading "+t.name, t.share)
	return true, nil
}

// share is how much of the file has been read.
func (t *recordedTable) share() float64 {
	at, err := t.file.Seek(0, io.SeekCurrent)
	if err != nil || t.size == 0 {
		return 0
	}
	return float64(at) / float64(t.size)
}

// has reports whether the file has the i-th of the columns asked for.
func (t *recordedTable) has(i int) bool { return t.columns[i] >= 0 }

// int reads the i-th of the columns asked for.
func (t *recordedTable) int(i int, least, most int64) (int64, error) {
	text := strings.TrimSpace(t.fields[t.columns[i]])
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		whole, broken := strconv.ParseFloat(text, 64) // as some programs write whole numbers
		if n = int64(whole); broken != nil || float64(n) != whole {
			return 0, t.bad(i, text, "want a whole number")
		}
	}
	if n < least || n > most {
		return 0, t.bad(i, text, fmt.Sprintf("want a number from %d to %d", least, most))
	}
	return n, nil
}

func (t *recordedTable) bad(i int, text, want string) error {
	line, _ := t.rows.FieldPos(t.columns[i])
	return fmt.Errorf("%s: line %d: column %q: %q: %s", t.name, line, t.names[i], text, want)
}

func (t *recordedTable) close() { t.file.Close() }

// progressNote is a line on a terminal that tells how far something is.
type progressNote struct {
	w     io.Writer // nil: no terminal
	calls int
	last  time.Time
	shown bool
}

func newProgressNote(w io.Writer) *progressNote {
	n := &progressNote{}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			n.w = w
		}
	}
	return n
}

// part shows what is being done and how much of it is, now and then.
func (n *progressNote) part(what string, share func() float64) {
	if n.w == nil {
		return
	}
	if n.calls++; n.calls%1024 != 0 || time.Since(n.last) < 100*time.Millisecond {
		return
	}
	n.last, n.shown = time.Now(), true
	fmt.Fprintf(n.w, "\r\x1b[K%s: %2.0f %%", what, 100*share())
}

// say shows what is being done, without an end in sight.
func (n *progressNote) say(what string) {
	if n.w != nil {
		n.shown = true
		fmt.Fprintf(n.w, "\r\x1b[K%s", what)
	}
}

// done takes the line away.
func (n *progressNote) done() {
	if n.shown {
		n.shown = false
		fmt.Fprint(n.w, "\r\x1b[K")
	}
}

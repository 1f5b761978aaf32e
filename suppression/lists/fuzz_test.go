package lists

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"tidepost/suppression"
)

// FuzzRead reads anything as anything: rows are valid, lines go up, an error ends or
// names its place, and small reads give the same rows.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		if file, err := os.ReadFile(name); err == nil {
			f.Add(file, uint8(0))
			f.Add(bytes.ReplaceAll(file, []byte("\n"), []byte("\r")), uint8(len(shapes)))
		}
	}
	f.Add([]byte("\"a@x.test\n\"\n,\"\"\"\r\n\x00;\t"), uint8(3))
	f.Fuzz(func(t *testing.T, file []byte, format uint8) {
		opt := acme(Options{Reason: suppression.Manual})
		if format > 0 {
			opt.Format = shapes[int(format-1)%len(shapes)].Format
		}
		read := func(small bool) (rows []Row, faults []string) {
			var r = iotest.DataErrReader(bytes.NewReader(file))
			if small {
				r = iotest.HalfReader(r)
			}
			line := 0
			for row, err := range Read(r, opt) {
				if err != nil {
					e := err.(*Error)
					if e.Problem == "" || e.Line < 0 || e.Column < 0 || !e.Fatal && e.Line == 0 {
						t.Fatalf("a poor error: %#v", e)
					}
					faults = append(faults, err.Error())
					continue
				}
				checkRow(t, row)
				if row.Line < line {
					t.Fatalf("line %d after %d", row.Line, line)
				}
				line = row.Line
				rows = append(rows, row)
			}
			return rows, faults
		}
		rows, faults := read(false)
		rows2, faults2 := read(true)
		if !reflect.DeepEqual(rows, rows2) || !reflect.DeepEqual(faults, faults2) {
			t.Fatalf("small reads differ:\n%v %q\n%v %q", rows, faults, rows2, faults2)
		}
	})
}

// FuzzRoundTrip writes entries of any text that the store would take and reads them
// back.
func FuzzRoundTrip(f *testing.F) {
	f.Add("ann@example.com", "tenant:acme", "unsubscribe", "cli", "=1+1", "'x", int64(1760000000000), int64(0), int64(1))
	f.Add("'=a@x.test", "list:@news", "manual", " ", "\t", "\n\"", int64(1), int64(5), int64(0))
	f.Fuzz(func(t *testing.T, addr, scope, reason, source, evidence, note string, created, expires, removed int64) {
		s, err := suppression.ParseScope(scope)
		if err != nil {
			return
		}
		e := suppression.Entry{Address: addr, Scope: s, Reason: suppression.Reason(reason), Source: source, Evidence: evidence, Note: note, Created: time.Unix(0, created).UTC()}
		if expires != 0 {
			e.Expires = time.Unix(0, expires).UTC()
		}
		if removed != 0 {
			e.Removed = time.Unix(0, removed).UTC()
		}
		if e.Validate() != nil || source == "" {
			return
		}
		e.Source, e.Evidence, e.Note = strings.ToValidUTF8(source, "\uFFFD"), strings.ToValidUTF8(evidence, "\uFFFD"), strings.ToValidUTF8(note, "\uFFFD")
		if e.Validate() != nil {
			return // U+FFFD made it too long
		}
		for _, format := range []string{CSV, JSONLines} {
			file := write(t, []suppression.Entry{e, e}, format)
			n := 0
			for row, err := range Read(bytes.NewReader(file), Options{}) {
				if n++; err != nil || !reflect.DeepEqual(row.Entry, e) {
					t.Fatalf("%v: got\n%+v\nwant\n%+v\n%s", err, row.Entry, e, file)
				}
			}
			if n != 2 {
				t.Fatalf("%d rows of 2\n%s", n, file)
			}
		}
	})
}

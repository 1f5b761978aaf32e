package lists

import (
	"strings"
	"testing"
	"time"
)

// Tables are read as lists are: any of three separators, quotes, a mark in front, and
// bad records one by one.
func TestTable(t *testing.T) {
	for _, tt := range []struct{ story, file, header, records string }{
		{"commas and quotes", "\xef\xbb\xbfa,b\n1,\"x, y\"\n\n2,\"p\nq\"\n", "a|b", "2 1|x, y; 4 2|p\nq"},
		{"semicolons behind a comment", "# made by hand\r\na;b\r\n1,5;2\r\n", "a|b", "3 1,5|2"},
		{"a short record", "a\tb\n1\n2\t3\n", "a|b", "2 the line has 1 fields and the header 2; 3 2|3"},
		{"more than a header names, but empty", "a,b\n1,2,,\n", "a|b", "2 1|2||"},
	} {
		f, err := Open(strings.NewReader(tt.file), 0)
		if err != nil || f.JSON {
			t.Fatalf("%s: %v", tt.story, err)
		}
		table := NewTable(f)
		names, err := table.Header()
		if got := strings.Join(names, "|"); err != nil || got != tt.header {
			t.Errorf("%s: header %q, %v", tt.story, got, err)
		}
		var got []string
		for {
			fields, line, more, err := table.Next()
			if !more && err == nil {
				break
			}
			var texts []string
			for _, field := range fields {
				texts = append(texts, string(field))
			}
			text := strings.Join(texts, "|")
			if err != nil {
				text = err.(*Error).Problem
			}
			got = append(got, string('0'+rune(line))+" "+text)
		}
		if strings.Join(got, "; ") != tt.records {
			t.Errorf("%s: %q, want %q", tt.story, got, tt.records)
		}
	}
	for _, file := range []string{"PK\x03\x04", "\xff\xfea\x00", "\x1f\x8bxx"} {
		if _, err := Open(strings.NewReader(file), 0); err == nil {
			t.Errorf("%q is opened", file)
		}
	}
	f, _ := Open(strings.NewReader(""), 0)
	if _, err := NewTable(f).Header(); err == nil {
		t.Error("an empty file has a header")
	}
}

func TestClock(t *testing.T) {
	want := time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC)
	var c Clock
	for _, text := range []string{"2026-06-01T08:00:00Z", "2026-06-01 10:00:00+02", "2026-06-01 08:00:00.000+00", "2026-06-01 08:00:00", " 1780300800 ", "2026-06-01 03:00:00-05"} {
		if got, ok := c.Read([]byte(text)); !ok || !got.Equal(want) {
			t.Errorf("%q is %v, %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "soon", "2026-06-01T08:00:00+", "01/02/2026"} {
		if got, ok := c.Read([]byte(text)); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}

package lists

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tidepost/suppression"
	"tidepost/suppression/address"
)

var (
	addresses = rapid.SampledFrom([]string{"ann@example.com", "=cmd@example.com", "+1@x.test", "-a@x.test", "'a@x.test",
		`"a,b"@x.test`, `"a\"b;c"@x.test`, "jürgen@xn--bcher-kva.example", "postmaster", `"@"@x.test`})
	scopes = rapid.SampledFrom([]string{"tenant:acme", "audience:a;b", "list:=news", "category:a,b", `class:"x"`, "tenant:büro"})
	texts  = rapid.OneOf(
		rapid.SampledFrom([]string{"", "=1+1", "'", "''", "'=", "+", "-2", "@x", "\tx", "\nx", " x ", "a\"b", "a,b;c\td", "a\n\nb", "＝1", "'＝1", "'x", `=cmd|' /C calc'!A0`, "\ufeffx", "# x"}),
		rapid.StringN(0, 40, 200),
	)
	times = rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMilli(rapid.Int64Range(1, 4e12).Draw(t, "ms")).UTC()
	})
)

var entries = rapid.Custom(func(t *rapid.T) suppression.Entry {
	scope, _ := suppression.ParseScope(scopes.Draw(t, "scope"))
	e := suppression.Entry{
		Address: addresses.Draw(t, "address"), Scope: scope,
		Reason:   suppression.Reason(rapid.SampledFrom([]string{"hard_bounce", "complaint", "unsubscribe", "manual", "rule", "role", "pause", "invalid", "soft_bounce"}).Draw(t, "reason")),
		Source:   texts.Draw(t, "source"),
		Evidence: texts.Draw(t, "evidence"), Note: texts.Draw(t, "note"), Created: times.Draw(t, "created"),
	}
	if rapid.Bool().Draw(t, "expires") {
		e.Expires = e.Created.Add(time.Duration(rapid.Int64Range(1, 1e6).Draw(t, "for")) * time.Millisecond)
	}
	if rapid.Bool().Draw(t, "removed") {
		e.Removed = e.Created.Add(time.Duration(rapid.Int64Range(0, 1e6).Draw(t, "after")) * time.Millisecond)
	}
	if e.Source == "" {
		e.Source = "cli" // a line without one gets the import's
	}
	if e.Validate() != nil {
		e.Source, e.Evidence, e.Note = "cli", "", ""
	}
	return e
})

func write(t interface{ Fatal(...any) }, list []suppression.Entry, format string) []byte {
	var b bytes.Buffer
	if err := Write(&b, slices.Values(list), format); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What Write writes, Read reads, to the last byte; packed or not.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(entries, 1, 20).Draw(t, "entries")
		for _, format := range []string{CSV, JSONLines} {
			file := write(t, list, format)
			if rapid.Bool().Draw(t, "pack") {
				file = pack(file)
			}
			var got []suppression.Entry
			for row, err := range Read(bytes.NewReader(file), Options{}) {
				if err != nil {
					t.Fatalf("%v in\n%s", err, file)
				}
				got = append(got, row.Entry)
			}
			if !reflect.DeepEqual(got, list) {
				t.Fatalf("%s: got\n%+v\nwant\n%+v\nfile\n%s", format, got, list, file)
			}
		}
	})
}

// H8: no cell of the CSV starts a formula, and every CSV reader cuts it the same.
func TestNoFormulas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(entries, 1, 10).Draw(t, "entries")
		file := write(t, list, CSV)
		all, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
		if err != nil || len(all) != len(list)+1 {
			t.Fatalf("%d records, %v", len(all), err)
		}
		for _, record := range all {
			for _, cell := range record {
				if cell != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(cell)[0]) {
					t.Fatalf("the cell %q is a formula", cell)
				}
			}
		}
	})
}

// The oracle of records is encoding/csv, where both read a file.
func TestRecordsAgainstEncodingCSV(t *testing.T) {
	cell := rapid.OneOf(rapid.SampledFrom([]string{"a", "b c", "", "x\ny", `q"q`, `""`, ",", " "}), rapid.StringMatching(`[a-z"\n, ]{0,9}`))
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(2, 4).Draw(t, "width")
		var want [][]string
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		w.UseCRLF = rapid.Bool().Draw(t, "crlf")
		for range rapid.IntRange(1, 20).Draw(t, "n") {
			record := rapid.SliceOfN(cell, width, width).Draw(t, "record")
			record[0] = "k" + record[0]
			want = append(want, record)
			w.Write(record)
		}
		w.Flush()
		r := &records{lines: newLines(&b), comma: ','}
		line := 1
		for _, record := range want {
			more, bad := r.read()
			if !more || bad != nil {
				t.Fatalf("ended with %v", bad)
			}
			if r.line != line {
				t.Fatalf("line %d, want %d", r.line, line)
			}
			line++
			for i, field := range r.fields {
				line += strings.Count(record[i], "\n")
				if got := strings.ReplaceAll(string(field), "\r\n", "\n"); got != record[i] {
					t.Fatalf("got %q, want %q", got, record[i])
				}
			}
		}
		if more, bad := r.read(); more || bad != nil {
			t.Fatal("there is more")
		}
	})
}

// Every row is an entry the store takes, or a hash, or says why not.
func checkRow(t interface{ Fatalf(string, ...any) }, row Row) {
	e := row.Entry
	if row.Skipped != "" {
		if e != (suppression.Entry{}) {
			t.Fatalf("skipped, but %+v", row)
		}
		return
	}
	if row.Hash.Kind != "" {
		if e.Address != "" {
			t.Fatalf("a hash with an address: %+v", row)
		}
		e.Address = "a@x.test"
	}
	if err := e.Validate(); err != nil || row.Line < 1 || row.Format == "" {
		t.Fatalf("%v: %+v", err, row)
	}
}

// Long texts, controls and broken UTF-8 in a provider's columns end up as valid
// entries.
func TestAnyEvidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		w.Write([]string{"address", "code", "error", "created_at"})
		text := rapid.StringN(0, 2000, 4000).Draw(t, "text") + rapid.SampledFrom([]string{"", "\xff", "\r\n", "\x1b[2J"}).Draw(t, "tail")
		w.Write([]string{"a@x.test", "550", strings.ReplaceAll(text, "\x00", ""), ""})
		w.Flush()
		n := 0
		for row, err := range Read(&b, Options{}) {
			if err != nil {
				t.Fatal(err)
			}
			checkRow(t, row)
			n++
		}
		if n != 1 {
			t.Fatalf("%d rows", n)
		}
	})
}

func pack(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '\n'
	}
	return len(p), nil
}

func TestGzip(t *testing.T) {
	file := pack([]byte("email,created\na@x.test,1760000000\n"))
	if got := story(bytes.NewReader(file), acme(Options{})); !strings.HasPrefix(got, "2 a@x.test unsubscribe") {
		t.Errorf("packed: %s", got)
	}
	if got := story(bytes.NewReader(pack(file)), acme(Options{})); !strings.Contains(got, "packed twice") {
		t.Errorf("packed twice: %s", got)
	}
	if got := story(bytes.NewReader(file[:5]), acme(Options{})); !strings.Contains(got, "cannot be unpacked") {
		t.Errorf("a stump: %s", got)
	}
	if got := story(bytes.NewReader(file[:len(file)-4]), acme(Options{})); !strings.HasSuffix(got, "the file cannot be read on: unexpected EOF: fetch it again; nothing behind this line was read\n") {
		t.Errorf("cut off: %s", got)
	}
	if got := story(bytes.NewReader(file), acme(Options{MaxBytes: 20})); !strings.Contains(got, "larger than is allowed") {
		t.Errorf("too big: %s", got)
	}
	r, w := io.Pipe()
	go func() {
		z := gzip.NewWriter(w)
		_, err := io.Copy(z, io.LimitReader(zeros{}, 1<<30))
		w.CloseWithError(err)
	}()
	if got := story(r, acme(Options{Reason: suppression.Manual})); !strings.Contains(got, "more than 200 times its size") {
		t.Errorf("a bomb: %s", got)
	}
	r.Close()
}

func TestHash(t *testing.T) {
	const of = "ann@example.com"
	if got := (Digest{Kind: MD5, Sum: [32]byte(append(Hash(MD5, " Ann@Example.COM "), make([]byte, 16)...))}); got != digest(MD5, of) {
		t.Error("blanks and case count")
	}
	if got := digest(SHA256, of).String(); got[:8] != "71d4f55f" || len(Hash(SHA256, of)) != 32 {
		t.Errorf("SHA-256 is %s", got)
	}
	if Hash("sha1", of) != nil {
		t.Error("there is a SHA-1")
	}
	tests := []struct {
		listed, recipient string
		found             bool
	}{
		{"ann@example.com", "Ann@Example.com", true},
		{"ann+shop@example.com", "Ann+Shop@example.com", true},
		{"ann@example.com", "ann+shop@example.com", true},
		{"ann@xn--bcher-kva.example", "ann@Bücher.example", true},
		{"ann@bücher.example", "ann@Bücher.example", true},
		{"a.nn@gmail.com", "a.nn@gmail.com", true},
		{"ann@gmail.com", "A.nn@googlemail.com", true},
		{"ann+shop@example.com", "ann@example.com", false},
	}
	for _, tt := range tests {
		a, err := address.Parse(tt.recipient)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{SHA256, MD5} {
			if got := slices.Contains(Digests(kind, a), digest(kind, tt.listed)); got != tt.found {
				t.Errorf("%s of %s for %s: found %v", kind, tt.listed, tt.recipient, got)
			}
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	e := suppression.Entry{Address: "a@x.test", Created: noon.AddDate(20000, 0, 0)}
	for _, format := range []string{CSV, JSONLines} {
		if err := Write(io.Discard, slices.Values([]suppression.Entry{e}), format); err == nil || !strings.Contains(err.Error(), "a@x.test") {
			t.Errorf("%s: the year 22026: %v", format, err)
		}
	}
	if err := Write(io.Discard, slices.Values([]suppression.Entry{e}), "xls"); err == nil || !strings.Contains(err.Error(), "use csv or jsonl") {
		t.Errorf("xls: %v", err)
	}
	for _, format := range []string{CSV, JSONLines} {
		r, w := io.Pipe()
		r.CloseWithError(io.ErrClosedPipe)
		e.Created = noon
		if err := Write(w, slices.Values([]suppression.Entry{e}), format); err != io.ErrClosedPipe {
			t.Errorf("a closed pipe: %v", err)
		}
	}
}

func TestDates(t *testing.T) {
	want := time.Date(2025, 10, 9, 8, 53, 20, 0, time.UTC)
	var k clock
	for _, s := range []string{"1760000000", "1760000000.0", "1760000000000", "2025-10-09T08:53:20Z", "2025-10-09T10:53:20+02:00", "2025-10-09 08:53:20",
		"2025-10-09 08:53:20 UTC", "2025-10-09 08:53:20 +0000 UTC", "2025-10-09 08:53:20+00:00", "2025-10-09T08:53:20", "2025-10-09T08:53:20+0000", "2025/10/09 08:53:20",
		"Thu, 09 Oct 2025 08:53:20 UTC", "Thu, 9 Oct 2025 08:53:20 GMT", "Thu, 09 Oct 2025 03:53:20 -0500", "9 Oct 2025 08:53:20 +0000", "2025-10-09T08:53:20.000Z"} {
		if got, ok := k.read([]byte(s)); !ok || !got.Equal(want) {
			t.Errorf("%q is %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "0", "12345678", "20260302", "03/02/2026", "Thu, 09 Oct 2025 08:53:20 EST", "yesterday", "0000-00-00 00:00:00", "99999999999999999999", "1.2.3", "." + strings.Repeat("1", 20), strings.Repeat("1", 70)} {
		if got, ok := k.read([]byte(s)); ok {
			t.Errorf("%q is %v", s, got)
		}
	}
}

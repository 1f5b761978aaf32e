package content

import (
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
)

// quoted encodes as mailers do.
func quoted(s string) string {
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

func based(s string) string {
	e := base64.StdEncoding.EncodeToString([]byte(s))
	var b strings.Builder
	for len(e) > 76 {
		b.WriteString(e[:76] + "\r\n")
		e = e[76:]
	}
	return b.String() + e + "\r\n"
}

func TestQuotedPrintable(t *testing.T) { // RFC 2045 §6.7
	for _, c := range []struct{ in, want string }{
		{"", ""}, {"a=20\r\n", "a \r\n"}, {"a  \t\r\nb", "a\r\nb"}, {"a=\r\nb", "ab"}, {"a= \t\r\nb", "ab"}, {"a=", "a"}, {"a=\n", "a"},
		{"=3d=3D", "=="}, {"=C3=BC\xc3\xbc", "üü"}, {"=0D=0A", "\r\n"}, {"a\nb", "a\nb"}, {"=\r\n=\r\n", ""},
	} {
		if got, ok := quotedPrintable.appendDecoded(nil, []byte(c.in)); !ok || string(got) != c.want {
			t.Errorf("%q decodes as %q, %v; want %q", c.in, got, ok, c.want)
		}
	}
	for _, bad := range []string{"=X", "=XY", "=4", "a=4\r\n", "==", "=3", "=\rx", "a\rb", "a\r"} {
		if got, ok := quotedPrintable.appendDecoded(nil, []byte(bad)); ok {
			t.Errorf("%q decodes as %q", bad, got)
		}
	}
}

func TestBase64(t *testing.T) { // RFC 2045 §6.8
	for _, bad := range []string{"A", "AAA", "AA==AA==", "A-_A", "AAA\x00A", "AB=="} {
		if got, ok := base64Encoding.appendDecoded(nil, []byte(bad)); ok {
			t.Errorf("%q decodes as %q", bad, got)
		}
	}
	if got, ok := base64Encoding.appendDecoded(nil, []byte(" QU\r\nJD\r\n\r\n")); !ok || string(got) != "ABC" {
		t.Errorf("%q, %v", got, ok)
	}
}

// What is encoded again is what was decoded, to the byte, in lines of at most 76
// characters; other decoders agree.
func FuzzTransfer(f *testing.F) {
	f.Add("a=20b \r\n", "text \r\n.\r\n\xc3\xbc\r\n=\t")
	f.Add("=3D=\r\n\r\n", strings.Repeat("x", 200)+" ")
	f.Fuzz(func(t *testing.T, encoded, text string) {
		if got, ok := quotedPrintable.appendDecoded(nil, []byte(encoded)); ok {
			if theirs, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(encoded))); err == nil && string(theirs) != string(got) {
				t.Fatalf("%q decodes as %q, for others as %q", encoded, got, theirs)
			}
		}
		for _, e := range []encoding{quotedPrintable, base64Encoding} {
			wire := e.appendEncoded(nil, []byte(text))
			if back, ok := e.appendDecoded(nil, wire); !ok || string(back) != text {
				t.Fatalf("%q comes back as %q, %v", text, back, ok)
			}
			for line := range strings.SplitSeq(string(wire), "\r\n") {
				if len(line) > 76 || strings.ContainsAny(line, "\r\n") || strings.TrimRight(line, " \t") != line {
					t.Fatalf("line %q of %q", line, text)
				}
			}
		}
		theirs, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(string(quotedPrintable.appendEncoded(nil, []byte(text))))))
		if err != nil || string(theirs) != text {
			t.Fatalf("others decode %q as %q: %v", text, theirs, err)
		}
	})
}

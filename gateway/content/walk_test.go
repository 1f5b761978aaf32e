package content

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

const (
	link   = `<a href="https://x.test/">x</a>`
	led    = `<a href="[1/1 https://x.test/]">x</a>`
	html78 = "Content-Type: text/html; charset=utf-8\r\n\r\n"
)

// mixed makes a multipart of parts, each with its header.
func mixed(kind, boundary string, parts ...string) string {
	var b strings.Builder
	b.WriteString("Content-Type: multipart/" + kind + "; boundary=\"" + boundary + "\"\r\n\r\n")
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\n" + p + "\r\n")
	}
	return b.String() + "--" + boundary + "--\r\n"
}

// Only what is rewritten differs: each mail is written down in pieces, and of
// these only the ones in <> change.
func TestParts(t *testing.T) {
	text := "Content-Type: text/plain\r\n\r\n" + link + "\r\n"
	for _, c := range []struct {
		name string
		in   string // with the link in it where it is rewritten, and LINK where not
	}{
		{"one part", html78 + link + "\r\n"},
		{"alternative", mixed("alternative", "b", text, html78+"<p>HERE\r\n")},
		{"preamble and epilogue", strings.Replace(mixed("mixed", "b", html78+"HERE"), "\r\n\r\n", "\r\n\r\npreamble LINK\r\n\r\n", 1) + "\r\nepilogue LINK\r\n--b\r\n" + html78 + "LINK"},
		{"nested", mixed("mixed", "out", mixed("related", "in", mixed("alternative", "in in", text, html78+"HERE"), "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"), text)},
		{"boundaries with a common beginning", mixed("mixed", "b", mixed("alternative", "bb", text, html78+"HERE"), mixed("alternative", "b--b", html78+"<p>HERE"))},
		{"no last boundary", strings.TrimSuffix(mixed("mixed", "b", html78+"HERE\r\n"), "\r\n--b--\r\n")},
		{"the inner multipart is never ended", mixed("mixed", "out", strings.TrimSuffix(mixed("alternative", "in", html78+"HERE"), "--in--\r\n"), text)},
		{"white space behind the boundary", strings.ReplaceAll(mixed("mixed", "b", html78+"HERE", text), "--b\r\n", "--b \t\r\n")},
		{"line feeds alone", strings.ReplaceAll(mixed("mixed", "b", html78+"HERE", text), "\r\n", "\n")},
		{"a part without a header", mixed("mixed", "b", "\r\nLINK", html78+"HERE")},
		{"a part that is nothing", mixed("mixed", "b", "") + "--b\r\n"},
		{"a part that is only a header", mixed("mixed", "b", "Content-Type: text/html", html78+"HERE")},
		{"an HTML part of no bytes", mixed("mixed", "b", html78, html78+"HERE")},
		{"dashes", mixed("mixed", "b", html78+"--\r\n--c\r\n--bc\r\n-b\r\nHERE\r\n --b\r\n--b x")},
		{"types in any case", "CONTENT-TYPE : Multipart/Mixed;\r\n\tBOUNDARY=b\r\n\r\n--b\r\ncontent-type:\r\n TEXT/HTML\r\n\r\nHERE\r\n--b--\r\n"},
		{"inline", mixed("mixed", "b", "Content-Disposition: Inline; filename=a.html\r\n"+html78+"HERE")},

		{"an attached page", mixed("mixed", "b", html78+"HERE", "Content-Disposition: attachment; filename=a.html\r\n"+html78+"LINK")},
		{"a disposition nobody knows", mixed("mixed", "b", html78+"HERE", "Content-Disposition: x-save\r\n"+html78+"LINK")},
		{"an attached multipart", mixed("mixed", "b", html78+"HERE", "Content-Disposition: attachment\r\n"+mixed("mixed", "in", html78+"LINK"))},
		{"a forwarded mail", mixed("mixed", "b", html78+"HERE", "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n"+html78+"LINK")},
		{"a forwarded mail of parts", mixed("mixed", "b", html78+"HERE", "Content-Type: message/rfc822\r\n\r\n"+mixed("mixed", "in", html78+"LINK"))},
		{"a signed part", mixed("mixed", "b", mixed("signed", "in", html78+"LINK", "Content-Type: application/pgp-signature\r\n\r\nx"), html78+"HERE")},
		{"another charset beside it", mixed("mixed", "b", "Content-Type: text/html; charset=utf-16\r\n\r\nLINK", html78+"HERE")},
		{"AMP", mixed("alternative", "b", "Content-Type: text/x-amp-html\r\n\r\nLINK", html78+"HERE")},
		{"an encoded multipart is none", mixed("mixed", "b", html78+"HERE", "Content-Transfer-Encoding: base64\r\n"+mixed("mixed", "in", html78+"LINK"))},
	} {
		fill := func(here string) string {
			return "Date: d\r\nMessage-ID: <m@x>\r\n" + strings.ReplaceAll(strings.ReplaceAll(c.in, "LINK", link), "HERE", here)
		}
		s := stored(t, fill(link))
		want := fill(led)
		if c.name == "one part" {
			want = strings.Replace(want, link, led, 1)
		}
		if got := reveal(t, withoutReceived(t, mark(t, marking(t, nil), s, linkMarks), s)); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, want)
		}
	}
}

// untouched is a mail that must not be marked, and why.
type untouched struct{ name, in, reason string }

// Mail that somebody vouches for, and mail in which nothing is there to be
// marked, leaves as it came (design rule 7).
func TestUntouched(t *testing.T) {
	page := html78 + link
	checkUntouched(t, []untouched{
		{"signed by another", "DKIM-Signature: v=1; d=other.test; s=k; h=from; bh=; b=\r\n" + page, UntouchedSigned},
		{"signed with our domain and another selector", "DKIM-Signature: v=1; d=example.com; s=k; h=from; bh=; b=\r\n" + page, UntouchedSigned},
		{"sealed by another", "ARC-Seal: i=1; d=other.test\r\n" + page, UntouchedSigned},
		{"an ARC set", "ARC-Message-Signature: i=1; d=other.test; h=from\r\n" + page, UntouchedSigned},
		{"S/MIME, opaque", "Content-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA", UntouchedProtected},
		{"S/MIME, old name", "Content-Type: application/x-pkcs7-mime\r\n\r\n" + link, UntouchedProtected},
		{"S/MIME, clear", mixed("signed", "b", page, "Content-Type: application/pkcs7-signature\r\n\r\nx"), UntouchedProtected},
		{"PGP, signed", mixed("signed", "b", page, "Content-Type: application/pgp-signature\r\n\r\nx"), UntouchedProtected},
		{"PGP, encrypted", mixed("encrypted", "b", "Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1", page), UntouchedProtected},
		{"signed below a list's parts", mixed("mixed", "b", mixed("signed", "c", page, "Content-Type: application/pgp-signature\r\n\r\nx"), "Content-Type: text/plain\r\n\r\nfooter"), UntouchedProtected},
		{"plain text", "Content-Type: text/plain\r\n\r\n" + link, UntouchedPlain},
		{"no type", "\r\n" + link, UntouchedPlain},
		{"no body", "Content-Type: text/plain\r\n", UntouchedPlain},
		{"no end of the header", "Content-Type: text/html\r\n", UntouchedPlain},
		{"a type nobody can read", "Content-Type: text/html; charset=a; charset=b\r\n\r\n" + link, UntouchedPlain},
		{"a type too long", "Content-Type: text/html; x=" + strings.Repeat("x", 3000) + "\r\n\r\n" + link, UntouchedPlain},
		{"an attachment and nothing else", "Content-Disposition: attachment\r\n" + page, UntouchedPlain},
		{"a mail in it", "Content-Type: message/rfc822\r\n\r\n" + page, UntouchedPlain},
		{"a bounce", mixed("report", "b", page), UntouchedPlain},
		{"no boundary", "Content-Type: multipart/mixed\r\n\r\n--\r\n" + page, UntouchedPlain},
		{"a boundary of 1 KB", mixed("mixed", strings.Repeat("b", 1000), page), UntouchedPlain},
	})
}

// Mail that cannot be read in one way only, and mail over the limits, leaves as
// it came (attacks A16).
func TestUnreadable(t *testing.T) {
	page := html78 + link
	deep := page
	for i := range maxNesting + 1 {
		deep = mixed("mixed", fmt.Sprint("b", i), deep)
	}
	checkUntouched(t, []untouched{
		{"two types", "Content-Type: text/plain\r\n" + page, UntouchedHeader},
		{"two types of a part", mixed("mixed", "b", "Content-Type: text/plain\r\n"+page), UntouchedHeader},
		{"a continuation first", " x\r\n" + page, UntouchedHeader},
		{"UTF-16", "Content-Type: text/html; charset=utf-16le\r\n\r\n" + link, UntouchedEncoding},
		{"UTF-7", "Content-Type: text/html; charset=utf-7\r\n\r\n" + link, UntouchedEncoding},
		{"ISO-2022-JP", "Content-Type: text/html; charset=ISO-2022-JP\r\n\r\n" + link, UntouchedEncoding},
		{"UTF-16 that says it is UTF-8", html78 + "<\x00a\x00", UntouchedEncoding},
		{"an unknown encoding", "Content-Transfer-Encoding: x-uuencode\r\n" + page, UntouchedEncoding},
		{"broken base64", "Content-Transfer-Encoding: base64\r\n" + html78 + "PGEgaH!JlZg==", UntouchedEncoding},
		{"broken quoted-printable", "Content-Transfer-Encoding: quoted-printable\r\n" + html78 + link + "=XX", UntouchedEncoding},
		{"HTML above 1 MiB", html78 + link + strings.Repeat("x", maxHTML), UntouchedLarge},
		{"HTML above 1 MiB in parts", mixed("mixed", "b", html78+link+strings.Repeat("x", maxHTML/2), html78+strings.Repeat("y", maxHTML/2)), UntouchedLarge},
		{"1,001 parts", mixed("mixed", "b", append([]string{page}, strings.Split(strings.Repeat("\r\nx,", maxParts), ",")...)...), UntouchedParts},
		{"101 levels", deep, UntouchedParts},
		{"the same boundary inside", mixed("mixed", "b", mixed("alternative", "b", page)), UntouchedParts},
		{"a header without an end", mixed("mixed", "b", page, strings.Repeat("X: y\r\n", 20000)), UntouchedParts},
		{"a header line of 40 KB", mixed("mixed", "b", page, "X: "+strings.Repeat("y", 40<<10)+"\r\n\r\nx"), UntouchedParts},
		{"2,001 links", html78 + strings.Repeat(link, maxLinks+1), UntouchedLinks},
	})
}

func checkUntouched(t *testing.T, mails []untouched) {
	t.Helper()
	const head = "Date: d\r\nMessage-ID: <m@x>\r\nFrom: a@example.com\r\n"
	marks := gateway.Marks{Pixel: true, Links: true, Hidden: true, Source: 77}
	for _, c := range mails {
		in := head + c.in
		if c.in[0] == ' ' {
			in = c.in // the continuation is to be the first line
		}
		var reasons []string
		composer := marking(t, &reasons, Signer{"example.com", "e", keys()["ed25519"]})
		if c.reason == UntouchedSigned {
			marks.Unsubscribe = true // not even the header is touched
		}
		if left := mark(t, composer, stored(t, in), marks); !strings.HasSuffix(left, "\r\n"+in) {
			t.Errorf("%s: it left as\n%.2000s", c.name, left)
		}
		marks.Unsubscribe = false
		if !slices.Equal(reasons, []string{c.reason}) {
			t.Errorf("%s: untouched for %q, want %q", c.name, reasons, c.reason)
		}
	}
}

// Mail that marks have nothing to do with is not reported.
func TestNothingToTell(t *testing.T) {
	var reasons []string
	c := marking(t, &reasons)
	for _, in := range []string{html78 + "<p>no link", html78 + link} {
		mark(t, c, stored(t, in), linkMarks)
	}
	c.Links.Keys = nil
	mark(t, c, stored(t, html78+link), linkMarks)
	if len(reasons) != 1 || reasons[0] != UntouchedKeys {
		t.Errorf("untouched for %q, want only the missing keys", reasons)
	}
	c.Untouched = nil // nobody wants to know
	mark(t, c, stored(t, html78+link), linkMarks)
	c.Links = nil
	s := stored(t, headed("Content-Type: text/html")+link)
	if left := withoutReceived(t, mark(t, c, s, allMarks), s); left != headed("Content-Type: text/html")+link || len(reasons) != 1 {
		t.Errorf("without Links it left as\n%s", left)
	}
}

// A hostile shape costs no more than its size (attacks A16: 1 s for 10 MB).
func TestHostileBodiesAreFast(t *testing.T) {
	const size = 10 << 20
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	nested := ""
	for i := range maxNesting - 1 {
		nested += fmt.Sprintf("--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n", i, i+1)
	}
	const top = "Content-Type: multipart/mixed; boundary=b0\r\n\r\n"
	for _, c := range []struct{ name, in string }{
		{"10 MB of boundaries", top + fill("--b0\r\n")},
		{"almost boundaries, 100 levels deep", top + nested + fill("--b\r\n")},
		{"long ones", top + nested + fill("--"+strings.Repeat("b", 200)+"\r\n")},
		{"empty lines", top + nested + fill("\r\n")},
		{"one line", top + nested + fill("x")},
		{"one line of HTML", top + "--b0\r\n" + html78 + fill("<a href=http://x.test/>")},
		{"1 MB of HTML: open tags", html78 + fill("<a ")[:maxHTML]},
		{"attributes", html78 + "<a " + fill("b=c ")[:maxHTML-10]},
		{"comments", html78 + fill("<!--")[:maxHTML]},
		{"CDATA", html78 + fill("<![CDATA[")[:maxHTML]},
		{"scripts", html78 + fill("<script><")[:maxHTML]},
		{"entities", html78 + "<a href='http://" + fill("&amp;")[:maxHTML-100] + "'>"},
		{"body ends", html78 + fill("</body>")[:maxHTML]},
		{"2,000 links in one line", html78 + strings.Repeat(link, maxLinks) + fill("x")[:maxHTML/2]},
		{"quoted-printable", "Content-Transfer-Encoding: quoted-printable\r\n" + html78 + fill("=3D")[:3*maxHTML/3*3]},
		{"base64", "Content-Transfer-Encoding: base64\r\n" + html78 + fill("PGEg")[:maxHTML]},
	} {
		s := stored(t, c.in)
		begin := time.Now()
		mark(t, marking(t, nil), s, allMarks)
		if d := time.Since(begin); d > 2*time.Second {
			t.Errorf("%s: %v", c.name, d)
		} else {
			t.Logf("%s: %v", c.name, d)
		}
	}
}

package content

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"tidepost/gateway"
	"tidepost/gateway/token"
)

// decodeAs undoes a transfer encoding as a receiver would.
func decodeAs(t testing.TB, name, s string) string {
	t.Helper()
	var r io.Reader = strings.NewReader(s)
	switch name {
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, s)
	}
	return string(b)
}

// An encoded part is decoded, marked and encoded again; what is around it stays,
// and so does a part in which nothing changes, however it is encoded.
func TestEncodings(t *testing.T) {
	page := "<p>Grüße = \t\r\n" + strings.Repeat("long ", 40) + link + " \r\n\r\n.\r\n"
	for _, e := range []struct {
		name   string
		encode func(string) string
	}{{"quoted-printable", quoted}, {"base64", based}, {"8bit", func(s string) string { return s }}} {
		head := headed("Content-Transfer-Encoding: " + e.name + "\r\nContent-Type: text/html; charset=utf-8")
		s := stored(t, head+e.encode(page))
		body, ok := strings.CutPrefix(withoutReceived(t, mark(t, marking(t, nil), s, linkMarks), s), head)
		if !ok {
			t.Fatalf("%s: the header is changed", e.name)
		}
		if got, want := reveal(t, decodeAs(t, e.name, body)), strings.Replace(page, link, led, 1); got != want {
			t.Errorf("%s:\n%q\nwant\n%q", e.name, got, want)
		}
		for line := range strings.SplitSeq(body, "\r\n") {
			if len(line) > 76 && e.name != "8bit" {
				t.Errorf("%s: a line of %d characters: %s", e.name, len(line), line)
			}
		}
		if !strings.HasSuffix(body, "\r\n") {
			t.Errorf("%s: the last line end is gone", e.name)
		}

		part := "Content-Type: text/html\r\nContent-Transfer-Encoding: " + e.name + "\r\n\r\n"
		same := mixed("mixed", "b", part+e.encode("<p>Grüße\r\n"), part)
		in := headed() // a multipart in which only the second HTML part has a link
		in = strings.TrimSuffix(in, "\r\n") + strings.TrimSuffix(same, "--b--\r\n") + "--b\r\n" + part
		s = stored(t, in+e.encode(link)+"\r\n--b--\r\n")
		left := withoutReceived(t, mark(t, marking(t, nil), s, linkMarks), s)
		rest, ok := strings.CutPrefix(left, in)
		rest, ok2 := strings.CutSuffix(rest, "\r\n--b--\r\n")
		if !ok || !ok2 || strings.TrimRight(reveal(t, decodeAs(t, e.name, rest)), "\r\n") != led {
			t.Errorf("%s in parts: it left as\n%s", e.name, left)
		}
	}
}

// Links that a charset other than UTF-8 would change stay; the others are found
// in any that is like ASCII where tags are.
func TestCharsets(t *testing.T) {
	for _, charset := range []string{"iso-8859-1", "windows-1252", "Shift_JIS", "gb2312", "koi8-r", "\"ISO-8859-15\""} {
		head := headed("Content-Type: text/html; charset=" + charset)
		s := stored(t, head+"\xe4\xf6 "+link+"<a href=\"https://x.test/\xe4\">")
		if got, want := reveal(t, withoutReceived(t, mark(t, marking(t, nil), s, linkMarks), s)), head+"\xe4\xf6 "+led+"<a href=\"https://x.test/\xe4\">"; got != want {
			t.Errorf("%s:\n%q\nwant\n%q", charset, got, want)
		}
	}
}

// Links are counted over all parts; the block stands in the last one.
func TestSeveralPages(t *testing.T) {
	in := mixed("mixed", "b", html78+link+`<a href="http://y.test">`, html78+"</body>"+`<a href="http://z.test">`+link)
	want := mixed("mixed", "b", html78+`<a href="[1/3 https://x.test/]">x</a><a href="[2/3 http://y.test]">`,
		html78+pixelHTML+"\r\n"+hiddenHTML+"\r\n"+`</body><a href="[3/3 http://z.test]"><a href="[1/3 https://x.test/]">x</a>`)
	s := stored(t, strings.TrimSuffix(headed(), "\r\n")+in)
	marks := gateway.Marks{Pixel: true, Links: true, Hidden: true, Source: 77}
	if got := reveal(t, withoutReceived(t, mark(t, marking(t, nil), s, marks), s)); got != strings.TrimSuffix(headed(), "\r\n")+want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
}

// At the limits, but not over them, mail is marked.
func TestAtTheLimits(t *testing.T) {
	deep := html78 + link
	for i := range maxNesting {
		deep = mixed("mixed", fmt.Sprint("b", i), deep)
	}
	for _, c := range []struct{ name, in string }{
		{"100 levels", deep},
		{"1,000 parts", mixed("mixed", "b", append(strings.Split(strings.Repeat("\r\nx,", maxParts-2)+"\r\nx", ","), html78+link)...)},
		{"1 MiB", html78 + link + strings.Repeat("x", maxHTML-len(link))},
		{"2,000 links", html78 + strings.Repeat(link, maxLinks)},
	} {
		var reasons []string
		left := mark(t, marking(t, &reasons), stored(t, c.in), linkMarks)
		if len(reasons) > 0 || !strings.Contains(reveal(t, left), "[1/1 https://x.test/]") {
			t.Errorf("%s: untouched for %q", c.name, reasons)
		}
	}
}

// A retry carries the same links, whenever it is made.
func TestMarksRepeat(t *testing.T) {
	s := stored(t, headed("Content-Type: text/html")+link)
	first := mark(t, marking(t, nil), s, allMarks)
	if again := mark(t, marking(t, nil), s, allMarks); again != first {
		t.Errorf("the second time it is\n%s\nthe first time it was\n%s", again, first)
	}
}

// Rewriting comes before signing: the signature covers what leaves.
func TestMarkedAndSigned(t *testing.T) {
	both := []Signer{{"example.com", "r", keys()["rsa"]}, {"example.com", "e", keys()["ed25519"]}}
	page := "<p>Grüße\r\n" + link + "</body>"
	replaced := "DKIM-Signature: v=1; d=example.com; s=r; h=from; bh=x; b=y\r\nDKIM-Signature: v=1; d=example.com; s=e; h=from; bh=x; b=y\r\n"
	for _, c := range []struct{ name, in string }{
		{"one part", headed("Content-Type: text/html") + page},
		{"quoted-printable", headed("Content-Type: text/html", "Content-Transfer-Encoding: quoted-printable") + quoted(page)},
		{"parts", strings.TrimSuffix(headed(), "\r\n") + mixed("alternative", "b", "\r\ntext", html78+page)},
		{"signatures that ours replace", replaced + headed("Content-Type: text/html") + page},
		{"a newsletter", newsletter()},
	} {
		var reasons []string
		left := mark(t, marking(t, &reasons, both...), stored(t, c.in), allMarks)
		if got := verify(t, left, zone(both...)); len(got) != 2 || len(reasons) > 0 {
			t.Errorf("%s: %d signatures, untouched for %q", c.name, len(got), reasons)
		}
		if !strings.Contains(left, linkURL+"/o/") && !strings.Contains(left, "t=\r\n") && !strings.Contains(c.in, "quoted") {
			t.Errorf("%s: no pixel in\n%s", c.name, left)
		}
	}
}

// Of a large mail only the HTML is in memory; the rest is streamed, and signed
// as it leaves (attacks A16).
func TestLargeMailIsMarked(t *testing.T) {
	const size = 20 << 20
	key := Signer{"example.com", "e", keys()["ed25519"]}
	head := strings.TrimSuffix(headed(), "\r\n") + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + html78 + link + "\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n"
	s := stored(t, head)
	n := &counter{ReaderAt: joined{strings.NewReader(head), io.NewSectionReader(zeros{}, 0, size)}}
	s.ReaderAt, s.Size = n, int64(len(head))+size
	body, total, err := marking(t, nil, key).Compose(context.Background(), s, sentTo, allMarks)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if passes := n.total / size; passes != 2 || n.largest > 64<<10 {
		t.Errorf("Compose read the mail %d times, at most %d bytes at once; want once to find its parts and once to sign it", passes, n.largest)
	}
	first := make([]byte, 4<<10)
	if _, err := io.ReadFull(body, first); err != nil || !strings.Contains(reveal(t, string(first)), led) {
		t.Errorf("%v: it begins with\n%s", err, first)
	}
	rest, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, make([]byte, 64<<10))
	if err != nil || rest+int64(len(first)) != total || total <= s.Size {
		t.Errorf("read %d of %d bytes, of %d stored: %v", rest+int64(len(first)), total, s.Size, err)
	}
}

func TestMarkErrors(t *testing.T) {
	whole := strings.TrimSuffix(headed(), "\r\n") + mixed("mixed", "b", html78+link)
	for _, lost := range []int{1, 20, len(whole) - len(headed()) - 60} {
		s := stored(t, whole)
		s.ReaderAt = strings.NewReader(whole[:len(whole)-lost])
		body, _, err := marking(t, nil).Compose(context.Background(), s, sentTo, allMarks)
		if err == nil {
			_, err = io.ReadAll(body)
			body.Close()
		}
		if err == nil {
			t.Errorf("a mail without its last %d bytes left as if it were whole", lost)
		}
	}
}

// tokens splits HTML as the rewriter does.
func tokens(s string) (raws []string, parsed []html.Token) {
	z := html.NewTokenizer(strings.NewReader(s))
	z.AllowCDATA(true)
	at := 0
	for z.Next() != html.ErrorToken {
		n := len(z.Raw())
		raws, parsed = append(raws, s[at:at+n]), append(parsed, z.Token())
		at += n
	}
	return append(raws, s[at:]), append(parsed, html.Token{})
}

// checkMarked holds HTML as it left against HTML as it came: all tokens are the
// same to the byte, but for the links, and those lead where they led.
func checkMarked(t interface {
	Helper()
	Fatalf(string, ...any)
}, keys *token.Keys, in, left string) (links int) {
	t.Helper()
	before, was := tokens(in)
	after, is := tokens(left)
	if len(before) != len(after) {
		t.Fatalf("%d tokens are %d:\n%q\n%q", len(before), len(after), in, left)
	}
	for i := range before {
		if before[i] == after[i] {
			continue
		}
		if was[i].Data != is[i].Data || was[i].Data != "a" && was[i].Data != "area" || len(was[i].Attr) != len(is[i].Attr) {
			t.Fatalf("%q became %q", before[i], after[i])
		}
		for j, a := range was[i].Attr {
			b := is[i].Attr[j]
			if a == b {
				continue
			}
			sealed, ok := strings.CutPrefix(b.Val, linkURL+"/c/")
			tok, err := keys.Open(token.Click, sealed, noon)
			if !ok || err != nil || a.Key != "href" || b.Key != "href" || tok.Target != strings.Trim(a.Val, " \t\r\n\f") {
				t.Fatalf("%q became %q (%+v, %v)", before[i], after[i], tok, err)
			}
			links++
		}
	}
	return links
}

// Whatever HTML is made of, only links change, and each that should.
func TestRandomPages(t *testing.T) {
	keys := linkKeys(t)
	rapid.Check(t, func(t *rapid.T) {
		inert := rapid.SampledFrom([]string{"text ", "<p>", "</p", "<br/>", "<!-- <a href='http://c.test/'> -->", "<script>'<a href=http://s.test/>'</script>", "<STYLE>a{}</STYLE>",
			"&amp;&copy", "<td bgcolor=#fff>", "</body>", "\r\n", "<img src=\"http://i.test/\">", "<a href=#x>", "<a name='y'>", "<![CDATA[<a href='http://d.test'>]]>", "ü", "<b", "<a href='mailto:a@b'>", "'\">"})
		target := rapid.SampledFrom([]string{"http://a.test/", "https://b.test/?x=1&amp;y=2", "HTTPS://c.test:8/ü#f", "https://d.test/%20?copy=1&copy=2"})
		form := rapid.SampledFrom([]string{`<a href="%s">`, `<A class=x HREF = '%s' >`, `<area href=%s>`, "<a\r\nhref=\r\n\" %s \"title='>'>"})
		var b strings.Builder
		for range rapid.IntRange(0, 30).Draw(t, "pieces") {
			if rapid.Bool().Draw(t, "link") {
				fmt.Fprintf(&b, form.Draw(t, "form"), target.Draw(t, "target"))
			} else {
				b.WriteString(inert.Draw(t, "inert"))
			}
		}
		in := b.String()
		_, parsed := tokens(in)
		want := 0
		for _, tok := range parsed {
			for _, a := range tok.Attr {
				if (tok.Data == "a" || tok.Data == "area") && a.Key == "href" && strings.Contains(strings.ToLower(a.Val), "http") && !strings.ContainsAny(strings.Trim(a.Val, " "), " <>\r\n\"'") {
					want++
				}
			}
		}
		if got := checkMarked(t, keys, in, pageMarked(keys, quotedPrintable, in, linkMarks)); got != want {
			t.Fatalf("%d links are rewritten, want %d:\n%s", got, want, in)
		}
	})
}

package content

import (
	"strings"
	"testing"

	"tidepost/gateway"
	"tidepost/gateway/token"
)

// marked returns HTML as it leaves, with our links revealed.
func marked(t testing.TB, html string, marks gateway.Marks) string {
	t.Helper()
	head := headed("Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: 8bit", "List-Unsubscribe: <https://esp.test/u/1?a=b&c=d>, <mailto:u@esp.test>")
	s := stored(t, head+html)
	left := reveal(t, withoutReceived(t, mark(t, marking(t, nil), s, marks), s))
	rest, ok := strings.CutPrefix(left, head)
	if !ok {
		t.Fatalf("the header is changed:\n%s", left)
	}
	return rest
}

func TestLinks(t *testing.T) {
	long := "https://x.test/" + strings.Repeat("x", 2000)
	for _, c := range []struct{ name, in, want string }{
		{"one", `<p><a href="https://x.test/">x</a>`, `<p><a href="[1/1 https://x.test/]">x</a>`},
		{"numbers, the same link once", `<a href="http://a.test">a</a><a href='http://b.test'>b</a><A HREF=http://a.test>a</A>`,
			`<a href="[1/2 http://a.test]">a</a><a href='[2/2 http://b.test]'>b</a><A HREF=[1/2 http://a.test]>a</A>`},
		{"entities", `<a href="https://x.test/?a=1&amp;b=2&copy=3&#x2F;">x</a>`, `<a href="[1/1 https://x.test/?a=1&b=2&copy=3/]">x</a>`},
		{"upper case, odd spaces", "<A\r\n\tCLASS = x HREF\n=\n\"HTTPS://X.test/\"  TARGET=_blank >x</A >", "<A\r\n\tCLASS = x HREF\n=\n\"[1/1 HTTPS://X.test/]\"  TARGET=_blank >x</A >"},
		{"white space around", `<a href="  https://x.test/ ">x</a>`, `<a href="[1/1 https://x.test/]">x</a>`},
		{"unquoted before >", `<a href=https://x.test/a/>x</a>`, `<a href=[1/1 https://x.test/a/]>x</a>`},
		{"no space before it", `<a class="b"href="https://x.test/">x</a>`, `<a class="b"href="[1/1 https://x.test/]">x</a>`},
		{"slashes", `<a/href="https://x.test/"/>x</a>`, `<a/href="[1/1 https://x.test/]"/>x</a>`},
		{"> in an attribute", `<a title="a>b" href="https://x.test/">x</a>`, `<a title="a>b" href="[1/1 https://x.test/]">x</a>`},
		{"the first href counts", `<a href="https://x.test/" href="https://y.test/">x</a>`, `<a href="[1/1 https://x.test/]" href="https://y.test/">x</a>`},
		{"like href", `<a data-href="https://x.test/" hrefs="https://x.test/" href="https://y.test/">x</a>`, `<a data-href="https://x.test/" hrefs="https://x.test/" href="[1/1 https://y.test/]">x</a>`},
		{"an image map", `<map><area shape=rect href="https://x.test/" alt=""></map>`, `<map><area shape=rect href="[1/1 https://x.test/]" alt=""></map>`},
		{"inside what is never closed", `<table><tr><td><p><a href="https://x.test/">x<td></table></p></a></b>`, `<table><tr><td><p><a href="[1/1 https://x.test/]">x<td></table></p></a></b>`},
		{"international", `<a href="https://bücher.test/ä?ö=&uuml;">x</a>`, `<a href="[1/1 https://bücher.test/ä?ö=ü]">x</a>`},
		{"shown to all but Outlook", `<!--[if !mso]><!--><a href="https://x.test/">x</a><!--<![endif]-->`, `<!--[if !mso]><!--><a href="[1/1 https://x.test/]">x</a><!--<![endif]-->`},
		{"beside the ESP's own", `<a href="https://x.test/">x</a><a href="https://esp.test/u/1?a=b&amp;c=d">unsubscribe</a>`, `<a href="[1/1 https://x.test/]">x</a><a href="https://esp.test/u/1?a=b&amp;c=d">unsubscribe</a>`},
		{"as long as it may be", `<a href="` + long[:500] + `">x</a>`, `<a href="[1/1 ` + long[:500] + `]">x</a>`},

		{"nothing", ``, ``},
		{"no link", `<p>https://x.test/</p>`, `<p>https://x.test/</p>`},
	} {
		if got := marked(t, c.in, linkMarks); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	for _, same := range []string{
		`<a href="mailto:a@b.test">`, `<a href="tel:+49123">`, `<a href="sms:1">`, `<a href="#top">`, `<a href="cid:1">`, `<a href="javascript:alert(1)">`, `<a href="">`, `<a href>`, `<a href=>`, `<a name=x>`, `<a>`,
		`<base href="https://x.test/"><a href="page">`, `<a href="/page">`, `<a href="//x.test/">`, `<a href="ftp://x.test/">`, `<a href="https:x.test">`, `<a href="https:/x.test">`, `<a href="https://">`, `<a href="https://:80/">`,
		`<a data-tidepost="off" href="https://x.test/">`, `<a href="https://x.test/" DATA-Tidepost=OFF>`,
		`<a href="https://u:p@x.test/">`, `<a href="https://x.test@evil.test/">`, `<a href="https:\\x.test/">`, `<a href="https://x.test/\a">`, "<a href=\"https://x.test/\r\na\">", "<a href=\"https://x.test/&#10;a\">", "<a href=\"https://x.test/\ta\">", `<a href="https://x.test/a b">`, "<a href=\"https://x.test/\x7f\">", `<a href="https://x.test/%zz">`,
		`<a href="https://x.test/{{ unsubscribe }}">`, `<a href="{{url}}">`, `<a href="https://x.test/*|ID|*">`, `<a href="https://x.test/${id}">`, `<a href="https://x.test/?id=%%id%%">`,
		`<a href="` + long + `">`, `<a href="https://t.example/p/abc">`, `<a href="HTTPS://T.EXAMPLE/u/abc">`, `<a href="https://esp.test/u/1?a=b&c=d">`,
		`<link href="https://x.test/">`, `<abbr href="https://x.test/">`, `<img src="https://x.test/">`, `<form action="https://x.test/">`, `<v:roundrect href="https://x.test/">`,
		`<!-- <a href="https://x.test/"> -->`, `<!--[if mso]><a href="https://x.test/">x</a><![endif]-->`, `<script>"<a href='https://x.test/'>"</script>`, `<style>/*<a href="https://x.test/">*/</style>`, `<title><a href="https://x.test/"></title>`, `<textarea><a href="https://x.test/"></textarea>`,
		`<![CDATA[ > <a href="https://x.test/"> ]]>`, `<xmp><a href="https://x.test/"></xmp>`, `<plaintext><a href="https://x.test/">`,
		`<a href="https://x.test/`, `<a href="https://x.test/"`, `<a href='https://x.test/">`, "<a href=\"https://x.test/\xff\">",
		`</a href="https://x.test/">`, `< a href="https://x.test/">`, `<a ="x" href`, `<`, `<a`, `<!`, `</`, `<?xml <a href="https://x.test/"`,
	} {
		if got := marked(t, same, linkMarks); got != same {
			t.Errorf("%s\nleaves as\n%s", same, got)
		}
	}
}

func TestPixel(t *testing.T) {
	pixel := gateway.Marks{Pixel: true, Source: 77}
	hidden := gateway.Marks{Hidden: true, Source: 77}
	both := gateway.Marks{Pixel: true, Hidden: true, Source: 77}
	for _, c := range []struct {
		name     string
		marks    gateway.Marks
		in, want string
	}{
		{"before the end of the body", pixel, "<body>x</body></html>", "<body>x\r\n" + pixelHTML + "\r\n</body></html>"},
		{"on a line of its own", pixel, "<body>\r\n</BODY >", "<body>\r\n" + pixelHTML + "\r\n</BODY >"},
		{"the last of several", pixel, "a</body>b</body>c", "a</body>b\r\n" + pixelHTML + "\r\n</body>c"},
		{"no end of the body", pixel, "<p>x\r\n", "<p>x\r\n" + pixelHTML + "\r\n"},
		{"in a comment it is none", pixel, "<p>x<!-- </body> -->", "<p>x<!-- </body> -->\r\n" + pixelHTML + "\r\n"},
		{"not into a tag without an end", pixel, `<p>x<a href="`, "<p>x\r\n" + pixelHTML + "\r\n" + `<a href="`},
		{"an empty part", pixel, "", pixelHTML + "\r\n"},
		{"the hidden link", hidden, "x</body>", "x\r\n" + hiddenHTML + "\r\n</body>"},
		{"both", both, "x</body>", "x\r\n" + pixelHTML + "\r\n" + hiddenHTML + "\r\n</body>"},
		{"a link behind it", gateway.Marks{Pixel: true, Links: true, Source: 77}, `x</body><a href="http://x.test">`, "x\r\n" + pixelHTML + "\r\n" + `</body><a href="[1/1 http://x.test]">`},
	} {
		if got := marked(t, c.in, c.marks); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// No line grows over 998 characters by our doing (RFC 5322 §2.1.1): it is broken
// inside the tag, where white space means nothing.
func TestLongLines(t *testing.T) {
	text := strings.Repeat("x", 300)
	in := strings.Repeat(`<a href="https://x.test/`+text[:100]+`">`+text[:50]+`</a><a href=https://y.test/>`+text[:20]+`</a>`, 5)
	head := headed("Content-Type: text/html")
	left := mark(t, marking(t, nil), stored(t, head+in), allMarks)
	for line := range strings.SplitSeq(left, "\r\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
	_, body, _ := strings.Cut(left, "\r\n\r\n")
	if got := reveal(t, body); strings.Count(got, "/2 https://") != 10 {
		t.Errorf("of ten links\n%s", got)
	}
	if !strings.Contains(body, "href=\r\n\"https://t.example/c/") {
		t.Errorf("no line is broken in\n%s", body)
	}
}

// A break that a long line needs makes no boundary of what follows it.
func TestBreaksMakeNoBoundary(t *testing.T) {
	in := mixed("mixed", "b", html78+strings.Repeat("x", 990)+`<a href="https://x.test/"--b`+"\r\n>")
	want := strings.Replace(in, `"https://x.test/"`, "\r\n\"[1/1 https://x.test/]\"\r\n ", 1)
	s := stored(t, strings.TrimSuffix(headed(), "\r\n")+in)
	if got := reveal(t, withoutReceived(t, mark(t, marking(t, nil), s, linkMarks), s)); !strings.HasSuffix(got, want) {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
}

// pageMarked is a page as it leaves, for checks that run often.
func pageMarked(keys *token.Keys, e encoding, in string, marks gateway.Marks) string {
	m := &marker{Marks: marks, url: linkURL, keys: keys, accepted: noon}
	p := page{entity: entity{kind: hypertext, encoding: e, utf8: true}, text: []byte(in)}
	m.scan(&p, true)
	return string(p.appendMarked(nil, m.addresses()))
}

// Of any bytes only the links change, each into one that leads where it led, and
// the block can be cut out again.
func FuzzRewriteHTML(f *testing.F) {
	f.Add(`<p>a<a class=x href="https://x.test/?a=1&amp;b">x</a><!-- <a href=http://c.test> --></body></html>`)
	f.Add("<A\r\nHREF\n=\n' http://x.test/ '/><area href=http://y.test/><a href=http://y.test/ href=http://z.test>")
	f.Add("<script><a href=http://x.test></script><![CDATA[<a href='http://x.test'>]]><a ='x' href=http://x.test/\xff")
	f.Add("<a href=\"http://" + strings.Repeat("x", 900) + "\"--b><a href=http://x.test/>" + strings.Repeat("y", 990))
	keys := linkKeys(f)
	f.Fuzz(func(t *testing.T, in string) {
		for _, e := range []encoding{identity, quotedPrintable} {
			checkMarked(t, keys, in, pageMarked(keys, e, in, linkMarks))
		}
		left := pageMarked(keys, identity, in, gateway.Marks{Pixel: true, Hidden: true})
		before, rest, ok := strings.Cut(left, `<img src="`+linkURL+"/o/")
		_, after, ok2 := strings.Cut(rest, `rel="nofollow"></a>`+"\r\n")
		if !ok || !ok2 || before+after != in && strings.TrimSuffix(before, "\r\n")+after != in {
			t.Fatalf("%q leaves as %q", in, left)
		}
	})
}

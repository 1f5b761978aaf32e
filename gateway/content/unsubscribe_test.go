package content

import (
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

const post = "List-Unsubscribe-Post: List-Unsubscribe=One-Click"

func TestOneClick(t *testing.T) { // RFC 8058 §3.1
	for _, c := range []struct {
		name   string
		header []string
		want   string
	}{
		{"as listmonk writes it", []string{"List-Unsubscribe: <https://l.test/u/1>", post}, "https://l.test/u/1"},
		{"the Post field first", []string{post, "List-Unsubscribe: <https://l.test/u/1>"}, "https://l.test/u/1"},
		{"mailto beside it", []string{"List-Unsubscribe: <mailto:u@l.test?subject=x>, <https://l.test/u?a=b,c&d=e>", post}, "https://l.test/u?a=b,c&d=e"},
		{"folded, commented, in any case", []string{"LIST-UNSUBSCRIBE : (push (me\\) <https://no.test/>))\r\n\t<mailto:u@l.test> (or) ,\r\n <https://l.test/\r\n u/1>",
			"list-unsubscribe-post:\r\n list-unsubscribe=\r\n\tone-click (RFC 8058)"}, "https://l.test/u/1"},
		{"parentheses in the address", []string{"List-Unsubscribe: <https://l.test/u(1)>", post}, "https://l.test/u(1)"},
		{"no brackets", []string{"List-Unsubscribe: https://l.test/u/1", post}, "https://l.test/u/1"},
		{"two of them: the first", []string{"List-Unsubscribe: <https://a.test/>, <https://b.test/>", post}, "https://a.test/"},
		{"two fields", []string{"List-Unsubscribe: <mailto:u@l.test>", "List-Unsubscribe: <https://b.test/>", post}, "https://b.test/"},

		{"no Post field", []string{"List-Unsubscribe: <https://l.test/u/1>"}, ""},
		{"another Post field", []string{"List-Unsubscribe: <https://l.test/u/1>", "List-Unsubscribe-Post: List-Unsubscribe=Two-Clicks"}, ""},
		{"mailto alone", []string{"List-Unsubscribe: <mailto:u@l.test>", post}, ""},
		{"http", []string{"List-Unsubscribe: <http://l.test/u/1>", post}, ""},
		{"the Post field alone", []string{post}, ""},
		{"in the body", []string{"", "List-Unsubscribe: <https://l.test/u/1>", post}, ""},
		{"in a comment", []string{"List-Unsubscribe: (<https://l.test/u/1>)", post}, ""},
		{"never closed", []string{"List-Unsubscribe: <https://l.test/u/1", post}, ""},
		{"a user", []string{"List-Unsubscribe: <https://u:p@l.test/>", post}, ""},
		{"no host", []string{"List-Unsubscribe: <https:///u>", post}, ""},
		{"a backslash", []string{`List-Unsubscribe: <https:\\l.test\u>`, post}, ""},
		{"control characters", []string{"List-Unsubscribe: <https://l.test/\x00\x1b>", post}, ""},
		{"not ASCII", []string{"List-Unsubscribe: <https://l.test/\xc3\xbc>", post}, ""},
		{"too long", []string{"List-Unsubscribe: <https://l.test/" + strings.Repeat("x", 2000) + ">", post}, ""},
		{"behind 20 others", []string{"List-Unsubscribe: " + strings.Repeat("<mailto:a@b>,", 20) + "<https://l.test/>", post}, ""},
		{"nothing", nil, ""},
	} {
		if got := OneClick([]byte(message("", c.header...))); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// One List-Unsubscribe and one Post field leave, whatever came (attacks H6).
func TestUnsubscribeFields(t *testing.T) {
	const ours = "List-Unsubscribe: <[unsubscribe]>"
	marks := gateway.Marks{Unsubscribe: true, Source: 77}
	for _, c := range []struct {
		name     string
		in, want []string
	}{
		{"none", nil, []string{ours, post}},
		{"one-click: ours in its place, and we call it", []string{"List-Unsubscribe: <https://l.test/u>", post}, []string{ours, post}},
		{"one-click, mailto stays", []string{"List-Unsubscribe: <mailto:u@l.test>,\r\n <https://l.test/u>, <http://l.test/u>", post},
			[]string{ours + ",\r\n\t<mailto:u@l.test>", post}},
		{"mailto alone", []string{"List-Unsubscribe: <mailto:u@l.test>"}, []string{ours + ",\r\n\t<mailto:u@l.test>", post}},
		{"a page", []string{"List-Unsubscribe: <https://l.test/u>"}, []string{ours + ",\r\n\t<https://l.test/u>", post}},
		{"a Post field that belongs to nothing", []string{post}, []string{ours, post}},
		{"doubled by somebody", []string{"List-Unsubscribe: <mailto:a@l.test>", "list-unsubscribe: <mailto:b@l.test>", post, post},
			[]string{ours + ",\r\n\t<mailto:a@l.test>,\r\n\t<mailto:b@l.test>", post}},
		{"one of ours", []string{"List-Unsubscribe: <https://T.example/u/old>"}, []string{ours, post}},
		{"no address", []string{"List-Unsubscribe: NO"}, []string{ours + ",\r\n\t<NO>", post}},
		{"a line too long", []string{"List-Unsubscribe: <mailto:u@" + strings.Repeat("x", 995) + ">"}, []string{ours, post}},
	} {
		s := stored(t, headed(c.in...)+"body\r\n")
		got := reveal(t, withoutReceived(t, mark(t, marking(t, nil), s, marks), s))
		if want := strings.Join(c.want, "\r\n") + "\r\n" + headed() + "body\r\n"; got != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, want)
		}
	}
}

// Both fields are in h= of our signature (RFC 8058 §4).
func TestUnsubscribeIsSigned(t *testing.T) {
	k := Signer{"example.com", "e", keys()["ed25519"]}
	left := mark(t, marking(t, nil, k), stored(t, newsletter()), allMarks)
	if got := verify(t, left, zone(k)); len(got) != 1 {
		t.Fatalf("signatures of %q", got)
	}
	for _, field := range []string{"List-Unsubscribe: ", "List-Unsubscribe-Post: "} {
		if n := strings.Count(left, "\r\n"+field); n != 1 {
			t.Errorf("%d of %s", n, field)
		}
	}
	names := strings.ToLower(string(tag([]byte(left[:strings.Index(left, "Received:")]), 'h')))
	for _, want := range []string{"list-unsubscribe", "list-unsubscribe-post"} {
		n := 0
		for name := range strings.SplitSeq(names, ":") {
			if strings.TrimSpace(name) == want {
				n++
			}
		}
		if n != 2 { // once, and once more so that nobody adds one
			t.Errorf("%s is %d times in h=%s", want, n, names)
		}
	}
}

// What is read of a hostile field costs no more than its size.
func TestHostileListUnsubscribe(t *testing.T) {
	for _, field := range []string{strings.Repeat("(", MaxHeader), strings.Repeat("<a>", MaxHeader/3), strings.Repeat("(\\", MaxHeader/2), strings.Repeat("<", MaxHeader)} {
		begin := time.Now()
		if got := OneClick([]byte("List-Unsubscribe: " + field + "\r\n" + post + "\r\n\r\n")); got != "" {
			t.Errorf("%.20s: %q", field, got)
		}
		if d := time.Since(begin); d > 100*time.Millisecond {
			t.Errorf("%.20s takes %v", field, d)
		}
	}
}

func FuzzOneClick(f *testing.F) {
	f.Add([]byte(newsletter()))
	f.Add([]byte("List-Unsubscribe: (a) <mailto:a@b>,\r\n <https://l.test/\r\n u>\r\n" + post + "\r\n\r\n"))
	f.Add([]byte("List-Unsubscribe: https://l.test/u(1)\r\n" + post + "\r\n\r\n"))
	f.Fuzz(func(t *testing.T, header []byte) {
		u := OneClick(header)
		if u != "" && (!strings.HasPrefix(strings.ToLower(u), "https://") || strings.ContainsAny(u, "\r\n \t<>\\\"") || len(u) > maxListURI || !isASCII(u)) {
			t.Fatalf("%q is to be called", u)
		}
		h := survey(header, "gw")
		l, _ := readListUnsubscribe(header)
		if len(l.uris) > maxListURIs {
			t.Fatalf("%d addresses", len(l.uris))
		}
		if h.orphan || h.signed || len(header) > MaxHeader || len(h.signatures) > 0 || h.chained {
			return
		}
		left := mark(t, marking(t, nil), stored(t, string(header)), gateway.Marks{Unsubscribe: true, Source: 77})
		s := scanner{b: []byte(left)}
		counts := map[string]int{}
		for field, ok := s.next(); ok; field, ok = s.next() {
			counts[strings.ToLower(string(field.name))]++
		}
		if counts["list-unsubscribe"] != 1 || counts["list-unsubscribe-post"] != 1 {
			t.Fatalf("%q leaves with %v", header, counts)
		}
	})
}

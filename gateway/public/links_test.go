package public

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/token"
	"tidepost/scheduler/evidence"
)

func TestPixel(t *testing.T) {
	w := newWorld(t, nil)
	path := w.seal(token.Open, nil)
	a := w.get(path, "User-Agent", "Thunderbird")
	if a.StatusCode != 200 || a.text != pixelGIF || len(a.text) != 43 || a.Header.Get("Content-Type") != "image/gif" {
		t.Errorf("%s, %d bytes of %s", a.Status, len(a.text), a.Header.Get("Content-Type"))
	}
	if c := a.Header.Get("Cache-Control"); !strings.Contains(c, "no-store") {
		t.Errorf("Cache-Control: %s", c)
	}
	s := w.only()
	if s.Kind != gateway.SignalOpened || s.Tenant != "acme" || s.Mailbox != ann || s.Source != "pixel" || !s.At.Equal(noon) ||
		s.Message != (gateway.DeliveryID{Message: w.tok.Message, Ordinal: 7}).String() {
		t.Errorf("told %+v", s)
	}
	want := evidence.Request{At: noon, Action: evidence.Open, Method: "GET", UserAgent: "Thunderbird", Known: true, Addr: netip.MustParseAddr("127.0.0.1")}
	if s.Seen == nil || *s.Seen != want {
		t.Errorf("seen %+v, want %+v", s.Seen, want)
	}
	if a = w.send("HEAD", path, ""); a.StatusCode != 200 || a.text != "" || a.ContentLength != 43 {
		t.Errorf("HEAD: %s, %d", a.Status, a.ContentLength)
	}
	if s = w.only(); s.Seen.Method != "HEAD" {
		t.Errorf("HEAD is told as %s", s.Seen.Method)
	}
	w.told.breakWith(errDisk)
	if a = w.get(path); a.StatusCode != 200 || a.text != pixelGIF {
		t.Errorf("without a store: %s", a.Status)
	}
}

func TestClick(t *testing.T) {
	w := newWorld(t, nil)
	click := func(target string) string {
		return w.seal(token.Click, func(x *token.Token) { x.Link, x.Links, x.Hidden, x.Target = 3, 12, true, target })
	}
	path := click("https://shop.example.com/a?b=c&d=%20#e")
	for _, method := range []string{"GET", "HEAD"} {
		a := w.send(method, path, "")
		if a.StatusCode != 302 || a.Header.Get("Location") != "https://shop.example.com/a?b=c&d=%20#e" || a.text != "" {
			t.Errorf("%s: %s to %s", method, a.Status, a.Header.Get("Location"))
		}
		if a.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: the token leaks to the target: %s", method, a.Header.Get("Referrer-Policy"))
		}
		s := w.only()
		if s.Kind != gateway.SignalClicked || s.Link != "3" || s.Seen.Link != 3 || s.Seen.Links != 12 || !s.Seen.Hidden || s.Seen.Method != method {
			t.Errorf("%s told %+v, %+v", method, s, s.Seen)
		}
	}
	if a := w.send("POST", path, ""); a.StatusCode != 405 || a.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %s, Allow %s", a.Status, a.Header.Get("Allow"))
	}
	w.told.breakWith(errDisk)
	if a := w.get(path); a.StatusCode != 302 {
		t.Errorf("without a store the reader gets %s", a.Status)
	}
	w.told.breakWith(nil)
	clear(w.shelf.boxes)
	if a := w.get(path); a.StatusCode != 302 {
		t.Errorf("of a mailbox that was erased: %s", a.Status)
	}
	w.silence("of a mailbox that was erased")
}

// Only the address inside the token is gone to, and only over HTTP (attacks H4).
func TestClickLeadsOnlyToTheWeb(t *testing.T) {
	w := newWorld(t, nil)
	for target, want := range map[string]string{
		"https://example.com":               "https://example.com",
		"HTTP://EXAMPLE.com/X":              "HTTP://EXAMPLE.com/X",
		"https://example.com/größe b":       "https://example.com/gr%C3%B6%C3%9Fe%20b",
		"javascript:alert(1)":               "",
		"data:text/html,x":                  "",
		"//evil.example":                    "",
		"/local":                            "",
		`https:\evil.example`:               "",
		`https:\\evil.example`:              "",
		`https://good.example\@evil`:        "",
		"https://":                          "",
		"https:///x":                        "",
		"https://:80/":                      "",
		"https://x.example/\r\nSet-Cookie:": "",
		"https://x.example/\x00":            "",
		"mailto:a@b.example":                "",
	} {
		a := w.get(w.seal(token.Click, func(x *token.Token) { x.Target = target }))
		if got := a.Header.Get("Location"); got != want || a.StatusCode != map[bool]int{true: 302, false: 404}[want != ""] {
			t.Errorf("%q: %s to %q, want %q", target, a.Status, got, want)
		}
		if h := a.Header.Get("Set-Cookie"); h != "" {
			t.Errorf("%q sets a cookie", target)
		}
	}
}

// Whatever was not made by us, or for something else, is answered as what never
// existed (attacks H4).
func TestForgedLinksTeachNothing(t *testing.T) {
	w := newWorld(t, nil)
	nothing := w.get("/nothing/here")
	if nothing.StatusCode != 404 {
		t.Fatalf("an unknown path is %s", nothing.Status)
	}
	flip := func(s string, i int) string {
		if s[i] == 'A' {
			return s[:i] + "B" + s[i+1:]
		}
		return s[:i] + "A" + s[i+1:]
	}
	target := func(x *token.Token) { x.Target = "https://shop.example" }
	open, click, unsub, prefs := w.seal(token.Open, nil), w.seal(token.Click, target), w.seal(token.Unsubscribe, nil), w.seal(token.Preferences, nil)
	for _, tt := range []struct{ story, method, path string }{
		{"a byte of the key's name is changed", "GET", flip(click, 3)},
		{"a byte of the MAC is changed", "GET", flip(click, 10)},
		{"a byte of the payload is changed", "GET", flip(click, len(click)-5)},
		{"the MAC is cut away", "GET", "/c/" + click[3+22:]},
		{"the end is cut away", "GET", click[:len(click)-4]},
		{"something is put behind it", "GET", click + "AAAA"},
		{"the pixel's token as a click", "GET", "/c/" + open[3:]},
		{"the click's token as a pixel", "GET", "/o/" + click[3:]},
		{"the pixel's token unsubscribes", "POST", "/u/" + open[3:]},
		{"the preference page's token unsubscribes", "POST", "/u/" + prefs[3:]},
		{"the unsubscribe token opens the preference page", "GET", "/p/" + unsub[3:]},
		{"an id is guessed", "POST", "/u/12345"},
		{"the token is escaped", "GET", "/c/%" + "41" + click[4:]},
		{"dots", "GET", "/o/../" + click[1:]},
		{"doubled slashes", "GET", "/" + click},
		{"a slash behind it", "GET", click + "/"},
		{"the admin API", "GET", "/api/v1/status"},
		{"the metrics", "GET", "/metrics"},
		{"the profiler", "GET", "/debug/pprof/"},
		{"very long", "GET", "/c/" + strings.Repeat("A", 6000)},
	} {
		a := w.send(tt.method, tt.path, "List-Unsubscribe=One-Click", "Content-Type", "application/x-www-form-urlencoded")
		if a.StatusCode != 404 || a.text != nothing.text {
			t.Errorf("%s: %s, the same page: %v", tt.story, a.Status, a.text == nothing.text)
		}
		for _, name := range []string{"Content-Type", "Content-Length", "Cache-Control", "Content-Security-Policy"} {
			if a.Header.Get(name) != nothing.Header.Get(name) {
				t.Errorf("%s: %s is %q", tt.story, name, a.Header.Get(name))
			}
		}
	}
	w.silence("forged links")
	if strings.Contains(w.log.String(), click[3:20]) {
		t.Error("the log has a token")
	}
}

func TestExpiredLinks(t *testing.T) {
	w := newWorld(t, nil)
	target := func(x *token.Token) { x.Target = "https://shop.example" }
	paths := []string{w.seal(token.Open, nil), w.seal(token.Click, target), w.seal(token.Preferences, nil)}
	unsubscribe := w.seal(token.Unsubscribe, nil)
	w.pass(400 * 24 * time.Hour)
	for _, p := range paths {
		if a := w.get(p); a.StatusCode != http.StatusGone || a.Header.Get("Location") != "" {
			t.Errorf("%s: %s", p[:3], a.Status)
		}
	}
	w.silence("links whose time is over")
	// An objection is never too late.
	a := w.get(unsubscribe)
	if a.StatusCode != 200 || strings.Contains(a.text, "/p/") {
		t.Errorf("the confirm page is %s, with a link to choices: %v", a.Status, strings.Contains(a.text, "/p/"))
	}
	if a = w.form(unsubscribe, "List-Unsubscribe=One-Click"); a.StatusCode != 200 {
		t.Errorf("a late unsubscribe: %s", a.Status)
	}
	w.only()
}

func TestTenantOutOfTheConfiguration(t *testing.T) {
	w := newWorld(t, func(w *world) { w.Tenants = func(name string) bool { return name != "acme" } })
	if a := w.get(w.seal(token.Open, nil)); a.StatusCode != 200 {
		t.Error(a.Status)
	}
	w.silence("an open of mail of a tenant that is gone")
	w.form(w.seal(token.Unsubscribe, nil), "List-Unsubscribe=One-Click")
	w.only() // permission comes first
}

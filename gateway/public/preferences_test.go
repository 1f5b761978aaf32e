package public

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/token"
)

func TestChoices(t *testing.T) {
	w := newWorld(t, nil)
	path := w.seal(token.Preferences, nil)
	for _, tt := range []struct {
		choice, holds, undo string
		kind                gateway.SignalKind
		list                string
		wish                gateway.Wish
	}{
		{choice: "stop-list", kind: gateway.SignalUnsubscribed, list: "news.acme.example", holds: "gets no more mail of the list"},
		{choice: "stop-all", kind: gateway.SignalUnsubscribed, holds: "gets no more newsletters"},
		{choice: "pause", kind: gateway.SignalConsent, wish: gateway.Wish{Until: noon.Add(30 * 24 * time.Hour)}, holds: "until 22 December 2026", undo: "resume"},
		{choice: "less", kind: gateway.SignalConsent, wish: gateway.Wish{PerWeek: 1}, holds: "at most one", undo: "resume"},
		{choice: "unseen", kind: gateway.SignalConsent, wish: gateway.Wish{Evidence: "none"}, holds: "not used any more", undo: "seen"},
		{choice: "seen", kind: gateway.SignalConsent, wish: gateway.Wish{Evidence: "full"}, holds: "may be used again", undo: "unseen"},
		{choice: "resume", kind: gateway.SignalConsent, wish: gateway.Wish{Resume: true}, holds: "as usual"},
	} {
		a := w.form(path, "choice="+tt.choice, "Sec-Fetch-Site", "same-origin")
		if a.StatusCode != 200 || !strings.Contains(a.text, tt.holds) {
			t.Errorf("%s: %s\n%s", tt.choice, a.Status, a.text)
		}
		if got := strings.Contains(a.text, "Undo this"); got != (tt.undo != "") || !strings.Contains(a.text, `value="`+tt.undo) && tt.undo != "" {
			t.Errorf("%s: offers to undo: %v", tt.choice, got)
		}
		s := w.only()
		if s.Kind != tt.kind || s.List != tt.list || s.Source != "preferences" || s.Mailbox != ann || (s.Wish == nil) != (tt.wish == gateway.Wish{}) {
			t.Errorf("%s: told %+v", tt.choice, s)
		}
		if s.Wish != nil && *s.Wish != tt.wish {
			t.Errorf("%s: wishes %+v, want %+v", tt.choice, *s.Wish, tt.wish)
		}
	}
	for body, want := range map[string]int{"": 400, "choice=": 400, "choice=everything": 400, oneClick: 400, "choice=pause&choice=resume": 400} {
		if a := w.form(path, body); a.StatusCode != want {
			t.Errorf("%q: %s", body, a.Status)
		}
	}
	if a := w.form(path, "choice=pause", "Sec-Fetch-Site", "cross-site"); a.StatusCode != 403 {
		t.Errorf("pressed by another site: %s", a.Status)
	}
	if a := w.get(path + "?choice=stop-all"); a.StatusCode != 200 {
		t.Errorf("GET: %s", a.Status)
	}
	w.silence("what is no choice")
}

// A reader gets from the confirm page to the choices and back with nothing but the
// link in the mail.
func TestFromConfirmToPreferences(t *testing.T) {
	w := newWorld(t, nil)
	a := w.get(w.seal(token.Unsubscribe, nil))
	link := regexp.MustCompile(`href="\.\./p/([\w-]+)"`).FindStringSubmatch(a.text)
	if link == nil {
		t.Fatalf("no link to the choices:\n%s", a.text)
	}
	if a = w.get("/p/" + link[1]); a.StatusCode != 200 || !strings.Contains(a.text, "Pause for 30 days") {
		t.Fatalf("%s\n%s", a.Status, a.text)
	}
	if strings.Contains(a.text, ann.String()) || !strings.Contains(a.text, "•••@example.com") {
		t.Error("the page has the whole address, or none")
	}
	w.form("/p/"+link[1], "choice=less")
	if s := w.only(); s.Message == "" || s.Wish.PerWeek != 1 {
		t.Errorf("told %+v", s)
	}
}

// Names from outside are text, in whatever they are written (attacks H7, H9).
func TestNamesAreText(t *testing.T) {
	const evil = "<img src=x onerror=alert(1)>\"'>\u202e\x1b[2J\n{{.}}</style><script>"
	w := newWorld(t, func(w *world) { w.told.sources[listed] = [2]string{evil, evil} })
	for _, path := range []string{w.seal(token.Unsubscribe, nil), w.seal(token.Preferences, nil)} {
		for _, a := range []answer{w.get(path), w.form(path, "choice=stop-list")} {
			if strings.Contains(a.text, "<img") || strings.Contains(a.text, "<script") || strings.ContainsAny(a.text, "\u202e\x1b") {
				t.Errorf("%s has markup from outside:\n%s", path[:3], a.text)
			}
			if !strings.Contains(a.text, "&lt;img src=x onerror=alert(1)&gt;") {
				t.Errorf("%s does not show the name:\n%s", path[:3], a.text)
			}
		}
	}
}

// The policy lets through what the pages need and nothing else.
func TestHeaders(t *testing.T) {
	w := newWorld(t, nil)
	for _, path := range []string{w.seal(token.Preferences, nil), w.seal(token.Open, nil), "/none", "/healthz", "/"} {
		a := w.get(path)
		csp := a.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy lacks %s", path[:2], want)
			}
		}
		if a.Header.Get("Referrer-Policy") != "no-referrer" || a.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s: %v", path[:2], a.Header)
		}
		_, style, found := strings.Cut(a.text, "<style>")
		style, _, _ = strings.Cut(style, "</style>")
		sum := sha256.Sum256([]byte(style))
		if found && !strings.Contains(csp, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("%s: the policy does not know the page's style", path[:2])
		}
		if regexp.MustCompile(`(?i)<script|\son\w+=|style=|<img|<link|url\(`).MatchString(a.text) {
			t.Errorf("%s has script or asks for something elsewhere", path[:2])
		}
	}
}

func TestLanguage(t *testing.T) {
	w := newWorld(t, nil)
	for accept, want := range map[string]string{"": `<html lang="en">`, "de-AT,de;q=0.8,en;q=0.5": `<html lang="de">`, "fr, de;q=0.1": `<html lang="de">`, "de;q=0": `<html lang="en">`} {
		if a := w.get("/nothing", "Accept-Language", accept); !strings.Contains(a.text, want) || a.Header.Get("Vary") != "Accept-Language" {
			t.Errorf("%q: lacks %s", accept, want)
		}
	}
}

func TestPlainPaths(t *testing.T) {
	w := newWorld(t, nil)
	for path, want := range map[string]string{"/healthz": "ok\n", "/robots.txt": "Disallow: /", "/": "Links in mail"} {
		if a := w.get(path); a.StatusCode != 200 || !strings.Contains(a.text, want) {
			t.Errorf("%s: %s %q", path, a.Status, a.text)
		}
	}
}

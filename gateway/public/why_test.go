package public

import (
	"strings"
	"testing"

	"tidepost/gateway"
	"tidepost/gateway/token"
)

// Why somebody leaves is asked of people, after it is done, and nothing hangs on it.
func TestWhyIsAskedAfterwards(t *testing.T) {
	w := newWorld(t, nil)
	const question = `name="why"`
	path, choices := w.seal(token.Unsubscribe, nil), w.seal(token.Preferences, nil)
	if a := w.get(path); strings.Contains(a.text, question) {
		t.Error("it is asked before anything is done")
	}
	for _, tt := range []struct {
		story, path, body string
		ask               bool
	}{
		{story: "a mail provider's one-click post", path: path, body: oneClick},
		{story: "our page: this list", path: path, body: "choice=stop-list", ask: true},
		{story: "our page: all mail", path: path, body: "choice=stop-all", ask: true},
		{story: "the choices: all mail", path: choices, body: "choice=stop-all", ask: true},
		{story: "the choices: a pause", path: choices, body: "choice=pause"},
	} {
		a := w.form(tt.path, tt.body)
		if a.StatusCode != 200 || strings.Contains(a.text, question) != tt.ask {
			t.Errorf("%s: %s, asked why: %v", tt.story, a.Status, !tt.ask)
		}
		w.only()
	}
	w.told.breakWith(errDisk)
	if a := w.form(path, "choice=stop-all"); a.StatusCode != 503 || strings.Contains(a.text, question) {
		t.Errorf("what was not done: %s", a.Status)
	}
}

// The answer closes nothing and wishes nothing; it is thanked for, in full, only when it
// is durable.
func TestWhyIsAnswered(t *testing.T) {
	w := newWorld(t, nil)
	path, choices := w.seal(token.Unsubscribe, nil), w.seal(token.Preferences, nil)
	const news = "news.acme.example"
	for _, tt := range []struct {
		story, path, body, site string
		want                    int
		why                     gateway.Why
		list, source            string
	}{
		{story: "too often", path: path, body: "choice=why&left=stop-list&why=often", site: "same-origin", want: 200, why: gateway.WhyOften, list: news, source: "unsubscribe"},
		{story: "not relevant", path: path, body: "choice=why&left=stop-list&why=irrelevant", want: 200, why: gateway.WhyIrrelevant, list: news, source: "unsubscribe"},
		{story: "no longer interested, in all of it", path: path, body: "choice=why&left=stop-all&why=done", want: 200, why: gateway.WhyDone, source: "unsubscribe"},
		{story: "from the choices", path: choices, body: "choice=why&left=stop-all&why=often", want: 200, why: gateway.WhyOften, source: "preferences"},
		{story: "without what was left", path: path, body: "choice=why&why=often", want: 200, why: gateway.WhyOften, list: news, source: "unsubscribe"},
		{story: "another word", path: path, body: "choice=why&why=bored", want: 400},
		{story: "no word", path: path, body: "choice=why", want: 400},
		{story: "two words", path: choices, body: "choice=why&why=often&why=done", want: 400},
		{story: "from another site", path: path, body: "choice=why&why=often", site: "cross-site", want: 403},
		{story: "from another site, at the choices", path: choices, body: "choice=why&why=often", site: "cross-site", want: 403},
		{story: "a forged link", path: path[:len(path)-2], body: "choice=why&why=often", want: 404},
	} {
		var head []string
		if tt.site != "" {
			head = []string{"Sec-Fetch-Site", tt.site}
		}
		a := w.form(tt.path, tt.body, head...)
		if a.StatusCode != tt.want {
			t.Errorf("%s: %s, want %d", tt.story, a.Status, tt.want)
		}
		if tt.want != 200 {
			w.silence(tt.story)
			continue
		}
		s := w.only()
		if s.Kind != gateway.SignalConsent || s.Why != tt.why || s.List != tt.list || s.Source != tt.source || s.Wish != nil || s.Forward != "" || s.Mailbox != ann || s.Message == "" {
			t.Errorf("%s: told %+v", tt.story, s)
		}
		if !strings.Contains(a.text, "You stay unsubscribed") || strings.Contains(a.text, "one mail a week") != (tt.why == gateway.WhyOften) || strings.Contains(a.text, "<form") {
			t.Errorf("%s: the page says\n%s", tt.story, a.text)
		}
	}
	if a := w.get(path + "?choice=why&why=often"); a.StatusCode != 200 {
		t.Error(a.Status)
	}
	w.silence("GET")
	w.told.breakWith(errDisk)
	if a := w.form(path, "choice=why&why=often"); a.StatusCode != 503 || strings.Contains(a.text, "is noted") {
		t.Errorf("what could not be stored: %s", a.Status)
	}
}

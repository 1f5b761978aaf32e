package public

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"tidepost/gateway"
	"tidepost/gateway/token"
)

const oneClick = "List-Unsubscribe=One-Click"

const multipart = "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n"

// Attacks H5 and H6, as they come over the wire.
func TestUnsubscribe(t *testing.T) {
	w := newWorld(t, nil)
	for _, tt := range []struct {
		story, method, kind, body string
		source                    uint32
		query, site               string
		want                      int
		list                      string
	}{
		{story: "a mail provider's one-click post", method: "POST", body: oneClick, want: 200, list: "news.acme.example"},
		{story: "the same as multipart", method: "POST", kind: "multipart/form-data; boundary=b", body: multipart, want: 200, list: "news.acme.example"},
		{story: "from a web mailer's page", method: "POST", body: oneClick, site: "cross-site", want: 200, list: "news.acme.example"},
		{story: "without a content type", method: "POST", kind: "-", body: oneClick, want: 200, list: "news.acme.example"},
		{story: "with a line end behind it", method: "POST", body: oneClick + "\r\n", want: 200, list: "news.acme.example"},
		{story: "of mail that is of no list", method: "POST", body: oneClick, source: unlisted, want: 200},
		{story: "our page: this list", method: "POST", body: "choice=stop-list", site: "same-origin", want: 200, list: "news.acme.example"},
		{story: "our page: all mail", method: "POST", body: "choice=stop-all", want: 200},
		{story: "our page's button, pressed by another site", method: "POST", body: "choice=stop-all", site: "cross-site", want: 403},
		{story: "a scanner follows the link", method: "GET", want: 200},
		{story: "a scanner asks for its head", method: "HEAD", want: 200},
		{story: "GET that says it in its address", method: "GET", query: "?" + oneClick + "&choice=stop-all", want: 200},
		{story: "a post without a body", method: "POST", want: 400},
		{story: "a post that says it in its address", method: "POST", query: "?" + oneClick, want: 400},
		{story: "another word", method: "POST", body: "List-Unsubscribe=Two-Clicks", want: 400},
		{story: "another choice", method: "POST", body: "choice=resume", want: 400},
		{story: "said twice", method: "POST", body: oneClick + "&" + oneClick, want: 400},
		{story: "JSON", method: "POST", kind: "application/json", body: `{"List-Unsubscribe":"One-Click"}`, want: 400},
		{story: "broken escapes", method: "POST", body: "%zz", want: 400},
		{story: "multipart without an end", method: "POST", kind: "multipart/form-data; boundary=b", body: multipart[:60], want: 400},
		{story: "a body of 1 MiB", method: "POST", body: "x=" + strings.Repeat("x", 1<<20), want: 413},
		{story: "DELETE", method: "DELETE", want: 405},
	} {
		if tt.kind == "" {
			tt.kind = "application/x-www-form-urlencoded"
		}
		path := w.seal(token.Unsubscribe, func(x *token.Token) { x.Source = max(tt.source, listed) })
		head := []string{"Content-Type", strings.Trim(tt.kind, "-")}
		if tt.site != "" {
			head = append(head, "Sec-Fetch-Site", tt.site, "Origin", "null")
		}
		a := w.send(tt.method, path+tt.query, tt.body, head...)
		if a.StatusCode != tt.want || a.Header.Get("Location") != "" || a.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %s, want %d", tt.story, a.Status, tt.want)
		}
		if tt.method != "POST" || tt.want != 200 {
			w.silence(tt.story)
			continue
		}
		s := w.only()
		if s.Kind != gateway.SignalUnsubscribed || s.List != tt.list || s.Tenant != "acme" || s.Mailbox != ann || s.Source != "unsubscribe" || s.ID != "" {
			t.Errorf("%s: told %+v, want list %q", tt.story, s, tt.list)
		}
	}
}

// 200 is a promise: without the store there is none.
func TestUnsubscribeIsDurableOrNotPromised(t *testing.T) {
	w := newWorld(t, nil)
	w.told.breakWith(errDisk)
	a := w.form(w.seal(token.Unsubscribe, nil), oneClick)
	if a.StatusCode != 503 || a.Header.Get("Retry-After") != "30" || !strings.Contains(a.text, "nothing has changed") {
		t.Errorf("%s, Retry-After %s", a.Status, a.Header.Get("Retry-After"))
	}
	if log := w.log.String(); strings.Contains(log, ann.String()) || !strings.Contains(log, "could not be stored") {
		t.Errorf("the log says %s", log)
	}
}

// A sender's token unsubscribes from that sender and from no other.
func TestUnsubscribeOfAnotherTenant(t *testing.T) {
	w := newWorld(t, nil)
	w.form(w.seal(token.Unsubscribe, func(x *token.Token) { x.Source = rival }), oneClick)
	if s := w.only(); s.Tenant != "rival" || s.List != "their.list" {
		t.Errorf("told %+v", s)
	}
}

// The sender had its own one-click URL in the mail: it is handed on.
func TestUnsubscribeHandsTheSendersURLOn(t *testing.T) {
	const header = "From: x@y.example\r\nList-Unsubscribe: <https://esp.example/u?1>\r\n\r\n"
	w := newWorld(t, func(w *world) {
		w.OneClick = func(h []byte) string {
			_, url, _ := strings.Cut(string(h), "<")
			url, _, _ = strings.Cut(url, ">")
			return url
		}
	})
	path := w.seal(token.Unsubscribe, nil)
	w.form(path, oneClick)
	if s := w.only(); s.Forward != "" {
		t.Errorf("of a mail that is forgotten: %q", s.Forward)
	}
	w.shelf.message = &gateway.Message{ID: w.tok.Message, Header: int64(len(header)), Tenant: "acme", List: "news.acme.example"}
	w.shelf.content = header + "<https://body.example>"
	w.form(path, oneClick)
	if s := w.only(); s.Forward != "https://esp.example/u?1" {
		t.Errorf("handed on %q", s.Forward)
	}
	w.form(w.seal(token.Preferences, nil), "choice=pause")
	if s := w.only(); s.Forward != "" {
		t.Errorf("a pause calls %q", s.Forward)
	}
}

// Where the mailbox or the source is forgotten, the mail itself may still know; where
// nothing does, nothing is promised.
func TestUnsubscribeOfForgottenThings(t *testing.T) {
	w := newWorld(t, nil)
	path := w.seal(token.Unsubscribe, func(x *token.Token) { x.Source = unknown })
	clear(w.shelf.boxes)
	for _, method := range []string{"GET", "POST"} {
		if a := w.send(method, path, oneClick, "Content-Type", "application/x-www-form-urlencoded"); a.StatusCode != http.StatusGone {
			t.Errorf("%s where nothing is known: %s", method, a.Status)
		}
	}
	w.silence("of nothing")
	to := make([]gateway.Recipient, 8)
	to[7] = gateway.Recipient{Mailbox: w.tok.Mailbox, Canonical: ann.String()}
	w.shelf.message = &gateway.Message{ID: w.tok.Message, Tenant: "acme", List: "a.list", Recipients: to}
	if a := w.form(path, oneClick); a.StatusCode != 200 {
		t.Error(a.Status)
	}
	if s := w.only(); s.Tenant != "acme" || s.List != "a.list" || s.Mailbox != ann {
		t.Errorf("told %+v", s)
	}
}

func TestManyReadersAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			w.form(w.seal(token.Unsubscribe, func(x *token.Token) { x.Ordinal = uint32(i) }), oneClick)
			w.get(w.seal(token.Open, func(x *token.Token) { x.Ordinal = uint32(i) }))
		})
	}
	wg.Wait()
	kinds := map[string]int{}
	for _, s := range w.told.signals() {
		kinds[fmt.Sprint(s.Kind, s.Message)]++
	}
	if len(kinds) != 80 || w.Metrics.Unsubscribes.Load() != 40 || w.Metrics.Opens.Load() != 40 {
		t.Errorf("%d different signals, want 80", len(kinds))
	}
}

// Readers see the name that they know their sender by, not the one that it has here.
func TestSenderIsCalledByItsName(t *testing.T) {
	s := &Server{}
	if got := s.sender("acme", "news.acme.example"); got != "acme" {
		t.Errorf("without a name it is called %q", got)
	}
	s.Sender = func(tenant, list string) string { return "The shop of " + tenant + " and " + list }
	if got := s.sender("acme", "news"); got != "The shop of acme and news" {
		t.Errorf("it is called %q", got)
	}
}

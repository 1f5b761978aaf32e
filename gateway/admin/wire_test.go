package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"tidepost/gateway"
)

// TestNothingObeys lists hostile text (attacks H7, H9) and looks at the bytes.
func TestNothingObeys(t *testing.T) {
	evil := "\x1b[2J<img src=x onerror=alert(1)>\r\nBcc: v\u202egnp\u0085\u2028"
	w := newWorld(t, nil)
	d := w.submit(mail{tenant: "acme", campaign: evil, to: []string{"ann@x.test"}, notBefore: tomorrow(), set: func(m *gateway.Message) {
		m.Subject, m.Helo, m.ClassReason, m.Notes = evil, evil, evil, []string{evil}
	}})[0]
	w.put(d, gateway.EventDeferred, func(n *gateway.Delivery) { n.Reply, n.Reason, n.Attempts = evil, evil, 1 })
	id := d.ID.String()
	w.ask(Operator, "POST", actions, `{"action":"hold","filter":{},"reason":`+quoted(evil)+`}`, 200)
	for _, target := range []string{
		"/api/v1/deliveries", "/api/v1/deliveries/" + id, "/api/v1/messages/" + d.ID.Message.String(), "/api/v1/campaigns",
		"/api/v1/explain/" + id, "/api/v1/explain/ann@x.test", "/api/v1/campaigns/zoo/%1b%5b2J%e2%80%ae", "/api/v1/explain/%1b%e2%80%ae",
	} {
		text := w.serve(w.request(Viewer, "GET", target, "")).Body.String()
		if i := strings.IndexFunc(strings.TrimSuffix(text, "\n"), unsafeRune); i >= 0 || strings.Contains(text, "<img") {
			t.Errorf("%s: %q", target, text)
		}
	}
	if got := w.get("/api/v1/deliveries").Items[0].Campaign; got != evil {
		t.Errorf("a program reads campaign %q", got)
	}
	for _, s := range w.get("/api/v1/explain/" + id).Sentences {
		if strings.ContainsFunc(s, unsafeRune) {
			t.Errorf("sentence %q", s)
		}
	}
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func TestContent(t *testing.T) {
	w := newWorld(t, nil)
	text := "Subject: x\r\n\r\n<script>alert(1)</script>\r\n"
	d := w.submit(mail{to: []string{"ann@x.test"}, content: text, notBefore: tomorrow()})[0]
	target := "/api/v1/messages/" + d.ID.Message.String() + "/content"
	if code := w.serve(w.request(Viewer, "GET", target, "")).Code; code != 403 {
		t.Errorf("a viewer reads mail: %d", code)
	}
	rec := w.serve(w.request(Operator, "GET", target, ""))
	h := rec.Header()
	if rec.Code != 200 || rec.Body.String() != text {
		t.Errorf("%d %q", rec.Code, rec.Body)
	}
	if h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") {
		t.Errorf("headers %v", h)
	}
	w.ask(Operator, "GET", "/api/v1/messages/"+gateway.ID{9}.String()+"/content", "", 404)
	w.ask(Viewer, "GET", "/api/v1/messages/none", "", 404)
}

func TestShorten(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc…"}, {"aé", 2, "a…"}, {"é", 1, "…"}, {"\xa9\xa9", 1, "…"}} {
		if got := shorten(tt.in, tt.n); got != tt.want {
			t.Errorf("shorten(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b\u202e\u0085\u2028\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if m := mark(s); strings.ContainsFunc(m, unsafeRune) || !utf8.ValidString(m) {
			t.Errorf("mark(%q) = %q", s, m)
		}
		doc, _ := json.Marshal(map[string]string{"x": s})
		out := escape(doc)
		var a, b map[string]string
		if json.Unmarshal(doc, &a) != nil || json.Unmarshal(out, &b) != nil || a["x"] != b["x"] || strings.ContainsFunc(string(out), unsafeRune) {
			t.Errorf("%s became %s", doc, out)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add(place{}.cursor())
	f.Add(place{within: true, after: gateway.DeliveryID{Ordinal: 7}}.cursor())
	f.Add(numberCursor(3))
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePlace(s)
		if again, err2 := parsePlace(p.cursor()); err == nil && (err2 != nil || again != p) {
			t.Errorf("%q: %+v became %+v, %v", s, p, again, err2)
		}
		if n, err := parseNumber(s); err == nil && n < 0 {
			t.Errorf("%q: %d", s, n)
		}
	})
}

package admin

import (
	"strings"
	"testing"

	"tidepost/gateway"
)

const suppressions = "/api/v1/suppressions"

func TestSuppressions(t *testing.T) {
	w := newWorld(t, nil)
	d := w.submit(mail{campaign: "spring", to: []string{"Ann+shop@x.test"}, notBefore: tomorrow()})[0]
	rec := w.serve(w.request(Operator, "POST", suppressions, `{"address":"ANN@x.test","scope":"tenant:acme","reason":"unsubscribe","note":"called"}`))
	if text := rec.Body.String(); rec.Code != 201 || !strings.Contains(text, `"address":"ann@x.test"`) || !strings.Contains(text, `"source":"api:the-operator"`) {
		t.Errorf("added: %d %s", rec.Code, text)
	}
	if n := w.state(d.Mailbox, d.ID); n.State != gateway.Dropped || n.Reason != "suppressed" {
		t.Errorf("what waited is %s, %s", n.State, n.Reason)
	}
	list := suppressions + "?address=ann%2Bother%40X.test"
	if a := w.get(list); len(a.Items) != 1 || a.Items[0].Scope != "tenant:acme" || !a.Items[0].Removed.IsZero() {
		t.Errorf("listed %+v", a.Items)
	}
	w.ask(Operator, "DELETE", suppressions, `{"address":"ann@x.test","scope":"global"}`, 404)
	w.ask(Operator, "DELETE", suppressions, `{"address":"ann@x.test","scope":"tenant:acme","reason":"complaint"}`, 404)
	w.ask(Operator, "DELETE", suppressions, `{"address":"ann@x.test","scope":"tenant:acme"}`, 200)
	w.ask(Operator, "DELETE", suppressions, `{"address":"ann@x.test","scope":"tenant:acme"}`, 404)
	if a := w.get(list); len(a.Items) != 1 || a.Items[0].Removed.IsZero() {
		t.Errorf("the tombstone is %+v", a.Items)
	}
	w.ask(Operator, "POST", suppressions, `{"address":"ann@x.test","scope":"tenant:acme","reason":"complaint"}`, 201)
	if a := w.get(list + "&limit=1"); len(a.Items) != 1 || a.Next == "" {
		t.Errorf("first page %+v", a)
	} else if a = w.get(list + "&limit=1&cursor=" + a.Next); len(a.Items) != 1 || a.Next != "" {
		t.Errorf("second page %+v", a)
	}
}

func TestBadSuppressions(t *testing.T) {
	w := newWorld(t, nil)
	for doc, field := range map[string]string{
		`{"scope":"global"}`:                                                       "address",
		`{"address":"ann","scope":"global"}`:                                       "address",
		`{"address":"a@x.test\r\nBcc: v@y","scope":"global"}`:                      "address",
		`{"address":"a@x.test"}`:                                                   "scope",
		`{"address":"a@x.test","scope":"planet:x"}`:                                "scope",
		`{"address":"a@x.test","scope":"global","reason":"because"}`:               "reason",
		`{"address":"a@x.test","scope":"global","reason":"complaint"}`:             "scope",
		`{"address":"a@x.test","scope":"global","note":"a\r\nb"}`:                  "note",
		`{"address":"a@x.test","scope":"global","expires":"2001-01-01T00:00:00Z"}`: "expires",
		`{"address":"a@x.test","scope":"global","expires":"soon"}`:                 "body",
		`{"address":"a@x.test","scope":"global","removed":"2001-01-01T00:00:00Z"}`: "removed",
		`{"address":"a@x.test","scope":"global","to":"b"}`:                         "to",
	} {
		if a := w.ask(Operator, "POST", suppressions, doc, 400); a.Field != field {
			t.Errorf("%s: field %q, want %q: %s", doc, a.Field, field, a.Detail)
		}
	}
	if a := w.ask(Viewer, "GET", suppressions+"?address=", "", 400); a.Field != "address" {
		t.Errorf("an empty address: %+v", a)
	}
	w.ask(Viewer, "GET", suppressions, "", 501) // this store takes no lists
}

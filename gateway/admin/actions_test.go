package admin

import (
	"fmt"
	"strings"
	"testing"

	"tidepost/gateway"
)

const actions = "/api/v1/deliveries/actions"

func TestActions(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 300 {
		w.submit(mail{campaign: "spring", to: []string{fmt.Sprintf("reader%d@x.test", i)}, notBefore: tomorrow()})
	}
	other := w.submit(mail{campaign: "autumn", to: []string{"reader1@x.test"}, notBefore: tomorrow()})
	steps := []struct {
		story, doc    string
		matched, done int64
	}{
		{"a dry run counts", `{"action":"hold","filter":{"campaign":"spring"},"dry_run":true}`, 300, 0},
		{"holding one", `{"action":"hold","filter":{"mailbox":"reader1@x.test","tenant":"acme","campaign":"spring"},"reason":"wait"}`, 1, 1},
		{"holding all leaves the held alone", `{"action":"hold","filter":{"campaign":"spring"}}`, 299, 299},
		{"and again", `{"action":"hold","filter":{"campaign":"spring"}}`, 0, 0},
		{"resuming", `{"action":"resume","filter":{"campaign":"spring"},"dry_run":false}`, 300, 300},
		{"captured mail alone", `{"action":"release","filter":{},"captured":true}`, 0, 0},
		{"one by its id", `{"action":"drop","filter":{"ids":["` + other[0].ID.String() + `","` + other[0].ID.String() + `"]}}`, 1, 1},
		{"settled mail stays", `{"action":"drop","filter":{"ids":["` + other[0].ID.String() + `"]}}`, 0, 0},
		{"counting a recall", `{"action":"drop","filter":{"campaign":"spring"},"dry_run":true}`, 300, 0},
		{"recalling a campaign", `{"action":"drop","filter":{"campaign":"spring"},"reason":"wrong price"}`, 300, 300},
		{"nothing is left", `{"action":"drop","filter":{}}`, 0, 0},
	}
	for _, st := range steps {
		if a := w.ask(Operator, "POST", actions, st.doc, 200); a.Matched != st.matched || a.Done != st.done {
			t.Errorf("%s: matched %d, done %d, want %d, %d", st.story, a.Matched, a.Done, st.matched, st.done)
		}
	}
	a := w.get("/api/v1/explain/" + other[0].ID.String())
	if last := a.Events[len(a.Events)-1]; last.Kind != "dropped" || last.Actor != "the-operator" {
		t.Errorf("the history says %+v", last)
	}
}

func TestReleaseCaptured(t *testing.T) {
	w := newWorld(t, nil)
	d := w.submit(mail{to: []string{"ann@x.test"}, notBefore: tomorrow()})[0]
	w.put(d, gateway.EventCaptured, func(n *gateway.Delivery) { n.State = gateway.Captured })
	for _, st := range []struct {
		doc  string
		done int64
	}{
		{`{"action":"release","filter":{}}`, 0},
		{`{"action":"hold","filter":{}}`, 0},
		{`{"action":"release","filter":{},"captured":true}`, 1},
	} {
		if a := w.ask(Operator, "POST", actions, st.doc, 200); a.Done != st.done {
			t.Errorf("%s: done %d", st.doc, a.Done)
		}
	}
	if d := w.state(d.Mailbox, d.ID); d.State != gateway.Waiting || !d.Forced {
		t.Errorf("it is %s", d.State)
	}
}

func TestBadActions(t *testing.T) {
	w := newWorld(t, nil)
	tests := []struct {
		doc    string
		status int
		field  string
	}{
		{`{"action":"explode","filter":{}}`, 400, "action"},
		{`{"action":"drop"}`, 400, "filter"},
		{`{"action":"drop","filter":null}`, 400, "filter"},
		{`{"action":"drop","filter":{"tenat":"acme"}}`, 400, "tenat"},
		{`{"action":"drop","filter":{"state":"delivered"}}`, 400, "state"},
		{`{"action":"drop","filter":{},"captured":true}`, 400, "captured"},
		{`{"action":"drop","filter":{},"dry_run":"yes"}`, 400, "dry_run"},
		{`{"action":"drop","action":"hold","filter":{}}`, 400, "body"},
		{`{"action":"hold","ACTION":"drop","filter":{}}`, 400, "body"},
		{`{"action":"drop","filter":{}} {}`, 400, "body"},
		{`{"action":`, 400, "body"},
		{`[` + strings.Repeat("[", 10_000), 400, "body"},
		{`"` + strings.Repeat("x", maxBody) + `"`, 413, ""},
		{`{"action":"drop","filter":{},"reason":"` + strings.Repeat("x", 1001) + `"}`, 400, "reason"},
		{`{"action":"drop","filter":{"message":"00000000000000000000000001"}}`, 404, ""},
	}
	for _, tt := range tests {
		a := w.ask(Operator, "POST", actions, tt.doc, tt.status)
		if a.Field != tt.field || a.Detail == "" {
			t.Errorf("%.60s: %+v", tt.doc, a)
		}
	}
	r := w.request(Operator, "POST", actions, `{"action":"drop","filter":{}}`)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if rec := w.serve(r); rec.Code != 415 {
		t.Errorf("a form: %d", rec.Code)
	}
	w.ask(Operator, "POST", actions, "", 400)
}

package admin

import (
	"encoding/csv"
	"net/url"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

type auditPage struct {
	Items []auditDoc
	Next  string
}

// A week of changes, read as a list, in pages and as a table.
func TestAudit(t *testing.T) {
	w := newRuleWorld(t)
	rule := ruleText("big", "enabled", "message.size > 1000", "drop('big')")
	w.ask(Operator, "POST", "/api/v1/suppressions", `{"address":"ada@x.test","scope":"tenant:acme","note":"=1+1"}`, 201)
	w.ask(Operator, "DELETE", "/api/v1/suppressions", `{"address":"ada@x.test","scope":"tenant:acme"}`, 200)
	w.putRules("*", rule, 200)
	w.ask(Operator, "POST", "/api/v1/mode", `{"mode":"live","tenant":"acme"}`, 200)
	w.ask(Operator, "POST", "/api/v1/queue/pause", `{"tenant":"acme"}`, 200)
	w.submit(mail{to: []string{"eve@x.test"}}) // not a change
	w.send(Admin, "POST", "/api/v1/mailboxes/eve@x.test/erase", "", "", `{"confirm":"eve@x.test"}`, 200)

	var all auditPage
	w.document(Viewer, "/api/v1/audit", &all)
	want := []auditDoc{
		{Kind: "suppression", What: "added", By: "the-operator", Subject: "ada@x.test", After: "tenant:acme manual", Note: "=1+1"},
		{Kind: "suppression", What: "removed", By: "the-operator", Subject: "ada@x.test", Before: "tenant:acme manual", Note: "=1+1"},
		{Kind: "rule_changed", What: "changed", By: "the-operator", Subject: "rules version 1", After: rule},
		{Kind: "setting", What: "live", By: "the-operator", Subject: "mode/acme", After: "live"},
		{Kind: "setting", What: "paused", By: "the-operator", Subject: "pause/tenant/acme", Before: "going", After: "paused"},
		{Kind: "erased", What: "erased", By: "the-admin"},
	}
	if len(all.Items) != len(want) || all.Next != "" {
		t.Fatalf("%d changes, want %d: %+v", len(all.Items), len(want), all)
	}
	for i, got := range all.Items {
		if want[i].Kind == "erased" {
			got.Subject = ""
		}
		got.ID, got.At = "", time.Time{}
		got.Subject = strings.TrimRight(got.Subject, "/")
		if got != want[i] {
			t.Errorf("change %d: %+v, want %+v", i, got, want[i])
		}
	}
	for query, n := range map[string]int{"kind=setting": 2, "by=the-admin": 1, "by=nobody": 0, "since=" + url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339)): 0,
		"until=2000-01-01T00:00:00Z": 0} {
		var some auditPage
		w.document(Viewer, "/api/v1/audit?"+query, &some)
		if len(some.Items) != n {
			t.Errorf("%s: %d changes, want %d", query, len(some.Items), n)
		}
	}
	w.ask(Viewer, "GET", "/api/v1/audit?kind=opened", "", 400)
	w.ask(Viewer, "GET", "/api/v1/audit?cursor=x", "", 400)

	r := w.request(Viewer, "GET", "/api/v1/audit", "")
	r.Header.Set("Accept", "text/csv")
	rows, err := csv.NewReader(w.serve(r).Body).ReadAll()
	if err != nil || len(rows) != len(want)+1 || rows[1][7] != "'=1+1" || rows[3][6] != rule {
		t.Errorf("table: %v %q", err, rows)
	}
}

// A long history comes in pages, of which some may be short.
func TestAuditInPages(t *testing.T) {
	w := newRuleWorld(t)
	p := &past{memory: w.store}
	for i := range 10_000 {
		p.then(gateway.EventDelivered, time.Now(), &gateway.Delivery{})
		if i%1000 == 0 {
			p.events = append(p.events, gateway.Event{Kind: gateway.EventSetting, At: time.Now(), Name: "s", Reason: "changed", Detail: "arms: 1 → 2"})
		}
	}
	var n int
	for target := "/api/v1/audit?limit=3"; ; {
		var some auditPage
		w.document(Viewer, target, &some)
		if n += len(some.Items); len(some.Items) > 3 {
			t.Fatalf("a page of %d", len(some.Items))
		}
		if some.Next == "" {
			break
		}
		target = "/api/v1/audit?limit=3&cursor=" + some.Next
	}
	if n != 10 {
		t.Errorf("%d changes in all pages, want 10", n)
	}
}

// No cell is a formula, whatever it begins with.
func TestPlainCell(t *testing.T) {
	for in, want := range map[string]string{"": "", "ok": "ok", "=1": "'=1", "+1": "'+1", "-1": "'-1", "@a": "'@a", "\tx": "'\tx", "\rx": "'\rx", "\nx": "'\nx",
		"＝1": "'＝1", "a=1": "a=1", "\x00=1": "'=1", "\xff": "\xff"} {
		if got := plainCell(in); got != want {
			t.Errorf("plainCell(%q) = %q, want %q", in, got, want)
		}
	}
}

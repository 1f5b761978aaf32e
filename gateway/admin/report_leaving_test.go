package admin

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"tidepost/gateway"
)

// Readers leave, some say why, some change their mind about it.
func TestReportSaysWhyTheyLeave(t *testing.T) {
	w := newWorld(t, nil)
	now := time.Now().UTC()
	tell := func(ago time.Duration, kind gateway.EventKind, tenant, reader, list string, why gateway.Why) {
		text, err := json.Marshal(gateway.SignalDetail{Mailbox: boxOf(reader).String(), Tenant: tenant, List: list, Why: why, Human: 1})
		if err != nil {
			t.Fatal(err)
		}
		w.store.events = append(w.store.events, gateway.Event{Kind: kind, At: now.Add(-ago), Name: fmt.Sprint(len(w.store.events)), Detail: string(text)})
	}
	const left, said1 = gateway.EventUnsubscribed, gateway.EventConsent
	day := 24 * time.Hour
	tell(20*day, left, "acme", "early", "news", "")
	tell(3*day, said1, "acme", "early", "news", gateway.WhyDone) // left before the report
	tell(3*day, left, "acme", "ada", "news", "")
	tell(3*day, said1, "acme", "ada", "news", gateway.WhyIrrelevant)
	tell(2*day, said1, "acme", "ada", "news", gateway.WhyOften) // changed
	tell(2*day, said1, "acme", "ada", "news", gateway.WhyOften)
	tell(2*day, said1, "acme", "bob", "", "") // a wish of somebody who stays
	tell(2*day, said1, "acme", "bob", "news", gateway.WhyOften)
	tell(2*day, left, "acme", "cyd", "", gateway.WhyDone)
	for i := range 3 {
		tell(day, left, "acme", fmt.Sprint("dan", i), "news", "")
	}
	for i := range 7 {
		tell(day, left, "acme", "eve", fmt.Sprint("list", i), "")
	}
	tell(day, left, "acme", "eve", "list6", "") // again
	tell(day, left, "rival", "ada", "news", "")

	var r reportDoc
	w.document(Viewer, "/api/v1/report", &r)
	if len(r.Leaving) != 2 || r.Leaving[1].Tenant != "rival" || r.Leaving[1].Left != 1 || r.Leaving[1].Answered != 0 {
		t.Fatalf("%+v", r.Leaving)
	}
	acme := r.Leaving[0]
	want := leavingCount{Left: 12, Answered: 2, Often: 1, Done: 1, Shares: leavingShares{Often: .5, Done: .5}}
	if acme.leavingCount != want || len(acme.Lists) != 5 || acme.Lists[0].List != "news" || acme.Lists[0].Left != 4 || acme.Lists[0].Often != 1 {
		t.Errorf("got %+v, want %+v", acme, want)
	}
	said(t, r.Sentences, "Why they leave acme: 2 of 12 answered; too often 1 (50 %), not relevant 0 (0 %), no longer interested 1 (50 %).",
		"By list: news 4 (too often 1); all of it 1 (no longer interested 1); list0 1;", "Why they leave rival: 0 of 1 answered.")
	r = reportDoc{}
	w.document(Viewer, "/api/v1/report?tenant=rival", &r)
	if len(r.Leaving) != 1 || r.Leaving[0].Tenant != "rival" {
		t.Errorf("%+v", r.Leaving)
	}
}

// However many leave, a bounded part is remembered, and the rest is estimated.
func TestDeparturesAreBounded(t *testing.T) {
	d := departures{of: sample[departure]{most: 1000}}
	const people = 20_000
	for i := range people {
		why := []gateway.Why{"", gateway.WhyOften}[i%2]
		text := fmt.Sprintf(`{"mailbox":"%032x","tenant":"acme","why":%q}`, i, why)
		d.visit(&gateway.Event{Kind: gateway.EventUnsubscribed, Detail: text}, "")
	}
	got := d.docs()[0]
	if len(d.of.of) > 1000 || got.Left < people*8/10 || got.Left > people*12/10 || got.Shares.Often != 1 {
		t.Errorf("%d are remembered, and told as %+v", len(d.of.of), got)
	}
}

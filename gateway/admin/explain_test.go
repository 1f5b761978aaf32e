package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/scheduler/throttle"
	"tidepost/suppression"
)

func TestExplain(t *testing.T) {
	w := newWorld(t, nil)
	submit := func(to string) *gateway.Delivery {
		return w.submit(mail{campaign: "spring", to: []string{to}, notBefore: tomorrow(), set: func(m *gateway.Message) {
			m.ClassReason, m.Notes = "Precedence: bulk", []string{`X-Tidepost-Window "x" is no length`}
		}})[0]
	}
	settle := func(to string, kind gateway.EventKind, state gateway.State, reason, reply string) *gateway.Delivery {
		return w.put(submit(to), kind, func(n *gateway.Delivery) { n.State, n.Reason, n.Reply = state, reason, reply })
	}
	waiting := submit("ann@x.test")
	held := submit("held@x.test")
	w.ask(Operator, "POST", actions, `{"action":"hold","filter":{"mailbox":"held@x.test"},"reason":"looks odd"}`, 200)
	retried := w.put(submit("retry@x.test"), gateway.EventDeferred, func(n *gateway.Delivery) {
		n.Reason, n.Reply, n.Attempts = "retry", "451 later", 2
	})
	stopped := submit("stop@x.test")
	w.store.Commit(t.Context(), &gateway.Change{Entries: []suppression.Entry{{Address: "stop@x.test", Reason: suppression.HardBounce, Created: time.Now()}}})
	box, _ := w.store.Mailbox(t.Context(), waiting.Mailbox)
	head := *box
	head.Gates.Count(scheduler.Send{At: time.Now().Add(-time.Hour), Bulk: true})
	w.store.Commit(t.Context(), &gateway.Change{Key: waiting.Mailbox, Head: &head})
	w.ask(Operator, "POST", "/api/v1/queue/pause", `{"tenant":"acme","campaign":"spring"}`, 200)
	w.Gateway.Throttle.Report(time.Now(), "x.test", throttle.Unreachable)
	tests := []struct {
		subject string
		want    []string
	}{
		{waiting.ID.String(), []string{"It waits until ", "asked that it not leave before", "Campaign spring is paused by the-operator", "waits for `tidepost restore --confirm`",
			"Destination x.test is closed", "got 1 message of bulk mail", "Its class is newsletter: Precedence: bulk.", "Ignored: X-Tidepost-Window"}},
		{waiting.ID.Message.String(), []string{"It waits until "}},
		{held.ID.String(), []string{"A person holds it", "held by the-operator: looks odd"}},
		{retried.ID.String(), []string{"put off and it is tried again", "It was tried 2 times. The last answer was: 451 later"}},
		{stopped.ID.String(), []string{"A suppression stops it: hard_bounce, scope global"}},
		{settle("d@x.test", gateway.EventDelivered, gateway.Delivered, "delivered", "250 taken").ID.String(), []string{"It was delivered at ", "said: 250 taken"}},
		{settle("b@x.test", gateway.EventBounced, gateway.Bounced, "refused", "550 no").ID.String(), []string{"It bounced at ", "refused it for good. The last answer was: 550 no"}},
		{settle("x@x.test", gateway.EventDropped, gateway.Dropped, "superseded", "").ID.String(), []string{"It was dropped at ", "A newer message"}},
		{settle("c@x.test", gateway.EventCaptured, gateway.Captured, "capture", "").ID.String(), []string{"release --captured"}},
		{settle("s@x.test", gateway.EventReleased, gateway.Sending, "", "").ID.String(), []string{"on the wire"}},
		{settle("o@x.test", gateway.EventDropped, gateway.Dropped, "something_new", "").ID.String(), []string{"The reason is something_new."}},
		{"Ann@x.test", []string{"1 delivery is kept for ann@x.test.", "No suppression stops mail to it.", "got 1 message", "Destination x.test is closed", waiting.ID.String() + ": It waits until"}},
		{"stop@x.test", []string{"It is suppressed since", "for ever: hard_bounce, scope global."}},
		{"eve@y.test", []string{"Nothing waits for eve@y.test.", "No suppression stops mail to it."}},
		{"postmaster", []string{"Nothing waits for postmaster."}},
	}
	for _, tt := range tests {
		a := w.get("/api/v1/explain/" + tt.subject)
		text := strings.Join(a.Sentences, "\n")
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", tt.subject, want, text)
			}
		}
	}
	w.ask(Viewer, "GET", "/api/v1/explain/nobody", "", 400)
	w.ask(Viewer, "GET", "/api/v1/explain/"+gateway.ID{1}.String()+".0", "", 404)
}

// TestExplainGates says when policy lets bulk mail through.
func TestExplainGates(t *testing.T) {
	w := newWorld(t, func(w *world) { w.rules.MinGap = 16 * time.Hour })
	d := w.submit(mail{campaign: "spring", to: []string{"ann@x.test"}, notBefore: tomorrow()})[0]
	box, _ := w.store.Mailbox(t.Context(), d.Mailbox)
	head := *box
	head.Gates.Count(scheduler.Send{At: time.Now(), Bulk: true})
	w.store.Commit(t.Context(), &gateway.Change{Key: d.Mailbox, Head: &head})
	body := w.serve(w.request(Viewer, "GET", "/api/v1/explain/"+d.ID.String(), "")).Body.String()
	if !strings.Contains(body, `"reason":"min_gap"`) || !strings.Contains(body, `"opens":"`) {
		t.Errorf("gates in %s", body)
	}
}

// What a reader did with a mail stands in its history, with who it was taken for.
func TestExplainTellsOfReaders(t *testing.T) {
	w := newWorld(t, nil)
	d := w.submit(mail{to: []string{"ann@x.test", "bob@x.test"}})[0]
	detail := `{"mailbox":"x","tenant":"acme","delivery":"` + d.ID.String() + `","human":0,"source":"click","link":"3","verdict":"machine","reasons":["burst","all_links"]}`
	w.store.Commit(t.Context(), &gateway.Change{Events: []gateway.Event{{Kind: gateway.EventClicked, At: time.Now(), Name: "n1", Detail: detail}}})
	other := gateway.DeliveryID{Message: d.ID.Message, Ordinal: 1}
	for id, want := range map[gateway.DeliveryID]int{d.ID: 1, other: 0} {
		found := 0
		rec := w.serve(w.request(Viewer, "GET", "/api/v1/explain/"+id.String(), ""))
		var x explanation
		if err := json.Unmarshal(rec.Body.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		for _, e := range x.Events {
			if e.Kind == "clicked" {
				found++
				if e.Reason != "machine" || e.Detail != "told by click, link 3, burst all_links; counts 0" {
					t.Errorf("it says %+v", e)
				}
			}
		}
		if found != want {
			t.Errorf("%s: %d clicks, want %d", id, found, want)
		}
	}
}

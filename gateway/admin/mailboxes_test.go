package admin

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/suppression"
	"tidepost/suppression/address"
)

// forgetful is a memory that forgets addresses where a change says so, keeps
// settings, and can lose its journal.
type forgetful struct {
	*memory
	broken error
}

func (s *forgetful) Commit(ctx context.Context, changes ...*gateway.Change) error {
	for _, c := range changes {
		s.mu.Lock()
		for _, a := range c.Forget {
			delete(s.entries, a)
		}
		s.mu.Unlock()
	}
	return s.memory.Commit(ctx, changes...)
}

func (s *forgetful) Settings() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.settings)
}

func (s *forgetful) ReadEvents(ctx context.Context, after gateway.Cursor, most int) ([]gateway.Event, gateway.Cursor, error) {
	if s.broken != nil && after.Offset > 0 {
		return nil, after, s.broken
	}
	return s.memory.ReadEvents(ctx, after, min(most, 7)) // several batches
}

func newPeople(t *testing.T) (*world, *forgetful) {
	var store *forgetful
	w := newWorld(t, func(w *world) {
		store = &forgetful{memory: w.store}
		w.Store, w.Gateway.Store = store, store
	})
	return w, store
}

func reader(t *testing.T, text string) address.Mailbox {
	t.Helper()
	a, err := address.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return a.Mailbox()
}

// live gives Ann a life: mail of two tenants, an opt-out, a pause of her own, an
// open, a time zone, a wish, and a call that is owed to a sender.
func live(t *testing.T, w *world) []*gateway.Delivery {
	t.Helper()
	ann := reader(t, "Ann@x.test")
	sent := w.submit(mail{campaign: "spring", to: []string{"Ann@x.test", "eve@x.test"}, notBefore: tomorrow()})
	sent = append(sent, w.submit(mail{tenant: "beta", campaign: "autumn", to: []string{"ann+shop@x.test"}, notBefore: tomorrow()})...)
	learn := func(s gateway.Signal) {
		t.Helper()
		s.At, s.Human, s.Source = time.Now(), 1, "api:crm"
		if _, err := w.Gateway.Learn(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	learn(gateway.Signal{Kind: gateway.SignalOpened, Tenant: "acme", Mailbox: ann, Message: sent[0].ID.String()})
	learn(gateway.Signal{Kind: gateway.SignalOpened, Tenant: "acme", Mailbox: reader(t, "eve@x.test")})
	learn(gateway.Signal{Kind: gateway.SignalAttributes, Tenant: "acme", Mailbox: ann, Zone: "Europe/Berlin"})
	box, _ := w.Store.Mailbox(t.Context(), sent[0].Mailbox)
	head := *box
	head.Wishes = gateway.Wishes{Sees: scheduler.SeesClick, PerWeek: 2}
	head.Gates.Count(scheduler.Send{At: time.Now().Add(-time.Hour), Bulk: true})
	owed, _ := json.Marshal(gateway.Forwarding{URL: "https://esp.test/u/1", Tenant: "acme", Mailbox: head.Key.String(), At: time.Now()})
	other, _ := json.Marshal(gateway.Forwarding{URL: "https://esp.test/u/2", Tenant: "acme", Mailbox: sent[1].Mailbox.String()})
	err := w.Store.Commit(t.Context(), &gateway.Change{Key: head.Key, Head: &head, Settings: []gateway.Setting{
		{Name: gateway.SettingForward + "1", Value: owed}, {Name: gateway.SettingForward + "2", Value: other}, {Name: "pause/tenant/x", Value: []byte("{}")}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"ann@x.test", "eve@x.test"} {
		e := suppression.Entry{Address: a, Scope: suppression.Scope{Kind: suppression.Category, Name: "offers"}, Reason: suppression.Unsubscribe,
			Source: "page", Created: time.Now().Add(-time.Hour)}
		if err := w.Gateway.Observe(t.Context(), e, "ops"); err != nil {
			t.Fatal(err)
		}
	}
	return sent
}

func TestMailboxShow(t *testing.T) {
	w, _ := newPeople(t)
	live(t, w)
	var doc personDoc
	w.document(Viewer, "/api/v1/mailboxes/ANN@x.test", &doc)
	if doc.Address != "ann@x.test" || !doc.Known || len(doc.Audiences) != 2 || len(doc.Deliveries) != 2 || len(doc.Entries) != 1 || len(doc.Forwards) != 1 {
		t.Fatalf("%+v", doc)
	}
	acme := doc.Audiences[0]
	if acme.Audience != "acme" || acme.Zone != "Europe/Berlin" || acme.Evidence != "click" || acme.PerWeek != 2 || acme.Reader == nil ||
		len(acme.Sends) != 1 || acme.Gates.Week != 1 || !slices.Equal(acme.Tenants, []string{"acme"}) {
		t.Errorf("acme knows %+v", acme)
	}
	if doc.Forwards[0].URL != "https://esp.test/u/1" {
		t.Errorf("%+v", doc.Forwards)
	}
	said(t, doc.Sentences, "2 deliveries are kept for ann@x.test.", "scope category:offers", "from clicks, and not from opens", "no more than 2 bulk mails",
		"got 1 message", "Of 1 opt-out the sender's own system")
	doc = personDoc{}
	w.document(Viewer, "/api/v1/mailboxes/nobody@x.test", &doc)
	if doc.Known || len(doc.Audiences)+len(doc.Deliveries)+len(doc.Entries)+len(doc.Forwards) > 0 {
		t.Errorf("nobody: %+v", doc)
	}
	w.ask(Viewer, "GET", "/api/v1/mailboxes/nobody", "", 400)
	w.document(Viewer, "/api/v1/mailboxes/a%2Fb@x.test", &doc)
	if doc.Address != "a/b@x.test" {
		t.Errorf("a slash in an address: %+v", doc)
	}
}

// What waits is found in an audience that the configuration forgot, too.
func TestMailboxShowForgottenAudience(t *testing.T) {
	w, store := newPeople(t)
	ann := reader(t, "ann@x.test")
	k := gateway.MailboxKey("gone", ann)
	store.boxes[k] = &gateway.Mailbox{Key: k, Rev: 1, Address: "ann@x.test", Audience: "gone",
		Deliveries: []*gateway.Delivery{{ID: gateway.DeliveryID{Message: gateway.ID{1}}, Mailbox: k, Address: "ann@x.test", Tenant: "gone"}}}
	var doc personDoc
	w.document(Viewer, "/api/v1/mailboxes/ann@x.test", &doc)
	if len(doc.Audiences) != 1 || doc.Audiences[0].Audience != "gone" || len(doc.Audiences[0].Tenants) != 0 || len(doc.Deliveries) != 1 {
		t.Errorf("%+v", doc)
	}
}

// exported is an export as a program reads it.
type exported struct {
	personDoc
	Events   []tracedDoc
	Complete bool
	Error    string
}

func TestMailboxExport(t *testing.T) {
	w, _ := newPeople(t)
	sent := live(t, w)
	why := scheduler.Decision{At: time.Now(), Arm: scheduler.ArmModel}
	for range 2 { // told once, although two events carry it
		sent[0] = w.put(sent[0], gateway.EventPlanned, func(n *gateway.Delivery) { n.Reason, n.Decision = "quiet_hours", why.AppendBinary(nil) })
	}
	w.put(sent[1], gateway.EventDelivered, func(n *gateway.Delivery) { n.State = gateway.Delivered })
	var doc exported
	w.document(Operator, "/api/v1/mailboxes/ann@x.test/export", &doc)
	if !doc.Complete || doc.Error != "" || doc.Address != "ann@x.test" || len(doc.Audiences) != 2 {
		t.Fatalf("%+v", doc)
	}
	kinds, decisions := map[string]int{}, 0
	var sentences []string
	for _, e := range doc.Events {
		kinds[e.Kind]++
		sentences = append(sentences, e.Sentence)
		if e.Decision != nil {
			decisions++
		}
		if strings.Contains(e.Address+e.Detail, "eve@") || e.Delivery == sent[1].ID.String() {
			t.Errorf("it tells of somebody else: %+v", e)
		}
		if e.Sentence == "" {
			t.Errorf("no words for %s", e.Kind)
		}
	}
	if kinds["accepted"] != 2 || kinds["opened"] != 1 || kinds["suppression"] != 1 || kinds["attributes"] != 1 || kinds["delivered"] != 0 || decisions < 1 {
		t.Errorf("%v, %d decisions", kinds, decisions)
	}
	said(t, sentences, "Mail to this address was taken in.", "That a person did it is 100 % sure. It was told by api:crm.", "quiet hours")
	w.ask(Viewer, "GET", "/api/v1/mailboxes/ann@x.test/export", "", 403)
}

// A model's decision is told once, however many events carry it.
func TestMailboxExportDecisionOnce(t *testing.T) {
	w, _ := newPeople(t)
	d := w.submit(mail{campaign: "spring", to: []string{"ann@x.test"}, notBefore: tomorrow()})[0]
	why := scheduler.Decision{At: time.Now().Add(-time.Minute), Arm: scheduler.ArmModel}
	for range 3 {
		d = w.put(d, gateway.EventPlanned, func(n *gateway.Delivery) { n.Decision = why.AppendBinary(nil) })
	}
	var doc exported
	w.document(Operator, "/api/v1/mailboxes/ann@x.test/export", &doc)
	told := 0
	for _, e := range doc.Events {
		if e.Decision != nil && e.Decision.At.Unix() == why.At.Unix() {
			told++
			if e.Decision.Sentence == "" {
				t.Error("no sentence")
			}
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

// A history that cannot be read to its end says so.
func TestMailboxExportBreaksOff(t *testing.T) {
	w, store := newPeople(t)
	live(t, w)
	store.broken = errors.New("the disk is gone\x1b[2J")
	var doc exported
	w.document(Operator, "/api/v1/mailboxes/ann@x.test/export", &doc)
	if doc.Complete || !strings.Contains(doc.Error, "the disk is gone") || strings.Contains(doc.Error, "\x1b") {
		t.Errorf("complete: %t, error %q", doc.Complete, doc.Error)
	}
}

func TestMailboxErase(t *testing.T) {
	w, store := newPeople(t)
	sent := live(t, w)
	path := "/api/v1/mailboxes/ann@x.test/erase"
	for _, body := range []string{`{}`, `{"confirm":"eve@x.test"}`, `{"confirm":true}`, `{"confirm":"ann@x.test","force":true}`} {
		w.ask(Admin, "POST", path, body, 400)
	}
	w.ask(Operator, "POST", path, `{"confirm":"ann@x.test"}`, 403)
	if w.state(sent[0].Mailbox, sent[0].ID).State != gateway.Waiting {
		t.Fatal("something was erased")
	}
	rec := w.serve(w.request(Admin, "POST", path, `{"confirm":"ann@x.test"}`))
	var done erasedDoc
	if err := json.Unmarshal(rec.Body.Bytes(), &done); rec.Code != 200 || err != nil {
		t.Fatal(rec.Code, rec.Body)
	}
	if done != (erasedDoc{Address: "ann@x.test", Mailboxes: 2, Dropped: 2, Entries: 1}) {
		t.Errorf("%+v", done)
	}
	if len(store.entries["ann@x.test"]) > 0 || w.state(sent[0].Mailbox, sent[0].ID).State != gateway.Dropped {
		t.Error("something is left")
	}
	var doc exported
	w.document(Operator, "/api/v1/mailboxes/ann@x.test/export", &doc)
	if n := len(doc.Events); !doc.Complete || len(doc.Deliveries) > 0 || n == 0 || doc.Events[n-1].Kind != "erased" || doc.Events[n-1].Actor != "the-admin" {
		t.Errorf("after it: %+v", doc)
	}
	for _, a := range doc.Audiences {
		if a.Reader != nil || a.Zone != "" || a.PerWeek > 0 || a.Evidence != "full" || len(a.Sends) > 0 {
			t.Errorf("still known: %+v", a)
		}
	}
	w.document(Viewer, "/api/v1/mailboxes/eve@x.test", &doc.personDoc)
	if len(doc.Deliveries) != 1 || len(doc.Entries) != 1 {
		t.Errorf("Eve was not to be forgotten: %+v", doc.personDoc)
	}
}

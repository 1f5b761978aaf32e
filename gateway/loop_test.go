package gateway

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/evidence"
)

// Two tenants that share an audience may number their signals alike, and a bringer
// the kinds each by themselves: neither is a repetition.
func TestSameIDOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) {
			w.Tenant = func(name string) Tenant { return Tenant{Name: name, Audience: "acme"} }
		})
		m := mustMailbox(t, "ann@dest.test")
		for i, s := range []Signal{
			{ID: "7", Kind: SignalActive, Tenant: "acme", Human: 1},
			{ID: "7", Kind: SignalUnsubscribed, Tenant: "acme", List: "news.acme.test"},
			{ID: "7", Kind: SignalUnsubscribed, Tenant: "bolt"},
		} {
			s.Source, s.Mailbox, s.Human = "esp", m, 1
			if news, err := w.Learn(t.Context(), s); err != nil || !news {
				t.Errorf("signal %d: news %t, %v", i, news, err)
			}
			if news, err := w.Learn(t.Context(), s); err != nil || news {
				t.Errorf("signal %d once more: news %t, %v", i, news, err)
			}
		}
		entries, _ := store.Entries(t.Context(), "ann@dest.test")
		if len(entries) != 2 {
			t.Errorf("the opt-outs are %+v", entries)
		}
	})
}

// Who opts out of a second list in the same week is heard as the first time, also
// where it is not sure that a person did it.
func TestEachOptOutIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		told := func() (n int) {
			store.mu.Lock()
			defer store.mu.Unlock()
			for _, e := range store.events {
				if e.Kind == EventUnsubscribed {
					n++
				}
			}
			return n
		}
		for i, list := range []string{"a.acme.test", "b.acme.test", "c.acme.test"} {
			s := Signal{Kind: SignalUnsubscribed, Tenant: "acme", Mailbox: mustMailbox(t, "ann@dest.test"), List: list, Human: float32(1 - i/2)}
			if news, err := w.Learn(t.Context(), s); err != nil || !news || told() != i+1 {
				t.Errorf("%s: news %t, %v; %d are told", list, news, err, told())
			}
			time.Sleep(time.Second)
		}
	})
}

// Erasing what was captured counts it off its tenant once.
func TestEraseCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) {
			w.Router = captureRoute{}
			w.Tenants = func() []string { return []string{"acme"} }
		})
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		if d := w.delivery("ann@dest.test", id); d == nil || d.State != Captured || w.held.of("acme") != 0 {
			t.Fatalf("it is %+v, %d are held", d, w.held.of("acme"))
		}
		if done, err := w.Erase(t.Context(), mustMailbox(t, "ann@dest.test"), "ops"); err != nil || done.Dropped != 1 {
			t.Fatalf("%+v, %v", done, err)
		}
		if n := w.held.of("acme"); n != 0 {
			t.Errorf("%d are held", n)
		}
	})
}

// A sender that wants no suppression for bounces gets none for soft ones that others
// tell of.
func TestSoftBounceSignals(t *testing.T) {
	for _, suppress := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			store := newMemory()
			w := newWorld(t, store, func(w *world) { w.rules.SuppressBounces = suppress })
			for range softMany {
				if !w.tell("ann@dest.test", Signal{Kind: SignalBounced, Soft: true}) {
					t.Error("no news")
				}
				time.Sleep(time.Hour)
			}
			if e, _ := store.Entries(t.Context(), "ann@dest.test"); (len(e) == 1) != suppress {
				t.Errorf("suppress %t: %+v", suppress, e)
			}
		})
	}
}

// What was accepted and not planned yet is told of before it is erased.
func TestEraseTellsOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) { w.Tenants = func() []string { return []string{"acme"} } })
		m := mustMailbox(t, "ann@dest.test")
		all, err := store.Accept(t.Context(), &Message{Tenant: "acme", Audience: "acme", Class: Newsletter, Received: time.Now(),
			Recipients: []Recipient{{Address: m.String(), Canonical: m.String(), Mailbox: MailboxKey("acme", m)}}}, Content{Bytes: []byte("hello")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Erase(t.Context(), m, "ops"); err != nil {
			t.Fatal(err)
		}
		w.wantKinds(all[0].ID, EventAccepted, EventDropped)
	})
}

// Who is observed no more leaves no counts of what they read, and who may be observed
// by the day leaves that day alone.
func TestConsentAndCounts(t *testing.T) {
	for _, mode := range []string{"none", "click", "day"} {
		synctest.Test(t, func(t *testing.T) {
			store := newMemory()
			w := newWorld(t, store, nil)
			time.Sleep(9*time.Hour + 17*time.Minute)
			first := w.submit("ann@dest.test", nil)
			time.Sleep(25 * time.Hour)
			w.tell("ann@dest.test", Signal{Kind: SignalOpened, Message: first.String()})
			w.tell("ann@dest.test", Signal{Kind: SignalClicked, Message: first.String()})
			w.tell("ann@dest.test", Signal{Kind: SignalConsent, Wish: &Wish{Evidence: mode}})
			sum := func() (sends, opens, clicks int) {
				for _, d := range w.heardOf("ann@dest.test").did.days {
					sends, opens, clicks = sends+int(d.sends), opens+int(d.opens), clicks+int(d.clicks)
				}
				return
			}
			h := w.heardOf("ann@dest.test")
			sends, opens, clicks := sum()
			wantOpens, wantClicks := 0, 0
			if mode == "click" {
				wantClicks = 1
			}
			if mode == "day" {
				wantOpens = 1
			}
			if sends != 1 || opens != wantOpens || clicks != wantClicks {
				t.Errorf("%s: %d sends, %d opens and %d clicks are kept", mode, sends, opens, clicks)
			}
			if h.did.open.last%86400 != 0 || mode != "day" && h.did.open.last != 0 || mode != "click" && h.did.click.last != 0 {
				t.Errorf("%s: %+v is kept", mode, h.did)
			}
			if mode != "day" {
				return
			}
			for range 2 { // the second open overwrites the first
				time.Sleep(49 * time.Hour)
				id := w.submit("ann@dest.test", nil)
				time.Sleep(time.Hour)
				if !w.tell("ann@dest.test", Signal{Kind: SignalOpened, Message: id.String()}) {
					t.Error("an open is no news")
				}
			}
			h = w.heardOf("ann@dest.test")
			if _, opens, clicks = sum(); opens != 1 || clicks != 0 || h.did.open.last%86400 != 0 || time.Since(instant(h.did.open.last)) > 24*time.Hour {
				t.Errorf("by the day, %+v is kept", h.did)
			}
			if last := h.marks[len(h.marks)-1]; last.hour%24 != 0 {
				t.Errorf("a mark tells the hour %d", last.hour%24)
			}
		})
	}
}

// What rules see of a mailbox is what may be learned of the mail they judge.
func TestFactsByEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Hour)
		w.tell("ann@dest.test", Signal{Kind: SignalOpened, Message: id.String()})
		w.tell("ann@dest.test", Signal{Kind: SignalClicked, Message: id.String()})
		box, _ := store.Mailbox(t.Context(), w.key("ann@dest.test"))
		for _, sees := range []scheduler.Sees{scheduler.SeesFull, scheduler.SeesClick, scheduler.SeesDay, scheduler.SeesNone} {
			turn := &turn{g: w.Gateway, now: w.now(), box: box, change: &Change{}}
			f := turn.facts(&Delivery{ID: id, Tenant: "acme", Class: Newsletter, Sees: sees}).Mailbox
			opens, clicks := sees == scheduler.SeesFull || sees == scheduler.SeesDay, sees <= scheduler.SeesClick
			if (f.Opens.D1 > 0) != opens || f.LastOpen.IsZero() == opens || (f.Clicks.D1 > 0) != clicks || f.LastClick.IsZero() == clicks || f.Modelled != clicks || f.Sends.D1 != 1 {
				t.Errorf("%v: %+v", sees, f)
			}
		}
	})
}

// What a list or a message forbids to learn is not learned from signals about it
// either, also when mail that permits it was sent since.
func TestEvidenceOfAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) {
			w.rules.ListSees = map[string]scheduler.Sees{"none.acme.test": scheduler.SeesNone, "day.acme.test": scheduler.SeesDay}
		})
		of := func(list, evidence string) DeliveryID {
			id := w.submit("ann@dest.test", func(m *Message) { m.List, m.Evidence = list, evidence })
			time.Sleep(time.Hour)
			return id
		}
		none, day, own := of("None.acme.test", ""), of("day.acme.test", ""), of("", "none")
		of("", "")
		box, _ := store.Mailbox(t.Context(), w.key("ann@dest.test"))
		events := store.eventCount()
		for _, id := range []DeliveryID{none, own} {
			if w.tell("ann@dest.test", Signal{Kind: SignalOpened, Message: id.String()}) || w.tell("ann@dest.test", Signal{Kind: SignalClicked, Message: id.String()}) {
				t.Error("it is learned")
			}
		}
		if after, _ := store.Mailbox(t.Context(), box.Key); after.Rev != box.Rev {
			t.Error("something is stored")
		}
		if !w.tell("ann@dest.test", Signal{Kind: SignalOpened, Message: day.String()}) || store.eventCount() != events {
			t.Error("of what may be known by the day there is an event, or it is not learned")
		}
		after, _ := store.Mailbox(t.Context(), box.Key)
		if h, err := parseHeard(after.Heard); err != nil || h.did.open.last == 0 || h.did.open.last%86400 != 0 || len(h.did.days) != 1 || h.did.days[0].opens != 0 {
			t.Errorf("by the day, %+v is kept, %v", h.did, err)
		}
		if !w.tell("ann@dest.test", Signal{Kind: SignalUnsubscribed, Message: none.String()}) {
			t.Error("an opt-out is not heard")
		}
	})
}

// clickOn is a click on one of a mail's links, by a browser; the ninth is hidden.
func clickOn(id DeliveryID, n uint64) Signal {
	return Signal{Kind: SignalClicked, Message: id.String(), Link: fmt.Sprint(n), Seen: &evidence.Request{Action: evidence.Click, Method: "GET",
		UserAgent: "Mozilla/5.0 (Windows NT 10.0) Chrome/130", Known: true, Addr: netip.MustParseAddr("192.0.2.9"), Link: n, Links: 4, Hidden: n == 9}}
}

// clickedOnce is a world where ann has clicked on her mail five seconds ago.
func clickedOnce(t *testing.T) (*memory, *world, DeliveryID) {
	t.Helper()
	store := newMemory()
	w := newWorld(t, store, func(w *world) { w.Tenants = func() []string { return []string{"acme"} } })
	id := w.submit("ann@dest.test", nil)
	time.Sleep(2 * time.Hour)
	if !w.tell("ann@dest.test", clickOn(id, 1)) {
		t.Fatal("the first click is not learned")
	}
	time.Sleep(5 * time.Second)
	return store, w, id
}

// heardOf is what is remembered of a mailbox of acme's.
func (w *world) heardOf(to string) heard {
	w.t.Helper()
	box, err := w.store.Mailbox(w.t.Context(), w.key(to))
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := parseHeard(box.Heard)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// A burst of clicks that shows itself as a machine's gives back neither what its
// reader has withdrawn meanwhile nor what was sent meanwhile, and counts for nothing.
func TestRetractKeepsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w, id := clickedOnce(t)
		if did := w.heardOf("ann@dest.test").did; did.days[0].clicks != 1 || did.click.last == 0 {
			t.Errorf("the first click does not count: %+v", did)
		}
		w.tell("ann@dest.test", clickOn(id, 9))
		if did := w.heardOf("ann@dest.test").did; did.days[0].clicks != 0 || did.click.last != 0 {
			t.Errorf("a machine's clicks count: %+v", did)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		store, w, id := clickedOnce(t)
		w.tell("ann@dest.test", Signal{Kind: SignalConsent, Wish: &Wish{Evidence: "day"}})
		w.tell("ann@dest.test", clickOn(id, 9))
		if box, _ := store.Mailbox(t.Context(), w.key("ann@dest.test")); len(box.Profile) != 0 {
			t.Error("what was forgotten is back")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		store, w, id := clickedOnce(t)
		if _, err := w.Erase(t.Context(), mustMailbox(t, "ann@dest.test"), "ops"); err != nil {
			t.Fatal(err)
		}
		w.tell("ann@dest.test", clickOn(id, 9))
		if box, _ := store.Mailbox(t.Context(), w.key("ann@dest.test")); len(box.Profile) != 0 {
			t.Error("what was erased is back")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, w, id := clickedOnce(t)
		next := w.submit("ann@dest.test", nil)
		time.Sleep(5 * time.Second)
		w.wantEnd(next, EventDelivered)
		w.tell("ann@dest.test", clickOn(id, 9))
		time.Sleep(time.Hour)
		if !w.tell("ann@dest.test", Signal{Kind: SignalOpened, Message: next.String()}) {
			t.Fatal("no news")
		}
		if !w.tell("ann@dest.test", Signal{Kind: SignalClicked, Message: next.String()}) {
			t.Error("the mail that was sent meanwhile is not remembered")
		}
	})
}

// An opt-out that is told again while mail is on the wire is told once to have come
// too late.
func TestTooLateOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) {
			w.far.delay = time.Minute
		})
		id := w.submit("ann@dest.test", nil)
		time.Sleep(10 * time.Second)
		for i := range 3 {
			w.tell("ann@dest.test", Signal{ID: fmt.Sprint(i), Kind: SignalUnsubscribed, Message: id.String()})
		}
		time.Sleep(2 * time.Minute)
		n := 0
		for _, k := range store.kinds(id) {
			if k == EventTooLate {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d times: %v", n, store.kinds(id))
		}
	})
}

// What waits for permission is told of once, however often it is looked at.
func TestWaitingForPermissionIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) { w.PermissionLag = func() time.Duration { return time.Hour } })
		id := w.submit("ann@dest.test", nil)
		time.Sleep(10 * time.Hour)
		if kinds := store.kinds(id); len(kinds) > 3 {
			t.Errorf("%d events: %v", len(kinds), kinds)
		}
		time.Sleep(15 * time.Hour)
		w.wantEnd(id, EventDelivered)
	})
}

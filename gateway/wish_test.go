package gateway

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/evidence"
	"tidepost/suppression"
)

// An opt-out stops what waits in the same commit, for its list alone where it names
// one.
func TestUnsubscribeFromOneList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		later := func(list string) func(m *Message) {
			return func(m *Message) { m.List, m.NotBefore = list, time.Now().Add(2*time.Hour) }
		}
		news, shop := w.submit("ann@dest.test", later("news.acme.test")), w.submit("ann@dest.test", later("shop.acme.test"))
		time.Sleep(time.Minute)
		before := len(store.changes())
		if !w.tell("ann@dest.test", Signal{Kind: SignalUnsubscribed, List: "news.acme.test", Forward: "https://esp.test/u/1"}) {
			t.Error("no news")
		}
		if n := len(store.changes()) - before; n != 1 {
			t.Errorf("%d commits, want the entry, the drop and the forwarding in one", n)
		}
		w.wantEnd(news, EventSuppressed)
		if w.delivery("ann@dest.test", shop) == nil {
			t.Error("mail of the other list is gone")
		}
		forwards := 0
		for name, value := range store.Settings() {
			if strings.HasPrefix(name, SettingForward) && strings.Contains(string(value), "https://esp.test/u/1") {
				forwards++
			}
		}
		if w.tell("ann@dest.test", Signal{Kind: SignalUnsubscribed, List: "news.acme.test", Forward: "https://esp.test/u/1"}) || forwards != 1 {
			t.Errorf("told again it is news, or it is forwarded %d times", forwards)
		}
		time.Sleep(3 * time.Hour)
		w.wantEnd(shop, EventDelivered)
	})
}

// A pause stops bulk until it ends or its reader ends it, and no code ever.
func TestReaderPausesAndResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		time.Sleep(time.Minute)
		w.tell("ann@dest.test", Signal{Kind: SignalConsent, Wish: &Wish{Until: time.Now().AddDate(0, 0, 30)}})
		paused := w.submit("ann@dest.test", nil)
		code := w.submit("ann@dest.test", func(m *Message) { m.Class = Transactional })
		time.Sleep(time.Minute)
		w.wantEnd(paused, EventSuppressed)
		w.wantEnd(code, EventDelivered)
		if !w.tell("ann@dest.test", Signal{Kind: SignalConsent, Wish: &Wish{Resume: true}}) {
			t.Error("resuming is no news")
		}
		again := w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		w.wantEnd(again, EventDelivered)
		w.tell("ann@dest.test", Signal{Kind: SignalConsent, Wish: &Wish{Until: time.Now().AddDate(0, 0, 30)}})
		time.Sleep(31 * 24 * time.Hour)
		over := w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		w.wantEnd(over, EventDelivered)
	})
}

// Less mail means less mail, whatever the policy does with mail at its limit.
func TestOneMailAWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.rules.MaxDrop = 0.01 })
		w.tell("ann@dest.test", Signal{Kind: SignalConsent, Wish: &Wish{PerWeek: 1}})
		first := w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		second := w.submit("ann@dest.test", nil)
		time.Sleep(2 * 24 * time.Hour)
		w.wantEnd(first, EventDelivered)
		w.wantEnd(second, EventDropped)
		time.Sleep(6 * 24 * time.Hour)
		third := w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		w.wantEnd(third, EventDelivered)
	})
}

// Who does not want to be observed is not: what was learned goes, what comes later
// is counted and nowhere stored, nothing is put into their mail, and an opt-out
// still counts.
func TestConsentWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) { w.rules.Tracking = TrackFull })
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Hour)
		w.tell("ann@dest.test", Signal{Kind: SignalClicked, Message: id.String()})
		k := w.key("ann@dest.test")
		if m := w.marks(t.Context(), &Delivery{Mailbox: k, Tenant: "acme", Class: Newsletter}); !m.Pixel || !m.Links || !m.Unsubscribe {
			t.Errorf("before, the marks are %+v", m)
		}
		w.tell("ann@dest.test", Signal{Kind: SignalConsent, Wish: &Wish{Evidence: "none"}})
		box, _ := store.Mailbox(t.Context(), k)
		if len(box.Profile) != 0 {
			t.Errorf("the profile of %d bytes stays", len(box.Profile))
		}
		events := store.eventCount()
		for _, kind := range []SignalKind{SignalOpened, SignalClicked, SignalActive, SignalViewed, SignalConverted} {
			time.Sleep(time.Second)
			if w.tell("ann@dest.test", Signal{Kind: kind, Message: id.String()}) {
				t.Errorf("%s is learned", kind)
			}
		}
		after, _ := store.Mailbox(t.Context(), k)
		if store.eventCount() != events || after.Rev != box.Rev || w.Metrics.Excluded.Load() != 5 {
			t.Errorf("%d events and revision %d were stored, %d were counted", store.eventCount()-events, after.Rev, w.Metrics.Excluded.Load())
		}
		if m := w.marks(t.Context(), &Delivery{Mailbox: k, Tenant: "acme", Class: Newsletter}); m != (Marks{}) {
			t.Errorf("after, the marks are %+v", m)
		}
		if !w.tell("ann@dest.test", Signal{Kind: SignalUnsubscribed}) {
			t.Error("an opt-out is not heard")
		}
	})
}

// Evidence modes say what is put into mail.
func TestMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) {
			w.rules.ListSees = map[string]scheduler.Sees{"quiet.acme.test": scheduler.SeesNone, "day.acme.test": scheduler.SeesDay}
		})
		for _, tt := range []struct {
			tracking Tracking
			sees     scheduler.Sees
			class    Class
			list     string
			want     string
		}{
			{TrackNone, scheduler.SeesFull, Newsletter, "", ""},
			{TrackClick, scheduler.SeesFull, Newsletter, "", "links unsubscribe"},
			{TrackFull, scheduler.SeesFull, Newsletter, "", "pixel links unsubscribe"},
			{TrackFull, scheduler.SeesFull, Transactional, "", ""},
			{TrackFull, scheduler.SeesFull, Triggered, "", ""},
			{TrackFull, scheduler.SeesClick, Promotional, "", "links unsubscribe"},
			{TrackFull, scheduler.SeesDay, Newsletter, "", "pixel unsubscribe"},
			{TrackFull, scheduler.SeesNone, Newsletter, "", ""},
			{TrackFull, scheduler.SeesFull, Newsletter, "Quiet.acme.test", ""},
			{TrackFull, scheduler.SeesFull, Newsletter, "day.acme.test", "pixel unsubscribe"},
		} {
			w.rules.Tracking = tt.tracking
			m := w.marks(t.Context(), &Delivery{Tenant: "acme", Class: tt.class, List: tt.list, Sees: tt.sees})
			var got []string
			for name, on := range map[string]bool{"1 pixel": m.Pixel, "2 links": m.Links, "3 unsubscribe": m.Unsubscribe} {
				if on {
					got = append(got, name)
				}
			}
			if s := words(got); s != tt.want {
				t.Errorf("%+v: %q", tt, s)
			}
			if tenant, list, ok := w.SourceOf(m.Source); m != (Marks{}) && (!ok || tenant != "acme" || list != strings.ToLower(tt.list)) {
				t.Errorf("%+v: source %q %q", tt, tenant, list)
			}
		}
	})
}

// words are names without the digit that orders them.
func words(names []string) string {
	slices.Sort(names)
	for i := range names {
		names[i] = names[i][2:]
	}
	return strings.Join(names, " ")
}

// seen is a click from a real browser, some time after delivery.
func seen(link uint64, links int) *evidence.Request {
	return &evidence.Request{Action: evidence.Click, Method: "GET", Known: true, Link: link, Links: links,
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Addr: netip.MustParseAddr("198.51.100.7")}
}

// A scanner that follows every link at once is found out by its second click, and
// the first one is taken back: the profile is as if nobody had clicked.
func TestBurstIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		k := w.know("ann@dest.test", evenings(t, w.model("acme")))
		id := w.submit("ann@dest.test", nil)
		time.Sleep(3 * time.Hour)
		before := w.knownOf(k)
		click := func(link uint64) bool {
			return w.tell("ann@dest.test", Signal{Kind: SignalClicked, Message: id.String(), Link: string(rune('0' + link)), Seen: seen(link, 5)})
		}
		if !click(1) {
			t.Error("the first click is no news")
		}
		if clicked := w.knownOf(k); clicked == before {
			t.Error("the first click taught nothing")
		}
		time.Sleep(300 * time.Millisecond)
		click(2)
		time.Sleep(300 * time.Millisecond)
		click(3)
		after := w.knownOf(k)
		was, is := before.Facts(w.model("acme"), time.Now()), after.Facts(w.model("acme"), time.Now())
		if was.Read != is.Read || after.Did&scheduler.DidClick != 0 {
			t.Errorf("the next mail is read with %v, was %v; deeds %b", is.Read, was.Read, after.Did)
		}
		time.Sleep(24 * time.Hour)
		if !w.tell("ann@dest.test", Signal{Kind: SignalClicked, Message: id.String(), Link: "1", Seen: seen(1, 5)}) {
			t.Error("the reader's own click a day later is no news")
		}
	})
}

// A page that was looked at shows that the click before it was a person's.
func TestViewRescuesTheClick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		k := w.know("ann@dest.test", evenings(t, w.model("acme")))
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Hour)
		r := seen(1, 5)
		r.Method = "HEAD"
		w.tell("ann@dest.test", Signal{Kind: SignalClicked, Message: id.String(), Link: "1", Seen: r})
		if p := w.knownOf(k); p.Did&scheduler.DidClick != 0 {
			t.Error("a HEAD request is a click")
		}
		w.tell("ann@dest.test", Signal{Kind: SignalViewed, Message: id.String()})
		if p := w.knownOf(k); p.Did&scheduler.DidClick == 0 {
			t.Error("the view does not rescue the click")
		}
	})
}

// While opt-outs are known to wait for more than a minute, bulk waits for them, as
// long as it may be held; codes go.
func TestBulkWaitsForPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lag atomic.Int64
		lag.Store(int64(2 * time.Minute))
		w := newWorld(t, newMemory(), func(w *world) { w.PermissionLag = func() time.Duration { return time.Duration(lag.Load()) } })
		bulk := w.submit("ann@dest.test", nil)
		code := w.submit("ann@dest.test", func(m *Message) { m.Class = Transactional })
		time.Sleep(time.Hour)
		w.wantEnd(code, EventDelivered)
		if d := w.delivery("ann@dest.test", bulk); d == nil || d.Reason != "permission_late" {
			t.Fatalf("the newsletter: %+v", d)
		}
		lag.Store(0)
		time.Sleep(2 * time.Minute)
		w.wantEnd(bulk, EventDelivered)
		lag.Store(int64(time.Hour))
		late := w.submit("ann@dest.test", nil)
		time.Sleep(25 * time.Hour) // max_hold is a day
		w.wantEnd(late, EventDelivered)
	})
}

// An erased person is forgotten, but for what stops mail to them.
func TestErase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) { w.Tenants = func() []string { return []string{"acme"} } })
		k := w.know("ann@dest.test", evenings(t, w.model("acme")))
		sent := w.submit("ann@dest.test", nil)
		time.Sleep(time.Hour)
		w.wantEnd(sent, EventDelivered)
		waits := w.submit("ann@dest.test", func(m *Message) { m.NotBefore = time.Now().Add(time.Hour) })
		time.Sleep(time.Minute)
		w.tell("ann@dest.test", Signal{Kind: SignalUnsubscribed, List: "news.acme.test"})
		w.tell("ann@dest.test", Signal{Kind: SignalConsent, Wish: &Wish{PerWeek: 3}})
		got, err := w.Erase(t.Context(), mustMailbox(t, "ann@dest.test"), "ops")
		if want := (Erased{Mailboxes: 1, Dropped: 1, Entries: 1}); err != nil || got != want {
			t.Fatalf("erased %+v, %v", got, err)
		}
		w.wantEnd(waits, EventDropped)
		box, _ := store.Mailbox(t.Context(), k)
		if box.Address != "" || box.Zone != "" || len(box.Profile)+len(box.Heard) > 0 || box.Wishes != (Wishes{}) || box.Gates.Len() > 0 {
			t.Errorf("what stays is %+v", box)
		}
		if left, _ := store.Entries(t.Context(), "ann@dest.test"); len(left) != 0 {
			t.Errorf("entries in clear: %+v", left)
		}
		for a, list := range store.entries {
			for _, e := range list {
				if strings.Contains(a+e.Address+e.Evidence+e.Note, "ann") {
					t.Errorf("an entry names her: %+v", e)
				}
			}
		}
		for range 2 { // now, and after a restart
			again := w.submit("ann@dest.test", func(m *Message) { m.List = "news.acme.test" })
			other := w.submit("bob@dest.test", func(m *Message) { m.List = "news.acme.test" })
			time.Sleep(time.Hour)
			w.wantEnd(again, EventSuppressed)
			w.wantEnd(other, EventDelivered)
			w.stop()
			w = newWorld(t, store, nil)
		}
	})
}

// A soft bounce stops nothing.
func TestSoftBounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		w.tell("ann@dest.test", Signal{Kind: SignalBounced, Soft: true})
		if list, _ := store.Entries(t.Context(), "ann@dest.test"); len(list) > 0 {
			t.Errorf("it made %+v", list)
		}
		w.tell("ann@dest.test", Signal{Kind: SignalBounced})
		if list, _ := store.Entries(t.Context(), "ann@dest.test"); len(list) != 1 || list[0].Reason != suppression.HardBounce {
			t.Errorf("for good: %+v", list)
		}
	})
}

// Somebody who is there now gets what waits for them now, where the policy says so;
// who only may be there does not.
func TestMomentum(t *testing.T) {
	for _, tt := range []struct {
		story    string
		momentum bool
		human    float32
		leaves   bool
	}{
		{"a person clicks", true, 1, true},
		{"maybe a person clicks", true, .9, false},
		{"a person clicks, and the policy does not ask", false, 1, false},
	} {
		t.Run(tt.story, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemory(), func(w *world) { live(w); w.rules.Momentum = tt.momentum })
				w.know("ann@dest.test", evenings(t, w.model("acme")))
				first := w.submit("ann@dest.test", func(m *Message) { m.Priority = urgentPriority })
				time.Sleep(time.Hour)
				w.wantEnd(first, EventDelivered)
				waits := w.submit("ann@dest.test", nil)
				time.Sleep(time.Hour)
				if d := w.delivery("ann@dest.test", waits); d == nil || d.Due.IsZero() {
					t.Fatalf("it is not held: %+v", d)
				}
				w.tell("ann@dest.test", Signal{Kind: SignalClicked, Message: first.String(), Human: tt.human})
				time.Sleep(time.Minute)
				if gone := w.delivery("ann@dest.test", waits) == nil; gone != tt.leaves {
					t.Errorf("it left: %v, want %v", gone, tt.leaves)
				}
			})
		})
	}
}

// What stayed of an erased address can be found under it, and taken back.
func TestErasedEntryIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.Tenants = func() []string { return []string{"acme"} } })
		m := mustMailbox(t, "ann@dest.test")
		w.tell("ann@dest.test", Signal{Kind: SignalUnsubscribed})
		if _, err := w.Erase(t.Context(), m, "ops"); err != nil {
			t.Fatal(err)
		}
		list, err := w.EntriesOf(t.Context(), m.String())
		if err != nil || len(list) != 1 {
			t.Fatalf("found %+v, %v", list, err)
		}
		list[0].Removed = time.Now()
		if err := w.Observe(t.Context(), list[0], "ops"); err != nil {
			t.Fatal(err)
		}
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Hour)
		w.wantEnd(id, EventDelivered)
	})
}

// What a tenant's reader says of a list is said of that tenant's mail: anybody can
// write anybody's List-Id.
func TestUnsubscribeFromAnothersList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		s := Signal{Kind: SignalUnsubscribed, Tenant: "rival", Mailbox: mustMailbox(t, "ann@dest.test"), List: "news.acme.test", Human: 1}
		if _, err := w.Learn(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		id := w.submit("ann@dest.test", func(m *Message) { m.List = "news.acme.test" })
		time.Sleep(time.Hour)
		w.wantEnd(id, EventDelivered)
		w.tell("ann@dest.test", Signal{Kind: SignalUnsubscribed, List: "News.acme.test"})
		again := w.submit("ann@dest.test", func(m *Message) { m.List = "news.acme.test" })
		time.Sleep(time.Hour)
		w.wantEnd(again, EventSuppressed)
	})
}

// What a list's mail may teach holds for its links also when the mail is forgotten.
func TestLinkOfAListOfWhichNothingIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.rules.ListSees = map[string]scheduler.Sees{"clinic.acme.test": scheduler.SeesNone} })
		forgotten := DeliveryID{Message: ID{1, 2, 3}}.String()
		if w.tell("ann@dest.test", Signal{Kind: SignalClicked, Message: forgotten, List: "Clinic.acme.test", Link: "1"}) {
			t.Error("a click of it is learned")
		}
		if !w.tell("ann@dest.test", Signal{Kind: SignalActive, List: "news.acme.test"}) {
			t.Error("another list's are not")
		}
	})
}

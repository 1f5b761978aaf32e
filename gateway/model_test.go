package gateway

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/experiment"
	"tidepost/suppression/address"
)

// evenings is the profile of somebody who reads at nine in the evening, UTC, and
// at no other time.
func evenings(t *testing.T, m *scheduler.Model) []byte {
	t.Helper()
	var p scheduler.Profile
	at := time.Now().Add(-60 * 24 * time.Hour).Truncate(24 * time.Hour).Add(21*time.Hour + 10*time.Minute)
	for ; at.Before(time.Now()); at = at.Add(24 * time.Hour) {
		p.Observe(m, time.UTC, scheduler.SeesFull, scheduler.Evidence{Kind: scheduler.Active, At: at, Weight: 1})
	}
	return p.AppendBinary(nil)
}

// know puts a profile into the store, as if it had been learned.
func (w *world) know(to string, profile []byte) Key {
	w.t.Helper()
	a, err := address.Parse(to)
	if err != nil {
		w.t.Fatal(err)
	}
	k := MailboxKey("acme", a.Mailbox())
	err = w.perform(w.t.Context(), k, func(t *turn) { t.head().Profile, t.box.Zone = profile, "UTC" })
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

func (w *world) signal(to string, kind SignalKind, about DeliveryID) bool {
	w.t.Helper()
	a, err := address.Parse(to)
	if err != nil {
		w.t.Fatal(err)
	}
	s := Signal{Kind: kind, Tenant: "acme", Mailbox: a.Mailbox(), Human: 1, Source: "test"}
	if !about.Message.IsZero() {
		s.Message = about.String()
	}
	news, err := w.Learn(w.t.Context(), s)
	if err != nil {
		w.t.Fatalf("signal %s: %v", kind, err)
	}
	return news
}

func (w *world) waitingFor(id DeliveryID, k Key) *Delivery {
	w.t.Helper()
	box, err := w.store.Mailbox(w.t.Context(), k)
	if err != nil {
		w.t.Fatal(err)
	}
	return box.Delivery(id)
}

func live(w *world) { w.rules.Live, w.rules.Arms = true, experiment.Shares{experiment.Model: 100} }

func TestLiveHoldsForTheReadersHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), live)
		k := w.know("ann@dest.test", evenings(t, w.model("acme")))
		id := w.submit("ann@dest.test", nil) // synctest begins at midnight UTC
		time.Sleep(time.Minute)
		d := w.waitingFor(id, k)
		if d == nil || d.Reason != string(scheduler.ReadingHour) {
			t.Fatalf("a minute later it is %+v, want held for the reader's hour", d)
		}
		why, err := d.Why()
		if err != nil || why.Would != scheduler.Hold || !why.WouldAt.Equal(d.Due) || why.Best.U() < why.Now.U() {
			t.Errorf("the decision is %+v (%v), due %v", why, err, d.Due)
		}
		if h := d.Due.Hour(); h < 18 || h > 21 {
			t.Errorf("it is due at %v; its reader reads at nine in the evening", d.Due)
		}
		urgent := w.submit("ann@dest.test", func(m *Message) { m.Class = Transactional })
		time.Sleep(24 * time.Hour)
		got := w.far.letters("ann@dest.test")
		if len(got) != 2 || got[1].Sub(d.Due).Abs() > time.Minute {
			t.Errorf("delivered at %v, want the transactional one at once and the other at %v", got, d.Due)
		}
		w.wantKinds(urgent, EventAccepted, EventPlanned, EventReleased, EventDelivered)
		w.wantKinds(id, EventAccepted, EventHeld, EventReleased, EventDelivered)
	})
}

func TestObserveRecordsAndReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		w.know("ann@dest.test", evenings(t, w.model("acme")))
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		w.wantKinds(id, EventAccepted, EventPlanned, EventReleased, EventDelivered)
		last := w.store.last(id)
		why, err := last.Why()
		if err != nil || why.Would != scheduler.Hold || why.Live {
			t.Errorf("what live would have done is %+v (%v), want a hold that was not carried out", why, err)
		}
	})
}

func TestObserveIsThePanicSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), live)
		k := w.know("ann@dest.test", evenings(t, w.model("acme")))
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		if w.waitingFor(id, k) == nil {
			t.Fatal("it left at once")
		}
		if err := w.SetMode(t.Context(), ModeScope{Tenant: "other"}, false, "ops"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if w.waitingFor(id, k) == nil {
			t.Error("another tenant's switch released it")
		}
		if err := w.SetMode(t.Context(), ModeScope{Tenant: "acme"}, false, "ops"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := len(w.far.letters("ann@dest.test")); n != 1 {
			t.Errorf("a minute after the switch %d letters have left, want 1", n)
		}
		if modes := w.Modes(); len(modes) != 2 || modes[0].By != "ops" {
			t.Errorf("the switches in force are %+v", modes)
		}
	})
}

// A switch made at run time wins until the file's own value changes.
func TestFileTakesOverFromSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		if err := w.SetMode(t.Context(), ModeScope{}, true, "ops"); err != nil {
			t.Fatal(err)
		}
		d := &Delivery{Tenant: "acme", Class: Newsletter}
		if !w.live(d, w.rules) {
			t.Error("the switch is not in force")
		}
		w.stop()
		w = newWorld(t, store, nil)
		if !w.live(d, w.rules) {
			t.Error("the switch did not survive the restart")
		}
		w.rules.Live = true
		if len(w.Modes()) != 0 || !w.live(d, w.rules) {
			t.Error("the file says live itself; the switch is not over")
		}
	})
}

func TestSignalsAreAppliedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Hour)
		k := w.know("bob@dest.test", nil)
		_ = k
		if !w.signal("ann@dest.test", SignalOpened, id) || w.signal("ann@dest.test", SignalOpened, id) {
			t.Error("an open is news once")
		}
		if !w.signal("ann@dest.test", SignalClicked, id) || w.signal("ann@dest.test", SignalClicked, id) {
			t.Error("a click is news once")
		}
		if w.signal("ann@dest.test", SignalOpened, id) {
			t.Error("an open after the click of the same mail is no news")
		}
		if !w.model("acme").Observed {
			t.Error("opens came back and silence still means nothing")
		}
		var kinds []EventKind
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		for _, e := range w.store.events {
			if e.Delivery == nil {
				kinds = append(kinds, e.Kind)
			}
		}
		if want := []EventKind{EventOpened, EventClicked}; !slices.Equal(kinds, want) {
			t.Errorf("told of %v, want %v", kinds, want)
		}
	})
}

// News of a reader changes the plan of what waits for them.
func TestUnsubscribeDropsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), live)
		w.know("ann@dest.test", evenings(t, w.model("acme")))
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		w.signal("ann@dest.test", SignalUnsubscribed, DeliveryID{})
		time.Sleep(48 * time.Hour)
		w.wantKinds(id, EventAccepted, EventHeld, EventSuppressed)
		if n := len(w.far.letters("ann@dest.test")); n != 0 {
			t.Errorf("%d letters went to somebody who opted out while they waited", n)
		}
	})
}

// To plan again without news stores nothing.
func TestReplanWithoutNewsIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), live)
		k := w.know("ann@dest.test", evenings(t, w.model("acme")))
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		before := *w.waitingFor(id, k)
		for range 5 {
			w.Replan()
			time.Sleep(time.Hour)
		}
		if after := w.waitingFor(id, k); after == nil || after.Rev != before.Rev || !bytes.Equal(after.Decision, before.Decision) {
			t.Errorf("was %+v, is %+v", before, after)
		}
	})
}

func TestSentMailTeachesTheProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		k := w.know("ann@dest.test", nil)
		for range 3 {
			w.submit("ann@dest.test", func(m *Message) { m.Class = Promotional })
			time.Sleep(time.Hour)
		}
		box, _ := w.store.Mailbox(t.Context(), k)
		var p scheduler.Profile
		if _, err := p.UnmarshalBinary(box.Profile); err != nil {
			t.Fatal(err)
		}
		if f := p.Facts(w.model("acme"), time.Now()); f.Pressure <= 0 || len(box.Profile) > 256 {
			t.Errorf("after three mails the pressure is %v in %d bytes", f.Pressure, len(box.Profile))
		}
	})
}

// What was learned survives a restart.
func TestModelsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		salt := w.Salt
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		w.signal("ann@dest.test", SignalClicked, id)
		w.stop()
		w = newWorld(t, store, nil)
		if !w.model("acme").Observed || w.Salt != salt || salt == 0 {
			t.Errorf("observed %v, salt %x after %x", w.model("acme").Observed, w.Salt, salt)
		}
	})
}

// More drops than max_drop allows do not happen: the rest of the mail leaves.
func TestMaxDropSparesWhatTheModelWouldDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) {
			live(w)
			w.rules.Arms = experiment.Shares{experiment.None: 100}
			w.rules.Drop, w.rules.MaxDrop = []Class{Promotional}, 0.05
		})
		const n = 300
		for i := range n {
			w.submit(fmt.Sprintf("reader%d@dest.test", i), func(m *Message) { m.Class = Promotional })
		}
		time.Sleep(time.Minute)
		if dropped := w.Metrics.Dropped.Load(); dropped != dropFew {
			t.Errorf("%d of %d were dropped, want %d", dropped, n, dropFew)
		}
		time.Sleep(48 * time.Hour)
		w.far.mu.Lock()
		defer w.far.mu.Unlock()
		if sent := len(w.far.took); sent != n-dropFew {
			t.Errorf("%d of %d left, want all that were not dropped", sent, n)
		}
	})
}

// News of a reader moves what waits for them: whom we took to sleep has had breakfast.
func TestSignalMovesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quiet, err := scheduler.ParseQuiet("22:00-08:00")
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, newMemory(), func(w *world) { w.rules.Quiet, w.rules.Zone = quiet, time.UTC })
		id := w.submit("ann@dest.test", nil) // midnight UTC
		time.Sleep(time.Minute)
		a, _ := address.Parse("ann@dest.test")
		if d := w.waitingFor(id, MailboxKey("acme", a.Mailbox())); d == nil || d.Reason != string(scheduler.QuietHours) {
			t.Fatalf("at midnight it is %+v, want held by quiet hours", d)
		}
		news, err := w.Learn(t.Context(), Signal{Kind: SignalAttributes, Tenant: "acme", Mailbox: a.Mailbox(), Zone: "Asia/Tokyo", Source: "test"})
		if err != nil || !news {
			t.Fatalf("she lives in Tokyo: news %v, %v", news, err)
		}
		time.Sleep(time.Minute)
		if n := len(w.far.letters("ann@dest.test")); n != 1 {
			t.Errorf("a minute after her morning was known %d letters have left, want 1", n)
		}
	})
}

// Of whom nothing is known mail leaves at once, also within a second that has begun.
func TestNothingKnownLeavesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { live(w); w.rules.Explore = 1e-9 }) // some: hours are looked at
		time.Sleep(700 * time.Millisecond)
		id := w.submit("ann@dest.test", func(m *Message) { m.Zone = "Europe/Berlin" })
		time.Sleep(2 * time.Second)
		w.wantKinds(id, EventAccepted, EventPlanned, EventReleased, EventDelivered)
	})
}

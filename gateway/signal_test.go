package gateway

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler"
	"tidepost/suppression/address"
)

// tell brings a signal about a mailbox of acme's and reports whether it was news.
func (w *world) tell(to string, s Signal) bool {
	w.t.Helper()
	a, err := address.Parse(to)
	if err != nil {
		w.t.Fatal(err)
	}
	s.Tenant, s.Mailbox, s.Source = "acme", a.Mailbox(), "test"
	if s.Human == 0 {
		s.Human = 1
	}
	news, err := w.Learn(w.t.Context(), s)
	if err != nil {
		w.t.Fatalf("signal %s: %v", s.Kind, err)
	}
	return news
}

func (w *world) knownOf(k Key) scheduler.Profile {
	w.t.Helper()
	box, err := w.store.Mailbox(w.t.Context(), k)
	if err != nil {
		w.t.Fatal(err)
	}
	var p scheduler.Profile
	if _, err := p.UnmarshalBinary(box.Profile); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (s *memory) eventCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events)
}

// Whatever the clock of whoever brings a signal says, what is known of a reader stays.
func TestSignalsOfWrongClocks(t *testing.T) {
	for name, at := range map[string]time.Time{
		"ahead": time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		"1970":  time.Unix(0, 0),
		"-":     {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemory(), nil)
				k := w.know("ann@dest.test", evenings(t, w.model("acme")))
				before := w.knownOf(k)
				w.tell("ann@dest.test", Signal{Kind: SignalActive, At: at})
				time.Sleep(14 * 24 * time.Hour)
				w.tell("ann@dest.test", Signal{Kind: SignalActive})
				after := w.knownOf(k)
				was, is := before.Facts(w.model("acme"), time.Now()), after.Facts(w.model("acme"), time.Now())
				if is.Evidence < 0.9*was.Evidence || is.Hours[0] != was.Hours[0] {
					t.Errorf("before, the evidence was %v and the best hour %v; after, %v and %v", was.Evidence, was.Hours[0], is.Evidence, is.Hours[0])
				}
				if after.Week != scheduler.WeekOf(time.Now()) || after.Did&scheduler.DidVisit == 0 {
					t.Errorf("the visit of week %d counts in week %d: %b", scheduler.WeekOf(time.Now()), after.Week, after.Did)
				}
			})
		})
	}
}

// A signal that comes again is applied once, whatever it is and however late.
func TestRepetitionsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Hour)
		begun := time.Now()
		signals := []Signal{
			{Kind: SignalActive}, {Kind: SignalOpened, Message: id.String()}, {Kind: SignalClicked, Message: id.String()},
			{Kind: SignalViewed, Message: id.String()}, {Kind: SignalConverted}, {Kind: SignalReplied}, {Kind: SignalUnsubscribed, Message: id.String()},
			{Kind: SignalComplained}, {Kind: SignalBounced}, {Kind: SignalAttributes, Zone: "Europe/Oslo"}, {Kind: SignalAttributes, Zone: "Asia/Tokyo"},
		}
		for i := range signals {
			signals[i].At = begun.Add(time.Duration(i) * time.Second)
		}
		time.Sleep(time.Hour)
		for _, s := range signals {
			if !w.tell("ann@dest.test", s) {
				t.Errorf("%s is no news", s.Kind)
			}
		}
		w.tell("ann@dest.test", Signal{Kind: SignalUnsubscribed, At: begun.Add(14 * 24 * time.Hour)})
		box, _ := w.store.Mailbox(t.Context(), MailboxKey("acme", mustMailbox(t, "ann@dest.test")))
		events := w.store.eventCount()
		for range 3 {
			time.Sleep(20 * 24 * time.Hour / 3)
			for _, s := range signals {
				if w.tell("ann@dest.test", s) {
					t.Errorf("%s is news again", s.Kind)
				}
			}
		}
		again, _ := w.store.Mailbox(t.Context(), box.Key)
		if !bytes.Equal(again.Profile, box.Profile) || again.Zone != box.Zone || w.store.eventCount() != events {
			t.Errorf("repetitions changed the profile or told %d events", w.store.eventCount()-events)
		}
	})
}

// What is learned of a mailbox before its first mail is kept under its address.
func TestSignalBeforeTheFirstMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		w.tell("new@dest.test", Signal{Kind: SignalActive})
		box, _ := w.store.Mailbox(t.Context(), MailboxKey("acme", mustMailbox(t, "new@dest.test")))
		if box.Address != "new@dest.test" || box.Audience != "acme" || len(box.Profile) == 0 {
			t.Errorf("the mailbox is %q of %q, %d bytes", box.Address, box.Audience, len(box.Profile))
		}
		w.submit("new@dest.test", nil)
		time.Sleep(time.Minute)
		if n := len(w.far.letters("new@dest.test")); n != 1 {
			t.Errorf("%d letters", n)
		}
	})
}

// Names of time zones come from outside: only those that are one are kept.
func TestZonesAreBounded(t *testing.T) {
	for _, name := range []string{"Local", "Nowhere/Nothing", "Europe//Berlin", "Europe/./Berlin", "../UTC", ""} {
		is := zone(name) != nil
		if _, kept := zones.Load(name); is || kept {
			t.Errorf("%q: a zone: %v, kept: %v", name, is, kept)
		}
	}
	if zone("Europe/Berlin") == nil {
		t.Error("Europe/Berlin is no zone")
	}
}

// What Learn takes in is on disk when it returns; what the stream brings of opens and
// clicks may wait for the next sync, opt-outs never.
func TestWhatIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		at := time.Now()
		for _, tt := range []struct {
			story   string
			tell    func()
			relaxed bool
		}{
			{"told by call", func() { w.tell("ann@dest.test", Signal{Kind: SignalActive, At: at}) }, false},
			{"a visit from the stream", func() { w.hear("ann@dest.test", Signal{Kind: SignalActive, At: at.Add(1)}) }, true},
			{"an opt-out from the stream", func() { w.hear("ann@dest.test", Signal{Kind: SignalUnsubscribed}) }, false},
		} {
			time.Sleep(time.Second)
			tt.tell()
			store.mu.Lock()
			if store.relaxed != tt.relaxed {
				t.Errorf("%s: relaxed %v", tt.story, store.relaxed)
			}
			store.mu.Unlock()
		}
	})
}

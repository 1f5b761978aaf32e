package gateway

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler"
)

// told counts the events of a kind, and returns what the last one says.
func told(store *memory, kind EventKind) (n int, last SignalDetail) {
	store.mu.Lock()
	defer store.mu.Unlock()
	for i := range store.events {
		if e := &store.events[i]; e.Kind == kind {
			n++
			last, _ = e.SignalDetail()
		}
	}
	return n, last
}

// A reader leaves a list on our page and is asked why: the answer is told, changes what
// is thought of them and nothing else, however often it is given.
func TestWhyAfterUnsubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		id := w.submit("ann@dest.test", func(m *Message) { m.List = "news.acme.test" })
		time.Sleep(time.Hour)
		answer := func(y Why) bool {
			time.Sleep(time.Minute)
			return w.tell("ann@dest.test", Signal{Kind: SignalConsent, Message: id.String(), List: "news.acme.test", Why: y, Source: "unsubscribe"})
		}
		w.tell("ann@dest.test", Signal{Kind: SignalUnsubscribed, Message: id.String(), List: "news.acme.test", Source: "unsubscribe"})
		facts := func() scheduler.Facts {
			box, _ := store.Mailbox(t.Context(), w.key("ann@dest.test"))
			f, _ := w.Facts(box, "acme")
			return f
		}
		entries := func() int { e, _ := store.Entries(t.Context(), "ann@dest.test"); return len(e) }
		before, stops := facts(), entries()
		if !answer(WhyOften) {
			t.Error("an answer is no news")
		}
		if after := facts(); !(after.Tolerance < before.Tolerance) {
			t.Errorf("tolerance %v, before %v", after.Tolerance, before.Tolerance)
		}
		revision := func() uint64 { box, _ := store.Mailbox(t.Context(), w.key("ann@dest.test")); return box.Rev }
		rev := revision()
		if answer(WhyOften) || revision() != rev {
			t.Error("the same answer again is news")
		}
		if !answer(WhyDone) || !answer(WhyOften) {
			t.Error("a changed answer is no news")
		}
		if n, _ := told(store, EventUnsubscribed); n != 1 {
			t.Errorf("%d departures are told, want 1", n)
		}
		if n, last := told(store, EventConsent); n != 3 || last.Why != WhyOften || last.List != "news.acme.test" || last.Delivery != id.String() || last.Wish != nil {
			t.Errorf("%d answers are told, the last as %+v", n, last)
		}
		if n := entries(); n != stops || n != 1 {
			t.Errorf("%d entries, before the answers %d", n, stops)
		}
	})
}

// Who brings a departure may know why at once, or later: it is one departure.
func TestWhyFromElsewhere(t *testing.T) {
	for _, tt := range []struct {
		story             string
		first, second     Why
		news              bool
		departed, answers int
	}{
		{story: "with the departure", first: WhyIrrelevant, departed: 1},
		{story: "with the departure, told again", first: WhyIrrelevant, second: WhyIrrelevant, news: true, departed: 1, answers: 1},
		{story: "later", second: WhyDone, news: true, departed: 1, answers: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := newMemory()
			w := newWorld(t, store, nil)
			s := Signal{Kind: SignalUnsubscribed, List: "news.acme.test", Source: "esp", Why: tt.first, ID: "1", Human: 1}
			w.tell("ann@dest.test", s)
			if w.tell("ann@dest.test", s) {
				t.Errorf("%s: its repetition is news", tt.story)
			}
			time.Sleep(time.Hour)
			if s.ID, s.Why = "2", tt.second; tt.second != "" && w.tell("ann@dest.test", s) != tt.news {
				t.Errorf("%s: news is %v, want %v", tt.story, !tt.news, tt.news)
			}
			departed, _ := told(store, EventUnsubscribed)
			answers, _ := told(store, EventConsent)
			if departed != tt.departed || answers != tt.answers {
				t.Errorf("%s: %d departures and %d answers are told, want %d and %d", tt.story, departed, answers, tt.departed, tt.answers)
			}
		})
	}
}

// Whoever wants nothing learned of them may still say why: that is told, and kept
// nowhere else.
func TestWhyOfTheUnobserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Hour)
		w.tell("ann@dest.test", Signal{Kind: SignalConsent, Wish: &Wish{Evidence: "none"}})
		if !w.tell("ann@dest.test", Signal{Kind: SignalConsent, Message: id.String(), Why: WhyOften}) {
			t.Error("the answer is not heard")
		}
		box, _ := store.Mailbox(t.Context(), w.key("ann@dest.test"))
		if _, last := told(store, EventConsent); last.Why != WhyOften || len(box.Profile) != 0 {
			t.Errorf("told %+v, and a profile of %d bytes", last, len(box.Profile))
		}
	})
}

// What a reader says made them leave decides whether their leaving counts as fatigue.
func TestTrialOfDepartures(t *testing.T) {
	for why, want := range map[Why]int{"": 1, WhyOften: 1, WhyIrrelevant: 0, WhyDone: 0} {
		x := trial{began: 1, ended: 4, usual: 8, assigned: 8, all: 8, pressure: 8, unsubscribes: 1, why: why}
		if s, ok := x.sample(); !ok || s.Unsubscribes != want || s.Offered != 8 {
			t.Errorf("%q: %+v, want %d departures", why, s, want)
		}
	}
}

// An answer may come over NATS or the API: alone, or with a wish.
func TestWhyInDocument(t *testing.T) {
	for _, tt := range []struct {
		data, field string
		why         Why
		wish        bool
	}{
		{data: `{"why":"often","list":"news.acme.test"}`, why: WhyOften},
		{data: `{"why":"done","per_week":1}`, why: WhyDone, wish: true},
		{data: `{"why":"bored"}`, field: "data.why"},
		{data: `{"list":"news.acme.test"}`, field: "data"},
	} {
		doc := SignalDoc{Kind: "consent", Mailbox: "ann@dest.test", Tenant: "acme", Data: json.RawMessage(tt.data)}
		s, err := doc.Signal()
		var problem *SignalError
		if errors.As(err, &problem) != (tt.field != "") || problem != nil && problem.Field != tt.field {
			t.Errorf("%s: %v", tt.data, err)
		}
		if err == nil && (s.Why != tt.why || (s.Wish != nil) != tt.wish) {
			t.Errorf("%s: %+v", tt.data, s)
		}
	}
}

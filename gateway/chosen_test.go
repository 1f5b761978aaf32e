package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler"
)

// What a reader asked for, one wish after another, is what holds.
func TestChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		want := func(story string, want Chosen) {
			t.Helper()
			time.Sleep(time.Minute)
			got, err := w.Chosen(t.Context(), "acme", "news.acme.test", mustMailbox(t, "ann@dest.test"))
			if err != nil || got != want {
				t.Errorf("%s: %+v, %v, want %+v", story, got, err, want)
			}
		}
		want("never heard of", Chosen{})
		w.tell("ann@dest.test", Signal{Kind: SignalConsent, Wish: &Wish{PerWeek: 1, Evidence: "none"}})
		want("less, unobserved", Chosen{PerWeek: 1, Sees: scheduler.SeesNone})
		until := time.Now().AddDate(0, 0, 30)
		w.tell("ann@dest.test", Signal{Kind: SignalConsent, Wish: &Wish{Until: until, Evidence: "full"}})
		want("a pause", Chosen{PerWeek: 1, Until: until})
		w.tell("ann@dest.test", Signal{Kind: SignalConsent, Wish: &Wish{Resume: true}})
		want("as usual", Chosen{})
		w.tell("ann@dest.test", Signal{Kind: SignalUnsubscribed, List: "shop.acme.test"})
		want("another list is left", Chosen{})
		w.tell("ann@dest.test", Signal{Kind: SignalUnsubscribed, List: "news.acme.test"})
		want("this list is left", Chosen{List: true})
		w.tell("ann@dest.test", Signal{Kind: SignalUnsubscribed})
		want("all is left", Chosen{List: true, All: true})
	})
}

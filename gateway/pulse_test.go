package gateway

import (
	"testing"
	"testing/synctest"
	"time"
)

// Mail goes out; whether anything came back since is known over restarts and crashes.
func TestUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		want := func(story string, g *Gateway, since, last time.Time) {
			t.Helper()
			if got := g.Unanswered(); !got.Equal(since) {
				t.Errorf("%s: unanswered since %v, want %v", story, got, since)
			}
			if _, got := g.Heard(); !got.Equal(last) {
				t.Errorf("%s: the last signal was at %v, want %v", story, got, last)
			}
		}
		again := func() *Gateway {
			g := &Gateway{Store: store.survive(), Now: w.Now}
			if err := g.loadSettings(); err != nil {
				t.Fatal(err)
			}
			return g
		}
		never := time.Time{}
		want("nothing was sent", w.Gateway, never, never)
		w.submit("ann@dest.test", func(m *Message) { m.Class = Transactional })
		time.Sleep(time.Hour)
		want("a receipt was sent", w.Gateway, never, never)
		sent := time.Now()
		w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		w.submit("bob@dest.test", nil)
		time.Sleep(2 * time.Hour) // what the hour saves is saved
		since := w.Unanswered()
		if since.Before(sent) || since.After(sent.Add(30*time.Second)) {
			t.Errorf("unanswered since %v, want %v", since, sent)
		}
		want("after a restart", again(), since, never)
		heard := time.Now()
		w.tell("ann@dest.test", Signal{Kind: SignalActive})
		want("a signal came", w.Gateway, never, heard)
		want("and a crash at once", again(), never, heard)
		time.Sleep(30 * time.Minute)
		w.submit("bob@dest.test", nil)
		time.Sleep(2 * time.Hour)
		if since := w.Unanswered(); since.Before(heard.Add(29*time.Minute)) || since.After(heard.Add(31*time.Minute)) {
			t.Errorf("unanswered since %v, a signal came at %v", since, heard)
		}
	})
}

// In the flow of mail and signals the silence costs a write an hour, no more.
func TestPulseIsStoredSeldom(t *testing.T) {
	var p pulse
	at := time.Unix(1e9, 0)
	writes := 0
	for i := range 1000 {
		p.delivered(at)
		writes += len(p.unsaved(true))
		p.beat(at)
		writes += len(p.unsaved(true))
		if at = at.Add(36 * time.Second); i%100 == 50 { // each hour
			p.delivered(at)
			writes += len(p.unsaved(false))
		}
	}
	if writes > 20 {
		t.Errorf("%d writes in ten hours", writes)
	}
	p.lost()
	if len(p.unsaved(false)) != 1 {
		t.Error("what could not be stored is not stored again")
	}
}

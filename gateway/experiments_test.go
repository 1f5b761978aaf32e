package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/experiment"
	"tidepost/suppression"
	"tidepost/suppression/address"
)

// hours is an experiment that runs for a month from now on.
func hours(change func(e *experiment.Experiment)) experiment.Experiment {
	now := time.Now().UTC()
	e := experiment.Experiment{Name: "hours", Owner: "ops", Starts: now.Add(-time.Hour), Ends: now.AddDate(0, 1, 0), Size: 50,
		Arms: experiment.Shares{experiment.Control: 50, experiment.Random: 50},
		Stop: experiment.Stop{Outcome: experiment.Unsubscribed, Excess: 0.2}}
	if change != nil {
		change(&e)
	}
	return e
}

func experimenting(list ...experiment.Experiment) func(w *world) {
	return func(w *world) {
		live(w)
		w.rules.Experiments = list
	}
}

// accepted returns the event of a delivery's acceptance.
func (s *memory) accepted(id DeliveryID) *Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.events {
		if e := &s.events[i]; e.Kind == EventAccepted && e.Delivery.ID == id {
			return e
		}
	}
	return nil
}

// Mailboxes that an experiment draws are decided in its arms, all others in the
// standing ones, and history tells which.
func TestExperimentTakesItsMailboxes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := hours(nil)
		w := newWorld(t, newMemory(), experimenting(e))
		counts := map[scheduler.Arm]int{}
		for i := range 120 {
			to := fmt.Sprintf("reader%d@dest.test", i)
			id := w.submit(to, nil)
			time.Sleep(time.Second)
			told := w.store.accepted(id)
			place := e.Assign(w.Salt, told.Delivery.Mailbox.draw(), told.At)
			why, err := told.Delivery.Why()
			if err != nil {
				t.Fatal(err)
			}
			want := scheduler.ArmModel
			if place.In {
				want = scheduler.Arm(place.Arm)
			}
			drawn, named := told.Drawn()
			if why.Arm != want || named != place.In || named && (drawn.Label() != Label(&e) || drawn.Arms != e.Arms || drawn.Cap != 0) {
				t.Errorf("%s: arm %v, want %v; told %+v", to, why.Arm, want, drawn)
			}
			counts[why.Arm]++
		}
		if counts[scheduler.ArmModel] < 30 || counts[scheduler.ArmControl] < 10 || counts[scheduler.ArmRandom] < 10 || len(counts) != 3 {
			t.Errorf("arms: %v", counts)
		}
		id := w.submit("reader1@dest.test", func(m *Message) { m.Class = Transactional })
		time.Sleep(time.Second)
		if _, named := w.store.accepted(id).Drawn(); named {
			t.Error("transactional mail is experimented on")
		}
	})
}

// Arms act in live only, in the time of the experiment only, and a mailbox is in the
// first that takes it.
func TestExperimentBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := hours(func(e *experiment.Experiment) { e.Size, e.Arms = 100, experiment.Shares{experiment.Control: 100} })
		second := all
		second.Name, second.Arms = "second", experiment.Shares{experiment.Random: 100}
		w := newWorld(t, newMemory(), experimenting(all, second))
		k := w.know("ann@dest.test", nil)
		arm := func() scheduler.Arm {
			p := w.PolicyOf("acme", k)
			return scheduler.Arm(p.Arms.Of(w.Salt, k.draw(), time.Now()))
		}
		if got := arm(); got != scheduler.ArmControl {
			t.Errorf("arm %v, want the first experiment's", got)
		}
		w.rules.Live = false
		p := w.PolicyOf("acme", k)
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Second)
		if p.Live || w.store.accepted(id).Reason != "" {
			t.Error("the experiment acts under observation")
		}
		w.rules.Live = true
		time.Sleep(32 * 24 * time.Hour)
		if got := arm(); got != scheduler.ArmModel {
			t.Errorf("a month later arm %v, want the standing one", got)
		}
	})
}

// Drawn caps never let more through than the operator's, in the policy and in the
// flow.
func TestExperimentCapsStayBelowTheOperators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caps := hours(func(e *experiment.Experiment) {
			e.Name, e.Size, e.Arms, e.Caps = "pace", 100, experiment.Shares{}, true
		})
		const most = 4
		w := newWorld(t, newMemory(), func(w *world) {
			experimenting(caps)(w)
			w.rules.WeeklyCap, w.rules.DropAtLimit, w.rules.Drop, w.rules.MaxDrop, w.rules.MaxHold = most, true, []Class{Newsletter}, 1, time.Hour
		})
		seen := map[int]bool{}
		for i := range 40 {
			to := fmt.Sprintf("reader%d@dest.test", i)
			a, _ := address.Parse(to)
			p := w.PolicyOf("acme", MailboxKey("acme", a.Mailbox()))
			seen[p.WeeklyCap] = true
			var last DeliveryID
			for range most + 2 {
				last = w.submit(to, nil)
				time.Sleep(time.Minute)
			}
			time.Sleep(3 * time.Hour)
			if got := len(w.far.letters(to)); got != p.WeeklyCap || got > most {
				t.Errorf("%s: %d letters, the cap drawn is %d, the operator's %d", to, got, p.WeeklyCap, most)
			}
			if drawn, ok := w.store.accepted(last).Drawn(); !ok || drawn.Cap != p.WeeklyCap || drawn.Most != most {
				t.Errorf("%s: told of %+v, the cap is %d", to, drawn, p.WeeklyCap)
			}
		}
		if len(seen) != 3 || !seen[2] || !seen[3] || !seen[4] {
			t.Errorf("caps drawn: %v, want 2, 3 and 4", seen)
		}
	})
}

// An experiment that was ended stays so after a restart, until the file gives it
// other dates.
func TestEndedExperiment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := hours(func(e *experiment.Experiment) { e.Size, e.Arms = 100, experiment.Shares{experiment.Control: 100} })
		store := newMemory()
		w := newWorld(t, store, experimenting(e))
		k := w.know("ann@dest.test", nil)
		control := func() bool {
			p := w.PolicyOf("acme", k)
			return p.Arms.Of(w.Salt, k.draw(), time.Now()) == experiment.Control
		}
		if !control() || len(w.Endings()) != 0 {
			t.Fatal("it does not run")
		}
		began := time.Now()
		time.Sleep(time.Hour)
		for range 2 { // the second time changes nothing
			if err := w.EndExperiment(t.Context(), "acme", "hours", "too many left", "stop rule"); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.EndExperiment(t.Context(), "acme", "days", "", "ops"); err == nil || !strings.Contains(err.Error(), `no experiment "days"`) {
			t.Errorf("ending what is not there: %v", err)
		}
		told := slices.DeleteFunc(slices.Clone(store.events), func(e Event) bool { return e.Kind != EventSetting })
		if len(told) != 1 || told[0].Reason != "ended" || told[0].Actor != "stop rule" || told[0].Detail != "experiment/acme/hours: too many left" {
			t.Errorf("told: %+v", told)
		}
		if control() {
			t.Error("it goes on")
		}
		if got, _ := w.drawn(w.rules, "acme", k, began); got == nil {
			t.Error("what was drawn before is forgotten")
		}
		if got, _ := w.drawn(w.rules, "other", k, time.Now()); got == nil {
			t.Error("another tenant's was ended too")
		}
		w.stop()
		w = newWorld(t, store, experimenting(e))
		if x := w.Endings(); control() || len(x) != 1 || x[0].Why != "too many left" || x[0].By != "stop rule" || x[0].At.Sub(began) != time.Hour {
			t.Errorf("after a restart: %+v", x)
		}
		e.Ends = e.Ends.AddDate(0, 0, 7)
		w.rules.Experiments = []experiment.Experiment{e}
		if !control() || len(w.Endings()) != 0 {
			t.Error("it has other dates and does not run")
		}
	})
}

// The event of a signal names the experiment.
func TestSignalNamesTheExperiment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := hours(func(e *experiment.Experiment) { e.Size, e.Arms = 100, experiment.Shares{experiment.Control: 100} })
		w := newWorld(t, newMemory(), experimenting(e))
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		w.signal("ann@dest.test", SignalClicked, id)
		last := w.store.events[len(w.store.events)-1]
		if last.Kind != EventClicked || !strings.Contains(last.Detail, `"experiment":"hours","arm":"control"`) {
			t.Errorf("told: %+v", last)
		}
	})
}

// Somebody who says again that they have left tells nothing new; after they came back
// it is news again.
func TestRepeatedUnsubscribeIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		id := w.submit("ann@dest.test", nil)
		w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		told := func() (n int) {
			w.store.mu.Lock()
			defer w.store.mu.Unlock()
			for _, e := range w.store.events {
				if e.Kind == EventUnsubscribed || e.Kind == EventEntry {
					n++
				}
			}
			return n
		}
		if !w.signal("ann@dest.test", SignalUnsubscribed, DeliveryID{}) {
			t.Error("the first is no news")
		}
		n := told()
		for range 5 {
			time.Sleep(5 * 24 * time.Hour)
			if w.signal("ann@dest.test", SignalUnsubscribed, DeliveryID{}) || told() != n {
				t.Fatalf("said again it is news: %d events", told())
			}
		}
		if !w.signal("ann@dest.test", SignalComplained, DeliveryID{}) {
			t.Error("a complaint after it is no news")
		}
		if !w.signal("ann@dest.test", SignalUnsubscribed, id) {
			t.Error("one that names a message is no news")
		}
		entries, _ := w.store.Entries(t.Context(), "ann@dest.test")
		back := entries[slices.IndexFunc(entries, func(e suppression.Entry) bool { return e.Reason == "unsubscribe" })]
		back.Removed = time.Now()
		if err := w.Observe(t.Context(), back, "ops"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * 24 * time.Hour)
		if !w.signal("ann@dest.test", SignalUnsubscribed, DeliveryID{}) {
			t.Error("after she came back it is no news")
		}
	})
}

// History tells of a change in what is compared.
func TestTellSetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		if err := w.TellSetting(t.Context(), "policy.arms", "control 10 before, control 20 from now on", "configuration"); err != nil {
			t.Fatal(err)
		}
		e := w.store.events[len(w.store.events)-1]
		if e.Kind != EventSetting || e.Reason != "changed" || e.Actor != "configuration" || e.Detail != "policy.arms: control 10 before, control 20 from now on" || e.Name == "" {
			t.Errorf("told: %+v", e)
		}
	})
}

package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/suppression"
	"tidepost/suppression/rules"
)

// ruleTo puts one rule into force.
func (w *world) ruleTo(when, then string) *Rulebook {
	w.t.Helper()
	text := fmt.Sprintf("[[rule]]\nname = \"the-rule\"\nwhen = '''%s'''\nthen = '''%s'''\n", when, then)
	b, err := w.SetRules(w.t.Context(), text, w.Rulebook().Version, "ops", "")
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// endOf is the last event of a delivery.
func (w *world) endOf(id DeliveryID) Event {
	w.t.Helper()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	var last Event
	for _, e := range w.store.events {
		if e.Delivery != nil && e.Delivery.ID == id {
			last = e
		}
	}
	return last
}

// A rule drops what policy.drop allows, says which rule it was and why, and leaves
// codes alone.
func TestRuleDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.rules.Drop, w.rules.MaxDrop = []Class{Newsletter}, 1 })
		w.ruleTo(`message.campaign == "spring"`, "drop('tired')")
		spring := func(class Class) func(m *Message) { return func(m *Message) { m.Campaign, m.Class = "spring", class } }
		dropped, other := w.submit("ann@dest.test", spring(Newsletter)), w.submit("ann@dest.test", nil)
		code, promotion := w.submit("ann@dest.test", spring(Transactional)), w.submit("ann@dest.test", spring(Promotional))
		time.Sleep(time.Minute)
		w.wantEnd(dropped, EventDropped)
		for _, id := range []DeliveryID{other, code, promotion} { // promotional is not in drop
			w.wantEnd(id, EventDelivered)
		}
		if e := w.endOf(dropped); e.Reason != "rule" || !strings.Contains(e.Detail, `"rule":"the-rule"`) || !strings.Contains(e.Detail, "spring") {
			t.Errorf("it says %q %s", e.Reason, e.Detail)
		}
	})
}

// A rule that holds is obeyed until it lets go, or the hold is over; a new rule
// moves what waits.
func TestRuleHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		w.ruleTo("", "hold(hours(3))")
		id := w.submit("ann@dest.test", nil)
		long := w.submit("bob@dest.test", func(m *Message) { m.Window = time.Hour })
		time.Sleep(2 * time.Hour)
		if d := w.delivery("ann@dest.test", id); d == nil || d.Reason != "rule" || time.Until(d.Due) > time.Hour+time.Minute {
			t.Fatalf("after two hours it is %+v", d)
		}
		w.wantEnd(long, EventDelivered) // its own window was over
		time.Sleep(2 * time.Hour)
		w.wantEnd(id, EventDelivered)

		held := w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		if d := w.delivery("ann@dest.test", held); d == nil || d.Reason != "rule" {
			t.Fatalf("it is %+v", d)
		}
		w.ruleTo("false", "hold(hours(3))")
		time.Sleep(time.Minute)
		w.wantEnd(held, EventDelivered)
	})
}

// A cap, a gap and quiet hours of a rule are those of the mailbox.
func TestRuleCapsAndGaps(t *testing.T) {
	for _, tt := range []struct {
		story, then string
		waits       bool // a minute after the first
		after       time.Duration
	}{
		{"one in two days", "cap(1, days(2))", true, 24*time.Hour + time.Minute}, // the hold ends first
		{"six hours between two", "min_gap(hours(6))", true, 6*time.Hour + time.Minute},
		{"two in a day", "cap(2, days(1))", false, 0},
		{"quiet until six", "quiet('00:00', '06:00')", true, 6*time.Hour + time.Minute},
		{"quiet later", "quiet('08:00', '09:00')", false, 0},
	} {
		t.Run(tt.story, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemory(), nil)
				first := w.submit("ann@dest.test", nil)
				time.Sleep(time.Minute)
				w.wantEnd(first, EventDelivered)
				w.ruleTo("", tt.then)
				second := w.submit("ann@dest.test", nil)
				time.Sleep(time.Minute)
				if waits := w.delivery("ann@dest.test", second) != nil; waits != tt.waits {
					t.Fatalf("it waits: %v", waits)
				}
				if e := w.endOf(second); tt.waits && !strings.Contains(e.Detail, `"rule":"the-rule"`) {
					t.Errorf("it is held, and no rule is named: %q %s", e.Reason, e.Detail)
				}
				time.Sleep(tt.after)
				w.wantEnd(second, EventDelivered)
			})
		})
	}
}

// A sunset rule knows what it cannot know: of somebody whose clicks could not be seen
// long enough it says nothing.
func TestRuleOnSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.rules.Drop, w.rules.MaxDrop = []Class{Newsletter}, 1 })
		w.signal("zoe@dest.test", SignalActive, DeliveryID{})
		zoe := w.submit("zoe@dest.test", nil)
		time.Sleep(time.Hour)
		w.tell("zoe@dest.test", Signal{Kind: SignalClicked, Message: zoe.String()}) // so that clicks are known to come back
		w.ruleTo(`mailbox.last_click > days(20)`, "drop('sunset')")
		first := w.submit("ann@dest.test", nil)
		time.Sleep(10 * 24 * time.Hour)
		early := w.submit("ann@dest.test", nil)
		time.Sleep(15 * 24 * time.Hour)
		late, zoes := w.submit("ann@dest.test", nil), w.submit("zoe@dest.test", nil)
		time.Sleep(time.Hour)
		for _, id := range []DeliveryID{first, early} {
			w.wantEnd(id, EventDelivered)
		}
		w.wantEnd(late, EventDropped)
		w.wantEnd(zoes, EventDropped) // she clicked 25 days ago
		w.tell("ann@dest.test", Signal{Kind: SignalClicked, Message: early.String()})
		again := w.submit("ann@dest.test", nil)
		time.Sleep(time.Hour)
		w.wantEnd(again, EventDelivered)
	})
}

// Two admins cannot overwrite each other, a bad text changes nothing, a rule's own
// version grows with it alone, and all of it survives a restart.
func TestRulebook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		one := "[[rule]]\nname = \"a\"\nthen = \"tag('x')\"\n"
		two := one + "[[rule]]\nname = \"b\"\nwhen = \"message.size > 10\"\nthen = \"tag('y')\"\n"
		set := func(text string, expect int) error {
			_, err := w.SetRules(t.Context(), text, expect, "ops", "why")
			return err
		}
		if err := set(one, 0); err != nil {
			t.Fatal(err)
		}
		if err := set(two, 0); !errors.Is(err, ErrRulesChanged) {
			t.Errorf("from an old version: %v", err)
		}
		var bad rules.Errors
		if err := set("[[rule]]\nname = \"b\"\nwhen = \"mesage.size > 10\"\nthen = \"tag('y')\"\n", 1); !errors.As(err, &bad) {
			t.Errorf("a typo: %v", err)
		}
		if err := set(one, 1); !errors.Is(err, ErrSameRules) {
			t.Errorf("the same again: %v", err)
		}
		if err := set(two, 1); err != nil {
			t.Fatal(err)
		}
		if err := set(strings.Replace(two, "> 10", "> 20", 1), 2); err != nil {
			t.Fatal(err)
		}
		w.stop()
		w = newWorld(t, store, nil)
		b := w.Rulebook()
		if b.Version != 3 || b.By != "ops" || b.Numbers["a"] != 1 || b.Numbers["b"] != 2 || len(b.Set().Rules()) != 2 || b.Set().Rules()[1].Version != 2 {
			t.Errorf("in force is %+v", b)
		}
		if all := w.RuleHistory(); len(all) != 3 || all[0].Version != 3 || all[2].Text != one {
			t.Errorf("history has %d versions: %+v", len(all), all)
		}
	})
}

// What an address says of itself: gone for good, gone for today, or only in trouble.
func TestBouncesSuppress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) { w.rules.SuppressBounces = true })
		refused := map[string]string{}
		w.far.mu.Lock()
		w.far.answer = func(e *Envelope, _ int) Outcome {
			if status, ok := refused[e.Recipients[0].Address]; ok {
				return Outcome{Kind: OutcomeFailed, Code: 550, Status: status, Text: "no"}
			}
			return Outcome{Kind: OutcomeDelivered, Code: 250}
		}
		w.far.mu.Unlock()
		refuse := func(to, status string) {
			w.far.mu.Lock()
			defer w.far.mu.Unlock()
			refused[to] = status
		}
		only := func(to string) suppression.Entry {
			t.Helper()
			list, err := store.Entries(t.Context(), to)
			if err != nil || len(list) != 1 {
				t.Fatalf("%s has %+v, %v", to, list, err)
			}
			return list[0]
		}
		refuse("gone@dest.test", "5.1.1")
		refuse("full@dest.test", "5.2.2")
		refuse("spam@dest.test", "5.7.1")
		for range 2 {
			w.submit("gone@dest.test", nil)
			w.submit("spam@dest.test", nil)
			w.submit("full@dest.test", nil)
			time.Sleep(time.Hour)
		}
		if e := only("gone@dest.test"); e.Reason != suppression.HardBounce || !e.Expires.IsZero() || e.Source != "bounce:dest.test" || e.Scope != (suppression.Scope{}) {
			t.Errorf("an address that is gone: %+v", e)
		}
		if list, _ := store.Entries(t.Context(), "full@dest.test"); len(list) != 0 {
			t.Errorf("twice full: %+v", list)
		}
		w.submit("full@dest.test", nil) // the third within a month
		time.Sleep(time.Hour)
		if e := only("full@dest.test"); e.Reason != suppression.SoftBounce || e.Expires.Sub(e.Created) != 24*time.Hour {
			t.Errorf("full three times: %+v", e)
		}
		time.Sleep(48 * time.Hour)
		w.submit("full@dest.test", nil)
		time.Sleep(time.Hour)
		if e := only("full@dest.test"); e.Expires.Sub(e.Created) != 48*time.Hour {
			t.Errorf("full a fourth time: %+v", e)
		}
		w.submit("spam@dest.test", nil) // a third time, too
		time.Sleep(time.Hour)
		if list, _ := store.Entries(t.Context(), "spam@dest.test"); len(list) != 0 {
			t.Errorf("they refuse us, and we stop writing: %+v", list)
		}
		for i := range 60 { // the provider has an outage
			to := fmt.Sprintf("reader%d@dest.test", i)
			refuse(to, "5.1.1")
			w.submit(to, nil)
		}
		time.Sleep(time.Hour)
		provisional := 0
		for i := range 60 {
			if e := only(fmt.Sprintf("reader%d@dest.test", i)); e.Expires.Sub(e.Created) == 24*time.Hour {
				provisional++
			}
		}
		if provisional < 35 {
			t.Errorf("%d of 60 entries are provisional", provisional)
		}
	})
}

// A rule's hold never makes mail leave before its client's not-before, also where the
// hold ends before that.
func TestRuleKeepsNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		w.ruleTo("", "hold(days(3))")
		id := w.submit("ann@dest.test", func(m *Message) { m.NotBefore = time.Now().Add(48 * time.Hour) })
		time.Sleep(47 * time.Hour)
		if d := w.delivery("ann@dest.test", id); d == nil {
			t.Error("it left before its not-before")
		}
		time.Sleep(2 * time.Hour)
		w.wantEnd(id, EventDelivered)
	})
}

// A retry holds its slot already: neither gap nor cap of a rule are asked again
// (design rule 5 c).
func TestRuleLetsRetryGo(t *testing.T) {
	for _, then := range []string{"min_gap(hours(16))", "cap(1, days(1))"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, newMemory(), func(w *world) {
				w.far.answer = func(_ *Envelope, try int) Outcome {
					if try == 1 {
						return Outcome{Kind: OutcomeDeferred, Code: 451, Text: "later"}
					}
					return Outcome{Kind: OutcomeDelivered, Code: 250, Text: "ok"}
				}
			})
			w.ruleTo("", then)
			id := w.submit("ann@dest.test", nil)
			time.Sleep(10 * time.Minute)
			w.wantEnd(id, EventDelivered)
		})
	}
}

// Mail that a rule holds takes no turn of mail behind it.
func TestRuleHoldsOneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.rules.MinGap = 16 * time.Hour })
		w.ruleTo(`message.campaign == "slow"`, "hold(hours(20))")
		slow := w.submit("ann@dest.test", func(m *Message) { m.Campaign = "slow" })
		time.Sleep(time.Minute)
		other := w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		w.wantEnd(other, EventDelivered)
		if w.delivery("ann@dest.test", slow) == nil {
			t.Error("the held one left, too")
		}
	})
}

// A rule's quiet hours end where the wall clock of that day says so, however often it
// shows that time.
func TestRuleQuietHoursEndOnce(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		now      string
		from, to int
		want     string
	}{
		{"2027-03-14T01:30:00-05:00", 22 * 60, 2 * 60, "2027-03-14T03:00:00-04:00"},  // 02:00 is left out
		{"2027-03-14T01:45:00-05:00", 22 * 60, 150, "2027-03-14T03:00:00-04:00"},     // 02:30 is, too
		{"2026-11-01T01:10:00-05:00", 22 * 60, 90, "2026-11-01T01:30:00-05:00"},      // 01:30 the second time
		{"2026-11-22T23:00:00-05:00", 22 * 60, 8 * 60, "2026-11-23T08:00:00-05:00"},  // any night
		{"2026-11-22T23:00:00-05:00", 22 * 60, 24 * 60, "2026-11-23T00:00:00-05:00"}, // until midnight
		{"2026-11-22T21:59:00-05:00", 22 * 60, 8 * 60, "2026-11-22T21:59:00-05:00"},  // not yet
	} {
		now, _ := time.Parse(time.RFC3339, tt.now)
		if got := quietEnd(rules.Span{From: tt.from, To: tt.to}, now, zone).In(zone).Format(time.RFC3339); got != tt.want {
			t.Errorf("at %s quiet hours from %d to %d end at %s, want %s", tt.now, tt.from, tt.to, got, tt.want)
		}
	}
}

// Rules that failed are put into shadow in the set that they are of, and in no later
// one.
func TestTripOfOldRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		old := w.ruleTo("", "hold(hours(3))")
		w.ruleTo("", "hold(hours(2))")
		w.trip(old.set, []string{"the-rule"})
		if b := w.Rulebook(); len(b.Tripped) != 0 {
			t.Errorf("%v are in shadow", b.Tripped)
		}
		w.trip(w.Rulebook().set, []string{"the-rule"})
		if b := w.Rulebook(); !slices.Contains(b.Tripped, "the-rule") {
			t.Errorf("%v are in shadow", b.Tripped)
		}
	})
}

// A rule's priority puts mail of one mailbox into one order: each knows the other's.
func TestRulePriorityIsOneOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.rules.MinGap = 2 * time.Hour })
		w.ruleTo(`message.campaign == "low"`, "priority(-2)")
		at := time.Now().Add(time.Hour)
		low := w.submit("ann@dest.test", func(m *Message) { m.Campaign, m.NotBefore = "low", at })
		time.Sleep(time.Minute)
		other := w.submit("ann@dest.test", func(m *Message) { m.NotBefore = at })
		time.Sleep(time.Hour)
		w.wantEnd(other, EventDelivered)
		if w.delivery("ann@dest.test", low) == nil {
			t.Error("the low one went, too")
		}
		time.Sleep(3 * time.Hour)
		w.wantEnd(low, EventDelivered)
	})
}

// What its client or a newer mail has ended is not held because rules drop too much.
func TestRuleDropsNoLongerThanTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.rules.Drop, w.rules.MaxDrop = []Class{Newsletter}, 0.01 })
		w.ruleTo("", "drop('tired')")
		exhaust := func() {
			for range dropFew {
				w.drops.allow("acme", 0.01, w.now())
			}
		}
		exhaust()
		time.Sleep(time.Minute)
		id := w.submit("ann@dest.test", func(m *Message) { m.Deadline, m.HardDeadline = time.Now().Add(30*time.Minute), true })
		time.Sleep(time.Minute)
		if d := w.delivery("ann@dest.test", id); d == nil || d.Reason != "max_drop" {
			t.Fatalf("it is %+v", d)
		}
		time.Sleep(58*time.Minute + 30*time.Second)
		exhaust()
		time.Sleep(time.Minute)
		w.wantEnd(id, EventDropped)
	})
}

// The facts of a first plan stay in the journal, for the back-test: also what lot had
// to do with it, which is nothing while the model only watches.
func TestFactsAreRecorded(t *testing.T) {
	for _, isLive := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, newMemory(), func(w *world) {
				if isLive {
					live(w)
				}
				w.rules.Explore = 0.5
			})
			w.know("ann@dest.test", evenings(t, w.model("acme")))
			id := w.submit("ann@dest.test", func(m *Message) { m.Campaign = "spring" })
			code := w.submit("ann@dest.test", func(m *Message) { m.Class = Transactional })
			time.Sleep(time.Minute)
			w.store.mu.Lock()
			defer w.store.mu.Unlock()
			found := 0
			for _, e := range w.store.events {
				if len(e.Facts) == 0 {
					continue
				}
				found++
				d, err := rules.Decode(e.Facts)
				if err != nil || e.Delivery.ID != id || d.Facts.Message.Campaign != "spring" || d.Facts.Mailbox.Local != "ann" {
					t.Errorf("recorded %+v, %v", d, err)
				}
				if drawn := d.Propensity < 1; drawn != isLive {
					t.Errorf("live %v: propensity %v", isLive, d.Propensity)
				}
			}
			if found != 1 {
				t.Errorf("%d decisions are recorded, want that of %s and none of the code %s", found, id, code)
			}
		})
	}
}

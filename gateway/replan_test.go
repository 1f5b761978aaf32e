package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/experiment"
	"tidepost/scheduler/throttle"
)

// Mail that a person stopped takes no turn: another campaign's does not wait behind it.
func TestPausedMailHoldsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.rules.MinGap = 5 * time.Hour })
		if err := w.SetPaused(t.Context(), "acme", "spring", true, "ops"); err != nil {
			t.Fatal(err)
		}
		w.submit("ann@dest.test", func(m *Message) { m.Campaign = "spring" })
		time.Sleep(time.Minute)
		w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		if n := len(w.far.letters("ann@dest.test")); n != 1 {
			t.Errorf("%d letters, want the one of the campaign that goes on", n)
		}
	})
}

// A slot that comes back is news for what waits behind it.
func TestBounceLetsTheNextGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) {
			w.rules.MinGap = 5 * time.Hour
			w.far.delay = time.Second
			w.far.answer = func(_ *Envelope, n int) Outcome {
				if n == 1 {
					return Outcome{Kind: OutcomeFailed, Code: 550}
				}
				return Outcome{Kind: OutcomeDelivered, Code: 250}
			}
		})
		w.submit("ann@dest.test", nil)
		w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		if n := len(w.far.letters("ann@dest.test")); n != 1 {
			t.Errorf("a minute after the first was refused %d letters have left, want the second", n)
		}
	})
}

// Of two mails of which gates let one go at last, the control arm gives the other up
// when the first has gone, as without a model, and not before.
func TestControlArmDropsAsGatesDo(t *testing.T) {
	for _, live := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, newMemory(), func(w *world) {
				w.rules.Quiet, _ = scheduler.ParseQuiet("00:00-08:00")
				w.rules.Zone, w.rules.MinGap, w.rules.MaxHold = time.UTC, 5*time.Hour, time.Hour
				w.rules.DropAtLimit, w.rules.Drop, w.rules.MaxDrop = true, []Class{Newsletter}, 1
				w.rules.Live, w.rules.Arms = live, experiment.Shares{experiment.Control: 100}
				w.InTurn, w.Limits = true, func(string) throttle.Limits { return throttle.Limits{Connections: 1} }
				w.far.answer = func(_ *Envelope, n int) Outcome {
					if n == 1 {
						return Outcome{Kind: OutcomeFailed, Code: 550}
					}
					return Outcome{Kind: OutcomeDelivered, Code: 250}
				}
			})
			w.submit("ann@dest.test", nil)
			w.submit("ann@dest.test", nil)
			time.Sleep(9 * time.Hour)
			if n := len(w.far.letters("ann@dest.test")); n != 1 {
				t.Errorf("live %v: the first was refused and %d letters have left, want the second", live, n)
			}
		})
	}
}

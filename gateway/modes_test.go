package gateway

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Who says observe means all of it, whatever was said about parts before.
func TestWiderSwitchEndsNarrower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		for _, sw := range []struct {
			scope ModeScope
			live  bool
		}{
			{ModeScope{Tenant: "acme"}, true}, {ModeScope{Tenant: "acme", List: "weekly"}, true}, {ModeScope{Tenant: "other", Class: "newsletter"}, true},
		} {
			if err := w.SetMode(t.Context(), sw.scope, sw.live, "ops"); err != nil {
				t.Fatal(err)
			}
		}
		weekly := &Delivery{Tenant: "acme", List: "weekly", Class: Newsletter}
		if !w.live(weekly, w.rules) || len(w.Modes()) != 3 {
			t.Fatalf("the switches are %+v", w.Modes())
		}
		if err := w.SetMode(t.Context(), ModeScope{Tenant: "acme"}, false, "ops"); err != nil {
			t.Fatal(err)
		}
		if w.live(weekly, w.rules) || len(w.Modes()) != 2 {
			t.Errorf("acme observes and its list is live: %+v", w.Modes())
		}
		if err := w.SetMode(t.Context(), ModeScope{}, false, "ops"); err != nil {
			t.Fatal(err)
		}
		w.stop()
		w = newWorld(t, store, nil)
		if w.live(&Delivery{Tenant: "other", Class: Newsletter}, w.rules) || len(w.Modes()) != 1 {
			t.Errorf("everybody observes and other is live: %+v", w.Modes())
		}
	})
}

// A switch that the file took over from does not come back with the file's next
// change, with the gateway running or not.
func TestSwitchDoesNotComeBack(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := newMemory()
			var said atomic.Bool // by the file
			begin := func() *world {
				return newWorld(t, store, func(w *world) {
					w.Rules = func(string) *Rules {
						r := *w.rules
						r.Live = said.Load()
						return &r
					}
				})
			}
			w := begin()
			file := func(live bool) {
				if said.Store(live); restarts {
					w.stop()
					w = begin()
				}
				w.Replan()
				time.Sleep(time.Minute)
			}
			if err := w.SetMode(t.Context(), ModeScope{}, true, "ops"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			file(true)
			file(false)
			if d := (&Delivery{Tenant: "acme", Class: Newsletter}); w.live(d, w.Rules("acme")) {
				t.Errorf("the file says observe; live by %+v", w.Modes())
			}
			if n := len(store.Settings()); n != 1 { // the salt
				t.Errorf("%d settings are kept", n)
			}
		})
	}
}

// What was learned is stored though it is little, and again when storing failed.
func TestLittleLearningIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		w.submit("ann@dest.test", nil)
		time.Sleep(time.Minute)
		store.mu.Lock()
		store.fail = ErrFull
		store.mu.Unlock()
		if err := w.saveModels(t.Context()); err == nil {
			t.Fatal("storing succeeded")
		}
		store.mu.Lock()
		store.fail = nil
		store.mu.Unlock()
		if err := w.saveModels(t.Context()); err != nil || len(store.Settings()[settingModel+"acme"]) == 0 {
			t.Errorf("%v, %d settings", err, len(store.Settings()))
		}
		t.Logf("a model takes %d bytes", len(store.Settings()[settingModel+"acme"]))
	})
}

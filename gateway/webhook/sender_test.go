package webhook

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/gateway"
)

// Two tenants' endpoints have every event of their own, once, and none of the
// other's. A new endpoint begins with what happens from then on.
func TestSenderTellsEachTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := &receiverFunc{}, &receiverFunc{}
		s := w.sender(map[string]*receiverFunc{"a": a, "b": b}, standard("a", "acme"), standard("b", "bolt"))
		w.add(w.bounce("acme"), w.bounce("bolt"))
		w.during(s, func() {
			time.Sleep(time.Second)
			for i := range 1000 {
				w.add(w.bounce([]string{"acme", "bolt", ""}[i%3]))
			}
			time.Sleep(time.Second)
		})
		w.wantAll(a.taken(), "acme", 2)
		w.wantAll(b.taken(), "bolt", 2)
		for _, r := range []*receiverFunc{a, b} {
			for id, n := range r.taken() {
				if n != 1 {
					t.Errorf("%s was told %d times", id, n)
				}
			}
			if r.most > maxFlight {
				t.Errorf("%d calls at a time", r.most)
			}
		}
		if at := w.Cursor(reader("a")); at != w.End() {
			t.Errorf("the cursor is at %v, the journal ends at %v", at, w.End())
		}
	})
}

// Endpoints that are at the same place have the journal read once for all.
func TestSenderReadsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		to := map[string]*receiverFunc{}
		var all []Endpoint
		for i := range 20 {
			e := standard(fmt.Sprint("w", i), fmt.Sprint("t", i))
			all, to[e.Name] = append(all, e), &receiverFunc{}
		}
		w.during(w.sender(to, all...), func() {
			time.Sleep(time.Second)
			w.mu.Lock()
			w.reads = 0
			w.mu.Unlock()
			for i := range 1000 {
				time.Sleep(50 * time.Millisecond)
				w.add(w.bounce(fmt.Sprint("t", i%20)))
			}
			time.Sleep(time.Second)
		})
		for i := range 20 {
			w.wantAll(to[fmt.Sprint("w", i)].taken(), fmt.Sprint("t", i), 0)
		}
		if w.reads > 2000 { // 20,000 if each read for itself
			t.Errorf("%d readings for 1,000 news and 20 endpoints", w.reads)
		}
	})
}

// A receiver that is down for three days has everything soon after it is back, and
// was not called more than now and then. What the gateway remembers is bounded.
func TestSenderDownForThreeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		back := time.Now().Add(72 * time.Hour)
		r := &receiverFunc{answer: func(*http.Request, []string) (int, string, time.Duration) {
			if time.Now().Before(back) {
				return 0, "", 0
			}
			return 200, "", 10 * time.Millisecond
		}}
		s := w.sender(map[string]*receiverFunc{"a": r}, standard("a", "acme"))
		w.during(s, func() {
			for range 3000 {
				time.Sleep(80 * time.Second)
				w.add(w.bounce("acme"))
			}
			st := s.List()[0]
			if st.State != StateDown || st.Events < 2900 || st.Lag < 60*3600 || st.Delivered != 0 || len(s.Problems()) != 1 {
				t.Errorf("while it is down: %+v, %q", st, s.Problems())
			}
			if n := r.called(); n < 400 || n > 520 {
				t.Errorf("%d calls in three days", n)
			}
			time.Sleep(time.Until(back) + 12*time.Minute)
			if st := s.List()[0]; st.State != StateOK || st.Events != 0 || st.GivenUp != 0 || st.Delivered != 3000 {
				t.Errorf("afterwards: %+v", st)
			}
		})
		w.wantAll(r.taken(), "acme", 0)
		if strings.Contains(w.log.String(), "hooks.example.com/a") || strings.Contains(w.log.String(), "Ann") {
			t.Error("the log has a path or an address")
		}
	})
}

// A new start, another configuration and a person's word have an endpoint that is down
// asked at once.
func TestSenderAsksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := &receiverFunc{answer: func(*http.Request, []string) (int, string, time.Duration) { return 503, "", 0 }}
		to := map[string]*receiverFunc{"a": r}
		e := standard("a", "acme")
		s := w.sender(to, e)
		w.during(s, func() {
			time.Sleep(time.Second)
			w.add(w.bounce("acme"))
			time.Sleep(24 * time.Hour)
			for _, ask := range []func(){
				func() { e.Headers = []string{"X-A"}; s.Set([]Endpoint{e}) },
				func() {
					if err := s.Enable(t.Context(), "a", "ops"); err != nil {
						t.Error(err)
					}
				},
			} {
				before := r.called()
				ask()
				time.Sleep(time.Second)
				if n := r.called() - before; n != 1 {
					t.Errorf("%d calls", n)
				}
			}
		})
		r.change(func() { r.answer = nil })
		s = w.sender(to, e)
		w.during(s, func() {
			time.Sleep(time.Second)
			if st := s.List()[0]; st.Delivered != 1 || st.State != StateOK {
				t.Errorf("%+v", st)
			}
		})
	})
}

// What is older than three days is given up, so that history is not kept for ever;
// restarts in between do not begin the three days anew.
func TestSenderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := &receiverFunc{answer: func(*http.Request, []string) (int, string, time.Duration) { return 503, "", 0 }}
		for range 6 { // days
			w.during(w.sender(map[string]*receiverFunc{"a": r}, standard("a", "acme")), func() {
				for range 240 {
					time.Sleep(6 * time.Minute)
					w.add(w.bounce("acme"))
				}
			})
			w.checkpoint()
		}
		s := w.sender(map[string]*receiverFunc{"a": r}, standard("a", "acme"))
		w.during(s, func() {
			time.Sleep(time.Hour)
			st := s.List()[0]
			if st.GivenUp < 700 || st.GivenUp > 730 || st.Events < 680 || st.Lag > 74*3600 {
				t.Errorf("%+v", st)
			}
			if at := w.Cursor(reader("a")); int64(at.Offset) < st.GivenUp-pageEvents {
				t.Errorf("the cursor is at %v after %d were given up", at, st.GivenUp)
			}
		})
		if !strings.Contains(w.log.String(), "events are given up") {
			t.Error("the log does not tell")
		}
	})
}

// After 410 nobody is called until a person says so; history and status tell.
func TestSenderGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		status := 410
		r := &receiverFunc{answer: func(*http.Request, []string) (int, string, time.Duration) { return status, "", 0 }}
		to := map[string]*receiverFunc{"a": r}
		for range 2 {
			s := w.sender(to, standard("a", "acme"))
			w.during(s, func() {
				time.Sleep(time.Second)
				w.add(w.bounce("acme"), w.bounce("acme"))
				time.Sleep(24 * time.Hour)
				if st := s.List()[0]; st.State != StateDisabled || len(s.Problems()) != 1 || !strings.Contains(s.Problems()[0], "webhooks enable a") {
					t.Errorf("%+v, %q", st, s.Problems())
				}
			})
		}
		if n := r.called(); n > maxFlight || len(w.history) != 1 || !strings.HasPrefix(w.history[0], "webhook/a disabled: ") {
			t.Errorf("%d calls, told %q", n, w.history)
		}
		s := w.sender(to, standard("a", "acme"))
		w.during(s, func() {
			time.Sleep(time.Second)
			r.change(func() { status = 200 })
			if err := s.Enable(t.Context(), "a", "ops"); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			if err := s.Enable(t.Context(), "b", "ops"); !errors.Is(err, ErrNoEndpoint) || !errors.Is(err, gateway.ErrNotFound) {
				t.Error(err)
			}
		})
		w.wantAll(r.taken(), "acme", 0)
		if len(w.history) != 2 || w.history[1] != "webhook/a enabled by ops" {
			t.Errorf("told %q", w.history)
		}
	})
}

// What is disabled keeps three days of history, no more.
func TestSenderDisabledForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := &receiverFunc{answer: func(*http.Request, []string) (int, string, time.Duration) { return 410, "", 0 }}
		s := w.sender(map[string]*receiverFunc{"a": r}, standard("a", "acme"))
		w.during(s, func() {
			for range 24 * 10 {
				time.Sleep(time.Hour)
				w.add(w.bounce("acme"))
			}
			st := s.List()[0]
			if st.GivenUp < 24*7-4 || st.GivenUp > 24*7+1 || w.Cursor(reader("a")).Offset == 0 {
				t.Errorf("%+v, cursor %v", st, w.Cursor(reader("a")))
			}
		})
	})
}

// Retry-After holds for all of an endpoint's calls, and for no other endpoint's.
func TestSenderRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		busy, other := &receiverFunc{}, &receiverFunc{}
		until := time.Now().Add(time.Hour)
		busy.answer = func(*http.Request, []string) (int, string, time.Duration) {
			if time.Now().Before(until) {
				return 429, fmt.Sprint(int(time.Until(until).Seconds()) + 1), 0
			}
			return 200, "", 0
		}
		s := w.sender(map[string]*receiverFunc{"a": busy, "b": other}, standard("a", "acme"), standard("b", "acme"))
		w.during(s, func() {
			time.Sleep(time.Second)
			for range 50 {
				w.add(w.bounce("acme"))
			}
			time.Sleep(58 * time.Minute)
			if n := busy.called(); n > maxFlight {
				t.Errorf("%d calls although it asked for an hour", n)
			}
			w.wantAll(other.taken(), "acme", 0)
			time.Sleep(15 * time.Minute)
		})
		w.wantAll(busy.taken(), "acme", 0)
	})
}

// A receiver that hangs holds up nobody else.
func TestSenderHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hangs := &receiverFunc{answer: func(*http.Request, []string) (int, string, time.Duration) { return 200, "", time.Hour }}
		quick := &receiverFunc{}
		s := w.sender(map[string]*receiverFunc{"a": hangs, "b": quick}, standard("a", "acme"), standard("b", "acme"))
		w.during(s, func() {
			time.Sleep(time.Second)
			for range 2000 {
				w.add(w.bounce("acme"))
			}
			time.Sleep(time.Second)
			w.wantAll(quick.taken(), "acme", 0)
			time.Sleep(20 * time.Second)
			if st := s.List()[0]; st.State != StateDown || !strings.Contains(st.LastError, "15 s") {
				t.Errorf("%+v", st)
			}
		})
	})
}

// One event that is always refused, by 422 or by 500, stands in nobody's way: it is
// put aside, tried for three days, also after a new start, and given up.
func TestSenderPoison(t *testing.T) {
	for _, status := range []int{422, 500} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			bad := w.bounce("acme")
			r := &receiverFunc{answer: func(_ *http.Request, ids []string) (int, string, time.Duration) {
				if slices.Contains(ids, bad.ID()) {
					return status, "", 0
				}
				return 200, "", 0
			}}
			to := map[string]*receiverFunc{"a": r}
			s := w.sender(to, standard("a", "acme"))
			w.during(s, func() {
				time.Sleep(time.Second)
				w.add(bad)
				for range 500 {
					time.Sleep(time.Second / 2)
					w.add(w.bounce("acme"))
				}
				time.Sleep(time.Second)
				st := s.List()[0]
				if st.Delivered != 500 || st.Retrying != 1 || st.State != StateOK || st.Events != 0 || !slices.Equal(w.held("a"), []string{bad.ID()}) {
					t.Errorf("%d: %+v, held %q", status, st, w.held("a"))
				}
				if w.Cursor(reader("a")) != w.End() || w.Cursor(holder("a")).Offset != 0 {
					t.Errorf("cursors %v and %v", w.Cursor(reader("a")), w.Cursor(holder("a")))
				}
			})
			w.crash() // the cursor is back at the beginning, the list is not
			s = w.sender(to, standard("a", "acme"))
			w.during(s, func() {
				time.Sleep(time.Second)
				if held := w.held("a"); len(held) != 1 {
					t.Errorf("%d: held %q", status, held)
				}
				time.Sleep(90 * time.Hour)
				if st := s.List()[0]; st.Retrying != 0 || st.GivenUp != 1 || st.LastLost != bad.ID() || len(w.held("a")) != 0 || w.Cursor(holder("a")) != (gateway.Cursor{}) {
					t.Errorf("%d: %+v, held %q", status, st, w.held("a"))
				}
			})
			if !strings.Contains(w.log.String(), bad.ID()) {
				t.Error("the log does not name it")
			}
		})
	}
}

// What was put aside is told when it is taken at last.
func TestSenderRelents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		kind := 400
		r := &receiverFunc{answer: func(*http.Request, []string) (int, string, time.Duration) { return kind, "", 0 }}
		s := w.sender(map[string]*receiverFunc{"a": r}, standard("a", "acme"))
		w.during(s, func() {
			time.Sleep(time.Second)
			for range 300 {
				w.add(w.bounce("acme"))
			}
			time.Sleep(30 * time.Second)
			if n := len(w.held("a")); n != 300 {
				t.Errorf("%d are put aside", n)
			}
			r.change(func() { kind = 200 })
			time.Sleep(10 * time.Minute)
		})
		w.wantAll(r.taken(), "acme", 0)
	})
}

// A receiver that refuses everything is one that takes nothing: its list is bounded.
func TestSenderRefusesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		kind := 400
		r := &receiverFunc{answer: func(*http.Request, []string) (int, string, time.Duration) { return kind, "", 0 }}
		s := w.sender(map[string]*receiverFunc{"a": r}, standard("a", "acme"))
		w.during(s, func() {
			time.Sleep(time.Second)
			for range maxHeld + 500 {
				w.add(w.bounce("acme"))
			}
			time.Sleep(40 * time.Second)
			if st := s.List()[0]; st.Retrying != maxHeld || st.State != StateDown || len(w.held("a")) != maxHeld {
				t.Errorf("%+v", st)
			}
			r.change(func() { kind = 200 })
			time.Sleep(time.Hour)
		})
		w.wantAll(r.taken(), "acme", 0)
	})
}

// Whatever is killed, whenever, and whatever receivers answer meanwhile: nothing is
// lost.
func TestSenderCrashes(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random, theirs := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
			w := newWorld(t)
			steady := false
			r := &receiverFunc{}
			r.answer = func(*http.Request, []string) (int, string, time.Duration) {
				takes := time.Duration(theirs.IntN(200)) * time.Millisecond
				if steady {
					return 200, "", takes
				}
				return []int{200, 200, 200, 204, 500, 0, 422, 429, 404}[theirs.IntN(9)], "", takes
			}
			e := standard("a", "acme")
			if seed%2 == 1 {
				private, _, err := NewKey()
				if err != nil {
					t.Fatal(err)
				}
				e.Format, e.Secret = "sendgrid", private
			}
			to := map[string]*receiverFunc{"a": r}
			for range 12 {
				w.during(w.sender(to, e), func() {
					for range random.IntN(80) {
						time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
						w.add(w.bounce([]string{"acme", "bolt"}[random.IntN(2)]))
						if random.IntN(10) == 0 {
							w.checkpoint()
						}
					}
				})
				w.crash()
			}
			r.change(func() { steady = true })
			s := w.sender(to, e)
			w.during(s, func() { time.Sleep(24 * time.Hour) })
			w.wantAll(r.taken(), "acme", 0)
			if st := s.List()[0]; st.Events != 0 || st.Retrying != 0 || st.GivenUp != 0 {
				t.Errorf("seed %d: %+v", seed, st)
			}
		})
	}
}

// A gateway that is stopped and started again tells nothing twice but what was under
// way.
func TestSenderStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := &receiverFunc{answer: func(*http.Request, []string) (int, string, time.Duration) { return 200, "", 10 * time.Millisecond }}
		e := standard("a", "acme")
		for range 20 {
			w.during(w.sender(map[string]*receiverFunc{"a": r}, e), func() {
				time.Sleep(time.Second)
				for range 400 {
					w.add(w.bounce("acme"))
				}
				time.Sleep(333 * time.Millisecond)
			})
		}
		w.during(w.sender(map[string]*receiverFunc{"a": r}, e), func() { time.Sleep(time.Minute) })
		w.wantAll(r.taken(), "acme", 0)
		for id, n := range r.taken() {
			if n != 1 {
				t.Errorf("%s was told %d times", id, n)
			}
		}
	})
}

// A batch fills for a quarter of a second. One that is refused is told one by one.
func TestSenderBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		private, _, err := NewKey()
		if err != nil {
			t.Fatal(err)
		}
		bad := w.bounce("acme")
		r := &receiverFunc{answer: func(_ *http.Request, ids []string) (int, string, time.Duration) {
			if len(ids) > 100 {
				t.Errorf("%d events in a call", len(ids))
			}
			if slices.Contains(ids, bad.ID()) {
				return 400, "", 0
			}
			return 200, "", 0
		}}
		e := Endpoint{Name: "a", Tenant: "acme", URL: "https://hooks.example.com/", Format: "sendgrid", Secret: private}
		s := w.sender(map[string]*receiverFunc{"a": r}, e)
		w.during(s, func() {
			time.Sleep(time.Second)
			for range 30 {
				time.Sleep(5 * time.Millisecond)
				w.add(w.bounce("acme"))
			}
			time.Sleep(time.Second)
			if n := r.called(); n != 1 || len(r.taken()) != 30 {
				t.Errorf("%d calls for %d events", n, len(r.taken()))
			}
			w.add(bad)
			for range 499 {
				w.add(w.bounce("acme"))
			}
			time.Sleep(time.Second)
		})
		if n := len(r.taken()); n != 529 || len(w.held("a")) != 1 || r.called() > 120 {
			t.Errorf("%d taken in %d calls, held %q", n, r.called(), w.held("a"))
		}
	})
}

// What is configured no more leaves nothing behind, and begins anew when it is back.
func TestSenderForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := &receiverFunc{answer: func(*http.Request, []string) (int, string, time.Duration) { return 422, "", 0 }}
		to := map[string]*receiverFunc{"a": r, "b": r}
		s := w.sender(to, standard("a", "acme"), standard("b", "acme"))
		w.during(s, func() {
			time.Sleep(time.Second)
			w.add(w.bounce("acme"), w.bounce("acme"))
			time.Sleep(time.Second)
			s.Set([]Endpoint{standard("b", "acme")})
			time.Sleep(time.Second)
			if w.Cursor(reader("a")) != (gateway.Cursor{}) || w.Cursor(holder("a")) != (gateway.Cursor{}) || len(w.held("a")) != 0 || len(s.List()) != 1 {
				t.Errorf("left behind: %v, %q", w.Cursor(reader("a")), w.held("a"))
			}
			if len(w.held("b")) != 2 {
				t.Errorf("the other webhook's: %q", w.held("b"))
			}
			r.change(func() { r.answer = nil })
			s.Set([]Endpoint{standard("a", "acme"), standard("b", "acme")})
			time.Sleep(time.Second)
			if n := len(r.taken()); n != 0 {
				t.Errorf("%d events of before", n)
			}
			s.Set(nil)
			time.Sleep(time.Second)
			s.Set([]Endpoint{})
			time.Sleep(time.Second)
		})
		for setting := range w.Settings() {
			t.Errorf("%s is left", setting)
		}
	})
}

// A store that fails loses nothing and has nothing told for ever.
func TestSenderStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fail = errors.New("disk full")
		r := &receiverFunc{answer: func(*http.Request, []string) (int, string, time.Duration) { return 422, "", 0 }}
		s := w.sender(map[string]*receiverFunc{"a": r}, standard("a", "acme"))
		w.during(s, func() {
			time.Sleep(time.Minute)
			w.mu.Lock()
			w.fail = nil
			w.mu.Unlock()
			time.Sleep(time.Minute)
			w.mu.Lock()
			w.fail = errors.New("disk full")
			w.mu.Unlock()
			w.add(w.bounce("acme"))
			time.Sleep(time.Minute)
			if at := w.Cursor(reader("a")); at.Offset != 0 {
				t.Errorf("the cursor is at %v", at)
			}
			w.mu.Lock()
			w.fail = nil
			w.mu.Unlock()
			time.Sleep(time.Minute)
			if len(w.held("a")) != 1 || w.Cursor(reader("a")).Offset != 1 {
				t.Errorf("held %q, cursor %v", w.held("a"), w.Cursor(reader("a")))
			}
		})
	})
}

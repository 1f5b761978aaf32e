package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/throttle"
	"tidepost/suppression"
	"tidepost/suppression/address"
)

// world is a gateway with everything around it simulated; tests run it inside
// a synctest bubble, where days take milliseconds.
type world struct {
	*Gateway
	t     *testing.T
	store *memory
	far   *farSide
	rules *Rules
	stop  func()
}

// farSide is the destination: it answers as told and remembers what it took.
type farSide struct {
	mu     sync.Mutex
	down   bool
	answer func(e *Envelope, n int) Outcome // n: tries of that recipient so far, from 1
	delay  time.Duration
	tries  map[string]int
	took   []letter
	opens  int
}

type letter struct {
	to string
	at time.Time
}

func (f *farSide) Route(context.Context, string) (Destination, error) {
	return Destination{Name: "far"}, nil
}

func (f *farSide) Open(context.Context, Destination) (Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opens++
	if f.down {
		return nil, errors.New("connection refused")
	}
	return &farSession{f}, nil
}

type farSession struct{ f *farSide }

func (s *farSession) Usable() bool { return true }
func (s *farSession) Close() error { return nil }
func (s *farSession) Send(_ context.Context, e *Envelope, body io.Reader, _ time.Time) []Outcome {
	io.Copy(io.Discard, body)
	if s.f.delay > 0 {
		time.Sleep(s.f.delay)
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	to := e.Recipients[0].Address
	s.f.tries[to]++
	o := Outcome{Kind: OutcomeDelivered, Code: 250, Status: "2.0.0", Text: "ok"}
	if s.f.answer != nil {
		o = s.f.answer(e, s.f.tries[to])
	}
	if o.Kind == OutcomeDelivered {
		s.f.took = append(s.f.took, letter{to, time.Now()})
	}
	return []Outcome{o}
}

func (f *farSide) letters(to string) []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []time.Time
	for _, l := range f.took {
		if l.to == to {
			out = append(out, l.at)
		}
	}
	return out
}

// reporter writes notifications that say what they are in one line.
type reporter struct{}

func (reporter) Report(r *Report) ([]byte, error) {
	return []byte(string(r.Action) + " " + r.Delivery.Address + " " + r.Delivery.Reply), nil
}

func newWorld(t *testing.T, store *memory, set func(w *world)) *world {
	t.Helper()
	w := &world{t: t, store: store, far: &farSide{tries: map[string]int{}}, rules: &Rules{Policy: scheduler.Policy{MaxHold: 24 * time.Hour}}}
	limits := func(string) throttle.Limits { return throttle.Limits{Connections: 4} }
	w.Gateway = &Gateway{
		Store: store, Reader: plainReader{}, Composer: plainComposer{}, Router: w.far, Transport: w.far, Reporter: reporter{},
		Throttle: &throttle.Group{Limits: limits}, Limits: limits,
		Rules:  func(string) *Rules { return w.rules },
		Tenant: func(name string) Tenant { return Tenant{Name: name} },
		Line:   func(string) string { return "far" },
		Retry:  Retries{5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour}, GiveUpTransactional: 24 * time.Hour, GiveUpBulk: 72 * time.Hour,
	}
	if set != nil {
		set(w)
	}
	if err := w.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(w.stop)
	return w
}

// submit hands in a message of one recipient and returns its delivery.
func (w *world) submit(to string, set func(m *Message)) DeliveryID {
	w.t.Helper()
	a, err := address.Parse(to)
	if err != nil {
		w.t.Fatal(err)
	}
	m := Message{From: "sender@esp.test", Tenant: "acme", Audience: "acme", Class: Newsletter, Value: 1,
		Recipients: []Recipient{{Address: to, Mailbox: MailboxKey("acme", a.Mailbox()), Canonical: a.Mailbox().String()}}}
	if set != nil {
		set(&m)
	}
	m.Size = 5
	id, err := w.Accept(w.t.Context(), &Submission{Message: m, Content: Content{Bytes: []byte("hello"), Size: 5}})
	if err != nil {
		w.t.Fatalf("submit to %s: %v", to, err)
	}
	return DeliveryID{id, 0}
}

// wantKinds compares a delivery's history.
func (w *world) wantKinds(id DeliveryID, want ...EventKind) {
	w.t.Helper()
	if got := w.store.kinds(id); !slices.Equal(got, want) {
		w.t.Errorf("events of %s: got %v, want %v", id, got, want)
	}
}

func TestMailLeavesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		id := w.submit("ann@dest.test", nil)
		time.Sleep(2 * time.Second)
		w.wantKinds(id, EventAccepted, EventPlanned, EventReleased, EventDelivered)
		if n := len(w.far.letters("ann@dest.test")); n != 1 {
			t.Errorf("the far side took %d letters, want 1", n)
		}
	})
}

func TestRetryThenDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) {
			w.far.answer = func(_ *Envelope, n int) Outcome {
				if n < 3 {
					return Outcome{Kind: OutcomeDeferred, Code: 451, Status: "4.2.1", Text: "greylisted"}
				}
				return Outcome{Kind: OutcomeDelivered, Code: 250}
			}
		})
		start := time.Now()
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Hour)
		w.wantKinds(id, EventAccepted, EventPlanned, EventReleased, EventDeferred, EventReleased, EventDeferred, EventReleased, EventDelivered)
		got := w.far.letters("ann@dest.test")
		if len(got) != 1 || got[0].Sub(start) < 18*time.Minute || got[0].Sub(start) > 23*time.Minute {
			t.Errorf("delivered %v after the start, want once, after 5 and 15 minutes ± 10 %%", got)
		}
	})
}

func TestNotifications(t *testing.T) {
	refuse := func(e *Envelope, _ int) Outcome {
		if e.From == "" {
			return Outcome{Kind: OutcomeDelivered, Code: 250}
		}
		return Outcome{Kind: OutcomeFailed, Code: 550, Status: "5.1.1", Text: "no such user"}
	}
	for _, test := range []struct {
		name   string
		set    func(m *Message)
		notice bool
	}{
		{"a refusal is told to the sender", nil, true},
		{"nobody is told of mail from <>", func(m *Message) { m.From = "" }, false},
		{"NOTIFY=NEVER is silence", func(m *Message) { m.Recipients[0].Notify = NotifyNever }, false},
		{"NOTIFY=SUCCESS does not ask for failures", func(m *Message) { m.Recipients[0].Notify = NotifySuccess }, false},
		{"NOTIFY=FAILURE does", func(m *Message) { m.Recipients[0].Notify = NotifyFailure }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemory(), func(w *world) { w.far.answer = refuse })
				if test.name == "nobody is told of mail from <>" {
					w.far.answer = func(*Envelope, int) Outcome { return Outcome{Kind: OutcomeFailed, Code: 550} }
				}
				id := w.submit("ann@dest.test", test.set)
				time.Sleep(time.Minute)
				w.wantKinds(id, EventAccepted, EventPlanned, EventReleased, EventBounced)
				if got := len(w.far.letters("sender@esp.test")) == 1; got != test.notice {
					t.Errorf("notification: %v, want %v", got, test.notice)
				}
			})
		})
	}
}

func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) {
			w.far.answer = func(e *Envelope, _ int) Outcome {
				if e.From == "" {
					return Outcome{Kind: OutcomeDelivered, Code: 250}
				}
				return Outcome{Kind: OutcomeDeferred, Code: 451, Text: "later"}
			}
		})
		id := w.submit("ann@dest.test", func(m *Message) { m.Class = Transactional })
		time.Sleep(25 * time.Hour)
		kinds := w.store.kinds(id)
		if last := kinds[len(kinds)-1]; last != EventBounced {
			t.Errorf("after a day the history ends with %s, want bounced: %v", last, kinds)
		}
		if n := len(w.far.letters("sender@esp.test")); n != 1 {
			t.Errorf("%d notifications, want 1", n)
		}
	})
}

func TestClosedDestinationIsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.far.down = true })
		var ids []DeliveryID
		for i := range 50 {
			ids = append(ids, w.submit(fmt.Sprintf("p%d@dest.test", i), nil))
		}
		time.Sleep(30 * time.Minute)
		w.far.mu.Lock()
		if w.far.opens < 20 || w.far.opens > 60 {
			t.Errorf("%d probes in 30 minutes, want about one a minute", w.far.opens)
		}
		w.far.down = false
		w.far.mu.Unlock()
		time.Sleep(2 * time.Minute)
		for _, id := range ids {
			w.wantKinds(id, EventAccepted, EventPlanned, EventReleased, EventDelivered)
		}
	})
}

func TestClosedForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.far.down = true })
		id := w.submit("ann@dest.test", func(m *Message) { m.Class = Transactional })
		time.Sleep(26 * time.Hour)
		w.wantKinds(id, EventAccepted, EventPlanned, EventBounced)
	})
}

func TestOptOutWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		later := time.Now().Add(3 * time.Hour)
		id := w.submit("Ann+news@Dest.test", func(m *Message) { m.NotBefore = later })
		code := w.submit("ann@dest.test", func(m *Message) { m.Class, m.NotBefore = Transactional, later })
		time.Sleep(time.Minute)
		e := suppression.Entry{Address: "ann@dest.test", Scope: suppression.Scope{Kind: suppression.Tenant, Name: "acme"},
			Reason: suppression.Unsubscribe, Source: "test", Created: time.Now()}
		if err := w.Observe(t.Context(), e, "test"); err != nil {
			t.Fatal(err)
		}
		w.wantKinds(id, EventAccepted, EventHeld, EventSuppressed)
		time.Sleep(4 * time.Hour)
		w.wantKinds(code, EventAccepted, EventHeld, EventReleased, EventDelivered)
		if n := len(w.far.letters("Ann+news@Dest.test")); n != 0 {
			t.Errorf("%d letters to someone who opted out while it waited", n)
		}
	})
}

func TestOptOutAfterTheReleaseIsTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.far.delay = time.Minute })
		id := w.submit("ann@dest.test", nil)
		time.Sleep(30 * time.Second) // MAIL is written, no reply yet
		e := suppression.Entry{Address: "ann@dest.test", Scope: suppression.Scope{Kind: suppression.Tenant, Name: "acme"},
			Reason: suppression.Unsubscribe, Source: "test", Created: time.Now()}
		if err := w.Observe(t.Context(), e, "test"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.wantKinds(id, EventAccepted, EventPlanned, EventReleased, EventTooLate, EventDelivered)
	})
}

func TestInDoubtAfterACrash(t *testing.T) {
	for _, hold := range []bool{false, true} {
		t.Run(fmt.Sprintf("hold=%v", hold), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newMemory()
				w := newWorld(t, store, func(w *world) { w.far.delay = time.Minute })
				id := w.submit("ann@dest.test", nil)
				time.Sleep(30 * time.Second) // MAIL is written, no reply yet
				left := store.crash()
				time.Sleep(time.Minute)
				w.stop()

				again := newWorld(t, left, func(w *world) { w.rules.HoldInDoubt = hold })
				time.Sleep(time.Minute)
				box, _ := left.Mailbox(t.Context(), MailboxKey("acme", mustMailbox(t, "ann@dest.test")))
				if hold {
					again.wantKinds(id, EventInDoubt)
					if d := box.Delivery(id); d == nil || !d.Paused {
						t.Errorf("the delivery in doubt is not held: %+v", d)
					}
					return
				}
				again.wantKinds(id, EventInDoubt, EventReleased, EventDelivered)
				if n := box.Gates.Len(); n != 1 {
					t.Errorf("the ring has %d slots, want the one from before the crash", n)
				}
			})
		})
	}
}

func mustMailbox(t *testing.T, s string) address.Mailbox {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a.Mailbox()
}

func TestPauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		if err := w.SetPaused(t.Context(), "acme", "spring", true, "ops"); err != nil {
			t.Fatal(err)
		}
		spring := w.submit("ann@dest.test", func(m *Message) { m.Campaign = "spring" })
		other := w.submit("bob@dest.test", nil)
		time.Sleep(time.Hour)
		w.wantKinds(spring, EventAccepted, EventPlanned)
		w.wantKinds(other, EventAccepted, EventPlanned, EventReleased, EventDelivered)
		if err := w.SetPaused(t.Context(), "acme", "spring", false, "ops"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.wantKinds(spring, EventAccepted, EventPlanned, EventReleased, EventDelivered)

		w.SetPaused(t.Context(), "acme", "", true, "ops")
		held := w.submit("cid@dest.test", nil)
		time.Sleep(time.Hour)
		w.wantKinds(held, EventAccepted, EventPlanned)
		w.SetPaused(t.Context(), "acme", "", false, "ops")
		time.Sleep(2 * time.Second)
		w.wantKinds(held, EventAccepted, EventPlanned, EventReleased, EventDelivered)
	})
}

func TestPeopleActOnWaitingMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		late := func(m *Message) { m.NotBefore = time.Now().Add(10 * time.Hour) }
		released, dropped, held := w.submit("a@dest.test", late), w.submit("b@dest.test", late), w.submit("c@dest.test", late)
		time.Sleep(time.Second)
		act := func(id DeliveryID, to string, a Action, want bool) {
			t.Helper()
			got, err := w.Act(t.Context(), MailboxKey("acme", mustMailbox(t, to)), id, a, false, "ops", "")
			if err != nil || got != want {
				t.Errorf("%s %s: %v, %v; want %v", a, to, got, err, want)
			}
		}
		act(released, "a@dest.test", ActRelease, true)
		act(dropped, "b@dest.test", ActDrop, true)
		act(held, "c@dest.test", ActHold, true)
		act(held, "c@dest.test", ActHold, false)
		time.Sleep(12 * time.Hour)
		w.wantKinds(released, EventAccepted, EventHeld, EventPlanned, EventReleased, EventDelivered)
		w.wantKinds(dropped, EventAccepted, EventHeld, EventDropped)
		w.wantKinds(held, EventAccepted, EventHeld, EventHeld)
		act(held, "c@dest.test", ActResume, true)
		time.Sleep(2 * time.Second)
		w.wantKinds(held, EventAccepted, EventHeld, EventHeld, EventPlanned, EventReleased, EventDelivered)
	})
}

func TestTenantsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.far.delay = 100 * time.Millisecond; w.far.down = true })
		for i := range 400 {
			w.submit(fmt.Sprintf("p%d@dest.test", i), func(m *Message) { m.Tenant = "big" })
		}
		for i := range 10 {
			w.submit(fmt.Sprintf("q%d@dest.test", i), func(m *Message) { m.Tenant = "small" })
		}
		time.Sleep(time.Second)
		w.far.mu.Lock()
		w.far.down = false
		w.far.mu.Unlock()
		time.Sleep(3 * time.Minute)
		w.far.mu.Lock()
		defer w.far.mu.Unlock()
		last := 0
		for i, l := range w.far.took {
			if l.to[0] == 'q' {
				last = i
			}
		}
		if len(w.far.took) != 410 || last > 40 {
			t.Errorf("%d letters; the small tenant's last was number %d, want all 410 and it among the first 40", len(w.far.took), last)
		}
	})
}

// TestTooManyDropsAreHeld: a cap that would drop a whole list drops a hundred
// and holds the rest for a person to look at.
func TestTooManyDropsAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) {
			w.rules.WeeklyCap, w.rules.MaxHold, w.rules.MaxDrop = 1, time.Hour, 0.05
			w.rules.DropAtLimit, w.rules.Drop = true, []Class{Newsletter}
		})
		for i := range 300 {
			for range 2 { // the second of each comes to its hold's end under the cap
				w.submit(fmt.Sprintf("p%d@dest.test", i), nil)
			}
		}
		time.Sleep(90 * time.Minute)
		if n := w.Metrics.Dropped.Load(); n != dropFew {
			t.Errorf("%d drops, want %d", n, dropFew)
		}
	})
}

// TestInterleaving lets everything happen at once, for a simulated fortnight,
// and checks the promises of design rule 5: a cap and a gap that nothing
// passes, no letter after an opt-out was stored, no letter twice, none lost.
func TestInterleaving(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { interleave(t, seed) })
		})
	}
}

func interleave(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	fates := rand.New(rand.NewPCG(seed, 2)) // guarded by fate
	var fate sync.Mutex
	w := newWorld(t, newMemory(), func(w *world) {
		w.rules.MinGap, w.rules.WeeklyCap, w.rules.MaxHold = 6*time.Hour, 3, 100*time.Hour
		w.rules.DropAtLimit, w.rules.Drop = true, []Class{Newsletter}
		w.far.delay = 2 * time.Second
		w.far.answer = func(*Envelope, int) Outcome {
			fate.Lock()
			defer fate.Unlock()
			switch n := fates.IntN(10); {
			case n < 2:
				return Outcome{Kind: OutcomeDeferred, Code: 451}
			case n < 3:
				return Outcome{Kind: OutcomeUnsent}
			case n < 4:
				return Outcome{Kind: OutcomeFailed, Code: 550}
			}
			return Outcome{Kind: OutcomeDelivered, Code: 250}
		}
	})
	optOut := map[string]time.Time{}
	var ids []DeliveryID
	for range 300 {
		to := fmt.Sprintf("p%d@dest.test", rng.IntN(12))
		ids = append(ids, w.submit(to, func(m *Message) {
			m.From = ""
			if rng.IntN(4) == 0 {
				m.NotBefore = time.Now().Add(time.Duration(rng.IntN(72)) * time.Hour)
			}
		}))
		if rng.IntN(60) == 0 {
			e := suppression.Entry{Address: to, Scope: suppression.Scope{Kind: suppression.Tenant, Name: "acme"},
				Reason: suppression.Unsubscribe, Source: "test", Created: time.Now()}
			if err := w.Observe(t.Context(), e, "test"); err != nil {
				t.Fatal(err)
			}
			if _, again := optOut[to]; !again {
				optOut[to] = time.Now()
			}
		}
		time.Sleep(time.Duration(rng.IntN(3600)) * time.Second)
	}
	time.Sleep(14 * 24 * time.Hour)
	for _, id := range ids {
		kinds := w.store.kinds(id)
		last := kinds[len(kinds)-1]
		if last != EventDelivered && last != EventBounced && last != EventDropped && last != EventSuppressed {
			t.Errorf("delivery %s is not settled: %v", id, kinds)
		}
	}
	for i := range 12 {
		to := fmt.Sprintf("p%d@dest.test", i)
		checkLetters(t, to, w.far.letters(to), optOut[to])
	}
}

func checkLetters(t *testing.T, to string, at []time.Time, optOut time.Time) {
	t.Helper()
	const slack = 5 * time.Second // between the claim and the reply
	for i, a := range at {
		if i > 0 && a.Sub(at[i-1]) < 6*time.Hour-slack {
			t.Errorf("%s: letters %v apart, gap is 6h", to, a.Sub(at[i-1]))
		}
		if i >= 3 && a.Sub(at[i-3]) < 168*time.Hour-slack {
			t.Errorf("%s: 4 letters in %v, cap is 3 in 168h", to, a.Sub(at[i-3]))
		}
		if !optOut.IsZero() && a.After(optOut.Add(slack)) {
			t.Errorf("%s: a letter %v after the opt-out", to, a.Sub(optOut))
		}
	}
}

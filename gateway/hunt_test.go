package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/throttle"
	"tidepost/suppression"
)

// hooked is a memory store whose calls a test can look at, slow down or fail.
type hooked struct {
	*memory
	body   func(Ref) error
	accept func(ctx context.Context) error
	commit func(changes []*Change) error
}

func (h *hooked) Body(ctx context.Context, r Ref) (*Stored, error) {
	if h.body != nil {
		if err := h.body(r); err != nil {
			return nil, err
		}
	}
	return h.memory.Body(ctx, r)
}

func (h *hooked) Accept(ctx context.Context, m *Message, c Content) ([]*Delivery, error) {
	if h.accept != nil {
		if err := h.accept(ctx); err != nil {
			return nil, err
		}
	}
	return h.memory.Accept(ctx, m, c)
}

func (h *hooked) Commit(ctx context.Context, changes ...*Change) error {
	if h.commit != nil {
		if err := h.commit(changes); err != nil {
			return err
		}
	}
	return h.memory.Commit(ctx, changes...)
}

// composer calls a test's function before it composes: between a delivery's
// choice and its claim.
type composer func(ctx context.Context, d *Delivery) error

func (c composer) Compose(ctx context.Context, s *Stored, d *Delivery, m Marks) (io.ReadCloser, int64, error) {
	if err := c(ctx, d); err != nil {
		return nil, 0, err
	}
	return plainComposer{}.Compose(ctx, s, d, m)
}

// slowReporter takes its time to word a notification.
type slowReporter time.Duration

func (r slowReporter) Report(rep *Report) ([]byte, error) {
	time.Sleep(time.Duration(r))
	return reporter{}.Report(rep)
}

// captureRoute keeps all mail.
type captureRoute struct{}

func (captureRoute) Route(context.Context, string) (Destination, error) {
	return Destination{Name: "capture", Capture: true}, nil
}

func (w *world) key(to string) Key { return MailboxKey("acme", mustMailbox(w.t, to)) }

func (w *world) delivery(to string, id DeliveryID) *Delivery {
	w.t.Helper()
	box, err := w.store.Mailbox(w.t.Context(), w.key(to))
	if err != nil {
		w.t.Fatal(err)
	}
	return box.Delivery(id)
}

func (w *world) raise(down bool) {
	w.far.mu.Lock()
	defer w.far.mu.Unlock()
	w.far.down = down
}

// wantEnd checks how a delivery's history ends.
func (w *world) wantEnd(id DeliveryID, want EventKind) {
	w.t.Helper()
	kinds := w.store.kinds(id)
	if len(kinds) == 0 || kinds[len(kinds)-1] != want {
		w.t.Errorf("events of %s: got %v, want %s at the end", id, kinds, want)
	}
}

// waiting leaves a store behind in which n planned deliveries wait for ann.
func waiting(t *testing.T, n int, set func(i int, m *Message)) (*memory, []DeliveryID) {
	store := newMemory()
	w := newWorld(t, store, func(w *world) { w.far.down = true })
	var ids []DeliveryID
	for i := range n {
		ids = append(ids, w.submit("ann@dest.test", func(m *Message) {
			if set != nil {
				set(i, m)
			}
		}))
	}
	time.Sleep(time.Second)
	w.stop()
	return store, ids
}

func optOut(address string) suppression.Entry {
	return suppression.Entry{Address: address, Scope: suppression.Scope{Kind: suppression.Tenant, Name: "acme"},
		Reason: suppression.Unsubscribe, Source: "test", Created: time.Now()}
}

// At start a mailbox stands in the queue once. A delivery that cannot be read
// must not take the others' place with it.
func TestDamagedMailHidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, ids := waiting(t, 3, nil)
		bad := newWorldDelivery(t, store, ids[0]).Ref
		w := newWorld(t, store, func(w *world) {
			w.Store = &hooked{memory: store, body: func(r Ref) error {
				if r == bad {
					return ErrDamaged
				}
				return nil
			}}
		})
		time.Sleep(time.Minute)
		w.wantEnd(ids[0], EventHeld)
		w.wantEnd(ids[1], EventDelivered)
		w.wantEnd(ids[2], EventDelivered)
	})
}

func newWorldDelivery(t *testing.T, store *memory, id DeliveryID) *Delivery {
	t.Helper()
	box, _ := store.Mailbox(t.Context(), MailboxKey("acme", mustMailbox(t, "ann@dest.test")))
	d := box.Delivery(id)
	if d == nil {
		t.Fatalf("delivery %s is gone", id)
	}
	return d
}

// Mail that cannot be read now, or was being signed when we stopped, is no
// damaged mail: it is tried again.
func TestUnreadableForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := 3
		w := newWorld(t, newMemory(), func(w *world) {
			w.Composer = composer(func(context.Context, *Delivery) error {
				if fails--; fails >= 0 {
					return errors.New("input/output error")
				}
				return nil
			})
		})
		id := w.submit("ann@dest.test", func(m *Message) { m.Class = Transactional })
		time.Sleep(time.Hour)
		w.wantEnd(id, EventDelivered)
	})
}

func TestStoppedWhileComposing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) {
			w.Composer = composer(func(ctx context.Context, _ *Delivery) error { <-ctx.Done(); return ctx.Err() })
		})
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Second)
		w.stop()
		if d := w.delivery("ann@dest.test", id); d == nil || d.Paused || d.State != Waiting {
			t.Errorf("after a stop in the middle of signing: %+v, want it waiting", d)
		}
	})
}

func TestAllOfAMailboxIsCaptured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, ids := waiting(t, 3, nil)
		w := newWorld(t, store, func(w *world) { w.Router = captureRoute{} })
		time.Sleep(time.Minute)
		for _, id := range ids {
			w.wantEnd(id, EventCaptured)
		}
		// A connection that saw an older state of the mailbox must not capture twice.
		held := w.held.of("acme")
		w.capture(w.key("ann@dest.test"), ids[0])
		time.Sleep(time.Second)
		if n := w.Metrics.Captured.Load(); n != 3 || w.held.of("acme") != held {
			t.Errorf("%d captured, %d held; want 3 and %d", n, w.held.of("acme"), held)
		}
		// Nor may a later route mode send it by itself.
		if d := w.claim(t.Context(), w.key("ann@dest.test"), ids[0]); d != nil {
			t.Errorf("a captured delivery was claimed: %+v", d)
		}
	})
}

// A paused campaign must not hold the reader's other mail.
func TestPausedCampaignHoldsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		w.SetPaused(t.Context(), "acme", "spring", true, "ops")
		spring := w.submit("ann@dest.test", func(m *Message) { m.Campaign = "spring" })
		var codes []DeliveryID
		for range 5 {
			codes = append(codes, w.submit("ann@dest.test", func(m *Message) { m.Class = Transactional }))
			time.Sleep(time.Second)
		}
		for _, id := range codes {
			w.wantEnd(id, EventDelivered)
		}
		w.wantEnd(spring, EventPlanned)
		w.SetPaused(t.Context(), "acme", "spring", false, "ops")
		time.Sleep(time.Second)
		w.wantEnd(spring, EventDelivered)
	})
}

func TestPausedBetweenChoiceAndClaim(t *testing.T) {
	for _, campaign := range []string{"spring", ""} {
		t.Run("campaign="+campaign, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w *world
				first := true
				w = newWorld(t, newMemory(), func(w *world) {
					w.Composer = composer(func(context.Context, *Delivery) error {
						if first {
							first = false
							return w.SetPaused(context.Background(), "acme", campaign, true, "ops")
						}
						return nil
					})
				})
				id := w.submit("ann@dest.test", func(m *Message) { m.Campaign = "spring" })
				time.Sleep(time.Minute)
				w.wantEnd(id, EventPlanned)
				w.SetPaused(t.Context(), "acme", campaign, false, "ops")
				time.Sleep(time.Minute)
				w.wantEnd(id, EventDelivered)
			})
		})
	}
}

// TestPausesInterleave switches a campaign off and on while its mail flows.
func TestPausesInterleave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.far.delay = 7 * time.Millisecond })
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range 200 {
				w.SetPaused(context.Background(), "acme", "spring", i%2 == 0, "ops")
				time.Sleep(11 * time.Millisecond)
			}
		})
		var ids []DeliveryID
		for i := range 300 {
			ids = append(ids, w.submit(fmt.Sprintf("p%d@dest.test", i%20), func(m *Message) { m.Campaign = "spring" }))
			time.Sleep(5 * time.Millisecond)
		}
		wg.Wait()
		time.Sleep(time.Minute)
		for _, id := range ids {
			w.wantEnd(id, EventDelivered)
		}
	})
}

// Two tenants of one audience share a mailbox: the pause of one holds nothing
// of the other's, and the other's turn lets nothing of the first one out.
func TestPausedTenantInASharedMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenants := []string{"a", "b"}
		store, ids := waiting(t, 2, func(i int, m *Message) { m.Tenant = tenants[i] })
		store.settings[settingTenant+"a"] = []byte(`{"by":"ops"}`)
		w := newWorld(t, store, nil)
		time.Sleep(time.Minute)
		w.wantEnd(ids[0], EventPlanned)
		w.wantEnd(ids[1], EventDelivered)
		w.SetPaused(t.Context(), "a", "", false, "ops")
		time.Sleep(time.Minute)
		w.wantEnd(ids[0], EventDelivered)
	})
}

// Transactional mail goes first, whatever stands before it in the mailbox.
func TestCodeBeforeAPileOfNewsletters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) {
			w.far.down, w.far.delay = true, time.Second
			w.Limits = func(string) throttle.Limits { return throttle.Limits{Connections: 1} }
		})
		for range 100 {
			w.submit("ann@dest.test", nil)
		}
		code := w.submit("ann+code@dest.test", func(m *Message) { m.Class = Transactional })
		time.Sleep(time.Second)
		w.raise(false)
		time.Sleep(65 * time.Second)
		w.wantEnd(code, EventDelivered)
		w.far.mu.Lock()
		defer w.far.mu.Unlock()
		if w.far.took[0].to != "ann+code@dest.test" {
			t.Errorf("the code was not the first of %d letters", len(w.far.took))
		}
	})
}

func TestSupersedeInAFullMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		later := time.Now().Add(time.Hour)
		for range 50 {
			w.submit("ann@dest.test", func(m *Message) { m.NotBefore = later })
		}
		digest := func(m *Message) { m.NotBefore, m.Supersede = later, "digest" }
		old := w.submit("ann@dest.test", digest)
		time.Sleep(time.Second)
		newer := w.submit("ann@dest.test", digest)
		time.Sleep(time.Second)
		w.wantEnd(old, EventDropped)
		w.wantEnd(newer, EventHeld)
	})
}

// One drop, one notification, however often the decision is made meanwhile.
func TestOneNotificationADrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.Reporter = slowReporter(time.Second) })
		id := w.submit("ann@dest.test", func(m *Message) {
			m.NotBefore, m.Recipients[0].Notify = time.Now().Add(time.Hour), NotifyFailure
		})
		time.Sleep(time.Second)
		for range 3 {
			if err := w.Observe(t.Context(), optOut("ann@dest.test"), "test"); err != nil {
				t.Fatal(err)
			}
		}
		// A decision that is being told cannot be changed any more.
		if ok, _ := w.Act(t.Context(), w.key("ann@dest.test"), id, ActRelease, false, "ops", ""); ok {
			t.Error("a person released what is being told as dropped")
		}
		time.Sleep(time.Minute)
		w.wantEnd(id, EventSuppressed)
		if n := len(w.far.letters("sender@esp.test")); n != 1 {
			t.Errorf("%d notifications, want 1", n)
		}
		if n := w.held.of("acme"); n != 0 {
			t.Errorf("%d held, want 0", n)
		}
	})
}

func TestOneNotificationWhenGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.far.down, w.Reporter = true, slowReporter(time.Hour) })
		id := w.submit("ann@dest.test", func(m *Message) { m.Class = Transactional })
		time.Sleep(24*time.Hour + 20*time.Minute)
		for _, a := range []Action{ActHold, ActResume} {
			w.Act(t.Context(), w.key("ann@dest.test"), id, a, false, "ops", "")
		}
		time.Sleep(2 * time.Hour)
		w.raise(false)
		time.Sleep(48 * time.Hour)
		w.wantEnd(id, EventBounced)
		if n := len(w.far.letters("sender@esp.test")); n != 1 {
			t.Errorf("%d notifications, want 1", n)
		}
	})
}

// What was accepted and never planned before a crash is planned, not sent
// without a word.
func TestAcceptedIsToldAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		box := mustMailbox(t, "ann@dest.test")
		m := &Message{From: "s@esp.test", Tenant: "acme", Audience: "acme", Class: Newsletter, Notes: []string{"x: ignored"},
			Recipients: []Recipient{{Address: "ann@dest.test", Mailbox: MailboxKey("acme", box), Canonical: box.String()}}}
		var ids []DeliveryID
		for range 3 {
			each := *m
			each.Received = time.Now()
			d, err := store.Accept(t.Context(), &each, Content{Bytes: []byte("hello")})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, d[0].ID)
		}
		w := newWorld(t, store, nil)
		time.Sleep(time.Minute)
		for _, id := range ids {
			w.wantKinds(id, EventAccepted, EventIgnored, EventPlanned, EventReleased, EventDelivered)
		}
	})
}

// What a crash left unplanned supersedes as ever, and is dropped once.
func TestSupersedeAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		box := mustMailbox(t, "ann@dest.test")
		var ids []DeliveryID
		for range 4 {
			time.Sleep(time.Second)
			m := &Message{Tenant: "acme", Audience: "acme", Class: Newsletter, Supersede: "k", Received: time.Now(),
				Recipients: []Recipient{{Address: "ann@dest.test", Mailbox: MailboxKey("acme", box), Canonical: box.String()}}}
			d, err := store.Accept(t.Context(), m, Content{Bytes: []byte("hello")})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, d[0].ID)
		}
		w := newWorld(t, store, nil)
		time.Sleep(time.Minute)
		for _, id := range ids[:3] {
			w.wantKinds(id, EventAccepted, EventDropped)
		}
		w.wantEnd(ids[3], EventDelivered)
		if n := w.held.of("acme"); n != -4 { // memory has no totals to begin with
			t.Errorf("%d held, want -4", n)
		}
	})
}

// A connection may have looked at a mailbox just before a settle commit: the
// wait after a 4xx holds all the same.
func TestRetryWaitIsKeptInTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) {
			w.far.answer = func(*Envelope, int) Outcome { return Outcome{Kind: OutcomeDeferred, Code: 451} }
		})
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Second)
		w.inflight.add(id)
		if d := w.claim(t.Context(), w.key("ann@dest.test"), id); d != nil {
			t.Errorf("claimed %v before it is due", time.Until(w.delivery("ann@dest.test", id).Due))
		}
		time.Sleep(6 * time.Minute)
		w.wantKinds(id, EventAccepted, EventPlanned, EventReleased, EventDeferred, EventReleased, EventDeferred)
	})
}

// A destination that takes connections and no MAIL is a busy one, not one to
// be asked a thousand times a second.
func TestUnsentAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		w := newWorld(t, newMemory(), func(w *world) {
			w.far.answer = func(_ *Envelope, n int) Outcome {
				if tries = n; n > 1000 {
					time.Sleep(time.Hour)
				}
				return Outcome{Kind: OutcomeUnsent, Busy: true}
			}
		})
		id := w.submit("ann@dest.test", nil)
		time.Sleep(2 * time.Hour)
		w.far.mu.Lock()
		defer w.far.mu.Unlock()
		if tries > 50 {
			t.Errorf("%d tries in two hours", tries)
		}
		if d := w.delivery("ann@dest.test", id); d.Attempts != 0 || !d.Slot.IsZero() {
			t.Errorf("what was never sent has %d attempts and slot %v", d.Attempts, d.Slot)
		}
	})
}

// Two states of a delivery in one change are one step for a Store: it counts
// from the state before the change.
func TestOneStateADeliveryAndChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) { w.far.delay = time.Minute })
		id := w.submit("ann@dest.test", nil)
		time.Sleep(30 * time.Second)
		left := store.crash()
		time.Sleep(time.Minute)
		w.stop()
		again := newWorld(t, left, func(w *world) {
			w.Store = &hooked{memory: left, commit: func(changes []*Change) error {
				for _, c := range changes {
					for i, d := range c.Deliveries {
						if slices.ContainsFunc(c.Deliveries[:i], func(o *Delivery) bool { return o.ID == d.ID }) {
							t.Errorf("delivery %s has two states in one change", d.ID)
						}
					}
				}
				return nil
			}}
		})
		time.Sleep(time.Minute)
		again.wantKinds(id, EventInDoubt, EventReleased, EventDelivered)
	})
}

// Design rule 3: a deadline is the client's own wish. It makes a DSN only
// where BY;R or NOTIFY=FAILURE asked for one.
func TestDeadlineDrops(t *testing.T) {
	for _, test := range []struct {
		name    string
		set     func(m *Message)
		answers bool // the far side is up and defers
		notices int
	}{
		{"X-Tidepost-Deadline, destination away", func(m *Message) { m.HardDeadline = true }, false, 0},
		{"X-Tidepost-Deadline, deferred", func(m *Message) { m.HardDeadline = true }, true, 0},
		{"NOTIFY=FAILURE", func(m *Message) { m.HardDeadline, m.Recipients[0].Notify = true, NotifyFailure }, false, 1},
		{"NOTIFY=FAILURE, deferred", func(m *Message) { m.HardDeadline, m.Recipients[0].Notify = true, NotifyFailure }, true, 1},
		{"BY;R, destination away", func(m *Message) { m.By = ByReturn }, false, 1},
		{"BY;R, deferred", func(m *Message) { m.By = ByReturn }, true, 1},
		{"BY;R and NOTIFY=NEVER", func(m *Message) { m.By, m.Recipients[0].Notify = ByReturn, NotifyNever }, false, 0},
		{"BY;R from nobody", func(m *Message) { m.By, m.From = ByReturn, "" }, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemory(), func(w *world) {
					w.far.down = !test.answers
					w.far.answer = func(e *Envelope, _ int) Outcome {
						if e.Recipients[0].Address == "sender@esp.test" {
							return Outcome{Kind: OutcomeDelivered, Code: 250}
						}
						return Outcome{Kind: OutcomeDeferred, Code: 451}
					}
				})
				id := w.submit("ann@dest.test", func(m *Message) {
					m.Deadline = time.Now().Add(30 * time.Minute)
					test.set(m)
				})
				time.Sleep(40 * time.Minute)
				w.raise(false)
				time.Sleep(10 * time.Minute)
				w.wantEnd(id, EventDropped)
				if n := len(w.far.letters("sender@esp.test")); n != test.notices {
					t.Errorf("%d notifications, want %d", n, test.notices)
				}
				box, _ := w.store.Mailbox(t.Context(), w.key("ann@dest.test"))
				if n := box.Gates.Len(); n != 0 {
					t.Errorf("a drop kept %d slots", n)
				}
				if n := w.held.of("acme"); n != 0 {
					t.Errorf("%d held, want 0", n)
				}
			})
		})
	}
}

// The deadline counts although the destination is away for longer than we try.
func TestDeadlineBeforeGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.far.down = true })
		id := w.submit("ann@dest.test", func(m *Message) {
			m.Class, m.Deadline, m.HardDeadline = Transactional, time.Now().Add(time.Hour), true
		})
		time.Sleep(26 * time.Hour)
		w.wantEnd(id, EventDropped)
		if n := w.Metrics.Reports.Load(); n != 0 {
			t.Errorf("%d notifications, want none", n)
		}
	})
}

func TestLastTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) {
			w.far.answer = func(_ *Envelope, n int) Outcome {
				if n < 3 {
					return Outcome{Kind: OutcomeDeferred, Code: 451}
				}
				return Outcome{Kind: OutcomeDelivered, Code: 250}
			}
			w.Retry, w.GiveUpBulk = Retries{time.Hour, 48 * time.Hour}, 24*time.Hour
		})
		id := w.submit("ann@dest.test", nil)
		time.Sleep(25 * time.Hour)
		w.wantEnd(id, EventDelivered)
	})
}

// The notification of a transaction that ended after the stop began is stored.
func TestNotificationDuringShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) {
			w.Store = &hooked{memory: w.store, accept: func(ctx context.Context) error { return ctx.Err() }}
			w.far.delay = 5 * time.Second
			w.far.answer = func(*Envelope, int) Outcome { return Outcome{Kind: OutcomeFailed, Code: 550} }
		})
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Second)
		w.stop()
		w.wantEnd(id, EventBounced)
		if n := w.Metrics.Reports.Load(); n != 1 {
			t.Errorf("%d notifications, want 1", n)
		}
	})
}

// A decision that is being told when we stop is told and settled, or neither.
func TestTellingEndsBeforeRunReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.Reporter = slowReporter(3 * time.Second) })
		id := w.submit("ann@dest.test", func(m *Message) {
			m.NotBefore, m.Recipients[0].Notify = time.Now().Add(time.Hour), NotifyFailure
		})
		time.Sleep(time.Second)
		if err := w.Observe(t.Context(), optOut("ann@dest.test"), "test"); err != nil {
			t.Fatal(err)
		}
		w.stop()
		told := w.Metrics.Reports.Load()
		settled := w.delivery("ann@dest.test", id) == nil
		if told != 1 || !settled {
			t.Errorf("%d notifications, settled %v; want 1, true", told, settled)
		}
	})
}

// hangs is a session that does not answer until its context ends.
type hangs struct{}

func (hangs) Usable() bool { return true }
func (hangs) Close() error { return nil }
func (hangs) Send(ctx context.Context, e *Envelope, _ io.Reader, _ time.Time) []Outcome {
	select {
	case <-ctx.Done():
	case <-time.After(time.Hour):
	}
	return []Outcome{{Kind: OutcomeDeferred, Text: "unknown outcome after end of data"}}
}

type hangingTransport struct{}

func (hangingTransport) Open(context.Context, Destination) (Session, error) { return hangs{}, nil }

func TestShutdownWhileASendHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.Transport = hangingTransport{} })
		id := w.submit("ann@dest.test", nil)
		time.Sleep(time.Second)
		start := time.Now()
		w.stop()
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("the stop took %v, want 30 s at most", took)
		}
		w.wantEnd(id, EventReleased) // in doubt for the next start, which sends it at once
		again := newWorld(t, w.store.crash(), nil)
		time.Sleep(2 * time.Second)
		again.wantKinds(id, EventInDoubt, EventReleased, EventDelivered)
	})
}

// bare is a gateway without a world around it, for tests whose Run fails.
func bare(store Store, far *farSide) *Gateway {
	limits := func(string) throttle.Limits { return throttle.Limits{Connections: 4} }
	return &Gateway{Store: store, Reader: plainReader{}, Composer: plainComposer{}, Router: far, Transport: far,
		Throttle: &throttle.Group{Limits: limits}, Limits: limits,
		Rules:  func(string) *Rules { return &Rules{Policy: scheduler.Policy{MaxHold: time.Hour}} },
		Tenant: func(name string) Tenant { return Tenant{Name: name} }, Line: func(string) string { return "far" },
		GiveUpTransactional: 24 * time.Hour, GiveUpBulk: 72 * time.Hour}
}

// TestStoreFails: whatever is under way, Run comes back with the reason, and
// nobody waits for a shard that has stopped.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hooked{memory: newMemory()}
		g := bare(store, &farSide{tries: map[string]int{}, delay: 10 * time.Millisecond})
		if err := g.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var failed error
		store.commit = func([]*Change) error { mu.Lock(); defer mu.Unlock(); return failed }
		ended := make(chan error, 1)
		go func() { ended <- g.Run(t.Context()) }()
		accepting := make(chan int, 1)
		go func() {
			n := 0
			for i := range 20_000 {
				box := mustMailbox(t, fmt.Sprintf("p%d@dest.test", i%3))
				m := Message{Tenant: "acme", Audience: "acme", Class: Newsletter,
					Recipients: []Recipient{{Address: box.String(), Mailbox: MailboxKey("acme", box), Canonical: box.String()}}}
				if _, err := g.Accept(t.Context(), &Submission{Message: m, Content: Content{Bytes: []byte("x"), Size: 1}}); err == nil {
					n++
				}
				if i%100 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			accepting <- n
		}()
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		failed = errors.New("sync failed")
		mu.Unlock()
		select {
		case err := <-ended:
			if err == nil || !errors.Is(err, failed) {
				t.Errorf("Run: %v, want the store's error", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("Run did not come back a minute after the store failed")
		}
		select {
		case <-accepting:
		case <-time.After(time.Minute):
			t.Fatal("Accept hangs although Run has returned")
		}
	})
}

// Design rule 5 d: no release commit after an opt-out's, not even in the same
// one.
func TestOptOutAndClaimInOneBatch(t *testing.T) {
	store, far := newMemory(), &farSide{}
	g := bare(store, far)
	if err := g.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	box := mustMailbox(t, "ann@dest.test")
	k := MailboxKey("acme", box)
	m := &Message{Tenant: "acme", Audience: "acme", Class: Newsletter, Received: time.Now(),
		Recipients: []Recipient{{Address: "ann@dest.test", Mailbox: k, Canonical: box.String()}}}
	d, err := store.Accept(t.Context(), m, Content{})
	if err != nil {
		t.Fatal(err)
	}
	id := d[0].ID
	s := g.shards[int(k[0])%shards]
	if err := s.commit(t.Context(), []step{{key: k, do: func(t *turn) { t.planNew(id, nil, false) }}}); err != nil {
		t.Fatal(err)
	}
	var claimed *Delivery
	err = s.commit(t.Context(), []step{
		{key: MailboxKey("", box), do: func(t *turn) { t.change.Entries = append(t.change.Entries, optOut(box.String())) }},
		{key: k, do: func(t *turn) { claimed = t.claim(id) }},
	})
	if err != nil || claimed != nil {
		t.Errorf("claimed %+v, %v; want nothing after the opt-out", claimed, err)
	}
}

// A mailbox in doubt keeps its place while its destination is away.
func TestInDoubtAndAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) { w.far.delay = time.Minute })
		id := w.submit("ann@dest.test", nil)
		time.Sleep(30 * time.Second)
		left := store.crash()
		time.Sleep(time.Minute)
		w.stop()
		again := newWorld(t, left, func(w *world) { w.far.down = true })
		time.Sleep(30 * time.Hour)
		again.raise(false)
		time.Sleep(10 * time.Minute)
		again.wantEnd(id, EventDelivered)
	})
}

func TestInDoubtIsCaptured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) { w.far.delay = time.Minute })
		id := w.submit("ann@dest.test", nil)
		time.Sleep(30 * time.Second)
		left := store.crash()
		time.Sleep(time.Minute)
		w.stop()
		again := newWorld(t, left, func(w *world) { w.Router = captureRoute{} })
		time.Sleep(time.Minute)
		again.wantKinds(id, EventInDoubt, EventCaptured)
	})
}

func TestHeldInDoubtIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) { w.far.delay = time.Minute })
		id := w.submit("ann@dest.test", nil)
		time.Sleep(30 * time.Second)
		left := store.crash()
		time.Sleep(time.Minute)
		w.stop()
		again := newWorld(t, left, func(w *world) { w.rules.HoldInDoubt = true; w.rules.WeeklyCap = 1 })
		time.Sleep(time.Minute)
		again.wantKinds(id, EventInDoubt)
		if ok, err := again.Act(t.Context(), again.key("ann@dest.test"), id, ActResume, false, "ops", ""); !ok || err != nil {
			t.Fatalf("resume: %v, %v", ok, err)
		}
		time.Sleep(time.Minute)
		again.wantEnd(id, EventDelivered)
		box, _ := left.Mailbox(t.Context(), again.key("ann@dest.test"))
		if n := box.Gates.Len(); n != 1 {
			t.Errorf("%d slots, want 1", n)
		}
	})
}

// The clock is set right: what was due before is due after.
func TestClockJumpsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var ahead time.Duration
		set := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); ahead = d }
		set(24 * time.Hour)
		w := newWorld(t, newMemory(), func(w *world) {
			w.far.down = true
			w.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(ahead) }
		})
		id := w.submit("ann@dest.test", nil)
		time.Sleep(5 * time.Minute)
		set(0)
		w.raise(false)
		time.Sleep(5 * time.Minute)
		w.wantEnd(id, EventDelivered)
	})
}

// Instants are compared by the wall clock: a machine that slept has a
// monotonic clock that did not run.
func TestNowIsTheWallClock(t *testing.T) {
	g := &Gateway{}
	if now := g.now(); now != now.Round(0) {
		t.Errorf("%v carries a monotonic reading", now)
	}
}

// Between a connection's last look and its rest something may come due.
func TestIdleLooksOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := bare(newMemory(), &farSide{})
		if err := g.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		ln := g.queue.push(slot{line: "far", tenant: "acme", entry: entry{at: seconds(time.Now())}})
		ln.workers = 1
		start := time.Now()
		w := &worker{g: g, line: ln}
		if !w.idle(t.Context()) || time.Since(start) > 0 {
			t.Errorf("a connection rested for %v while mail was due", time.Since(start))
		}
	})
}

// The quota holds against many clients at once.
func TestQuotaUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) {
			w.Tenant = func(name string) Tenant { return Tenant{Name: name, MaxHeld: 10} }
			w.Store = &hooked{memory: w.store, accept: func(context.Context) error { time.Sleep(time.Second); return nil }}
			w.far.down = true
		})
		box := mustMailbox(t, "ann@dest.test")
		var wg sync.WaitGroup
		var mu sync.Mutex
		accepted := 0
		for range 50 {
			wg.Go(func() {
				m := Message{Tenant: "acme", Audience: "acme", Class: Newsletter,
					Recipients: []Recipient{{Address: box.String(), Mailbox: MailboxKey("acme", box), Canonical: box.String()}}}
				if _, err := w.Accept(t.Context(), &Submission{Message: m, Content: Content{Bytes: []byte("x"), Size: 1}}); err == nil {
					mu.Lock()
					accepted++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if accepted != 10 || w.held.of("acme") != 10 {
			t.Errorf("%d accepted, %d held, want 10", accepted, w.held.of("acme"))
		}
	})
}

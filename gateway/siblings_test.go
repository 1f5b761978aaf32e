package gateway

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler/throttle"
)

// many is a far side that answers every recipient of a transaction.
type many struct {
	mu     sync.Mutex
	answer func(to string) Outcome
	sends  [][]string
	took   map[string]int
}

func (m *many) Open(context.Context, Destination) (Session, error) { return &manySession{m}, nil }

type manySession struct{ *many }

func (manySession) Usable() bool { return true }
func (manySession) Close() error { return nil }
func (s manySession) Send(_ context.Context, e *Envelope, body io.Reader, _ time.Time) []Outcome {
	io.Copy(io.Discard, body)
	time.Sleep(50 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	var to []string
	var out []Outcome
	for _, r := range e.Recipients {
		o := Outcome{Kind: OutcomeDelivered, Code: 250}
		if s.answer != nil {
			o = s.answer(r.Address)
		}
		if o.Kind == OutcomeDelivered {
			s.took[r.Address]++
		}
		to, out = append(to, r.Address), append(out, o)
	}
	s.sends = append(s.sends, to)
	return out
}

func manyWorld(t *testing.T, set func(w *world, m *many)) (*world, *many) {
	m := &many{took: map[string]int{}}
	w := newWorld(t, newMemory(), func(w *world) {
		w.Transport = m
		if set != nil {
			set(w, m)
		}
	})
	return w, m
}

// submitMany hands in one message for several recipients.
func (w *world) submitMany(to []string, set func(m *Message)) []DeliveryID {
	w.t.Helper()
	first := w.submit(to[0], func(m *Message) {
		m.Class = Transactional
		m.Recipients = nil
		for _, a := range to {
			box := mustMailbox(w.t, a)
			m.Recipients = append(m.Recipients, Recipient{Address: a, Mailbox: MailboxKey("acme", box), Canonical: box.String()})
		}
		if set != nil {
			set(m)
		}
	})
	ids := make([]DeliveryID, len(to))
	for i := range to {
		ids[i] = DeliveryID{first.Message, uint32(i)}
	}
	return ids
}

func addresses(n int) []string {
	to := make([]string, n)
	for i := range to {
		to[i] = fmt.Sprintf("p%d@dest.test", i)
	}
	return to
}

func TestRecipientsTravelTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, far := manyWorld(t, nil)
		to := addresses(450)
		ids := w.submitMany(to, nil)
		time.Sleep(time.Minute)
		w.stop()
		for i, id := range ids {
			w.wantKinds(id, EventAccepted, EventPlanned, EventReleased, EventDelivered)
			if n := far.took[to[i]]; n != 1 {
				t.Errorf("%s had %d letters", to[i], n)
			}
		}
		most := 0
		for _, s := range far.sends {
			most = max(most, len(s))
		}
		if most != maxTogether || len(far.sends) > 25 {
			t.Errorf("%d transactions, the largest of %d; want a few of at most %d", len(far.sends), most, maxTogether)
		}
		if n := w.held.of("acme"); n != 0 || len(w.inflight.ids) != 0 {
			t.Errorf("%d held, %d reserved at the end", n, len(w.inflight.ids))
		}
	})
}

func TestEachRecipientHasItsOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, far := manyWorld(t, func(w *world, m *many) {
			n := map[string]int{}
			m.answer = func(to string) Outcome {
				switch n[to]++; {
				case to == "p3@dest.test":
					return Outcome{Kind: OutcomeFailed, Code: 550}
				case to == "p5@dest.test" && n[to] == 1:
					return Outcome{Kind: OutcomeDeferred, Code: 451}
				case to == "p7@dest.test" && n[to] == 1:
					return Outcome{Kind: OutcomeUnsent}
				}
				return Outcome{Kind: OutcomeDelivered, Code: 250}
			}
		})
		ids := w.submitMany(addresses(10), nil)
		time.Sleep(10 * time.Minute)
		w.stop()
		for i, id := range ids {
			switch i {
			case 3:
				w.wantEnd(id, EventBounced)
			case 5:
				w.wantKinds(id, EventAccepted, EventPlanned, EventReleased, EventDeferred, EventReleased, EventDelivered)
			case 7:
				w.wantKinds(id, EventAccepted, EventPlanned, EventReleased, EventTakenBack, EventReleased, EventDelivered)
			default:
				w.wantKinds(id, EventAccepted, EventPlanned, EventReleased, EventDelivered)
			}
		}
		if far.took["sender@esp.test"] != 1 {
			t.Errorf("%d notifications, want 1", far.took["sender@esp.test"])
		}
	})
}

// Each recipient's owner decides: who opted out, is capped, or has it paused is
// not in the transaction.
func TestSiblingsAreClaimedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		once := true
		w, far := manyWorld(t, func(v *world, _ *many) {
			v.rules.WeeklyCap = 1
			v.Limits = func(string) throttle.Limits { return throttle.Limits{Connections: 1} }
			v.Composer = composer(func(_ context.Context, d *Delivery) error {
				if d.Campaign != "spring" || !once {
					return nil
				}
				once = false
				if err := v.Observe(context.Background(), optOut("p2@dest.test"), "test"); err != nil {
					return err
				}
				_, err := v.Act(context.Background(), v.key("p4@dest.test"), DeliveryID{d.ID.Message, 4}, ActHold, false, "ops", "")
				return err
			})
		})
		w.submit("p6@dest.test", nil) // its week is full
		time.Sleep(time.Second)
		w.SetPaused(t.Context(), "acme", "spring", true, "ops")
		ids := w.submitMany(addresses(8), func(m *Message) { m.Class, m.Campaign = Newsletter, "spring" })
		time.Sleep(time.Second)
		w.SetPaused(t.Context(), "acme", "spring", false, "ops")
		time.Sleep(time.Minute)
		w.stop()
		for i, id := range ids {
			switch i {
			case 2:
				w.wantEnd(id, EventSuppressed)
			case 4, 6:
				w.wantEnd(id, EventHeld)
			default:
				w.wantEnd(id, EventDelivered)
			}
		}
		last := far.sends[len(far.sends)-1]
		if len(last) != 5 {
			t.Errorf("the transaction had %v, want five", last)
		}
		if n := len(w.inflight.ids); n != 0 {
			t.Errorf("%d reserved at the end", n)
		}
	})
}

func TestSiblingsOfAnotherLineTravelAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, far := manyWorld(t, func(w *world, _ *many) { w.Line = func(domain string) string { return domain } })
		w.submitMany([]string{"a@one.test", "b@two.test", "c@three.test"}, nil)
		time.Sleep(time.Minute)
		w.stop()
		if len(far.sends) != 3 {
			t.Errorf("transactions %v, want three", far.sends)
		}
	})
}

// A mail that carries its reader's own links leaves alone; what is the same for all
// leaves together.
func TestMarkedMailTravelsAlone(t *testing.T) {
	for _, tracking := range []Tracking{TrackNone, TrackClick} {
		synctest.Test(t, func(t *testing.T) {
			w, far := manyWorld(t, func(w *world, _ *many) { w.rules.Tracking = tracking })
			ids := w.submitMany(addresses(20), func(m *Message) { m.Class = Newsletter })
			time.Sleep(time.Minute)
			w.stop()
			for _, id := range ids {
				w.wantEnd(id, EventDelivered)
			}
			if alone := len(far.sends) == 20; alone != (tracking == TrackClick) {
				t.Errorf("tracking %d: %d transactions for 20 recipients", tracking, len(far.sends))
			}
		})
	}
}

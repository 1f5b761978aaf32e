package gateway

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// ledger is what the far side took over several lives of a gateway.
type ledger struct {
	mu   sync.Mutex
	rng  *rand.Rand
	took map[string]int
}

// life is one life's way to the far side; once it is over nothing is heard of
// it any more.
type life struct {
	*ledger
	over bool // guarded by ledger.mu
}

func (l *life) Open(context.Context, Destination) (Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rng.IntN(50) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return lifeSession{l}, nil
}

type lifeSession struct{ *life }

func (lifeSession) Usable() bool { return true }
func (lifeSession) Close() error { return nil }
func (s lifeSession) Send(_ context.Context, e *Envelope, body io.Reader, _ time.Time) []Outcome {
	io.Copy(io.Discard, body)
	time.Sleep(2 * time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Outcome, len(e.Recipients))
	for i, r := range e.Recipients {
		out[i] = s.answer(r.Address)
	}
	return out
}

func (s lifeSession) answer(to string) Outcome {
	switch n := s.rng.IntN(10); {
	case s.over || n == 0:
		return Outcome{Kind: OutcomeUnsent}
	case n < 3:
		return Outcome{Kind: OutcomeDeferred, Code: 451}
	case n == 3:
		return Outcome{Kind: OutcomeFailed, Code: 550}
	}
	s.took[to]++
	return Outcome{Kind: OutcomeDelivered, Code: 250}
}

// TestCrashesInterleave kills the gateway again and again while mail of several
// recipients, pauses, holds, drops and a tight gap are under way. Afterwards
// nothing waits, nothing is reserved, the quota is at zero, no more slots are
// taken than mail went out, and nothing went out twice but what was on the wire
// at a kill.
func TestCrashesInterleave(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { crashes(t, seed) })
		})
	}
}

func crashes(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	far := &ledger{rng: rand.New(rand.NewPCG(seed, 8)), took: map[string]int{}}
	store := newMemory()
	doubted := map[string]int{}
	total := 0
	var w *world
	var ids []DeliveryID
	begin := func() *life {
		l := &life{ledger: far}
		held := int64(0) // memory has no totals
		for _, b := range store.boxes {
			held += int64(len(b.Deliveries))
		}
		w = newWorld(t, store, func(w *world) {
			w.Transport = l
			w.rules.MinGap, w.rules.MaxHold = time.Hour, 10*time.Hour
		})
		w.held.add("acme", held)
		return l
	}
	for range 6 {
		l := begin()
		for range 25 {
			ids = append(ids, w.step(rng, &total, ids)...)
			time.Sleep(time.Duration(rng.IntN(900_000)) * time.Millisecond)
		}
		left := store.crash()
		far.mu.Lock()
		l.over = true
		far.mu.Unlock()
		for _, b := range left.boxes {
			for _, d := range b.Deliveries {
				if d.State == Sending {
					doubted[d.Address]++
				}
			}
		}
		w.stop()
		store = left
	}
	begin()
	w.SetPaused(t.Context(), "acme", "c0", false, "ops")
	w.SetPaused(t.Context(), "acme", "c1", false, "ops")
	time.Sleep(10 * 24 * time.Hour)
	w.stop()
	for to, n := range far.took {
		if n > 1+doubted[to] {
			t.Errorf("%s had %d letters, %d times in doubt", to, n, doubted[to])
		}
	}
	for _, b := range store.boxes {
		for _, d := range b.Deliveries {
			if !d.Paused {
				t.Errorf("left behind: %s %s due %v, %d attempts, %s", d.Address, d.State, d.Due, d.Attempts, d.Reason)
			}
		}
	}
	if len(w.inflight.ids)+len(w.telling.about.ids) != 0 {
		t.Errorf("reserved at the end: %d and %d", len(w.inflight.ids), len(w.telling.about.ids))
	}
	if n := w.held.of("acme"); n != 0 {
		t.Errorf("%d held at the end", n)
	}
}

// step does one thing that a client or a person may do.
func (w *world) step(rng *rand.Rand, total *int, ids []DeliveryID) []DeliveryID {
	ctx := context.Background()
	switch n := rng.IntN(12); {
	case n == 0:
		w.SetPaused(ctx, "acme", fmt.Sprintf("c%d", rng.IntN(2)), rng.IntN(2) == 0, "ops")
	case n == 1 && len(ids) > 0:
		id := ids[rng.IntN(len(ids))]
		for _, b := range w.store.snapshot() {
			if d := b.Delivery(id); d != nil {
				actions := []Action{ActRelease, ActResume, ActDrop}
				if _, err := w.Act(ctx, b.Key, id, actions[rng.IntN(3)], false, "ops", ""); err != nil {
					w.t.Error(err)
				}
			}
		}
	default:
		var to []string
		for range 1 + rng.IntN(4) {
			*total++
			to = append(to, fmt.Sprintf("p%d+%d@dest.test", rng.IntN(8), *total))
		}
		return w.submitMany(to, func(m *Message) {
			m.From, m.Class = "", []Class{Transactional, Newsletter, Promotional}[rng.IntN(3)]
			m.Campaign = []string{"", "c0", "c1"}[rng.IntN(3)]
			if rng.IntN(4) == 0 {
				m.Supersede = "k"
			}
			if rng.IntN(6) == 0 {
				m.Deadline, m.HardDeadline = time.Now().Add(time.Hour), true
			}
		})
	}
	return nil
}

// snapshot returns the mailboxes as they are.
func (s *memory) snapshot() []*Mailbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*Mailbox
	for _, b := range s.boxes {
		out = append(out, b)
	}
	return out
}

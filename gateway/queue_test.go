package gateway

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHeapOrders(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var h dueHeap
	var want []uint32
	for range 40000 { // past several chunks, up and down
		if rng.IntN(20) > len(want)/2000 || len(want) == 0 {
			at := rng.Uint32N(1000)
			h.push(entry{at: at})
			i, _ := slices.BinarySearch(want, at)
			want = slices.Insert(want, i, at)
			continue
		}
		if got := h.pop().at; got != want[0] {
			t.Fatalf("pop: got %d, want %d", got, want[0])
		}
		want = want[1:]
	}
}

func TestDueSeconds(t *testing.T) {
	now := time.Unix(1000, 500)
	for _, test := range []struct {
		name string
		due  time.Time
		want uint32
	}{
		{"now is now", time.Time{}, 1000},
		{"the past is now", time.Unix(10, 0), 1000},
		{"the future is never early", time.Unix(2000, 1), 2001},
		{"a whole second is itself", time.Unix(2000, 0), 2000},
		{"after 2038", time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC), 2208988800},
		{"after 2106 it waits for ever rather than leave early", time.Date(2110, 1, 1, 0, 0, 0, 0, time.UTC), 1<<32 - 1},
	} {
		if got := dueSeconds(test.due, now); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

func TestQueueServes(t *testing.T) {
	q := newQueue()
	at := func(n uint32, tenant string, urgent bool) {
		q.push(slot{line: "far", tenant: tenant, urgent: urgent, entry: entry{at: n}})
	}
	at(10, "a", false)
	at(11, "a", false)
	at(12, "b", false)
	at(30, "a", true)
	ln := q.lines["far"]
	var got []string
	for {
		s, ok := q.pop(ln, time.Unix(20, 0))
		if !ok {
			break
		}
		got = append(got, s.tenant)
	}
	if slices.Sort(got); len(got) != 3 || got[2] != "b" {
		t.Errorf("at 20: served %v, want a, a and b", got)
	}
	if next := q.next(ln); next.Unix() != 30 {
		t.Errorf("next at %v, want 30", next)
	}
	at(5, "b", false)
	if s, _ := q.pop(ln, time.Unix(40, 0)); !s.urgent {
		t.Error("bulk went before transactional mail")
	}
	q.stop(true)
	if s, ok := q.pop(ln, time.Unix(40, 0)); ok || !q.next(ln).IsZero() {
		t.Errorf("served while everything is paused: %+v", s)
	}
	q.stop(false)
	if _, ok := q.pop(ln, time.Unix(40, 0)); !ok {
		t.Error("not served after everything was resumed")
	}
}

func TestIDsGrow(t *testing.T) {
	var s IDSource
	now := time.UnixMilli(1_700_000_000_000)
	last := s.Next(now)
	for i := range 1000 {
		at := now.Add(time.Duration(i%7-3) * time.Millisecond) // the clock jumps back and forth
		id := s.Next(at)
		if id.String() <= last.String() {
			t.Fatalf("id %s after %s", id, last)
		}
		back, err := ParseID(id.String())
		if err != nil || back != id {
			t.Fatalf("%s reads back as %s, %v", id, back, err)
		}
		last = id
	}
	if _, err := ParseDeliveryID(last.String() + ".x"); err == nil {
		t.Error("a broken delivery id was read")
	}
}

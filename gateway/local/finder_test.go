package local

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tidepost/gateway"
)

// checkFound asks for messages by id, all of which must be there or, where gone
// is set, none.
func checkFound(t *testing.T, s *Store, ids []gateway.ID, gone bool) {
	t.Helper()
	for _, id := range ids {
		m, ref, err := s.Message(ctx, id)
		switch {
		case gone && !errors.Is(err, gateway.ErrNotFound):
			t.Fatalf("the message %s, which is gone, is %+v, %v", id, m, err)
		case gone:
		case err != nil || m.ID != id:
			t.Fatalf("the message %s is %+v, %v", id, m, err)
		default:
			stored, err := s.Body(ctx, ref)
			if err != nil || stored.Message.ID != id {
				t.Fatalf("the record of %s is another's: %v", id, err)
			}
			stored.Close()
		}
	}
}

// TestMessageInAnyOrder finds messages whose ids come in no order, in segments
// that grow meanwhile and in ones whose parts were forgotten, and none that was
// never there.
func TestMessageInAnyOrder(t *testing.T) {
	c := newClock()
	s := mustOpen(t, keepOptions(t, c))
	rng := rand.New(rand.NewPCG(3, 4))
	var ids, strangers []gateway.ID
	for i := range 400 {
		m := looseMessage(i)
		at := c.now().Add(-time.Duration(rng.Int64N(int64(40 * time.Hour))))
		if rng.IntN(3) == 0 {
			at = c.now().Add(-time.Minute) // many of one millisecond
		}
		var source gateway.IDSource
		m.ID = source.Next(at)
		accept(t, s, m, []byte(content4K(i)))
		strange := m.ID
		strange[8] ^= 0x40
		ids, strangers = append(ids, m.ID), append(strangers, strange)
		if i%100 == 50 {
			checkFound(t, s, ids[len(ids)-3:], false)
		}
	}
	if n := len(s.messages.list()); n < 4 {
		t.Fatalf("%d segments: the test needs more", n)
	}
	for range 2 {
		checkFound(t, s, ids, false)
		checkFound(t, s, strangers, true)
		s.finder.known.Purge()
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i, id := range ids[:100] {
				if _, _, err := s.Message(ctx, id); err != nil {
					t.Error(err)
				}
				if i%20 == 0 {
					accept(t, s, looseMessage(1), []byte("more"))
				}
			}
		})
	}
	wg.Wait()
}

// TestMessageNeverSeen: an id of another time costs no reading once the log was
// read through, one of the future none at all.
func TestMessageNeverSeen(t *testing.T) {
	c := newClock()
	s := mustOpen(t, keepOptions(t, c))
	fill(t, s, c, 200)
	var source gateway.IDSource
	future, past := source.Next(c.now().Add(49*time.Hour)), new(gateway.IDSource).Next(c.now().Add(-9*time.Hour))
	checkFound(t, s, []gateway.ID{future}, true)
	if n := s.finder.known.Len(); n != 0 {
		t.Errorf("for an id of the future %d segments were read", n)
	}
	checkFound(t, s, []gateway.ID{past, {}, {255}}, true)
	durable := place(s.log.durable.Load())
	for _, n := range s.messages.list() {
		if n >= durable.segment() {
			continue
		}
		if span, ok := s.finder.spans[n]; !ok || span.holds(past.Time().UnixMilli()) {
			t.Errorf("segment %d is taken to hold an id of 9 hours before it", n)
		}
	}
	given, cancel := context.WithCancel(ctx)
	cancel()
	s.finder.known.Purge()
	clear(s.finder.spans)
	if _, _, err := s.Message(given, past); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, gateway.ErrNotFound) {
		t.Error(err)
	}
}

// TestMessageAfterCompaction: what compaction moved among younger mail is found,
// what went with its segment is not, and nothing of a segment that is gone stays
// in memory.
func TestMessageAfterCompaction(t *testing.T) {
	c := newClock()
	o := keepOptions(t, c)
	s := mustOpenUnmanaged(t, o)
	var held, settled []gateway.ID
	for i, d := range fill(t, s, c, 300) {
		if i%10 == 7 {
			held = append(held, d.ID.Message)
			continue
		}
		step(t, s, d, gateway.Delivered, gateway.EventDelivered)
		settled = append(settled, d.ID.Message)
	}
	checkFound(t, s, held, false)
	c.forward(15 * day)
	for i := range 50 {
		accept(t, s, looseMessage(5000+i), []byte(content4K(i)))
	}
	mustRetain(t, s)
	mustRetain(t, s)
	first := s.messages.list()[0]
	for range 2 {
		checkFound(t, s, held, false)
		checkFound(t, s, settled[:50], true)
		for n := range s.finder.spans {
			if n < first {
				t.Errorf("segment %d is gone and remembered", n)
			}
		}
		s.Close()
		s = mustOpen(t, o)
	}
}

// BenchmarkMessage finds messages of a store that holds 200,000, by ids that are
// there and by ids of the same time that are not. The first question, which reads
// the log through, is not counted, but told.
func BenchmarkMessage(b *testing.B) {
	s := mustOpen(b, benchOptions(b))
	content := []byte(newsletter(1)[:4<<10])
	ids := make([]gateway.ID, 200_000)
	var wg sync.WaitGroup
	for g := range 20 {
		wg.Go(func() {
			for i := g; i < len(ids); i += 20 {
				m := looseMessage(i % 1000)
				accept(b, s, m, content)
				ids[i] = m.ID
				step(b, s, mailbox(b, s, i%1000).Delivery(gateway.DeliveryID{Message: m.ID}), gateway.Delivered, gateway.EventDelivered)
			}
		})
	}
	wg.Wait()
	odd := ids[0]
	odd[8] ^= 0x80
	began := time.Now()
	s.Message(ctx, odd)
	unknown := time.Since(began)
	began = time.Now()
	s.Message(ctx, ids[len(ids)/2])
	b.Logf("%+v; the first unknown id took %v, then the first known %v", s.Usage(), unknown, time.Since(began))
	for _, story := range []string{"known", "unknown"} {
		b.Run(story, func(b *testing.B) {
			for i := range b.N {
				id := ids[i*7919%len(ids)]
				if story == "unknown" {
					id[8] ^= 0x80
				}
				if _, _, err := s.Message(ctx, id); (err == nil) != (story == "known") {
					b.Fatal(err)
				}
			}
		})
	}
}

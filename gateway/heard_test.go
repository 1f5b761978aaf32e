package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestHeardSurvivesItsEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h heard
		now := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "now"), 0)
		for range rapid.IntRange(0, 100).Draw(t, "n") {
			p := Place{Lane(rapid.IntRange(0, 1).Draw(t, "lane")), rapid.Uint32().Draw(t, "epoch"), rapid.Uint64().Draw(t, "seq")}
			hash := rapid.Uint32().Draw(t, "hash")
			h.note(p, hash, now)
			if !h.has(hash) {
				t.Fatal("what was just noted is forgotten")
			}
			if p.Seq > 0 && !h.passed(p) {
				t.Fatal("a place just applied is not passed")
			}
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(50*time.Hour)).Draw(t, "wait")))
		}
		got, err := parseHeard(h.append(nil))
		if err != nil || got.last != h.last || len(got.marks) != len(h.marks) {
			t.Fatalf("read back %+v, %v; was %+v", got, err, h)
		}
		if size := len(h.append(nil)); size > 500 {
			t.Fatalf("%d bytes", size)
		}
	})
}

// A repetition is recognised for 72 hours, and among the last few for ever.
func TestHeardForgets(t *testing.T) {
	var h heard
	now := time.Unix(1e9, 0)
	h.note(Place{}, 1, now)
	for i := range uint32(40) {
		h.note(Place{}, 100+i, now.Add(71*time.Hour))
	}
	if !h.has(1) {
		t.Error("forgotten within 72 hours")
	}
	h.note(Place{}, 2, now.Add(200*time.Hour))
	if h.has(1) || !h.has(2) || !h.has(139) || len(h.marks) != keptMarks {
		t.Errorf("%d marks are kept", len(h.marks))
	}
}

func FuzzParseHeard(f *testing.F) {
	var h heard
	h.note(Place{LaneEvidence, 3, 9}, 7, time.Unix(1e9, 0))
	f.Add(h.append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHeard(b)
		if err != nil {
			return
		}
		if again, err := parseHeard(h.append(nil)); err != nil || again.last != h.last || len(again.marks) != len(h.marks) {
			t.Errorf("%+v became %+v, %v", h, again, err)
		}
	})
}

// hear brings a signal as the stream does and waits for it.
func (w *world) hear(to string, s Signal) bool {
	w.t.Helper()
	s.Tenant, s.Mailbox, s.Source = "acme", mustMailbox(w.t, to), "nats"
	if s.Human == 0 {
		s.Human = 1
	}
	type answer struct {
		news bool
		err  error
	}
	done := make(chan answer, 1)
	w.Hear(s, func(news bool, err error) { done <- answer{news, err} })
	a := <-done
	if a.err != nil {
		w.t.Fatal(a.err)
	}
	return a.news
}

// What the stream brings again after a crash is applied once, whatever stands in it;
// the same words at a later place are a new visit.
func TestStreamIsAppliedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, nil)
		visit := func(w *world, epoch uint32, seq uint64, after time.Duration) bool {
			return w.hear("ann@dest.test", Signal{Kind: SignalActive, At: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(after), Place: Place{LaneEvidence, epoch, seq}})
		}
		time.Sleep(time.Hour)
		if !visit(w, 1, 10, time.Minute) || !visit(w, 1, 12, 2*time.Minute) {
			t.Error("the first two are no news")
		}
		w.stop()
		again := newWorld(t, store, nil) // the consumer's cursor was not saved
		if visit(again, 1, 10, time.Minute) || visit(again, 1, 12, 2*time.Minute) || visit(again, 1, 12, 3*time.Minute) {
			t.Error("applied twice")
		}
		if !visit(again, 1, 13, 4*time.Minute) || !visit(again, 2, 1, 5*time.Minute) {
			t.Error("what comes behind, or in a stream in its place, is no news")
		}
		if visit(again, 2, 1, 6*time.Minute) {
			t.Error("the new stream's first is applied twice")
		}
	})
}

// The bringer's id tells a repetition from news, whatever else it says.
func TestSignalIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		time.Sleep(time.Hour)
		s := Signal{Kind: SignalActive, ID: "evt_1", At: time.Now().Add(-time.Minute)}
		first := w.hear("ann@dest.test", s)
		s.At = time.Now()
		second := w.hear("ann@dest.test", s)
		s.ID = "evt_2"
		if third := w.hear("ann@dest.test", s); !first || second || !third {
			t.Errorf("news: %v, %v, %v", first, second, third)
		}
	})
}

// A cursor is kept with who it belongs to.
func TestStreamCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		want := StreamCursor{Stream: "TIDEPOST_SIGNALS 2026", Epoch: 2, Seq: 99}
		if err := w.SaveStreamCursor(t.Context(), LanePermission, want); err != nil {
			t.Fatal(err)
		}
		if got := w.StreamCursor(LanePermission); got != want {
			t.Errorf("kept %+v", got)
		}
		if got := w.StreamCursor(LaneEvidence); got != (StreamCursor{}) {
			t.Errorf("the other lane has %+v", got)
		}
	})
}

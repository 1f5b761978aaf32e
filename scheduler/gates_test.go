package scheduler

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// at is a time so many hours after start, to the second.
func at(hours float64) time.Time {
	return start.Add(time.Duration(hours * float64(time.Hour)).Round(time.Second))
}

func ringOf(hours ...float64) *Gates {
	g := new(Gates)
	for i, h := range hours {
		g.Count(Send{At: at(h), Bulk: true, Ref: uint16(i)})
	}
	return g
}

func TestCheck(t *testing.T) {
	night, _ := ParseQuiet("21:00-08:00")
	gap := &Policy{MinGap: 16 * time.Hour}
	capped := &Policy{WeeklyCap: 2}
	all := &Policy{MinGap: 16 * time.Hour, WeeklyCap: 2, Quiet: night, Zone: time.UTC}
	tests := []struct {
		story  string
		gates  *Gates
		p      *Policy
		now    float64
		item   Item
		open   float64
		reason Reason
	}{
		{"no sends, no limits", ringOf(), &Policy{}, 0, Item{}, 0, ""},
		{"a mail an hour ago", ringOf(-1), gap, 0, Item{}, 15, MinGap},
		{"a mail 16 hours ago", ringOf(-16), gap, 0, Item{}, 0, ""},
		{"gap off", ringOf(-1), &Policy{}, 0, Item{}, 0, ""},
		{"one of two this week", ringOf(-100), capped, 0, Item{}, 0, ""},
		{"two of two this week", ringOf(-100, -50), capped, 0, Item{}, 68, WeeklyCap},
		{"three of two, the cap was lowered", ringOf(-100, -50, -20), capped, 0, Item{}, 118, WeeklyCap},
		{"two of two, one exactly a week ago", ringOf(-168, -50), capped, 0, Item{}, 0, ""},
		{"at noon it is not quiet", ringOf(), all, 0, Item{}, 0, ""},
		{"at 21:00 it is", ringOf(), all, 9, Item{}, 20, QuietHours},
		{"at 08:00 it is not", ringOf(), all, 20, Item{}, 20, ""},
		{"the gap ends at night", ringOf(-6), all, 0, Item{}, 20, QuietHours},
		{"the cap binds longer than the gap", ringOf(-150, -1), all, 0, Item{}, 20, QuietHours},
		{"transactional skips all", ringOf(-2, -1), all, 10, Item{Bypass: true}, 10, ""},
		{"triggered skips all", ringOf(-2, -1), all, 10, Item{Exempt: true}, 10, ""},
		{"a retry skips gap and cap", ringOf(-2, -1), all, 0, Item{Counted: true}, 0, ""},
		{"but not quiet hours", ringOf(-2, -1), all, 10, Item{Counted: true}, 20, QuietHours},
		{"a clock set back ten minutes keeps the gap", ringOf(0.2), gap, 0, Item{}, 16.2, MinGap},
		{"a clock that was a day ahead does not hold", ringOf(24), gap, 0, Item{}, 0, ""},
		{"negative limits are off", ringOf(-1), &Policy{MinGap: -1, WeeklyCap: -1}, 0, Item{}, 0, ""},
	}
	for _, tt := range tests {
		open, reason := tt.gates.Check(at(tt.now), tt.p, nil, &tt.item)
		if !open.Equal(at(tt.open)) || reason != tt.reason {
			t.Errorf("%s: open at %v for %q, want %v for %q", tt.story, open, reason, at(tt.open), tt.reason)
		}
	}
}

func TestTransactionalSendsDoNotCount(t *testing.T) {
	g := new(Gates)
	g.Count(Send{At: at(-1)})
	if open, _ := g.Check(start, &Policy{MinGap: time.Hour * 16, WeeklyCap: 1}, nil, new(Item)); !open.Equal(start) {
		t.Errorf("a transactional send holds until %v", open)
	}
}

func TestSlots(t *testing.T) {
	g := new(Gates)
	g.Count(Send{At: at(0), Weight: 3, Bulk: true, Ref: 7})
	g.Count(Send{At: at(1), Weight: 1, Ref: 0xffff})
	if got, want := g.Send(0), (Send{At: at(0), Weight: 3, Bulk: true, Ref: 7}); got != want {
		t.Errorf("slot is %+v, want %+v", got, want)
	}
	if g.Return(at(0), 8) || g.Return(at(2), 7) || g.Settle(at(0), 8, at(2)) {
		t.Error("another delivery's slot was taken")
	}
	if !g.Settle(at(0), 7, at(3)) || g.Send(1) != (Send{At: at(3), Weight: 3, Bulk: true, Ref: 7}) {
		t.Errorf("after settling the slot is %+v", g.Send(1))
	}
	if !g.Return(at(1), 0xffff) || !g.Return(at(3), 7) || *g != (Gates{}) {
		t.Errorf("after returning all slots the ring is %+v", g)
	}
}

func TestFullRing(t *testing.T) {
	fill := func(n int, bulk bool, hours float64) *Gates {
		g := new(Gates)
		for i := range n {
			g.Count(Send{At: at(hours + float64(i)), Bulk: bulk, Ref: uint16(i)})
		}
		return g
	}
	has := func(g *Gates, ref uint16) bool {
		for i := range g.Len() {
			if g.Send(i).Ref == ref {
				return true
			}
		}
		return false
	}
	g := fill(32, true, 0)
	g.Count(Send{At: at(40), Bulk: true, Ref: 99})
	if has(g, 0) || !has(g, 99) || g.Len() != 32 {
		t.Error("a bulk send did not replace the oldest")
	}
	g = fill(32, true, 0)
	g.Count(Send{At: at(40), Ref: 99})
	if !has(g, 0) || has(g, 99) {
		t.Error("a password reset washed out a counted send")
	}
	g.Count(Send{At: at(200), Ref: 99})
	if has(g, 0) || !has(g, 99) {
		t.Error("a send older than a week was kept over a new one")
	}
	g = fill(5, true, 0)
	for i := range 100 {
		g.Count(Send{At: at(float64(6 + i)), Ref: 100 + uint16(i)})
	}
	if open, why := g.Check(at(120), &Policy{WeeklyCap: 5}, nil, new(Item)); why != WeeklyCap {
		t.Errorf("a hundred password resets opened the cap: %v %q", open, why)
	}
}

func TestRingInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var g Gates
		for range r.IntN(60) {
			g.Count(Send{At: at(float64(r.IntN(400))), Bulk: r.IntN(2) == 0, Ref: uint16(r.IntN(4))})
			if r.IntN(3) == 0 && g.Len() > 0 {
				s := g.Send(r.IntN(g.Len()))
				g.Settle(s.At, s.Ref, at(float64(r.IntN(400))))
			}
		}
		for i := 1; i < g.Len(); i++ {
			if g.Send(i).At.Before(g.Send(i - 1).At) {
				t.Fatalf("slot %d is older than the one before it", i)
			}
		}
		var back Gates
		if _, err := back.UnmarshalBinary(g.AppendBinary(nil)); err != nil || back != g {
			t.Fatalf("%+v came back as %+v, %v", g, back, err)
		}
	}
}

func TestTimesOutOfRange(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(-1, 0), time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC), time.Date(2105, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		var g Gates
		g.Count(Send{At: at, Bulk: true, Ref: 1})
		g.Check(at, &Policy{MinGap: time.Hour, WeeklyCap: 1}, nil, new(Item))
		if !g.Return(at, 1) {
			t.Errorf("the slot of %v is not found", at)
		}
	}
	after2038 := time.Date(2040, 5, 1, 12, 0, 0, 0, time.UTC)
	var g Gates
	g.Count(Send{At: after2038, Bulk: true})
	open, _ := g.Check(after2038.Add(time.Hour), &Policy{MinGap: 2 * time.Hour}, nil, new(Item))
	if want := after2038.Add(2 * time.Hour); !open.Equal(want) {
		t.Errorf("gap ends at %v, want %v", open, want)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	good := ringOf(0, 1).AppendBinary(nil)
	unsorted := ringOf(0, 1).AppendBinary(nil)
	copy(unsorted[2:8], good[8:14])
	copy(unsorted[8:14], good[2:8])
	bad := [][]byte{nil, {1}, {2, 0}, {1, 33}, good[:len(good)-1], unsorted}
	for _, b := range bad {
		g := *ringOf(5)
		if _, err := g.UnmarshalBinary(b); err == nil || g != *ringOf(5) {
			t.Errorf("%x was read, or changed the ring: %v", b, err)
		}
	}
	if n := len(ringOf(make([]float64, 40)...).AppendBinary(nil)); n != 194 {
		t.Errorf("a full ring takes %d bytes, want 194", n)
	}
}

func FuzzGates(f *testing.F) {
	f.Add(ringOf(0, 1, 2).AppendBinary(nil))
	f.Add(new(Gates).AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var g Gates
		rest, err := g.UnmarshalBinary(b)
		if err != nil {
			return
		}
		if again := append(g.AppendBinary(nil), rest...); !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
		open, _ := g.Check(start, &Policy{MinGap: time.Hour, WeeklyCap: 3}, nil, new(Item))
		if open.Before(start) || open.After(start.Add(week+clockSlack)) {
			t.Errorf("open at %v", open)
		}
		g.Count(Send{At: start, Bulk: true, Ref: 1})
		if g.Len() > ringSize {
			t.Errorf("%d slots", g.Len())
		}
	})
}

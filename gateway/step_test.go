package gateway

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler/throttle"
)

// A connection that waits for more mail does not keep the clock from what is due
// meanwhile.
func TestDueWhileAConnectionIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(w *world) { w.IdleClose = time.Hour })
		start := time.Now()
		w.submit("ann@dest.test", nil)
		for i := range 5 {
			w.submit(fmt.Sprintf("p%d@dest.test", i), func(m *Message) { m.NotBefore = start.Add(time.Duration(i+1) * 20 * time.Second) })
		}
		time.Sleep(2 * time.Minute)
		for i := range 5 {
			got := w.far.letters(fmt.Sprintf("p%d@dest.test", i))
			if want := time.Duration(i+1) * 20 * time.Second; len(got) != 1 || got[0].Sub(start) > want+2*time.Second {
				t.Errorf("what was due %v after the start left at %v", want, got)
			}
		}
	})
}

// With InTurn, a clock that is moved by hand and one connection, mail leaves in the
// same order every time, and Step returns when all of it has.
func TestStepInTurn(t *testing.T) {
	play := func() (order []string) {
		var clock atomic.Int64
		start := time.Date(2037, time.January, 5, 9, 0, 0, 0, time.UTC)
		clock.Store(start.Unix())
		var ids uint64
		w := newWorld(t, newMemory(), func(w *world) {
			limits := func(string) throttle.Limits { return throttle.Limits{Connections: 1} }
			w.Limits, w.Throttle = limits, &throttle.Group{Limits: limits}
			w.Now = func() time.Time { return time.Unix(clock.Load(), 0) }
			w.NewID = func(time.Time) ID { ids++; return ID{8: byte(ids >> 8), 9: byte(ids), 15: 1} }
			w.Salt, w.InTurn, w.IdleClose = 1, true, time.Hour
		})
		step := func(at time.Time) {
			clock.Store(at.Unix())
			if err := w.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 60 {
			w.submit(fmt.Sprintf("p%d@dest.test", i), func(m *Message) { m.NotBefore = start.Add(time.Duration(1+i%3) * time.Minute) })
			step(start)
		}
		if next := w.NextDue(); !next.Equal(start.Add(time.Minute)) {
			t.Errorf("the next is due at %v, want a minute after %v", next, start)
		}
		for minute := 1; minute <= 3; minute++ {
			step(start.Add(time.Duration(minute) * time.Minute))
			w.far.mu.Lock()
			if n := len(w.far.took); n != 20*minute {
				t.Errorf("%d letters after minute %d, want %d", n, minute, 20*minute)
			}
			w.far.mu.Unlock()
		}
		if !w.NextDue().IsZero() {
			t.Errorf("something is due at %v", w.NextDue())
		}
		w.stop()
		for _, l := range w.far.took {
			order = append(order, l.to)
		}
		return order
	}
	first := play()
	for range 3 {
		if again := play(); !slices.Equal(again, first) {
			t.Fatalf("mail left in the order %v\nand then %v", first, again)
		}
	}
}

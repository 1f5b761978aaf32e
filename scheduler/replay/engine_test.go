package replay

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"tidepost/scheduler"
)

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// story is an engine and what it has decided.
type story struct {
	t *testing.T
	Engine
	lines []string
	all   []Decision
}

func (s *story) yield(d Decision) {
	s.all = append(s.all, d)
	line := fmt.Sprintf("%s %s %s", d.At.Format("15:04"), d.Plan.Action, d.Name)
	if d.Plan.Action == scheduler.Hold {
		line += " until " + d.Plan.At.UTC().Format("Mon 15:04")
	}
	s.lines = append(s.lines, line+" "+string(d.Plan.Reason))
}

func (s *story) want(lines ...string) {
	s.t.Helper()
	if !slices.Equal(s.lines, lines) {
		s.t.Errorf("decided\n%q, want\n%q", s.lines, lines)
	}
	s.lines = nil
}

func bulk(at time.Time, x Box, t Tenant, name string, id uint64) Message {
	return Message{At: at, Box: x, Tenant: t, Name: name, Bulk: true, Item: scheduler.Item{ID: id, Pressure: 1, Weight: 3, Droppable: true}}
}

func clockTime(s string) time.Time {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return monday.Add(d)
}

func TestQuietHoursAndCap(t *testing.T) {
	quiet, err := scheduler.ParseQuiet("21:00-08:00")
	if err != nil {
		t.Fatal(err)
	}
	s := &story{t: t}
	acme := s.Tenant(Rules{Policy: scheduler.Policy{Zone: time.UTC, MaxHold: 48 * time.Hour, Quiet: quiet, MinGap: 12 * time.Hour}})
	x := s.Box(1)
	s.Message(bulk(clockTime("7h"), x, acme, "a", 1), s.yield)
	s.want("07:00 hold a until Mon 08:00 quiet_hours")
	if next, ok := s.Next(); !ok || next != clockTime("8h") {
		t.Errorf("next is %v, %v", next, ok)
	}
	s.Message(bulk(clockTime("7h30m"), x, acme, "b", 2), s.yield)
	s.want("07:30 hold b until Mon 20:00 min_gap")
	s.Advance(clockTime("7h59m"), s.yield)
	s.want()
	s.Advance(clockTime("30h"), s.yield)
	s.want("08:00 now a no_hold", "20:00 now b no_hold")
	if _, ok := s.Next(); ok {
		t.Error("something is due although nothing waits")
	}
}

// What says stop in the very second of a release comes before it.
func TestPermissionFirst(t *testing.T) {
	s := &story{t: t}
	acme, other := s.Tenant(Rules{Policy: scheduler.Policy{MaxHold: 24 * time.Hour}}), s.Tenant(Rules{Policy: scheduler.Policy{MaxHold: 24 * time.Hour}})
	x := s.Box(1)
	for i, tenant := range []Tenant{acme, other} {
		m := bulk(clockTime("1h"), x, tenant, string(rune('a'+i)), uint64(i+1))
		m.Item.NotBefore = clockTime("5h")
		s.Message(m, s.yield)
	}
	vital := bulk(clockTime("1h"), x, acme, "v", 3)
	vital.Bulk, vital.Vital, vital.Item.Bypass, vital.Item.NotBefore = false, true, true, clockTime("6h")
	s.Message(vital, s.yield)
	s.lines = nil
	s.Signal(Signal{At: clockTime("5h"), Box: x, ID: 1, Kind: scheduler.Unsubscribed, Weight: 1}, s.yield)
	s.want("05:00 drop a suppressed", "05:00 now b no_hold")
	s.Message(bulk(clockTime("5h30m"), x, acme, "c", 4), s.yield)
	s.want("05:30 drop c suppressed")
	s.Advance(clockTime("6h"), s.yield)
	s.want("06:00 now v transactional")
	s.Signal(Signal{At: clockTime("7h"), Box: x, Kind: Bounced}, s.yield)
	vital.At, vital.Item.ID, vital.Item.NotBefore = clockTime("8h"), 5, time.Time{}
	s.Message(vital, s.yield)
	s.want("08:00 drop v suppressed")
}

// Whatever comes in whatever order, no mailbox gets more in a week than the cap
// nor two mails within the gap, and time never goes back.
func TestCapsHold(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { capsHold(t, seed) })
	}
}

func capsHold(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &story{t: t}
	only := []scheduler.Arm{scheduler.ArmModel, scheduler.ArmControl, scheduler.ArmRandom, scheduler.ArmFixedHour, scheduler.ArmHistogram}[seed%5]
	policy := scheduler.Policy{MaxHold: 96 * time.Hour, MinGap: 6 * time.Hour, WeeklyCap: 3, DropAtLimit: true, Salt: seed, Only: &only, Live: true}
	acme := s.Tenant(Rules{Policy: policy, MaxDrop: 0.05 * float64(seed%2)})
	for i := range 50 {
		s.Box(uint64(i) * 0x9e3779b97f4a7c15)
	}
	at := monday
	for id := range uint64(3000) {
		at = at.Add(time.Duration(r.IntN(1200)) * time.Second)
		x := Box(r.IntN(50))
		switch r.IntN(4) {
		case 0:
			s.Signal(Signal{At: at, Box: x, Kind: scheduler.Kind(r.IntN(2)), ID: r.Uint64N(id + 1), Weight: 1}, s.yield)
		case 1:
			s.Advance(at, s.yield)
		default:
			s.Message(bulk(at, x, acme, fmt.Sprint(id), id+1), s.yield)
		}
	}
	s.Advance(at.Add(200*time.Hour), s.yield)
	sends, settled := map[Box][]time.Time{}, map[string]bool{}
	before := monday
	for _, d := range s.all {
		if d.At.Before(before) {
			t.Fatalf("%v after %v", d.At, before)
		}
		before = d.At
		if settled[d.Name] {
			t.Fatalf("%s was decided on after it was settled", d.Name)
		}
		if d.Plan.Action != scheduler.Hold {
			settled[d.Name] = true
		}
		if d.Plan.Action == scheduler.Now {
			sends[d.Box] = append(sends[d.Box], d.At)
		}
	}
	for x, times := range sends {
		for i := range times {
			if i > 0 && times[i].Sub(times[i-1]) < 6*time.Hour && !windowEnd(s.all, x, times[i]) {
				t.Errorf("mailbox %d got mail at %v and %v", x, times[i-1], times[i])
			}
			if i > 2 && times[i].Sub(times[i-3]) < 168*time.Hour && !windowEnd(s.all, x, times[i]) {
				t.Errorf("mailbox %d got four mails from %v to %v", x, times[i-3], times[i])
			}
		}
	}
	if len(sends) < 40 {
		t.Errorf("only %d mailboxes got mail", len(sends))
	}
}

// windowEnd reports whether the release was one at its window's end that the
// guard against too many drops let through.
func windowEnd(all []Decision, x Box, at time.Time) bool {
	return slices.ContainsFunc(all, func(d Decision) bool {
		return d.Box == x && d.At.Equal(at) && d.Plan.Reason == scheduler.WindowEnd
	})
}

// A mailbox takes about a kilobyte, whatever has happened to it.
func TestMailboxesAreSmall(t *testing.T) {
	if size := unsafe.Sizeof(box{}); size > 1100 {
		t.Errorf("a mailbox takes %d bytes", size)
	}
}

// What the heap gives back is what a plain search finds.
func TestHeap(t *testing.T) {
	var e Engine
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 500 {
		e.Box(uint64(i))
	}
	for range 20000 {
		wake := int64(never)
		if r.IntN(4) > 0 {
			wake = int64(r.IntN(1000))
		}
		e.wakes.set(Box(r.IntN(500)), wake)
		first := Box(-1)
		for x := range Box(500) {
			if w := e.box(x).wake; w != never && (first < 0 || w < e.box(first).wake) {
				first = x
			}
		}
		switch {
		case first < 0 && len(e.wakes.boxes) == 0:
		case first < 0 || len(e.wakes.boxes) == 0 || e.wakes.boxes[0] != first:
			t.Fatalf("first is %d, the heap holds %v", first, e.wakes.boxes)
		}
	}
}

// A thousand mails to one mailbox are a pile that is looked at in parts, and still
// each gets its decision.
func TestPile(t *testing.T) {
	s := &story{t: t}
	acme := s.Tenant(Rules{Policy: scheduler.Policy{MaxHold: 24 * time.Hour, MinGap: time.Hour, WeeklyCap: 5}, Learn: true})
	x := s.Box(1)
	for i := range uint64(1000) {
		s.Message(bulk(monday.Add(time.Duration(i)*time.Second), x, acme, fmt.Sprint(i), i+1), s.yield)
	}
	s.Advance(monday.Add(30*time.Hour), s.yield)
	released := 0
	for _, d := range s.all {
		if d.Plan.Action == scheduler.Now {
			released++
		}
	}
	if _, waits := s.Next(); released != 1000 || waits {
		t.Errorf("%d of 1000 released", released)
	}
}

// Deciding allocates nothing but what is kept.
func BenchmarkEngine(b *testing.B) {
	only := scheduler.ArmModel
	var e Engine
	acme := e.Tenant(Rules{Policy: scheduler.Policy{MaxHold: 24 * time.Hour, MinGap: 16 * time.Hour, WeeklyCap: 5, Live: true, Only: &only}, Learn: true})
	const people = 10_000
	for i := range uint64(people) {
		e.Box(i * 0x9e3779b97f4a7c15)
	}
	at, yield := monday, func(Decision) {}
	b.ReportAllocs()
	for n := range uint64(b.N) {
		at = at.Add(10 * time.Second)
		if n%3 == 2 {
			e.Signal(Signal{At: at, Box: Box((n - 2) % people), ID: n - 1, Weight: 1}, yield)
			continue
		}
		e.Message(bulk(at, Box(n%people), acme, "", n+1), yield)
	}
}

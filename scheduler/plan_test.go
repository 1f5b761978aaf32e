package scheduler

import (
	"strings"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	night := quietOf(t, "21:00-08:00")
	day := 24 * time.Hour
	gap := &Policy{MaxHold: day, MinGap: 16 * time.Hour, Quiet: night, Zone: time.UTC}
	strict := &Policy{MaxHold: day, MinGap: 30 * time.Hour, Quiet: night, Zone: time.UTC, DropAtLimit: true}
	long := &Policy{MaxHold: day, MinGap: 40 * time.Hour, Quiet: night, Zone: time.UTC}
	const evening = 9 - 1./60 // a minute before 21:00

	tests := []struct {
		story  string
		p      *Policy
		ring   *Gates
		now    float64
		item   Item
		action Action
		at     float64
		reason Reason
	}{
		{"nothing in the way", gap, ringOf(), 0, Item{Accepted: at(0)}, Now, 0, NoHold},
		{"no policy at all", &Policy{}, ringOf(-1), 0, Item{Accepted: at(0)}, Now, 0, NoHold},
		{"transactional at night", gap, ringOf(-1), 10, Item{Accepted: at(10), Bypass: true}, Now, 10, Transactional},
		{"transactional with HOLDFOR", gap, ringOf(), 0, Item{Accepted: at(0), Bypass: true, NotBefore: at(11)}, Hold, 11, NotBefore},
		{"transactional whose time has come", gap, ringOf(), 11, Item{Accepted: at(0), Bypass: true, NotBefore: at(11)}, Now, 11, Transactional},
		{"transactional past BY;R", gap, ringOf(), 2, Item{Accepted: at(0), Bypass: true, Deadline: at(1), HardDeadline: true}, Drop, 2, Deadline},
		{"transactional past a soft deadline", gap, ringOf(), 2, Item{Accepted: at(0), Bypass: true, Deadline: at(1)}, Now, 2, Transactional},
		{"triggered at night", gap, ringOf(-1), 10, Item{Accepted: at(10), Exempt: true}, Now, 10, Triggered},
		{"triggered with HOLDFOR", gap, ringOf(-1), 10, Item{Accepted: at(10), Exempt: true, NotBefore: at(11)}, Hold, 11, NotBefore},
		{"bulk with HOLDFOR", gap, ringOf(), 0, Item{Accepted: at(0), NotBefore: at(3)}, Hold, 3, NotBefore},
		{"bulk with HOLDFOR into the night", gap, ringOf(), 0, Item{Accepted: at(0), NotBefore: at(11)}, Hold, 20, QuietHours},
		{"HOLDFOR past the window", gap, ringOf(), 0, Item{Accepted: at(0), NotBefore: at(26)}, Hold, 26, NotBefore},
		{"bulk at night", gap, ringOf(), 10, Item{Accepted: at(10)}, Hold, 20, QuietHours},
		{"too soon after another", gap, ringOf(-10), 0, Item{Accepted: at(0)}, Hold, 6, MinGap},
		{"the gap ends at night", gap, ringOf(-6), 0, Item{Accepted: at(0)}, Hold, 20, QuietHours},
		{"a retry has its slot", gap, ringOf(-1), 0, Item{Accepted: at(0), Counted: true}, Now, 0, NoHold},
		{"a retry at night", gap, ringOf(-1), 10, Item{Accepted: at(0), Counted: true}, Hold, 20, QuietHours},

		{"the gap outlasts the window: wait for its end", long, ringOf(-1), 0, Item{Accepted: at(0)}, Hold, 24, WindowEnd},
		{"the window's end has come", long, ringOf(-1), 24, Item{Accepted: at(0)}, Now, 24, WindowEnd},
		{"drop at the limit, but not yet", strict, ringOf(-1), 0, Item{Accepted: at(0), Droppable: true}, Hold, 24, MinGap},
		{"drop at the limit, now", strict, ringOf(-1), 24, Item{Accepted: at(0), Droppable: true}, Drop, 24, Limit},
		{"a class that may not be dropped goes", strict, ringOf(-1), 24, Item{Accepted: at(0)}, Now, 24, WindowEnd},
		{"the window ends at night: the evening before", long, ringOf(-1), 0, Item{Accepted: at(0), Window: 12 * time.Hour}, Hold, evening, WindowEnd},
		{"the evening has come", long, ringOf(-1), evening, Item{Accepted: at(0), Window: 12 * time.Hour}, Now, evening, WindowEnd},
		{"accepted at night, the window ends at night", long, ringOf(-1), 10, Item{Accepted: at(10), Window: time.Hour}, Hold, 20, QuietHours},
		{"the next morning", long, ringOf(-1), 20, Item{Accepted: at(10), Window: time.Hour}, Now, 20, WindowEnd},
		{"the client's window is cut at 100 h", &Policy{WeeklyCap: 1}, ringOf(-1), 0, Item{Accepted: at(0), Window: 300 * time.Hour}, Hold, 100, WindowEnd},
		{"overdue after a day of downtime, at night", gap, ringOf(), 34, Item{Accepted: at(0)}, Hold, 44, QuietHours},

		{"a soft deadline ends the hold", long, ringOf(-1), 0, Item{Accepted: at(0), Deadline: at(5)}, Hold, 5, WindowEnd},
		{"past a soft deadline it goes", long, ringOf(-1), 6, Item{Accepted: at(0), Deadline: at(5)}, Now, 6, WindowEnd},
		{"a hard deadline ends it a minute early", long, ringOf(-1), 0, Item{Accepted: at(0), Deadline: at(5), HardDeadline: true}, Hold, 5 - 1./60, WindowEnd},
		{"within that minute it goes", long, ringOf(-1), 5 - 1./120, Item{Accepted: at(0), Deadline: at(5), HardDeadline: true}, Now, 5 - 1./120, WindowEnd},
		{"at a hard deadline it is dropped", long, ringOf(-1), 5, Item{Accepted: at(0), Deadline: at(5), HardDeadline: true}, Drop, 5, Deadline},
		{"a hard deadline at night is not rushed", gap, ringOf(), 10, Item{Accepted: at(10), Deadline: at(15), HardDeadline: true}, Hold, 15, QuietHours},
		{"a hard deadline after the night", gap, ringOf(), 10, Item{Accepted: at(10), Deadline: at(21), HardDeadline: true}, Hold, 20, QuietHours},

		{"accepted half an hour ahead of the clock", long, ringOf(-1), 0, Item{Accepted: at(0.5)}, Hold, 24, WindowEnd},
		{"accepted a year ahead of the clock", long, ringOf(-1), 0, Item{Accepted: at(8760)}, Now, 0, WindowEnd},
		{"sent a year ahead of the clock", long, ringOf(8760), 0, Item{Accepted: at(0)}, Now, 0, NoHold},
	}
	for _, tt := range tests {
		r := &Request{Now: at(tt.now), Gates: tt.ring, Items: []Item{tt.item}}
		got := tt.p.Plan(r, 0)
		if got.Action != tt.action || got.Reason != tt.reason || !got.At.Equal(at(tt.at)) {
			t.Errorf("%s: %v at %v for %q, want %v at %v for %q", tt.story, got.Action, got.At, got.Reason, tt.action, at(tt.at), tt.reason)
		}
	}
}

func TestPlanUsesTheMailboxZone(t *testing.T) {
	p := &Policy{Quiet: quietOf(t, "21:00-08:00"), Zone: zoneOf(t, "Asia/Tokyo")}
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) // 21:00 in Tokyo, 07:00 in New York
	for _, tt := range []struct {
		zone *time.Location
		want time.Duration
	}{{nil, 11 * time.Hour}, {zoneOf(t, "America/New_York"), time.Hour}, {time.UTC, 0}} {
		r := &Request{Now: noon, Zone: tt.zone, Items: []Item{{Accepted: noon}}}
		if got := p.Plan(r, 0).At.Sub(noon); got != tt.want {
			t.Errorf("in %v it waits %v, want %v", tt.zone, got, tt.want)
		}
	}
	p.Zone = nil
	if got := p.Plan(&Request{Now: noon, Items: []Item{{Accepted: noon}}}, 0); got.Action != Now {
		t.Errorf("with no zone known it waits: %+v", got)
	}
}

func TestSupersede(t *testing.T) {
	tests := []struct {
		story      string
		older, new Item
		want       Reason // of the older
	}{
		{"the newer digest replaces the older", Item{Supersede: "digest"}, Item{Supersede: "digest"}, Superseded},
		{"other keys do not", Item{Supersede: "digest"}, Item{Supersede: "sale"}, NoHold},
		{"no key is no key", Item{}, Item{}, NoHold},
		{"a newer one that is dead replaces nothing", Item{Supersede: "digest"}, Item{Supersede: "digest", HardDeadline: true, Deadline: at(-1)}, NoHold},
		{"a code replaces a code", Item{Supersede: "code", Bypass: true}, Item{Supersede: "code", Bypass: true}, Superseded},
		{"bulk does not replace a code", Item{Supersede: "code", Bypass: true}, Item{Supersede: "code"}, Transactional},
	}
	for _, tt := range tests {
		tt.older.Accepted, tt.new.Accepted = at(-2), at(-1)
		r := &Request{Now: start, Items: []Item{tt.new, tt.older}}
		if got := new(Policy).Plan(r, 1); got.Reason != tt.want {
			t.Errorf("%s: the older is planned %+v, want %q", tt.story, got, tt.want)
		}
		if got := new(Policy).Plan(r, 0); got.Reason == Superseded {
			t.Errorf("%s: the newer is planned %+v", tt.story, got)
		}
	}
	twins := &Request{Now: start, Items: []Item{{ID: 1, Supersede: "k"}, {ID: 2, Supersede: "k"}}}
	if a, b := new(Policy).Plan(twins, 0), new(Policy).Plan(twins, 1); a.Action != Drop || b.Action != Now {
		t.Errorf("of two accepted at once %v and %v", a, b)
	}
}

func TestTurns(t *testing.T) {
	p := &Policy{MaxHold: 72 * time.Hour, MinGap: 16 * time.Hour}
	r := &Request{Now: start, Items: []Item{
		{ID: 1, Accepted: at(0)},
		{ID: 2, Accepted: at(0), Priority: 3},
		{ID: 3, Accepted: at(-1)},
		{ID: 4, Accepted: at(0), Bypass: true},
		{ID: 5, Accepted: at(-2), NotBefore: at(48)},
	}}
	for i, want := range []float64{32, 0, 16, 0, 48} {
		if got := p.Plan(r, i); !got.At.Equal(at(want)) {
			t.Errorf("item %d is planned %+v, want %v", i, got, at(want))
		}
	}
	if i, got := p.Next(r); i != 3 || got.Reason != Transactional {
		t.Errorf("next is item %d, %+v, want the transactional", i, got)
	}

	capped := &Policy{MaxHold: 72 * time.Hour, WeeklyCap: 2}
	r = &Request{Now: start, Gates: ringOf(-160, -160), Items: []Item{{ID: 1, Accepted: at(0)}, {ID: 2, Accepted: at(0)}, {ID: 3, Accepted: at(0)}}}
	for i, want := range []Plan{{Action: Hold, At: at(8), Reason: WeeklyCap}, {Action: Hold, At: at(8), Reason: WeeklyCap}, {Action: Hold, At: at(72), Reason: WindowEnd}} {
		if got := capped.Plan(r, i); got.Action != want.Action || !got.At.Equal(want.At) || got.Reason != want.Reason {
			t.Errorf("item %d is planned %+v, want %+v", i, got, want)
		}
	}
}

func TestNext(t *testing.T) {
	p := &Policy{MaxHold: 24 * time.Hour, MinGap: 16 * time.Hour}
	tests := []struct {
		story string
		ring  *Gates
		items []Item
		want  int
		plan  Plan
	}{
		{"nothing waits", ringOf(), nil, -1, Plan{Action: Hold}},
		{"first come, first served", ringOf(), []Item{{Accepted: at(-1)}, {Accepted: at(-2)}}, 1, Plan{Action: Now, At: at(0), Reason: NoHold}},
		{"a deadline goes before none", ringOf(), []Item{{Accepted: at(-2)}, {Accepted: at(-1), Deadline: at(9)}}, 1, Plan{Action: Now, At: at(0), Reason: NoHold}},
		{"the nearer deadline first", ringOf(), []Item{{Deadline: at(9)}, {Deadline: at(8)}}, 1, Plan{Action: Now, At: at(0), Reason: NoHold}},
		{"priority before deadline", ringOf(), []Item{{Accepted: at(-2), Deadline: at(1)}, {Accepted: at(-1), Priority: 1}}, 1, Plan{Action: Now, At: at(0), Reason: NoHold}},
		{"what is to be dropped comes first", ringOf(), []Item{{Bypass: true}, {Deadline: at(-1), HardDeadline: true}}, 1, Plan{Action: Drop, At: at(0), Reason: Deadline}},
		{"all wait", ringOf(-1), []Item{{Accepted: at(0)}, {Accepted: at(0), NotBefore: at(2), Bypass: true}}, -1, Plan{Action: Hold, At: at(2), Reason: NotBefore}},
	}
	for _, tt := range tests {
		i, plan := p.Next(&Request{Now: start, Gates: tt.ring, Items: tt.items})
		if i != tt.want || plan != tt.plan {
			t.Errorf("%s: item %d, %+v, want %d, %+v", tt.story, i, plan, tt.want, tt.plan)
		}
	}
}

func TestJitter(t *testing.T) {
	p := &Policy{MaxHold: 24 * time.Hour, Quiet: quietOf(t, "21:00-08:00"), Zone: time.UTC, Jitter: 30 * time.Minute, MinGap: 40 * time.Hour}
	var morning, evening [3]int // by ten minutes
	for id := range uint64(3000) {
		m := p.Plan(&Request{Now: at(10), Items: []Item{{ID: id, Accepted: at(10)}}}, 0)
		late := m.At.Sub(at(20))
		e := p.Plan(&Request{Now: at(0), Gates: ringOf(-1), Items: []Item{{ID: id, Accepted: at(0), Window: 12 * time.Hour}}}, 0)
		early := at(9).Add(-edgeLead).Sub(e.At)
		if late < 0 || late >= p.Jitter || early < 0 || early >= p.Jitter {
			t.Fatalf("item %d leaves %v after the night or %v before it", id, late, early)
		}
		morning[late/(10*time.Minute)]++
		evening[early/(10*time.Minute)]++
	}
	for i := range 3 {
		if morning[i] < 850 || evening[i] < 850 {
			t.Errorf("uneven: %v in the morning, %v in the evening", morning, evening)
		}
	}
	bound := Item{ID: 7, Accepted: at(10), Deadline: at(20).Add(2 * time.Minute), HardDeadline: true}
	if got := p.Plan(&Request{Now: at(10), Items: []Item{bound}}, 0); got.At.After(bound.Deadline.Add(-edgeLead)) {
		t.Errorf("jitter passes the deadline: %+v", got)
	}
}

func TestSentences(t *testing.T) {
	for _, r := range []Reason{Transactional, Triggered, NoHold, NotBefore, QuietHours, MinGap, WeeklyCap, WindowEnd, Deadline, Superseded, Limit,
		ReadingHour, Fatigue, Explored, ControlArm, RandomArm, NoneArm, FixedHour, Histogram} {
		if s := r.Sentence(); !strings.HasSuffix(s, ".") || strings.Contains(s, string(r)+".") && r != Transactional {
			t.Errorf("%s is explained as %q", r, s)
		}
	}
	if got := Reason("tomorrow").Sentence(); got != "The reason is tomorrow." {
		t.Errorf("an unknown reason is explained as %q", got)
	}
	if got := Now.String() + Hold.String() + Drop.String() + Action(9).String(); got != "nowholddropdrop" {
		t.Errorf("actions are %q", got)
	}
}

func TestPlanDoesNotAllocate(t *testing.T) {
	p, r := busy(t, 3)
	if n := testing.AllocsPerRun(100, func() { p.Plan(r, 2); p.Next(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// busy is a policy with everything on and a mailbox with a full ring.
func busy(t testing.TB, items int) (*Policy, *Request) {
	p := &Policy{MaxHold: 24 * time.Hour, MinGap: 16 * time.Hour, WeeklyCap: 5, Quiet: quietOf(t, "21:00-08:00"), Zone: zoneOf(t, "Europe/Berlin"), Jitter: time.Minute}
	r := &Request{Now: start, Gates: new(Gates)}
	for i := range ringSize {
		r.Gates.Count(Send{At: at(-10 * float64(i)), Bulk: i%2 == 0})
	}
	for i := range items {
		r.Items = append(r.Items, Item{ID: uint64(i), Accepted: at(-1), Supersede: string(rune('a' + i))})
	}
	return p, r
}

func BenchmarkPlan(b *testing.B) {
	p, r := busy(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		p.Plan(r, 0)
	}
}

func BenchmarkPlanOfThree(b *testing.B) {
	p, r := busy(b, 3)
	b.ReportAllocs()
	for b.Loop() {
		p.Plan(r, 2)
	}
}

func BenchmarkNextOfThree(b *testing.B) {
	p, r := busy(b, 3)
	b.ReportAllocs()
	for b.Loop() {
		p.Next(r)
	}
}

func BenchmarkGates(b *testing.B) {
	_, r := busy(b, 1)
	buf := make([]byte, 0, 200)
	b.ReportAllocs()
	for b.Loop() {
		buf = r.Gates.AppendBinary(buf[:0])
		var g Gates
		if _, err := g.UnmarshalBinary(buf); err != nil {
			b.Fatal(err)
		}
	}
}

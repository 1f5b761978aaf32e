package scheduler

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Everything in the world of the oracle falls on a whole minute, so walking minute
// by minute misses nothing.

// seasons are days on which clocks somewhere do something odd.
var seasons = []time.Time{
	time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC),
	time.Date(2018, 11, 3, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 4, 0, 0, 0, 0, time.UTC),
	time.Date(2011, 12, 29, 0, 0, 0, 0, time.UTC), time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC),
	time.Date(2040, 3, 24, 0, 0, 0, 0, time.UTC),
}

var zoneNames = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu"}

type world struct {
	now   time.Time
	zone  *time.Location
	gates *Gates
	p     *Policy
}

func minutes(t *rapid.T, label string, lo, hi int) time.Duration {
	return time.Duration(rapid.IntRange(lo, hi).Draw(t, label)) * time.Minute
}

func drawWorld(t *rapid.T, zones []*time.Location) *world {
	w := &world{gates: new(Gates), p: new(Policy)}
	w.now = rapid.SampledFrom(seasons).Draw(t, "season").Add(minutes(t, "now", 0, 2*minutesPerDay))
	w.zone = rapid.SampledFrom(zones).Draw(t, "zone")
	if rapid.Bool().Draw(t, "quiet") {
		from := rapid.IntRange(0, 47).Draw(t, "from") * 30
		w.p.Quiet = Quiet{from: from, to: (from + 30*rapid.IntRange(1, 47).Draw(t, "length")) % minutesPerDay}
	}
	w.p.MinGap = minutes(t, "gap", 0, 30*60)
	w.p.WeeklyCap = rapid.IntRange(0, 6).Draw(t, "cap")
	w.p.MaxHold = minutes(t, "hold", 0, 60*60)
	w.p.DropAtLimit = rapid.Bool().Draw(t, "drop")
	for range rapid.IntRange(0, 8).Draw(t, "sends") {
		w.gates.Count(Send{
			At:   w.now.Add(-minutes(t, "sent", -90, 9*minutesPerDay)),
			Bulk: rapid.IntRange(0, 3).Draw(t, "bulk") > 0,
		})
	}
	return w
}

// permits says from the definitions whether the gates let a bulk item go at t.
func (w *world) permits(t, asked time.Time) bool {
	bulk := 0
	for i := range w.gates.Len() {
		s := w.gates.Send(i)
		if !s.Bulk || s.At.After(asked.Add(time.Hour)) {
			continue
		}
		if w.p.MinGap > 0 && t.Before(s.At.Add(w.p.MinGap)) {
			return false
		}
		if s.At.After(t.Add(-168 * time.Hour)) {
			bulk++
		}
	}
	if w.p.WeeklyCap > 0 && bulk >= w.p.WeeklyCap {
		return false
	}
	return !wallQuiet(w.p.Quiet, t, w.zone)
}

func zones(t *testing.T) (list []*time.Location) {
	for _, name := range zoneNames {
		list = append(list, zoneOf(t, name))
	}
	return append(list, nil)
}

func TestCheckAgainstOracle(t *testing.T) {
	list := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, list)
		want := w.now
		for !w.permits(want, w.now) {
			want = want.Add(time.Minute)
		}
		got, reason := w.gates.Check(w.now, w.p, w.zone, new(Item))
		if !got.Equal(want) || (reason == "") != want.Equal(w.now) {
			t.Fatalf("gates open at %v for %q, want %v", got, reason, want)
		}
	})
}

// walk is the oracle of Plan for one bulk item.
func (w *world) walk(it *Item) (Action, time.Time) {
	if it.HardDeadline && !w.now.Before(it.Deadline) {
		return Drop, w.now
	}
	from, end := w.bounds(it)
	last := time.Time{}
	for t := from; !t.After(end); t = t.Add(time.Minute) {
		if w.permits(t, from) {
			return w.when(t)
		}
		if !wallQuiet(w.p.Quiet, t, w.zone) {
			last = t
		}
	}
	if !last.IsZero() {
		if last.Equal(w.now) && w.p.DropAtLimit && it.Droppable {
			return Drop, w.now
		}
		return w.when(last)
	}
	for wallQuiet(w.p.Quiet, end, w.zone) {
		end = end.Add(time.Minute)
	}
	if it.HardDeadline && end.After(it.Deadline) {
		end = it.Deadline
	}
	return w.when(end)
}

func (w *world) when(t time.Time) (Action, time.Time) {
	if t.Equal(w.now) {
		return Now, t
	}
	return Hold, t
}

func (w *world) bounds(it *Item) (from, end time.Time) {
	window := w.p.MaxHold
	if it.Window > 0 {
		window = min(it.Window, 100*time.Hour)
	}
	end = it.Accepted.Add(window)
	if !it.Deadline.IsZero() {
		d := it.Deadline
		if it.HardDeadline {
			d = d.Add(-time.Minute)
		}
		if d.Before(end) {
			end = d
		}
	}
	from = w.now
	if it.NotBefore.After(from) {
		from = it.NotBefore
	}
	if end.Before(from) {
		end = from
	}
	return from, end
}

func drawItem(t *rapid.T, now time.Time) Item {
	it := Item{
		ID:        rapid.Uint64().Draw(t, "id"),
		Accepted:  now.Add(-minutes(t, "age", 0, 3000)),
		Droppable: rapid.Bool().Draw(t, "droppable"),
	}
	if rapid.Bool().Draw(t, "own window") {
		it.Window = minutes(t, "window", 1, 7000)
	}
	if rapid.Bool().Draw(t, "not before") {
		it.NotBefore = now.Add(minutes(t, "nb", -600, 3000))
	}
	if rapid.Bool().Draw(t, "deadline") {
		it.Deadline = now.Add(minutes(t, "dl", -100, 3000))
		it.HardDeadline = rapid.Bool().Draw(t, "hard")
	}
	return it
}

func TestPlanAgainstOracle(t *testing.T) {
	list := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, list)
		r := &Request{Now: w.now, Zone: w.zone, Gates: w.gates, Items: []Item{drawItem(t, w.now)}}
		action, at := w.walk(&r.Items[0])
		if got := w.p.Plan(r, 0); got.Action != action || !got.At.Equal(at) {
			t.Fatalf("plan is %v at %v for %q, want %v at %v", got.Action, got.At, got.Reason, action, at)
		}
	})
}

// TestRun lets a mailbox's items come and go as the engine would, waking a little
// late, and checks what must hold of every release.
func TestRun(t *testing.T) {
	list := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, list)
		w.p.Jitter = minutes(t, "jitter", 0, 60)
		*w.gates = Gates{}
		r := &Request{Now: w.now, Zone: w.zone, Gates: w.gates}
		for range rapid.IntRange(1, 6).Draw(t, "items") {
			it := drawItem(t, w.now)
			it.Bypass = rapid.IntRange(0, 5).Draw(t, "bypass") == 0
			it.Priority = int8(rapid.IntRange(-1, 1).Draw(t, "priority"))
			r.Items = append(r.Items, it)
		}
		for steps := 0; len(r.Items) > 0; steps++ {
			if steps > 100 {
				t.Fatalf("no end: %+v", r.Items)
			}
			i, plan := w.p.Next(r)
			if i < 0 {
				if !plan.At.After(r.Now) {
					t.Fatalf("at %v to wait for %+v", r.Now, plan)
				}
				r.Now = plan.At.Add(3 * time.Millisecond)
				continue
			}
			checkStep(t, w, r, i, plan)
			if plan.Action == Now {
				w.gates.Count(Send{At: r.Now, Bulk: !r.Items[i].Bypass})
			}
			r.Items = append(r.Items[:i], r.Items[i+1:]...)
		}
	})
}

func checkStep(t *rapid.T, w *world, r *Request, i int, plan Plan) {
	it := &r.Items[i]
	if single := w.p.Plan(r, i); single.Action != plan.Action {
		t.Fatalf("Next says %+v, Plan says %+v", plan, single)
	}
	if plan.Action == Drop {
		if plan.Reason == Limit && !(w.p.DropAtLimit && it.Droppable) || plan.Reason == Deadline && !it.HardDeadline {
			t.Fatalf("%+v was dropped for %q", it, plan.Reason)
		}
		return
	}
	if r.Now.Before(it.NotBefore) {
		t.Fatalf("%+v left at %v", it, r.Now)
	}
	if it.Bypass {
		return
	}
	if wallQuiet(w.p.Quiet, r.Now, w.zone) {
		t.Fatalf("%+v left at night, %v", it, r.Now)
	}
	// The ring drops fractions of a second.
	if plan.Reason == NoHold && !w.permits(r.Now.Add(time.Second), r.Now) {
		t.Fatalf("%+v left at %v past a gate", it, r.Now)
	}
}

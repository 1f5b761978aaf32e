package scheduler

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// optimum is the best sum of utilities of those waiting, by trying every order and
// every hour.
func (t *table) optimum(set, gone int, free int64) float32 {
	best := t.seq.left(t, set)
	if set == 0 {
		return 0
	}
	for j := range t.n {
		if set>>j&1 == 0 {
			continue
		}
		v := &t.row[j]
		for k := range t.h.n {
			at := t.instant(v, k)
			if v.at[k] == 0 || t.h.until(k) <= free || gone > 0 && at < t.seq.open[gone] {
				continue
			}
			u := v.u[k] - v.gain[k]*(1-t.seq.kept[gone].gain) - (v.gain[k]-v.u[k])*(t.seq.kept[gone].cost-1)
			best = max(best, u+t.optimum(set&^(1<<j), gone+1, at+t.seq.gap))
		}
	}
	return best
}

// TestOrderAgainstExhaustiveSearch compares the backward recursion with trying all.
func TestOrderAgainstExhaustiveSearch(t *testing.T) {
	list := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		w, r := drawLive(t, list)
		w.p.MaxHold, w.p.Explore = minutes(t, "short hold", 60, 14*60), 0
		*w.gates = Gates{}
		for range rapid.IntRange(2, 3).Draw(t, "items") {
			it := drawLiveItem(t, w.now)
			it.Window = 0
			r.Items = append(r.Items, it)
		}
		var all table
		all.begin(w.p, r)
		all.line()
		if all.n < 2 {
			return
		}
		full := 1<<all.n - 1
		got, want := all.seq.sum[full][0], all.optimum(full, 0, 0)
		if d := got - want; d > 1e-3 || d < -1e-3 {
			t.Fatalf("the best order is worth %v, want %v\n%+v", got, want, r.Items)
		}
	})
}

// TestPlansMakeASequence plans three items: they leave a gap apart, and what is
// planned behind another is planned for the hour that the recursion gives it.
func TestPlansMakeASequence(t *testing.T) {
	p, r := modelled(t, 3)
	var at []time.Time
	for i := range r.Items {
		at = append(at, p.Plan(r, i).At)
	}
	for i := range at {
		for j := range i {
			if d := at[i].Sub(at[j]).Abs(); d < p.MinGap {
				t.Errorf("items %d and %d leave %v apart, want at least %v", j, i, d, p.MinGap)
			}
		}
	}
	if i, plan := p.Next(r); i >= 0 || !plan.At.Equal(at[2]) {
		t.Errorf("next is item %d at %v, want to wait for the most valuable at %v", i, plan.At, at[2])
	}
	r.Now = at[2].Add(time.Millisecond)
	if i, plan := p.Next(r); i != 2 || plan.Action != Now {
		t.Errorf("at %v next is item %d, %+v", r.Now, i, plan)
	}
}

// TestMonotoneInValue: what is worth more is never sent later behind its rivals, its
// utility grows, and it is never dropped where the lesser one was not.
func TestMonotoneInValue(t *testing.T) {
	list := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		w, r := drawLive(t, list)
		w.p.Explore = 0
		r.Items = []Item{drawLiveItem(t, w.now)}
		low := w.p.Plan(r, 0)
		r.Items[0].Value *= rapid.Float32Range(1, 20).Draw(t, "more")
		high := w.p.Plan(r, 0)
		if high.Action == Drop && low.Action != Drop || high.Decision.Would == Drop && low.Decision.Would != Drop {
			t.Fatalf("worth more, it is dropped: %+v instead of %+v", high, low)
		}
		if a, b := low.Decision.Best.U(), high.Decision.Best.U(); b < a-1e-4 {
			t.Fatalf("worth more, its utility falls from %v to %v", a, b)
		}
		if a, b := low.Decision.Now.U(), high.Decision.Now.U(); b < a-1e-4 {
			t.Fatalf("worth more, its utility now falls from %v to %v", a, b)
		}
	})
}

func TestPartsSumToUtility(t *testing.T) {
	for i := range 3 {
		p, r := modelled(t, 3)
		var all table
		all.begin(p, r)
		all.line()
		for j := range all.n {
			v := &all.row[j]
			o := all.of(v)
			for k := v.first; k < v.last; k++ {
				if v.at[k] != 0 {
					if d := v.parts(o, k).U() - v.u[k]; d > 1e-5 || d < -1e-5 {
						t.Fatalf("item %d, hour %d: parts %+v sum to %v, want %v", i, k, v.parts(o, k), v.parts(o, k).U(), v.u[k])
					}
				}
			}
			if d := v.now(o).U() - (v.here - v.cost(o)); d > 1e-5 || d < -1e-5 {
				t.Errorf("parts of now: %+v", v.now(o))
			}
		}
	}
}

func TestModelDoesNotAllocate(t *testing.T) {
	p, r := modelled(t, 3)
	if n := testing.AllocsPerRun(100, func() { p.Plan(r, 2); p.Next(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	p.Explore = 0.5
	for id := range uint64(8) {
		r.Items[0].ID = id
		if n := testing.AllocsPerRun(10, func() { p.Plan(r, 0) }); n != 0 {
			t.Errorf("%v allocations exploring", n)
		}
	}
	for arm := range ArmHistogram + 1 {
		p.Only = &arm
		if n := testing.AllocsPerRun(10, func() { p.Next(r) }); n != 0 {
			t.Errorf("%v allocations in arm %v", n, arm)
		}
	}
}

func BenchmarkModelNextOfThree(b *testing.B) {
	p, r := modelled(b, 3)
	b.ReportAllocs()
	for b.Loop() {
		p.Next(r)
	}
}

func BenchmarkModelPlanOfMany(b *testing.B) {
	p, r := modelled(b, 32)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range r.Items {
		r.Items[i].Value = rng.Float32() + .1
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Plan(r, 31)
	}
}

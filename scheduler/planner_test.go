package scheduler

import (
	"testing"

	"pgregory.net/rapid"
)

// TestPlannerIsPlan: what a planner keeps from one item to the next, and from one
// request to another, changes no plan, in whatever order items are asked about.
func TestPlannerIsPlan(t *testing.T) {
	list := zones(t)
	planner := new(Planner)
	rapid.Check(t, func(t *rapid.T) {
		w, r := drawLive(t, list)
		for range rapid.IntRange(1, 6).Draw(t, "items") {
			r.Items = append(r.Items, drawLiveItem(t, w.now))
		}
		planner.Begin(w.p, r)
		for range 2 * len(r.Items) {
			i := rapid.IntRange(0, len(r.Items)-1).Draw(t, "item")
			if got, want := planner.Plan(i), w.p.Plan(r, i); got != want {
				t.Fatalf("item %d is planned\n%+v, want\n%+v", i, got, want)
			}
		}
	})
}

func BenchmarkModelPlannerOfThree(b *testing.B) {
	p, r := modelled(b, 3)
	var n Planner
	b.ReportAllocs()
	for b.Loop() {
		n.Begin(p, r)
		for i := range r.Items {
			n.Plan(i)
		}
	}
}
